//! Messages with a token in them: asked for, granted, taken.
//!
//! Who asks only leaves a request, for a known address and for an unknown one alike; a job looks who it is and sends.

use std::time::Duration;

use promox_kernel::{Email, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::records::{MessageRequest, MessageRequestByDue, OneTimeToken, OneTimeTokenByPurpose, Purpose};
use crate::reject;

/// Tokens of one purpose that one user has at most; sending again leaves the earlier ones good.
const MOST_TOKENS: usize = 50;
/// How often sending is tried: with the growing pauses that is a day.
const MOST_ATTEMPTS: u32 = 20;

impl Purpose {
    /// How long a token is good.
    pub(crate) fn lifetime(self) -> Duration {
        let hours = match self {
            Self::PasswordReset => 1,
            Self::Setup => 24,
            Self::EmailVerification => 24 * 7,
        };
        Duration::from_secs(3600 * hours)
    }
}

/// Asks for a message; one that waits already is not asked for twice.
pub(crate) fn request(tx: &mut Tx<'_>, purpose: Purpose, email: &Email) -> Result<(), StoreError> {
    let due_at = tx.now();
    tx.put(&MessageRequest { purpose, address: email.normal(), attempts: 0, due_at })
}

/// The requests that are due, oldest first.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<MessageRequest>, StoreError> {
    tx.scan_by::<MessageRequestByDue>().before(now + Duration::from_micros(1)).collect(limit)
}

/// Writes down, before it is tried, that a message is being sent, and what its token is good for. `false`: it has been
/// tried often enough, and is given up.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    request: &MessageRequest,
    user: UserId,
    token_hash: &[u8],
) -> Result<bool, StoreError> {
    let now = tx.now();
    let attempts = request.attempts + 1;
    if attempts > MOST_ATTEMPTS {
        return settle(tx, request).map(|()| false);
    }
    let pause = Duration::from_secs(10 << attempts.min(9));
    tx.put(&MessageRequest { attempts, due_at: now + pause, ..request.clone() })?;
    grant(tx, request.purpose, Some(user), token_hash).map(|()| true)
}

/// Forgets a request: it is done, or there is nobody to send to.
pub(crate) fn settle(tx: &mut Tx<'_>, request: &MessageRequest) -> Result<(), StoreError> {
    tx.delete::<MessageRequest>(&(request.purpose, request.address.clone())).map(drop)
}

/// Forgets what was asked for an address.
pub(crate) fn drop_requests(tx: &mut Tx<'_>, email: &Email) -> Result<(), StoreError> {
    for purpose in Purpose::ALL {
        tx.delete::<MessageRequest>(&(*purpose, email.normal()))?;
    }
    Ok(())
}

/// Makes a token good.
pub(crate) fn grant(tx: &mut Tx<'_>, purpose: Purpose, user: Option<UserId>, hash: &[u8]) -> Result<(), StoreError> {
    let expires_at = tx.now() + purpose.lifetime();
    tx.put(&OneTimeToken { hash: hash.to_vec(), purpose, user, expires_at })
}

/// The token, if it is good for `purpose`. A read has no time of its own: only a write judges the expiry.
pub(crate) fn look_up(tx: &Tx<'_>, purpose: Purpose, hash: &[u8]) -> Result<OneTimeToken, Error> {
    let token = tx.get::<OneTimeToken>(&hash.to_vec())?;
    let good = token.filter(|token| token.purpose == purpose && tx.now() < token.expires_at);
    good.ok_or_else(reject::one_time_token_invalid)
}

/// Takes a token: it is good no more.
pub(crate) fn take(tx: &mut Tx<'_>, purpose: Purpose, hash: &[u8]) -> Result<OneTimeToken, Error> {
    let token = look_up(tx, purpose, hash)?;
    tx.delete::<OneTimeToken>(&token.hash)?;
    Ok(token)
}

/// Forgets the tokens of one purpose: a user's, or those that are nobody's.
pub(crate) fn forget(tx: &mut Tx<'_>, purpose: Purpose, user: Option<UserId>) -> Result<(), StoreError> {
    for token in tx.scan_by::<OneTimeTokenByPurpose>().prefix((purpose, user)).collect(MOST_TOKENS)? {
        tx.delete::<OneTimeToken>(&token.hash)?;
    }
    Ok(())
}

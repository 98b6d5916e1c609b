//! Messages with tokens: requested, sent, redeemed.
//!
//! A request only leaves a row, for known and unknown addresses alike; a job finds the account and sends.

use std::time::Duration;

use promox_kernel::{BackOff, Email, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::records::{MessageRequest, MessageRequestByDue, OneTimeToken, OneTimeTokenByPurpose, Purpose};
use crate::reject;

/// Maximum tokens of one purpose per user; sending again leaves earlier ones valid.
const MAX_TOKENS: usize = 50;
/// The pauses between attempts at sending.
const PAUSES: BackOff = BackOff { first: Duration::from_secs(20), doublings: 8 };
/// Maximum attempts at sending: with the growing pauses that is a day.
const MAX_ATTEMPTS: u32 = 20;

impl Purpose {
    /// The lifetime of a token.
    pub(crate) fn lifetime(self) -> Duration {
        let hours = match self {
            Self::PasswordReset => 1,
            Self::Setup => 24,
            Self::EmailVerification => 24 * 7,
        };
        Duration::from_secs(3600 * hours)
    }
}

/// Requests a message, unless one is already waiting.
pub(crate) fn request(tx: &mut Tx<'_>, purpose: Purpose, email: &Email) -> Result<(), StoreError> {
    let due_at = tx.now();
    tx.put(&MessageRequest { purpose, address: email.normal(), attempts: 0, due_at })
}

/// The due requests, oldest first.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<MessageRequest>, StoreError> {
    tx.scan_by::<MessageRequestByDue>().before(now + Duration::from_micros(1)).collect(limit)
}

/// Records, before sending, that a message is being sent, and what its token is for. `false`: the maximum of attempts
/// is reached and the request is dropped.
pub(crate) fn begin(
    tx: &mut Tx<'_>,
    request: &MessageRequest,
    user: UserId,
    token_hash: &[u8],
) -> Result<bool, StoreError> {
    let now = tx.now();
    let attempts = request.attempts + 1;
    if attempts > MAX_ATTEMPTS {
        return settle(tx, request).map(|()| false);
    }
    tx.put(&MessageRequest { attempts, due_at: now + PAUSES.after(attempts), ..request.clone() })?;
    grant(tx, request.purpose, Some(user), token_hash).map(|()| true)
}

/// Removes a request: it is done, or nobody has the address.
pub(crate) fn settle(tx: &mut Tx<'_>, request: &MessageRequest) -> Result<(), StoreError> {
    tx.delete::<MessageRequest>(&(request.purpose, request.address.clone())).map(drop)
}

/// Removes the requests for an address.
pub(crate) fn drop_requests(tx: &mut Tx<'_>, email: &Email) -> Result<(), StoreError> {
    for purpose in Purpose::ALL {
        tx.delete::<MessageRequest>(&(*purpose, email.normal()))?;
    }
    Ok(())
}

/// Makes a token valid.
pub(crate) fn grant(tx: &mut Tx<'_>, purpose: Purpose, user: Option<UserId>, hash: &[u8]) -> Result<(), StoreError> {
    let expires_at = tx.now() + purpose.lifetime();
    tx.put(&OneTimeToken { hash: hash.to_vec(), purpose, user, expires_at })
}

/// The token, if it is valid for `purpose`. A read has no time of its own: only a write checks the expiry.
pub(crate) fn look_up(tx: &Tx<'_>, purpose: Purpose, hash: &[u8]) -> Result<OneTimeToken, Error> {
    let token = tx.get::<OneTimeToken>(&hash.to_vec())?;
    let good = token.filter(|token| token.purpose == purpose && tx.now() < token.expires_at);
    good.ok_or_else(reject::one_time_token_invalid)
}

/// Redeems a token, which invalidates it.
pub(crate) fn take(tx: &mut Tx<'_>, purpose: Purpose, hash: &[u8]) -> Result<OneTimeToken, Error> {
    let token = look_up(tx, purpose, hash)?;
    tx.delete::<OneTimeToken>(&token.hash)?;
    Ok(token)
}

/// Removes the tokens of one purpose: a user's, or those without a user.
pub(crate) fn forget(tx: &mut Tx<'_>, purpose: Purpose, user: Option<UserId>) -> Result<(), StoreError> {
    for token in tx.scan_by::<OneTimeTokenByPurpose>().prefix((purpose, user)).collect(MAX_TOKENS)? {
        tx.delete::<OneTimeToken>(&token.hash)?;
    }
    Ok(())
}

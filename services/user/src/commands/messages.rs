//! Messages with one-time tokens: how they are requested and sent, and how the tokens are redeemed.
//!
//! A request only writes a row, for known and unknown addresses alike. A job looks for the account and sends the
//! message.

use std::time::Duration;

use promox_kernel::{BackOff, Email, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use crate::records::{MessageRequest, MessageRequestByDue, OneTimeToken, OneTimeTokenByPurpose, Purpose};
use crate::reject;

/// Tokens that are read at a time when those of a user are revoked. Sending another one leaves earlier ones valid.
const MAX_TOKENS: usize = 50;
/// The pauses between attempts to send a message.
const RETRY_PAUSES: BackOff = BackOff { first: Duration::from_secs(20), doublings: 8 };
/// Maximum attempts to send a message. With the growing pauses they take about a day.
const MAX_ATTEMPTS: u32 = 20;

impl Purpose {
    /// The lifetime of a token for this purpose.
    pub(crate) fn lifetime(self) -> Duration {
        let hours = match self {
            Self::PasswordReset => 1,
            Self::Setup => 24,
            Self::EmailVerification => 24 * 7,
        };
        Duration::from_secs(3600 * hours)
    }
}

/// Requests a message. A request for the same purpose and address is replaced.
pub(crate) fn request(tx: &mut Tx<'_>, purpose: Purpose, email: &Email) -> Result<(), StoreError> {
    let due_at = tx.now();
    tx.put(&MessageRequest { purpose, address: email.normal(), attempts: 0, due_at })
}

/// The requests that are due, oldest first.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, limit: usize) -> Result<Vec<MessageRequest>, StoreError> {
    tx.scan_by::<MessageRequestByDue>().before(now + Duration::from_micros(1)).collect(limit)
}

/// Records an attempt to send a message and stores its token, before it is sent. Returns `false`, and removes the
/// request, if it has reached the maximum of attempts.
pub(crate) fn start_attempt(
    tx: &mut Tx<'_>,
    request: &MessageRequest,
    user: UserId,
    token_hash: &[u8],
) -> Result<bool, StoreError> {
    let now = tx.now();
    let attempts = request.attempts + 1;
    if attempts > MAX_ATTEMPTS {
        return remove_request(tx, request).map(|()| false);
    }
    tx.put(&MessageRequest { attempts, due_at: now + RETRY_PAUSES.after(attempts), ..request.clone() })?;
    store_token(tx, request.purpose, Some(user), token_hash).map(|()| true)
}

/// Removes a request, because its message was sent or no account may receive it.
pub(crate) fn remove_request(tx: &mut Tx<'_>, request: &MessageRequest) -> Result<(), StoreError> {
    tx.delete::<MessageRequest>(&(request.purpose, request.address.clone())).map(drop)
}

/// Removes all requests for an address.
pub(crate) fn remove_requests(tx: &mut Tx<'_>, email: &Email) -> Result<(), StoreError> {
    for purpose in Purpose::ALL {
        tx.delete::<MessageRequest>(&(*purpose, email.normal()))?;
    }
    Ok(())
}

/// Stores a token, which makes it valid.
pub(crate) fn store_token(
    tx: &mut Tx<'_>,
    purpose: Purpose,
    user: Option<UserId>,
    hash: &[u8],
) -> Result<(), StoreError> {
    let expires_at = tx.now() + purpose.lifetime();
    tx.put(&OneTimeToken { hash: hash.to_vec(), purpose, user, expires_at })
}

/// The token, if it is valid for `purpose`. A read has no time, so only a write checks that the token has not expired.
pub(crate) fn look_up(tx: &Tx<'_>, purpose: Purpose, hash: &[u8]) -> Result<OneTimeToken, Error> {
    let token = tx.get::<OneTimeToken>(&hash.to_vec())?;
    let valid = token.filter(|token| token.purpose == purpose && tx.now() < token.expires_at);
    valid.ok_or_else(|| match purpose {
        Purpose::Setup => reject::setup_token_invalid(),
        Purpose::EmailVerification | Purpose::PasswordReset => reject::one_time_token_invalid(),
    })
}

/// Redeems a token and invalidates it.
pub(crate) fn redeem(tx: &mut Tx<'_>, purpose: Purpose, hash: &[u8]) -> Result<OneTimeToken, Error> {
    let token = look_up(tx, purpose, hash)?;
    tx.delete::<OneTimeToken>(&token.hash)?;
    Ok(token)
}

/// Invalidates the tokens of one purpose: those of a user, or those without a user.
pub(crate) fn revoke_tokens(tx: &mut Tx<'_>, purpose: Purpose, user: Option<UserId>) -> Result<(), StoreError> {
    loop {
        let tokens = tx.scan_by::<OneTimeTokenByPurpose>().prefix((purpose, user)).collect(MAX_TOKENS)?;
        for token in &tokens {
            tx.delete::<OneTimeToken>(&token.hash)?;
        }
        if tokens.len() < MAX_TOKENS {
            return Ok(());
        }
    }
}

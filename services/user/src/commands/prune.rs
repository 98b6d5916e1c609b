//! Removal of expired rows: sessions whose last token has expired, and one-time tokens that were not used.

use promox_storage::{StoreError, Tx};

use crate::records::{OneTimeToken, OneTimeTokenByExpiry, Session, SessionByExpiry};

/// Maximum rows of each kind that one batch removes.
const BATCH: usize = 500;

/// Removes one batch of expired rows. Returns whether there may be more.
pub(crate) fn remove_expired(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    let now = tx.now();
    let sessions = tx.scan_by::<SessionByExpiry>().before(now).collect(BATCH)?;
    let tokens = tx.scan_by::<OneTimeTokenByExpiry>().before(now).collect(BATCH)?;
    for session in &sessions {
        tx.delete::<Session>(&session.id)?;
    }
    for token in &tokens {
        tx.delete::<OneTimeToken>(&token.hash)?;
    }
    Ok(sessions.len() == BATCH || tokens.len() == BATCH)
}

//! Pruning: logins whose last token has expired, unused message tokens.

use promox_storage::{StoreError, Tx};

use crate::records::{OneTimeToken, OneTimeTokenByExpiry, Session, SessionByExpiry};

/// Rows of each kind removed by one batch.
const BATCH: usize = 500;

/// Runs one batch; whether there may be more.
pub(crate) fn expired(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
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

//! Signing keys: created ahead, retired, removed.

use std::time::Duration;

use promox_kernel::Error;
use promox_storage::{StoreError, Tx};

use crate::records::SigningKey;
use crate::rules::rotation;
use crate::tokens::new_key;

/// Maximum stored keys, far more than there ever are.
const MOST: usize = 100;

/// All stored keys.
pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<SigningKey>, StoreError> {
    tx.scan::<SigningKey>().collect(MOST)
}

/// Does what is due, with `seed` for a new key if needed, and returns the resulting keys.
pub(crate) fn rotate(tx: &mut Tx<'_>, seed: [u8; 32], access: Duration) -> Result<Vec<SigningKey>, Error> {
    let (keys, now) = (all(tx)?, tx.now());
    let plan = rotation::plan(&keys, now, access);
    if plan.is_empty() {
        return Ok(keys);
    }
    for key in keys {
        if plan.retire.contains(&key.kid) {
            tx.put(&SigningKey { seed: None, retired_at: Some(now), ..key })?;
        } else if plan.remove.contains(&key.kid) {
            tx.delete::<SigningKey>(&key.kid)?;
        }
    }
    if let Some(signs_from) = plan.create {
        tx.insert(&new_key(seed, signs_from, now)?)?;
    }
    Ok(all(tx)?)
}

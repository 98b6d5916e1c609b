//! Signing keys: they are created ahead of use, retired, and later removed.

use std::time::Duration;

use promox_kernel::Error;
use promox_storage::{StoreError, Tx};

use crate::records::SigningKey;
use crate::rules::rotation;
use crate::tokens::new_key;

/// Maximum stored keys, which is far more than there ever are.
const MAX_KEYS: usize = 100;

/// All stored keys.
pub(crate) fn all(tx: &Tx<'_>) -> Result<Vec<SigningKey>, StoreError> {
    tx.scan::<SigningKey>().collect(MAX_KEYS)
}

/// Makes the changes to the keys that are due, and returns the resulting keys. `seed` is for a new key, and
/// `token_lifetime` is the lifetime of access tokens.
pub(crate) fn rotate(tx: &mut Tx<'_>, seed: [u8; 32], token_lifetime: Duration) -> Result<Vec<SigningKey>, Error> {
    let (keys, now) = (all(tx)?, tx.now());
    let plan = rotation::plan(&keys, now, token_lifetime);
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

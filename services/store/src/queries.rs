//! Reads: the stored groups of settings, and a copy of all of them in memory.

use std::sync::Arc;

use parking_lot::RwLock;
use promox_contract::settings::{Settings, StoreSettings};
use promox_kernel::Currency;
use promox_storage::{Db, StoreError, Tx};
use serde_json::Value;

use crate::hooks::queries::enabled_kinds;
use crate::records::Setting;
use crate::rules::Group;

/// The name of the row whose version is the epoch: the number of changes to the settings.
pub(crate) const EPOCH: &str = "epoch";

/// All settings at an epoch.
#[derive(Clone, Debug)]
pub(crate) struct AtEpoch {
    pub(crate) epoch: i64,
    pub(crate) settings: Arc<Settings>,
}

/// A copy of the settings in memory, reloaded when the epoch has changed.
#[derive(Debug, Default)]
pub(crate) struct CachedSettings(RwLock<Option<AtEpoch>>);

impl CachedSettings {
    /// The current settings.
    pub(crate) async fn get(&self, db: &Db) -> Result<Arc<Settings>, StoreError> {
        Ok(self.at_epoch(db).await?.settings)
    }

    /// The current settings and their epoch.
    pub(crate) async fn at_epoch(&self, db: &Db) -> Result<AtEpoch, StoreError> {
        db.read(|tx| self.get_in(tx)).await
    }

    /// The settings and their epoch as a transaction sees them.
    pub(crate) fn get_in(&self, tx: &Tx<'_>) -> Result<AtEpoch, StoreError> {
        let epoch = epoch(tx)?;
        if let Some(current) = self.0.read().clone().filter(|current| current.epoch == epoch) {
            return Ok(current);
        }
        let (store, shipping, taxes, payments) = (load(tx)?, load(tx)?, load(tx)?, load(tx)?);
        let settings = Settings { store, shipping, taxes, payments, hooks: enabled_kinds(tx)? };
        let current = AtEpoch { epoch, settings: Arc::new(settings) };
        *self.0.write() = Some(current.clone());
        Ok(current)
    }
}

/// The epoch: the number of changes to the settings.
pub(crate) fn epoch(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx.get::<Setting>(&EPOCH.to_owned())?.map_or(0, |row| row.version))
}

/// Loads a group. A node stores all groups before it serves; until then the defaults of a new store apply.
pub(crate) fn load<G: Group>(tx: &Tx<'_>) -> Result<G, StoreError> {
    let Some(row) = tx.get::<Setting>(&G::NAME.to_owned())? else { return Ok(G::default()) };
    let mut group: G = serde_json::from_value(complete(row.value.0, G::default()))
        .map_err(|error| StoreError::Damaged { place: format!("settings {}: {error}", G::NAME) })?;
    group.set_version(row.version);
    Ok(group)
}

/// A stored group with the members that an older version of the program did not have, at their defaults.
fn complete<G: Group>(mut stored: Value, default: G) -> Value {
    if let (Some(stored), Ok(Value::Object(default))) = (stored.as_object_mut(), serde_json::to_value(default)) {
        for (name, value) in default {
            stored.entry(name).or_insert(value);
        }
    }
    stored
}

/// The store's currency; `None` until the settings of a new store are written.
pub(crate) async fn stored_currency(db: &Db) -> Result<Option<Currency>, StoreError> {
    let stored = |tx: &Tx<'_>| tx.get::<Setting>(&StoreSettings::NAME.to_owned());
    db.read(|tx| match stored(tx)? {
        Some(_) => load::<StoreSettings>(tx).map(|store| Some(store.currency)),
        None => Ok(None),
    })
    .await
}

//! Writes settings: those of a new store at its first start, and changes to them afterwards.

use promox_contract::audit::Audited;
use promox_contract::settings::{PaymentSettings, ShippingSettings, StoreSettings, TaxSettings};
use promox_kernel::{Cx, Error, Faults, Json};
use promox_storage::{Db, StoreError, Tx};

use super::currency;
use crate::queries::{EPOCH, epoch, load};
use crate::records::Setting;
use crate::rules::Group;

/// A change to a group of settings.
#[derive(Clone, Debug)]
pub(crate) enum Change<G: Group> {
    /// Replaces the whole group.
    Whole(G),
    /// Applies a merge patch.
    Part(G::Patch),
}

impl<G: Group> Change<G> {
    /// The normalised group after the change. Its version is the one that the caller expects to change.
    pub(crate) fn of(&self, old: &G, store: &StoreSettings) -> Result<G, Error> {
        let mut faults = Faults::default();
        let mut group = match self {
            Self::Whole(group) => group.clone(),
            Self::Part(patch) => {
                let mut group = old.clone();
                group.patch(patch.clone(), &mut faults);
                group
            }
        };
        group.normalise(store);
        faults.extend(group.faults(store).into_list());
        faults.finish().map(|()| group)
    }
}

/// Writes the settings of a new store. An existing store keeps its settings. Nothing else may use the store yet.
pub(crate) async fn begin(db: &Db, cx: &Cx, initial: &StoreSettings) -> Result<(), Error> {
    let initial = initial.clone();
    db.write(cx, move |tx| {
        currency::settle_all(tx)?;
        if tx.get::<Setting>(&StoreSettings::NAME.to_owned())?.is_some() {
            return Ok(());
        }
        write(tx, &initial, 1)?;
        write(tx, &ShippingSettings::default(), 1)?;
        write(tx, &TaxSettings::default(), 1)?;
        write(tx, &PaymentSettings::default(), 1)?;
        increment_epoch(tx)?;
        Ok::<_, Error>(())
    })
    .await
}

/// Changes a group, in one transaction with the entry in the audit log.
pub(crate) async fn change<G: Group>(db: &Db, cx: &Cx, change: Change<G>) -> Result<G, Error> {
    let (actor, caller) = (cx.principal.name(), cx.clone());
    db.write(cx, move |tx| {
        let (store, old) = (load::<StoreSettings>(tx)?, load::<G>(tx)?);
        let group = change.of(&old, &store)?;
        check_version(&caller, old.version(), group.version())?;
        currency::check_change_allowed(tx, store.currency, group.currency().unwrap_or(store.currency))?;
        if group.has_amounts() {
            currency::record_written(tx)?;
        }
        let saved = write(tx, &group, old.version() + 1)?;
        increment_epoch(tx)?;
        let (before, after) = (value(&old)?, value(&saved)?);
        let subject = format!("settings:{}", G::NAME);
        tx.emit(saved.version(), &Audited::new(actor.clone(), "settings.update", subject, before, after))?;
        Ok(saved)
    })
    .await
}

/// Refuses a change to a version other than the current one. `If-Match` names the version, or else the body (0 for
/// none).
fn check_version(cx: &Cx, current: i64, sent: i64) -> Result<(), Error> {
    if cx.if_match.is_some() || sent == 0 {
        return cx.check_version(current);
    }
    Cx { if_match: Some(sent.into()), ..cx.clone() }.check_version(current)
}

fn write<G: Group>(tx: &mut Tx<'_>, group: &G, version: i64) -> Result<G, Error> {
    let mut group = group.clone();
    group.set_version(version);
    tx.put(&Setting { name: G::NAME.to_owned(), value: Json(value(&group)?), version })?;
    Ok(group)
}

fn value<G: Group>(group: &G) -> Result<serde_json::Value, Error> {
    serde_json::to_value(group).map_err(Error::internal)
}

/// Increments the epoch, so that every service reloads the settings.
pub(crate) fn increment_epoch(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let epoch = epoch(tx)?;
    tx.put(&Setting { name: EPOCH.to_owned(), value: Json(serde_json::Value::Null), version: epoch + 1 })
}

/// Checks a change without making it.
pub(crate) async fn check<G: Group>(db: &Db, change: &Change<G>) -> Result<(), Error> {
    db.read(|tx| change.of(&load::<G>(tx)?, &load::<StoreSettings>(tx)?).map(drop)).await
}

//! The store's currency is fixed once any service has written an amount in it.
//!
//! A service that may write the first amount takes a lock before and settles it afterwards: in between the currency
//! does not change, so no amount of another currency slips in, and a refused write fixes nothing.

use promox_contract::codes;
use promox_contract::settings::StoreSettings;
use promox_kernel::{Currency, Error, Json};
use promox_storage::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::queries::load;
use crate::records::Setting;

/// The row that holds this state.
const AMOUNTS: &str = "amounts";

/// The state of amounts in the store's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Amounts {
    /// Whether there are any. This is permanent: removed amounts stay in the history.
    written: bool,
    /// How many writes are in progress.
    pending: u32,
}

fn known(tx: &Tx<'_>) -> Result<Amounts, StoreError> {
    let Some(row) = tx.get::<Setting>(&AMOUNTS.to_owned())? else { return Ok(Amounts::default()) };
    serde_json::from_value(row.value.0)
        .map_err(|error| StoreError::Damaged { place: format!("settings {AMOUNTS}: {error}") })
}

fn keep(tx: &mut Tx<'_>, amounts: Amounts) -> Result<(), Error> {
    if amounts == Amounts::default() {
        tx.delete::<Setting>(&AMOUNTS.to_owned())?;
        return Ok(());
    }
    let value = Json(serde_json::to_value(amounts).map_err(Error::internal)?);
    Ok(tx.put(&Setting { name: AMOUNTS.to_owned(), value, version: 1 })?)
}

/// Refuses an amount that was parsed in another currency: the currency has changed since.
pub(crate) fn check(tx: &Tx<'_>, currency: Currency) -> Result<(), Error> {
    let own = load::<StoreSettings>(tx)?.currency;
    if own == currency {
        return Ok(());
    }
    let message = format!("The store's currency has just become {own}: send amounts in it.");
    Err(Error::conflict(codes::CURRENCY_CHANGED, message).retry_after(1))
}

/// Whether amounts were written before.
pub(crate) fn any_written(tx: &Tx<'_>) -> Result<bool, StoreError> {
    Ok(known(tx)?.written)
}

/// Takes the lock; returns whether it must be settled, which is so until the first amounts are written.
pub(crate) fn pledge(tx: &mut Tx<'_>, currency: Currency) -> Result<bool, Error> {
    check(tx, currency)?;
    let amounts = known(tx)?;
    if !amounts.written {
        keep(tx, Amounts { pending: amounts.pending.saturating_add(1), ..amounts })?;
    }
    Ok(!amounts.written)
}

/// Settles a lock: the amounts were written, or the write failed.
pub(crate) fn settle(tx: &mut Tx<'_>, written: bool) -> Result<(), Error> {
    let amounts = known(tx)?;
    let pending = amounts.pending.saturating_sub(1);
    keep(tx, Amounts { written: written || amounts.written, pending })
}

/// Records that this transaction writes amounts.
pub(crate) fn write(tx: &mut Tx<'_>) -> Result<(), Error> {
    let amounts = known(tx)?;
    if amounts.written { Ok(()) } else { keep(tx, Amounts { written: true, ..amounts }) }
}

/// Locks taken before a restart may have led to writes: they count as written.
pub(crate) fn settle_all(tx: &mut Tx<'_>) -> Result<(), Error> {
    let amounts = known(tx)?;
    if amounts.pending == 0 { Ok(()) } else { keep(tx, Amounts { written: true, pending: 0 }) }
}

/// Refuses a change of the currency when there are amounts.
pub(crate) fn guard(tx: &Tx<'_>, now: Currency, wanted: Currency) -> Result<(), Error> {
    let amounts = known(tx)?;
    if now == wanted || amounts == Amounts::default() {
        return Ok(());
    }
    let message = format!("The store has prices, rates or amounts in {now}: its currency can no longer be changed.");
    Err(Error::conflict(codes::CURRENCY_FIXED, message).with("currency", now))
}

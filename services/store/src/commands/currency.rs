//! The store's currency is fixed once an amount in it is written, in whatever service and database that is.
//!
//! A service that may write the first one pledges it before and settles the pledge after: between the two the currency does
//! not change, so no amount of another currency slips in, and what was refused fixes nothing.

use promox_contract::codes;
use promox_contract::settings::StoreSettings;
use promox_kernel::{Currency, Error, Json};
use promox_storage::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::queries::load;
use crate::records::Setting;

/// The row that says so.
const AMOUNTS: &str = "amounts";

/// What is known of amounts in the store's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Amounts {
    /// Whether there are any, for good: what is removed stays in the history.
    written: bool,
    /// How many are being written.
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

/// Refuses an amount that was read as one of another currency: it has changed since.
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

/// Amounts are about to be written; whether that is to be settled, which it is until the first ones are.
pub(crate) fn pledge(tx: &mut Tx<'_>, currency: Currency) -> Result<bool, Error> {
    check(tx, currency)?;
    let amounts = known(tx)?;
    if !amounts.written {
        keep(tx, Amounts { pending: amounts.pending.saturating_add(1), ..amounts })?;
    }
    Ok(!amounts.written)
}

/// What was pledged was written, or came to nothing.
pub(crate) fn settle(tx: &mut Tx<'_>, written: bool) -> Result<(), Error> {
    let amounts = known(tx)?;
    let pending = amounts.pending.saturating_sub(1);
    keep(tx, Amounts { written: written || amounts.written, pending })
}

/// Amounts are written in this transaction.
pub(crate) fn write(tx: &mut Tx<'_>) -> Result<(), Error> {
    let amounts = known(tx)?;
    if amounts.written { Ok(()) } else { keep(tx, Amounts { written: true, ..amounts }) }
}

/// What was pledged before a start may have been written: it counts as such.
pub(crate) fn settle_all(tx: &mut Tx<'_>) -> Result<(), Error> {
    let amounts = known(tx)?;
    if amounts.pending == 0 { Ok(()) } else { keep(tx, Amounts { written: true, pending: 0 }) }
}

/// Refuses another currency where there are amounts.
pub(crate) fn guard(tx: &Tx<'_>, now: Currency, wanted: Currency) -> Result<(), Error> {
    let amounts = known(tx)?;
    if now == wanted || amounts == Amounts::default() {
        return Ok(());
    }
    let message = format!("The store has prices, rates or amounts in {now}: its currency can no longer be changed.");
    Err(Error::conflict(codes::CURRENCY_FIXED, message).with("currency", now))
}

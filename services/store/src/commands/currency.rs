//! The lock that fixes the store's currency once a service has written an amount in it.
//!
//! A service that may write the first amount takes the lock before the write and settles it afterwards. The currency
//! cannot change in between, so no amount in another currency is stored, and a refused write does not fix the currency.

use promox_contract::codes;
use promox_contract::settings::StoreSettings;
use promox_kernel::{Currency, Error, Json};
use promox_storage::{StoreError, Tx};
use serde::{Deserialize, Serialize};

use crate::queries::load;
use crate::records::Setting;

/// The name of the row that stores [`Amounts`].
const AMOUNTS: &str = "amounts";

/// Whether amounts in the store's currency exist or are being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Amounts {
    /// Whether amounts were written. This is permanent, because removed amounts stay in the history.
    written: bool,
    /// The number of locks that are not settled.
    pending: u32,
}

fn load_amounts(tx: &Tx<'_>) -> Result<Amounts, StoreError> {
    let Some(row) = tx.get::<Setting>(&AMOUNTS.to_owned())? else { return Ok(Amounts::default()) };
    serde_json::from_value(row.value.0)
        .map_err(|error| StoreError::Damaged { place: format!("settings {AMOUNTS}: {error}") })
}

fn store_amounts(tx: &mut Tx<'_>, amounts: Amounts) -> Result<(), Error> {
    if amounts == Amounts::default() {
        tx.delete::<Setting>(&AMOUNTS.to_owned())?;
        return Ok(());
    }
    let value = Json(serde_json::to_value(amounts).map_err(Error::internal)?);
    Ok(tx.put(&Setting { name: AMOUNTS.to_owned(), value, version: 1 })?)
}

/// Refuses amounts that were parsed in another currency: 409 `CURRENCY_CHANGED`, because the currency has changed
/// since.
pub(crate) fn check(tx: &Tx<'_>, currency: Currency) -> Result<(), Error> {
    let current = load::<StoreSettings>(tx)?.currency;
    if current == currency {
        return Ok(());
    }
    let message = format!("The store's currency is now {current}; send amounts in {current}.");
    Err(Error::conflict(codes::CURRENCY_CHANGED, message).retry_after(1))
}

/// Whether amounts have been written.
pub(crate) fn any_written(tx: &Tx<'_>) -> Result<bool, StoreError> {
    Ok(load_amounts(tx)?.written)
}

/// Takes the lock and returns whether it must be settled, which it must until the first amounts are written.
pub(crate) fn lock(tx: &mut Tx<'_>, currency: Currency) -> Result<bool, Error> {
    check(tx, currency)?;
    let amounts = load_amounts(tx)?;
    if !amounts.written {
        store_amounts(tx, Amounts { pending: amounts.pending.saturating_add(1), ..amounts })?;
    }
    Ok(!amounts.written)
}

/// Settles a lock. `written` says whether amounts were written.
pub(crate) fn settle(tx: &mut Tx<'_>, written: bool) -> Result<(), Error> {
    let amounts = load_amounts(tx)?;
    let pending = amounts.pending.saturating_sub(1);
    store_amounts(tx, Amounts { written: written || amounts.written, pending })
}

/// Records that this transaction writes amounts.
pub(crate) fn record_written(tx: &mut Tx<'_>) -> Result<(), Error> {
    let amounts = load_amounts(tx)?;
    if amounts.written { Ok(()) } else { store_amounts(tx, Amounts { written: true, ..amounts }) }
}

/// Settles the locks that were taken before a restart. Their writes may have happened, so they count as written.
pub(crate) fn settle_all(tx: &mut Tx<'_>) -> Result<(), Error> {
    let amounts = load_amounts(tx)?;
    if amounts.pending == 0 { Ok(()) } else { store_amounts(tx, Amounts { written: true, pending: 0 }) }
}

/// Refuses a change of the currency with 409 `CURRENCY_FIXED` if amounts exist or are being written.
pub(crate) fn check_change_allowed(tx: &Tx<'_>, current: Currency, requested: Currency) -> Result<(), Error> {
    let amounts = load_amounts(tx)?;
    if current == requested || amounts == Amounts::default() {
        return Ok(());
    }
    let message =
        format!("The store has prices, rates or amounts in {current}; its currency can no longer be changed.");
    Err(Error::conflict(codes::CURRENCY_FIXED, message).with("currency", current))
}

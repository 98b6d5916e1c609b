//! The audit: states the settings that other services must agree with, and checks the store's own invariants.

use promox_contract::store::{IN_CURRENCY, IN_DIGITS, TAX_CLASSES};
use promox_storage::{Report, StoreError, Tx};

use crate::Store;

/// Reports the currency, its digits and the tax classes, and checks that shipping rates fit the currency.
pub(crate) fn audit(store: &Store, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let settings = store.settings.get_in(tx)?.settings;
    let currency = settings.store.currency;
    report.knows(IN_CURRENCY, currency.code());
    (0..=currency.exponent()).for_each(|digits| report.knows(IN_DIGITS, digits.to_string()));
    settings.taxes.class_names().into_iter().for_each(|class| report.knows(TAX_CLASSES, class));
    for amount in settings.shipping.amounts() {
        let is_exact = currency.exact(amount).is_ok();
        report
            .check("settings: shipping rates are in the store's currency", is_exact, || format!("{amount} {currency}"));
    }
    Ok(())
}

//! The audit: stored routes are valid, and there is a key for identity tokens.

use promox_storage::{Report, StoreError, Tx};

use crate::queries;

/// Checks every stored route.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for route in queries::stored_routes(tx)? {
        let faults = route.rule.0.form_faults();
        report.check("gateway: a stored route is valid", faults.is_empty(), || format!("{}: {faults:?}", route.id));
    }
    Ok(())
}

//! Captures that follow shipments: their results are entered in the ledger, and unanswered ones repeated.

use std::time::Duration;

use promox_kernel::{BackOff, Error};
use promox_storage::Tx;

use super::charge::{add_capture, apply_update};
use super::save;
use crate::queries;
use crate::records::{Capture, CaptureStatus, Payment};
use crate::rules::ProviderUpdate;

/// The pauses between attempts, limited to [`MAX_PAUSE`].
const PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 9 };
/// The longest pause between two attempts.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// Records that the provider has made a capture. `reference` is the provider's. Repeating it changes nothing.
pub(crate) fn settle(tx: &mut Tx<'_>, id: i64, reference: &str) -> Result<Payment, Error> {
    let capture = tx.get::<Capture>(&id)?.ok_or(Error::not_found("capture"))?;
    let mut payment = queries::payment(tx, capture.payment_id)?;
    match capture.status {
        CaptureStatus::Succeeded => return Ok(payment),
        CaptureStatus::Pending => {}
        // The charge counts as voided, but its provider has captured it.
        CaptureStatus::Failed => {
            let update = ProviderUpdate::Captured { reference: reference.to_owned() };
            return Ok(apply_update(tx, payment, &update)?);
        }
    }
    payment.capturing = Some(payment.capturing() - capture.amount);
    add_capture(tx, &mut payment, capture.amount, reference)?;
    save(tx, &mut payment)?;
    tx.put(&Capture { status: CaptureStatus::Succeeded, due_at: None, settled_at: Some(tx.now()), ..capture })?;
    Ok(payment)
}

/// Schedules another attempt at a capture that the provider has not answered. The pauses grow, and attempts never end.
pub(crate) fn postpone(tx: &mut Tx<'_>, id: i64) -> Result<(), Error> {
    let mut capture = tx.get::<Capture>(&id)?.ok_or(Error::not_found("capture"))?;
    if capture.status == CaptureStatus::Pending {
        capture.tries = capture.tries.saturating_add(1);
        capture.due_at = Some(tx.now() + PAUSES.after(capture.tries).min(MAX_PAUSE));
        tx.put(&capture)?;
    }
    Ok(())
}

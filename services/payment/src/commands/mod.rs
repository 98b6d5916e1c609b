//! Changes to payments: updates of charges, refunds and cancellations. Only these modules add ledger entries.

pub(crate) mod capture;
pub(crate) mod charge;
pub(crate) mod claim;
pub(crate) mod refund;
pub(crate) mod webhook;

use promox_contract::ids::PaymentId;
use promox_contract::payment::PaymentStatus;
use promox_kernel::Amount;
use promox_storage::{StoreError, Tx};

use crate::records::{EntryKind, Payment, PaymentEntry};

/// The request to the provider that completes a cancellation or a return.
#[derive(Clone, Debug)]
pub(crate) enum NextStep {
    /// None: nothing is left to request.
    Done,
    /// Void the payment's charge.
    Void(Box<Payment>),
    /// Request the refund with this id.
    Refund(i64),
}

/// Adds an entry to the payment's ledger; the caller stores the payment.
fn add_entry(
    tx: &mut Tx<'_>,
    payment: &mut Payment,
    (kind, amount): (EntryKind, Amount),
    reference: Option<String>,
    refund_id: Option<i64>,
) -> Result<(), StoreError> {
    payment.entries += 1;
    let (payment_id, number): (PaymentId, i64) = (payment.id, payment.entries);
    let at = tx.now();
    tx.insert(&PaymentEntry { payment_id, number, kind, amount, reference, refund_id, at })
}

/// Stores a changed payment with a new version.
fn save(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), StoreError> {
    payment.version += 1;
    payment.updated_at = tx.now();
    tx.put(payment)
}

/// Enters what remains authorised once everything that is due is captured: the provider releases it. The caller stores
/// the payment.
fn enter_released(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), StoreError> {
    let rest = payment.authorized - payment.captured;
    if payment.is_captured_later() && payment.status != PaymentStatus::PartiallyCaptured && rest > Amount::ZERO {
        add_entry(tx, payment, (EntryKind::Void, rest), None, None)?;
    }
    Ok(())
}

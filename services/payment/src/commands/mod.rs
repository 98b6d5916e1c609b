//! Changes to payments: updates of a charge, refunds, the end of an order. Every ledger entry is made here.

pub(crate) mod charge;
pub(crate) mod refund;

use promox_contract::ids::PaymentId;
use promox_kernel::Amount;
use promox_storage::{StoreError, Tx};

use crate::records::{EntryKind, Payment, PaymentEntry};

/// What the provider is asked to do after an order ended or a return.
#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// Nothing.
    Done,
    /// Void the charge.
    Void(Box<Payment>),
    /// Refund money.
    Refund(i64),
}

/// Adds an amount to the payment's ledger.
fn enter(
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

/// Writes a changed payment.
fn save(tx: &mut Tx<'_>, payment: &mut Payment) -> Result<(), StoreError> {
    payment.version += 1;
    payment.updated_at = tx.now();
    tx.put(payment)
}

//! The audit of payments: invariants recomputed from the ledger, and the facts that orders must agree with.

use promox_contract::analytics::REFUNDED_BY_PAYMENT;
use promox_contract::payment::{DUE, PAID, PAYMENT_REFUNDS, PaymentStatus as Status, SETTLED, return_effect};
use promox_contract::store::IN_CURRENCY;
use promox_kernel::Amount;
use promox_storage::{Report, StoreError, Tx};

use crate::records::{
    Capture, CaptureStatus, Payment, PaymentEntry, Refund, RefundByReference, RefundStatus, Settlement,
};
use crate::{queries, rules};

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let (mut entries, mut refunds, mut captures) = (0, 0, 0);
    for payment in tx.scan::<Payment>().rows() {
        let payment = payment?;
        report.names(IN_CURRENCY, payment.currency.code(), || format!("payment {}", payment.id));
        let exact = payment.currency.minor_units(payment.amount).is_some();
        report.check("payment: an amount has no more digits than its currency", exact, || {
            format!("payment {}: {} {}", payment.id, payment.amount, payment.currency)
        });
        entries += check_ledger(tx, report, &payment)?;
        refunds += check_refunds(tx, report, &payment)?;
        captures += check_captures(tx, report, &payment)?;
        check_sums(report, &payment);
        let is_captured = payment.captured > Amount::ZERO && payment.status != Status::PartiallyCaptured;
        if is_captured && payment.cancelled_at.is_none() {
            report.right(PAID, payment.order_id, payment.captured);
        }
        if payment.refunded > Amount::ZERO {
            report.left(REFUNDED_BY_PAYMENT, payment.order_id, payment.refunded.0.normalize());
        }
        if payment.awaits_capture() {
            report.right(DUE, payment.order_id, payment.due());
        }
    }
    for settlement in tx.scan::<Settlement>().rows() {
        check_settlement(tx, report, &settlement?)?;
    }
    let all_entries = count(tx.scan::<PaymentEntry>().rows())?;
    report.check("payment: every entry belongs to a payment", entries == all_entries, || {
        format!("{entries} of {all_entries}")
    });
    let all_refunds = count(tx.scan::<Refund>().rows())?;
    report.check("payment: every refund belongs to a payment", refunds == all_refunds, || {
        format!("{refunds} of {all_refunds}")
    });
    let all_captures = count(tx.scan::<Capture>().rows())?;
    report.check("payment: every capture belongs to a payment", captures == all_captures, || {
        format!("{captures} of {all_captures}")
    });
    Ok(())
}

fn count<T>(mut rows: impl Iterator<Item = Result<T, StoreError>>) -> Result<usize, StoreError> {
    rows.try_fold(0, |count, row| row.map(|_| count + 1))
}

/// Checks that the ledger has no gap and its sums match the payment. Returns the number of entries.
fn check_ledger(tx: &Tx<'_>, report: &mut Report, payment: &Payment) -> Result<usize, StoreError> {
    let mut sums = [Amount::ZERO; 4];
    let (mut number, mut gap) = (0, false);
    for entry in tx.scan::<PaymentEntry>().prefix(payment.id).rows() {
        let entry = entry?;
        number += 1;
        gap |= entry.number != number;
        if let Some(sum) = sums.get_mut(entry.kind as usize) {
            *sum += entry.amount;
        }
        report.check("payment: an entry has a positive amount", entry.amount > Amount::ZERO, || {
            format!("payment {} entry {}", payment.id, entry.number)
        });
    }
    let complete = !gap && number == payment.entries;
    report.check("payment: the ledger has no gap", complete, || format!("payment {}", payment.id));
    let totals = [payment.authorized, payment.captured, payment.refunded];
    let [authorized, captured, refunded, voided] = sums;
    report.check("payment: totals = sums of the ledger", [authorized, captured, refunded] == totals, || {
        format!(
            "payment {}: the ledger has {authorized} authorised, {captured} captured, {refunded} refunded",
            payment.id
        )
    });
    report.check("payment: voided ≤ authorised", voided <= authorized, || format!("payment {}", payment.id));
    let is_captured = matches!(payment.status, Status::Captured | Status::PartiallyRefunded | Status::Refunded);
    let is_released = !payment.is_captured_later() || !is_captured || captured + voided >= authorized;
    report.check("payment: what is authorised is captured or released in the end", is_released, || {
        format!("payment {}: {captured} captured and {voided} released of {authorized}", payment.id)
    });
    Ok(usize::try_from(number).unwrap_or(0))
}

/// Checks the refunds against the payment. Returns their number.
fn check_refunds(tx: &Tx<'_>, report: &mut Report, payment: &Payment) -> Result<usize, StoreError> {
    let refunds = queries::refunds(tx, payment.id)?;
    let sum =
        |status| refunds.iter().filter(|refund| refund.status == status).map(|refund| refund.amount).sum::<Amount>();
    let sums = (sum(RefundStatus::Succeeded), sum(RefundStatus::Pending));
    report.check("payment: refunded = sum of refunds", sums == (payment.refunded, payment.refunding), || {
        format!("payment {}: the refunds add up to {} and {} pending", payment.id, sums.0, sums.1)
    });
    let due_if_pending = |refund: &Refund| (refund.status == RefundStatus::Pending) == refund.due_at.is_some();
    report.check("payment: a pending refund is due for a retry", refunds.iter().all(due_if_pending), || {
        format!("payment {}", payment.id)
    });
    // The order service counts a return's refund when it is decided, any other when it has succeeded.
    let is_counted =
        |refund: &Refund| refund.status == RefundStatus::Succeeded || rules::return_of(&refund.reference).is_some();
    let counted: Amount = refunds.iter().filter(|refund| is_counted(refund)).map(|refund| refund.amount).sum();
    if counted > Amount::ZERO {
        report.right(PAYMENT_REFUNDS, payment.order_id, counted);
    }
    Ok(refunds.len())
}

/// Checks the captures that follow shipments against the payment. Returns their number.
fn check_captures(tx: &Tx<'_>, report: &mut Report, payment: &Payment) -> Result<usize, StoreError> {
    let captures = queries::captures(tx, payment.id)?;
    let sum = |status| {
        captures.iter().filter(|capture| capture.status == status).map(|capture| capture.amount).sum::<Amount>()
    };
    let (pending, succeeded) = (sum(CaptureStatus::Pending), sum(CaptureStatus::Succeeded));
    let tag = || format!("payment {}: {pending} pending and {succeeded} captured", payment.id);
    report.check("payment: capturing = sum of pending captures", pending == payment.capturing(), tag);
    report.check("payment: captures ≤ captured", succeeded <= payment.captured, tag);
    let is_claimed = payment.capturing().is_zero() || payment.captured + payment.capturing() <= payment.due();
    report.check("payment: captured and claimed ≤ due", is_claimed, tag);
    let due_if_pending = |capture: &Capture| (capture.status == CaptureStatus::Pending) == capture.due_at.is_some();
    report.check("payment: a pending capture is due for a retry", captures.iter().all(due_if_pending), tag);
    Ok(captures.len())
}

/// Checks that the refund with the return's reference has the decided amount, and reports the return's effect.
fn check_settlement(tx: &Tx<'_>, report: &mut Report, settlement: &Settlement) -> Result<(), StoreError> {
    let Settlement { return_id, payment_id, refund, voided, .. } = settlement;
    report.right(SETTLED, *return_id, return_effect(*refund, *voided));
    let stored = tx.get_by::<RefundByReference>((*payment_id, &rules::return_reference(*return_id)))?;
    let claimed = stored.map_or(Amount::ZERO, |refund| refund.amount);
    report.check("payment: a return's refund is the amount decided", claimed == *refund, || {
        format!("return {return_id}: {claimed} of {refund}")
    });
    Ok(())
}

fn check_sums(report: &mut Report, payment: &Payment) {
    let Payment { id, amount, authorized, captured, refunded, refunding, .. } = payment;
    let descending = [*amount, *authorized, *captured, *refunded + *refunding, *refunding, Amount::ZERO];
    let ordered = descending.is_sorted_by(|a, b| a >= b);
    report.check("payment: authorised ≥ captured ≥ refunded ≥ 0", ordered, || {
        format!(
            "payment {id}: {authorized} authorised, {captured} captured, {refunded} refunded and {refunding} pending"
        )
    });
    let is_partial = payment.is_captured_later() && payment.status == Status::PartiallyCaptured;
    let full = captured.is_zero() || is_partial || *captured == payment.due();
    report.check("payment: a capture is for the full amount", full, || format!("payment {id}: {captured} of {amount}"));
    let matches_status = match payment.status {
        Status::Pending | Status::RequiresAction | Status::Processing | Status::Failed => captured.is_zero(),
        Status::Voided => captured.is_zero() && payment.due().is_zero(),
        Status::Authorized => captured.is_zero() && authorized == amount,
        Status::PartiallyCaptured => !captured.is_zero() && *captured < payment.due(),
        Status::Captured => *captured == payment.due() && refunded.is_zero(),
        Status::PartiallyRefunded => refunded < captured && *refunded > Amount::ZERO,
        Status::Refunded => refunded == captured && !captured.is_zero(),
    };
    report.check("payment: the status matches the totals", matches_status, || {
        format!("payment {id} is {}", payment.status)
    });
    let needs_token = matches!(payment.status, Status::Pending | Status::RequiresAction);
    report.check("payment: a token is kept only while it may be used", needs_token || payment.token.is_none(), || {
        format!("payment {id} is {}", payment.status)
    });
    let open_or_refunded = payment.cancelled_at.is_none() || payment.left() <= Amount::ZERO;
    report.check("payment: the payment of an ended order is refunded", open_or_refunded, || {
        format!("payment {id}: {} left", payment.left())
    });
}

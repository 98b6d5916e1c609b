//! The audit of notifications.

use promox_storage::{Report, StoreError, Tx};

use crate::records::{Delivery, DeliveryStatus, InboxItem, MessageBody};

/// Checks every row of this service.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for row in tx.scan::<Delivery>().rows() {
        check_delivery(report, &row?);
    }
    for body in tx.scan::<MessageBody>().rows() {
        let id = body?.delivery_id;
        let unsent = tx.get::<Delivery>(&id)?.is_some_and(|row| row.due_at.is_some());
        report.check("notification: a secret is kept only until it is sent", unsent, || format!("delivery {id}"));
    }
    for item in tx.scan::<InboxItem>().rows() {
        let item = item?;
        let index_matches = item.unread_of == item.read_at.is_none().then_some(item.user_id);
        report.check("notification: an unread item is in the index of unread items", index_matches, || {
            format!("item {}", item.id)
        });
    }
    Ok(())
}

fn check_delivery(report: &mut Report, row: &Delivery) {
    let open = row.status.is_open();
    report.check(
        "notification: a delivery has a due time while it is to be sent",
        open == row.due_at.is_some(),
        || format!("delivery {} is {}", row.id, row.status),
    );
    let queued = row.queue.is_some() == row.due_at.is_some();
    report.check("notification: every due delivery is in a queue", queued, || format!("delivery {}", row.id));
    let accepted = row.attempts.last().is_some_and(|last| last.sent);
    let sent = row.status == DeliveryStatus::Sent;
    report.check("notification: a SENT delivery was accepted by its last attempt", accepted == sent, || {
        format!("delivery {} is {}", row.id, row.status)
    });
}

//! Scheduled jobs: report abandoned carts and delete old guest carts, in bounded batches.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::cart::CartAbandoned;
use promox_contract::notification::GetCartIdleTime;
use promox_kernel::{Cx, Error, Job, Timestamp};
use promox_storage::{Lane, Tx};

use crate::Carts;
use crate::commands::delete_cart;
use crate::records::{Cart, CartByExpiry, CartByIdle, RemindedAddress, RemindedByTime};
use crate::rules;

/// Maximum carts reported by one transaction.
const MAX_REPORTED: usize = 200;
/// Maximum carts deleted by one transaction.
const MAX_DELETED: usize = 100;
/// Maximum reminded addresses forgotten by one transaction.
const MAX_FORGOTTEN: usize = 500;
/// Maximum lines deleted by one transaction, unless a single cart has more.
const MAX_DELETED_LINES: u32 = 4_000;

/// Emits an event for each cart with items that has been idle for the time of the settings, and another only after a
/// further change.
pub(crate) fn report_abandoned(carts: &Arc<Carts>) -> Job {
    let carts = carts.clone();
    Job::new("cart.report_abandoned", Duration::from_mins(1), move |cx: Cx| {
        let carts = carts.clone();
        async move {
            // The oldest entry of the index decides whether there is anything to do.
            let Some(oldest) = carts.db.read(|tx| tx.scan_by::<CartByIdle>().first()).await? else { return Ok(false) };
            let before = rules::abandoned_before(cx.now, cx.call(GetCartIdleTime {}).await?.minutes);
            if oldest.idle_at >= Some(before) {
                return Ok(false);
            }
            carts.db.write_in(&cx, Lane::Bulk, move |tx| report_batch(tx, before)).await
        }
    })
}

/// Reports one batch of abandoned carts. Returns whether there may be more.
fn report_batch(tx: &mut Tx<'_>, before: Timestamp) -> Result<bool, Error> {
    let due: Vec<Cart> = tx.scan_by::<CartByIdle>().before(Some(before)).collect(MAX_REPORTED)?;
    let more = due.len() == MAX_REPORTED;
    for mut cart in due {
        cart.idle_at = None;
        tx.put(&cart)?;
        let has_recipient = cart.user_id.is_some() || cart.email.is_some();
        let fact = CartAbandoned { cart_id: cart.id, user_id: cart.user_id, version: cart.version, has_recipient };
        tx.emit(cart.id, &fact)?;
    }
    Ok(more)
}

/// Deletes guest carts that have been idle for 30 days, and the records of merged guest carts.
pub(crate) fn expire_guests(carts: &Arc<Carts>) -> Job {
    let carts = carts.clone();
    Job::new("cart.expire_guests", Duration::from_mins(5), move |cx: Cx| {
        let carts = carts.clone();
        async move {
            let now = cx.now;
            let due = carts.db.read(|tx| tx.scan_by::<CartByExpiry>().before(Some(now)).first()).await?;
            if due.is_none() {
                return Ok(false);
            }
            carts.db.write_in(&cx, Lane::Bulk, expire_batch).await
        }
    })
}

/// Deletes one batch of expired guest carts. Returns whether there may be more.
fn expire_batch(tx: &mut Tx<'_>) -> Result<bool, Error> {
    let due: Vec<Cart> = tx.scan_by::<CartByExpiry>().before(Some(tx.now())).collect(MAX_DELETED)?;
    let (found, mut deleted, mut lines) = (due.len(), 0, 0);
    for cart in due {
        lines += cart.lines;
        if deleted > 0 && lines > MAX_DELETED_LINES {
            break;
        }
        delete_cart(tx, &cart)?;
        deleted += 1;
    }
    Ok(deleted < found || found == MAX_DELETED)
}

/// Forgets the addresses that may be reminded again.
pub(crate) fn forget_reminded(carts: &Arc<Carts>) -> Job {
    let carts = carts.clone();
    Job::new("cart.forget_reminded", Duration::from_hours(1), move |cx: Cx| {
        let carts = carts.clone();
        async move {
            let before = cx.now - rules::REMINDER_PAUSE;
            if carts.db.read(|tx| tx.scan_by::<RemindedByTime>().before(before).first()).await?.is_none() {
                return Ok(false);
            }
            let forget = move |tx: &mut Tx<'_>| {
                let old: Vec<RemindedAddress> = tx.scan_by::<RemindedByTime>().before(before).collect(MAX_FORGOTTEN)?;
                old.iter().try_for_each(|row| tx.delete::<RemindedAddress>(&row.address_hash).map(drop))?;
                Ok::<_, Error>(old.len() == MAX_FORGOTTEN)
            };
            carts.db.write_in(&cx, Lane::Bulk, forget).await
        }
    })
}

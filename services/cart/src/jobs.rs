//! Scheduled work of carts, in bounded batches: reports abandoned carts, deletes old guest carts.

use std::sync::Arc;
use std::time::Duration;

use promox_contract::cart::CartAbandoned;
use promox_kernel::{Cx, Error, Job};
use promox_storage::{Lane, Tx};

use crate::Carts;
use crate::commands::drop_cart;
use crate::records::{Cart, CartByExpiry, CartByIdle};

/// Carts reported by one transaction.
const TOLD: usize = 200;
/// Carts and lines deleted by one transaction at most.
const DROPPED: usize = 100;
const DROPPED_LINES: u32 = 4_000;

/// Emits an event for each cart with items that was idle for a day: once, until somebody changes the cart again.
pub(crate) fn report_abandoned(carts: &Arc<Carts>) -> Job {
    let carts = carts.clone();
    Job::new("cart.report_abandoned", Duration::from_mins(1), move |cx: Cx| {
        let carts = carts.clone();
        async move {
            let now = cx.now;
            let due = carts.db.read(|tx| tx.scan_by::<CartByIdle>().before(Some(now)).first()).await?;
            if due.is_none() {
                return Ok(false);
            }
            carts.db.write_in(&cx, Lane::Bulk, abandon).await
        }
    })
}

fn abandon(tx: &mut Tx<'_>) -> Result<bool, Error> {
    let due: Vec<Cart> = tx.scan_by::<CartByIdle>().before(Some(tx.now())).collect(TOLD)?;
    let more = due.len() == TOLD;
    for mut cart in due {
        cart.idle_at = None;
        tx.put(&cart)?;
        tx.emit(cart.id, &CartAbandoned { cart_id: cart.id, user_id: cart.user_id })?;
    }
    Ok(more)
}

/// Deletes guest carts that were idle for long, and the records of merged ones.
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
            carts.db.write_in(&cx, Lane::Bulk, expire).await
        }
    })
}

fn expire(tx: &mut Tx<'_>) -> Result<bool, Error> {
    let due: Vec<Cart> = tx.scan_by::<CartByExpiry>().before(Some(tx.now())).collect(DROPPED)?;
    let (found, mut dropped, mut lines) = (due.len(), 0, 0);
    for cart in due {
        lines += cart.lines;
        if dropped > 0 && lines > DROPPED_LINES {
            break;
        }
        drop_cart(tx, &cart)?;
        dropped += 1;
    }
    Ok(dropped < found || found == DROPPED)
}

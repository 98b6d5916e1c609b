//! What follows from others' events: an order that is confirmed takes its goods out of stock, and a variant that has another
//! SKU is listed under it.

use promox_contract::ids::OrderId;
use promox_contract::order::OrderConfirmed;
use promox_contract::product::SkuChanged;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::{Book, holds, stock};

/// Confirms the holds of confirmed orders, many in one transaction: a SKU that they share is written once.
#[derive(Debug)]
pub(crate) struct PostHolds;

/// The name of its place.
pub(crate) const POST_HOLDS: &str = "inventory.post_holds";

impl Consumer for PostHolds {
    fn name(&self) -> &'static str {
        POST_HOLDS
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<OrderConfirmed>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        let mut book = Book::default();
        for event in events {
            holds::post_order(tx, &mut book, OrderId(event.aggregate_id))?;
        }
        Ok(book.close(tx)?)
    }
}

/// Follows the catalogue's SKUs.
#[derive(Debug)]
pub(crate) struct FollowSkus;

impl Consumer for FollowSkus {
    fn name(&self) -> &'static str {
        "inventory.follow_skus"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<SkuChanged>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        let mut book = Book::default();
        for event in events {
            stock::rename(tx, &mut book, event.fact()?)?;
        }
        Ok(book.close(tx)?)
    }
}

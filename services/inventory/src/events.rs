//! Event consumers: one posts the holds of confirmed orders, the other updates the SKUs in stock rows.

use std::sync::Arc;

use promox_contract::ids::OrderId;
use promox_contract::order::OrderConfirmed;
use promox_contract::product::SkuChanged;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::{Book, holds, stock};

/// Posts the holds of confirmed orders, many in one transaction, so that the row of a SKU that they share is written
/// once.
#[derive(Debug)]
pub(crate) struct PostHolds;

/// The consumer's name.
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

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        let mut book = Book::default();
        for event in events {
            holds::post_order(tx, &mut book, OrderId(event.aggregate_id))?;
        }
        Ok(book.close(tx)?)
    }
}

/// Updates stock rows when the SKUs of variants change.
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

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        let mut book = Book::default();
        for event in events {
            stock::rename(tx, &mut book, event.fact()?)?;
        }
        Ok(book.close(tx)?)
    }
}

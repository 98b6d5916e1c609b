//! Event consumers: a confirmed order posts its uses of promotions.

use std::sync::Arc;

use promox_contract::ids::OrderId;
use promox_contract::order::OrderConfirmed;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::uses;

/// Posts the uses of confirmed orders.
#[derive(Debug)]
pub(crate) struct PostUses;

impl Consumer for PostUses {
    fn name(&self) -> &'static str {
        "promotion.post_uses"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<OrderConfirmed>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            uses::post(tx, OrderId(event.aggregate_id), event.occurred_at)?;
        }
        Ok(())
    }
}

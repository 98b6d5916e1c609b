//! Event consumers: a confirmed order buys the reservations it claimed.

use std::sync::Arc;

use promox_contract::ids::OrderId;
use promox_contract::order::OrderConfirmed;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::order_claims;

/// Turns the claims of confirmed orders into purchases.
#[derive(Debug)]
pub(crate) struct BuyClaims;

impl Consumer for BuyClaims {
    fn name(&self) -> &'static str {
        "flashsale.buy_claims"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<OrderConfirmed>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            order_claims::post(tx, OrderId(event.aggregate_id))?;
        }
        Ok(())
    }
}

//! What payments do on news of orders: an order that was placed is to be paid, whoever asked for it.

use std::time::Duration;

use promox_contract::order::OrderCreated;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::queries;
use crate::records::{Cancellation, UnpaidOrder};

/// How long who placed an order has for its payment before it is looked after here.
const HEAD_START: Duration = Duration::from_secs(5);

/// Notes orders that are not paid when their checkout should long be over: its process ended, or something was in its way.
#[derive(Debug)]
pub(crate) struct FollowOrders;

impl Consumer for FollowOrders {
    fn name(&self) -> &'static str {
        "payment.follow_orders"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<OrderCreated>()
    }

    fn delay(&self) -> Duration {
        HEAD_START
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        for event in events {
            let OrderCreated(fact) = event.fact()?;
            let order_id = fact.order_id;
            let decided = queries::of_order(tx, order_id)?.is_some_and(|payment| !payment.undecided());
            if !fact.total.is_zero() && !decided && tx.get::<Cancellation>(&order_id)?.is_none() {
                tx.put(&UnpaidOrder { order_id, due_at: tx.now() })?;
            }
        }
        Ok(())
    }
}

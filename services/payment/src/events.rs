//! Event consumers of the payment service.

use std::sync::Arc;

use std::time::Duration;

use promox_contract::order::{OrderCreated, ParcelShipped};
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::claim;
use crate::queries;
use crate::records::{Cancellation, UnpaidOrder};

/// How long a checkout has to pay for its order before the order is recorded as unpaid.
const GRACE_PERIOD: Duration = Duration::from_secs(5);

/// Claims what a shipped parcel costs, so that a job captures it.
#[derive(Debug)]
pub(crate) struct FollowParcels;

impl Consumer for FollowParcels {
    fn name(&self) -> &'static str {
        "payment.follow_parcels"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<ParcelShipped>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            let ParcelShipped { order_id, parcel_id, unshipped } = event.fact()?;
            claim::claim_parcel(tx, order_id, parcel_id, unshipped)?;
        }
        Ok(())
    }
}

/// Records orders that are still unpaid after the grace period, so that a job resumes their checkouts.
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
        GRACE_PERIOD
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
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

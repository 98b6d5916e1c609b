//! Event consumers: a confirmed order spends the budgets it holds.

use std::sync::Arc;

use promox_contract::ids::OrderId;
use promox_contract::order::OrderConfirmed;
use promox_kernel::Error;
use promox_storage::{Consumer, Database, Event, Tx};

use crate::commands::budgets;

/// Posts the budget uses of confirmed orders, many in one transaction.
#[derive(Debug)]
pub(crate) struct PostBudgets;

impl Consumer for PostBudgets {
    fn name(&self) -> &'static str {
        "campaign.post_budgets"
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        event.is::<OrderConfirmed>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        for event in events {
            budgets::post(tx, OrderId(event.aggregate_id))?;
        }
        Ok(())
    }
}

//! What follows from the shop's events: points are spent, earned and taken back, bonuses given, achievements counted,
//! persons dropped. One consumer, so that an order's events are taken in their order.

use std::sync::Arc;

use promox_contract::order::{OrderCancelled, OrderConfirmed, OrderDelivered, OrderFact, OrderReturned};
use promox_contract::user::{UserErased, UserRegistered};
use promox_kernel::{Amount, Error, UserId};
use promox_storage::{Consumer, Event, Tx};

use crate::commands::achievements::{self, Happened};
use crate::commands::{accounts, orders};
use crate::records::OrderPoints;
use crate::reject::Reject;
use crate::rules::achievement::CountedEvent;
use crate::settings::{Terms, TermsCache};

/// The name of its place, which the auditor asks for too.
pub(crate) const FOLLOW_SHOP: &str = "reward.follow_shop";

/// Enters what happens in the shop.
#[derive(Debug)]
pub(crate) struct FollowShop(pub(crate) Arc<TermsCache>);

impl Consumer for FollowShop {
    fn name(&self) -> &'static str {
        FOLLOW_SHOP
    }

    fn wants(&self, event: &Event) -> bool {
        let of_orders = event.is::<OrderConfirmed>()
            || event.is::<OrderCancelled>()
            || event.is::<OrderDelivered>()
            || event.is::<OrderReturned>();
        of_orders || event.is::<UserRegistered>() || event.is::<UserErased>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        let terms = self.0.at(tx)?;
        for event in events {
            follow(tx, &terms, event)?;
        }
        Ok(())
    }
}

fn follow(tx: &mut Tx<'_>, terms: &Terms, event: &Event) -> Result<(), Reject> {
    if event.is::<OrderConfirmed>() {
        let OrderConfirmed(fact) = event.fact()?;
        return confirmed(tx, terms, &fact);
    }
    if event.is::<OrderCancelled>() {
        let OrderCancelled(fact) = event.fact()?;
        return cancelled(tx, &fact);
    }
    if event.is::<OrderDelivered>() {
        let OrderDelivered(fact) = event.fact()?;
        return count_order(tx, terms, CountedEvent::OrderDelivered, &fact);
    }
    if event.is::<OrderReturned>() {
        return orders::return_part(tx, terms, &event.fact()?);
    }
    if event.is::<UserErased>() {
        let erased: UserErased = event.fact()?;
        return accounts::erase(tx, terms, erased.user_id);
    }
    registered(tx, terms, &event.fact()?)
}

fn of_order(event: CountedEvent, user_id: UserId, fact: &OrderFact) -> Happened {
    Happened { event, user_id, of: fact.order_id.0, amount: orders::paid(fact) }
}

fn count_order(tx: &mut Tx<'_>, terms: &Terms, event: CountedEvent, fact: &OrderFact) -> Result<(), Reject> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    achievements::count(tx, terms, of_order(event, user_id, fact))
}

fn confirmed(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact) -> Result<(), Reject> {
    if orders::confirm(tx, terms, fact)? {
        count_order(tx, terms, CountedEvent::OrderConfirmed, fact)?;
    }
    Ok(())
}

/// The order's saga gives its points back itself; here only what it counted for is counted out.
fn cancelled(tx: &mut Tx<'_>, fact: &OrderFact) -> Result<(), Reject> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    let Some(row) = tx.get::<OrderPoints>(&fact.order_id)? else { return Ok(()) };
    if let Some(counted_at) = row.counted_at {
        achievements::count_out(tx, of_order(CountedEvent::OrderConfirmed, user_id, fact), counted_at)?;
    }
    Ok(())
}

fn registered(tx: &mut Tx<'_>, terms: &Terms, fact: &UserRegistered) -> Result<(), Reject> {
    accounts::welcome(tx, terms, fact)?;
    let happened = |event, user_id| Happened { event, user_id, of: 0, amount: Amount::ZERO };
    achievements::count(tx, terms, happened(CountedEvent::UserRegistered, fact.user_id))?;
    match fact.referrer {
        Some(referrer) => achievements::count(tx, terms, happened(CountedEvent::UserReferred, referrer)),
        None => Ok(()),
    }
}

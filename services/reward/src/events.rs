//! Event consumers. Of the shop's log: points are spent, earned and revoked, bonuses granted, achievements counted,
//! persons erased; one consumer, so that an order's events are applied in order. Of the promotion engine's own log:
//! achievements are counted.

use std::sync::Arc;

use promox_contract::coupon::{CouponRedeemed, CouponReleased};
use promox_contract::order::{
    OrderCancelled, OrderConfirmed, OrderCreated, OrderDelivered, OrderFact, OrderFailed, OrderReturned,
};
use promox_contract::payment::PaymentCaptured;
use promox_contract::promotion::PromotionApplied;
use promox_contract::reward::{PointsAwarded, PointsFact, PointsRedeemed, PointsRestored, PointsRevoked, TierChanged};
use promox_contract::user::{UserErased, UserRegistered};
use promox_kernel::{Amount, Error, Timestamp, UserId};
use promox_storage::{Begin, Consumer, Database, Event, Hold, StoreError, Tx};
use rust_decimal::Decimal;

use crate::commands::achievements::{self, Happened};
use crate::commands::{accounts, orders, referrals};
use crate::records::{EarlyUse, OrderPoints};
use crate::rules::achievement::CountedEvent;
use crate::rules::ladder::Tier;
use crate::rules::progress::Undone;
use crate::settings::{Terms, TermsCache};

/// The consumer's name, which the auditor uses too.
pub(crate) const FOLLOW_SHOP: &str = "reward.follow_shop";

/// Applies the shop's events.
#[derive(Debug)]
pub(crate) struct FollowShop(pub(crate) Arc<TermsCache>);

impl Consumer for FollowShop {
    fn name(&self) -> &'static str {
        FOLLOW_SHOP
    }

    fn source(&self) -> Database {
        Database::Ecommerce
    }

    fn wants(&self, event: &Event) -> bool {
        let of_orders = event.is::<OrderCreated>()
            || event.is::<OrderConfirmed>()
            || event.is::<OrderFailed>()
            || event.is::<OrderCancelled>()
            || event.is::<OrderDelivered>()
            || event.is::<OrderReturned>()
            || event.is::<PaymentCaptured>();
        of_orders || event.is::<UserRegistered>() || event.is::<UserErased>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        let terms = self.0.at(tx)?;
        // Every order publishes this event, and few shops need it.
        let counted = achievements::asked(tx)?.contains(&CountedEvent::OrderCreated);
        for event in events {
            if event.is::<OrderCreated>() {
                placed(tx, &terms, event, counted)?;
            } else {
                follow(tx, &terms, event)?;
            }
        }
        Ok(())
    }
}

fn follow(tx: &mut Tx<'_>, terms: &Terms, event: &Event) -> Result<(), Error> {
    let at = event.occurred_at;
    if event.is::<OrderConfirmed>() {
        let OrderConfirmed(fact) = event.fact()?;
        return confirmed(tx, terms, &fact, at);
    }
    if event.is::<OrderFailed>() {
        let OrderFailed(fact) = event.fact()?;
        if let Some(user_id) = fact.user_id {
            accounts::revoke_signup_bonus(tx, terms, user_id, fact.order_id)?;
        }
        return Ok(achievements::undo(tx, CountedEvent::OrderCreated, fact.order_id.0)?);
    }
    if event.is::<OrderCancelled>() {
        let OrderCancelled(fact) = event.fact()?;
        return cancelled(tx, terms, &fact);
    }
    if event.is::<OrderDelivered>() {
        let OrderDelivered(fact) = event.fact()?;
        return count_order(tx, terms, CountedEvent::OrderDelivered, &fact, at);
    }
    if event.is::<OrderReturned>() {
        return returned(tx, terms, &event.fact()?, at);
    }
    if event.is::<PaymentCaptured>() {
        let fact: PaymentCaptured = event.fact()?;
        let payer = tx.get::<OrderPoints>(&fact.order_id)?.map(|row| row.user_id);
        return Ok(payer.map_or(Ok(()), |user_id| referrals::wake(tx, user_id))?);
    }
    if event.is::<UserErased>() {
        let erased: UserErased = event.fact()?;
        return accounts::erase(tx, terms, erased.user_id);
    }
    registered(tx, terms, &event.fact()?, at)
}

/// An order was placed: it may earn the signup bonus and count for achievements.
fn placed(tx: &mut Tx<'_>, terms: &Terms, event: &Event, counted: bool) -> Result<(), Error> {
    let (OrderCreated(fact), at) = (event.fact()?, event.occurred_at);
    let Some(user_id) = fact.user_id else { return Ok(()) };
    accounts::signup_bonus_with_order(tx, terms, user_id, fact.order_id)?;
    if !counted {
        return Ok(());
    }
    achievements::count_undoable(tx, terms, of_order(CountedEvent::OrderCreated, user_id, &fact, at))
}

fn of_order(event: CountedEvent, user_id: UserId, fact: &OrderFact, at: Timestamp) -> Happened {
    Happened { event, user_id, of: fact.order_id.0, amount: orders::paid(fact), at }
}

fn count_order(
    tx: &mut Tx<'_>,
    terms: &Terms,
    event: CountedEvent,
    fact: &OrderFact,
    at: Timestamp,
) -> Result<(), Error> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    achievements::count(tx, terms, of_order(event, user_id, fact, at)).map(drop)
}

fn confirmed(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact, at: Timestamp) -> Result<(), Error> {
    let counts = orders::post(tx, terms, fact, at)?;
    if counts {
        count_order(tx, terms, CountedEvent::OrderConfirmed, fact, at)?;
        if let Some(user_id) = fact.user_id {
            referrals::wake(tx, user_id)?;
        }
    }
    let early: Vec<EarlyUse> = tx.scan::<EarlyUse>().prefix(fact.order_id).rows().collect::<Result<_, _>>()?;
    for early in early {
        tx.delete::<EarlyUse>(&(early.order_id, early.promotion_id))?;
        if counts {
            achievements::count_undoable(tx, terms, use_of(&early))?;
        }
    }
    Ok(())
}

/// The order's saga restores its points itself; here the order is removed from achievements. Later events of its
/// promotions find it marked as cancelled.
fn cancelled(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact) -> Result<(), Error> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    referrals::undone(tx, terms, user_id, fact.order_id)?;
    accounts::revoke_signup_bonus(tx, terms, user_id, fact.order_id)?;
    let of = fact.order_id.0;
    for event in [CountedEvent::OrderCreated, CountedEvent::PromotionApplied] {
        achievements::undo(tx, event, of)?;
    }
    let Some(row) = tx.get::<OrderPoints>(&fact.order_id)? else { return Ok(()) };
    if let Some(counted_at) = row.counted_at {
        let undone = Undone { of, times: 1, amount: orders::paid(fact) };
        achievements::count_out(tx, CountedEvent::OrderConfirmed, user_id, (counted_at, undone))?;
    }
    let now = tx.now();
    Ok(tx.put(&OrderPoints { cancelled_at: Some(now), ..row })?)
}

fn returned(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderReturned, at: Timestamp) -> Result<(), Error> {
    orders::return_part(tx, terms, fact)?;
    let Some(user_id) = fact.user_id else { return Ok(()) };
    if fact.returned >= fact.whole {
        referrals::undone(tx, terms, user_id, fact.order_id)?;
    }
    let (event, of, amount) = (CountedEvent::OrderReturned, fact.order_id.0, fact.refund);
    achievements::count(tx, terms, Happened { event, user_id, of, amount, at }).map(drop)
}

fn registered(tx: &mut Tx<'_>, terms: &Terms, fact: &UserRegistered, at: Timestamp) -> Result<(), Error> {
    accounts::signup_bonus(tx, terms, fact)?;
    let happened = |event, user_id| Happened { event, user_id, of: 0, amount: Amount::ZERO, at };
    achievements::count(tx, terms, happened(CountedEvent::UserRegistered, fact.user_id)).map(drop)
}

/// The events of the promotion engine's log that are counted.
const OF_PROMOTIONS: [CountedEvent; 5] = [
    CountedEvent::PromotionApplied,
    CountedEvent::CouponRedeemed,
    CountedEvent::PointsAwarded,
    CountedEvent::PointsRedeemed,
    CountedEvent::TierChanged,
];

/// Counts events of the promotion engine for achievements. Effects of an achievement itself are not counted, so that
/// they cannot lead to each other endlessly.
#[derive(Debug)]
pub(crate) struct FollowPromotions(pub(crate) Arc<TermsCache>);

impl Consumer for FollowPromotions {
    fn name(&self) -> &'static str {
        "reward.follow_promotions"
    }

    fn source(&self) -> Database {
        Database::Promox
    }

    fn wants(&self, event: &Event) -> bool {
        let of_points = event.is::<PointsAwarded>()
            || event.is::<PointsRedeemed>()
            || event.is::<PointsRestored>()
            || event.is::<PointsRevoked>();
        let of_coupons = event.is::<CouponRedeemed>() || event.is::<CouponReleased>();
        of_points || of_coupons || event.is::<PromotionApplied>() || event.is::<TierChanged>()
    }

    fn apply(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<(), Error> {
        // Most shops count none of these events, so check that first.
        if !achievements::asked(tx)?.iter().any(|asked| OF_PROMOTIONS.contains(asked)) {
            return Ok(());
        }
        let terms = self.0.at(tx)?;
        for event in events {
            count(tx, &terms, event)?;
        }
        Ok(())
    }
}

fn count(tx: &mut Tx<'_>, terms: &Terms, event: &Event) -> Result<(), Error> {
    let at = event.occurred_at;
    if event.is::<PromotionApplied>() {
        return applied(tx, terms, &event.fact()?, at);
    }
    if event.is::<CouponRedeemed>() {
        let Some(user_id) = event.fact::<CouponRedeemed>()?.user_id else { return Ok(()) };
        let (of, amount) = (event.aggregate_id, Amount::ZERO);
        let happened = Happened { event: CountedEvent::CouponRedeemed, user_id, of, amount, at };
        return achievements::count_undoable(tx, terms, happened);
    }
    if event.is::<CouponReleased>() {
        return Ok(achievements::undo(tx, CountedEvent::CouponRedeemed, event.aggregate_id)?);
    }
    if event.is::<TierChanged>() {
        return risen(tx, terms, &event.fact()?, at);
    }
    if event.is::<PointsAwarded>() {
        let PointsAwarded(fact) = event.fact()?;
        return moved(tx, terms, CountedEvent::PointsAwarded, (&fact, at));
    }
    if event.is::<PointsRedeemed>() {
        let PointsRedeemed(fact) = event.fact()?;
        return moved(tx, terms, CountedEvent::PointsRedeemed, (&fact, at));
    }
    if event.is::<PointsRevoked>() {
        let PointsRevoked(fact) = event.fact()?;
        return Ok(came_back(tx, CountedEvent::PointsAwarded, &fact)?);
    }
    let PointsRestored(fact) = event.fact()?;
    Ok(came_back(tx, CountedEvent::PointsRedeemed, &fact)?)
}

/// A promotion applied to an order. If the order's own event is still to come, it is stored; if the order was
/// cancelled, it is ignored.
fn applied(tx: &mut Tx<'_>, terms: &Terms, fact: &PromotionApplied, at: Timestamp) -> Result<(), Error> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    let PromotionApplied { order_id, promotion_id, amount, .. } = *fact;
    let used = EarlyUse { order_id, promotion_id, user_id, amount, at };
    match tx.get::<OrderPoints>(&order_id)? {
        Some(row) if row.cancelled_at.is_some() => Ok(()),
        Some(row) if row.counted_at.is_some() => achievements::count_undoable(tx, terms, use_of(&used)),
        _ if matches!(OrderPoints::begin(tx, &order_id)?, Begin::Ended(_)) => Ok(()),
        _ if achievements::any_counts(tx, CountedEvent::PromotionApplied, at)? => Ok(tx.put(&used)?),
        _ => Ok(()),
    }
}

fn use_of(used: &EarlyUse) -> Happened {
    let EarlyUse { order_id, user_id, amount, at, .. } = *used;
    Happened { event: CountedEvent::PromotionApplied, user_id, of: order_id.0, amount, at }
}

/// A higher tier was reached. Falling to a lower one counts nothing.
fn risen(tx: &mut Tx<'_>, terms: &Terms, fact: &TierChanged, at: Timestamp) -> Result<(), Error> {
    let (from, to) = (fact.from.parse::<Tier>(), fact.to.parse::<Tier>());
    if !matches!((from, to), (Ok(from), Ok(to)) if from < to) {
        return Ok(());
    }
    let (event, user_id) = (CountedEvent::TierChanged, fact.user_id);
    achievements::count(tx, terms, Happened { event, user_id, of: 0, amount: Amount::ZERO, at }).map(drop)
}

/// Points were awarded or spent.
fn moved(
    tx: &mut Tx<'_>,
    terms: &Terms,
    event: CountedEvent,
    (fact, at): (&PointsFact, Timestamp),
) -> Result<(), Error> {
    if fact.reference.starts_with("achievement:") {
        return Ok(());
    }
    let of = order_of(fact).unwrap_or(0);
    let happened = Happened { event, user_id: fact.user_id, of, amount: Amount(Decimal::from(fact.points)), at };
    if of > 0 {
        return achievements::count_undoable(tx, terms, happened);
    }
    achievements::count(tx, terms, happened).map(drop)
}

/// Points of an order were revoked or restored.
fn came_back(tx: &mut Tx<'_>, event: CountedEvent, fact: &PointsFact) -> Result<(), StoreError> {
    let Some(order) = order_of(fact) else { return Ok(()) };
    achievements::undo_part(tx, event, order, Amount(Decimal::from(fact.points)))
}

/// The order of a movement of points, if it has one.
fn order_of(fact: &PointsFact) -> Option<i64> {
    fact.reference.strip_prefix("order:")?.parse().ok()
}

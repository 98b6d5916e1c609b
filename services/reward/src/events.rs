//! Event consumers.
//!
//! One consumer reads the shop's log, so that the events of an order are applied in order: it spends, earns and revokes
//! points, grants bonuses, counts events for achievements and erases users. The other reads the promotion engine's own
//! log and counts events for achievements.

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

use crate::commands::achievements::{self, UserEvent};
use crate::commands::{accounts, orders, referrals};
use crate::records::{EarlyUse, OrderPoints};
use crate::rules::achievement::CountedEvent;
use crate::rules::ladder::Tier;
use crate::rules::progress::Undone;
use crate::settings::{Terms, TermsCache};

/// The name of the consumer of the shop's log; the audit uses it too.
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

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        let terms = self.0.at(tx)?;
        // Every order publishes this event, but few shops have an achievement that counts it.
        let counted = achievements::counted_events(tx)?.contains(&CountedEvent::OrderCreated);
        for event in events {
            if event.is::<OrderCreated>() {
                order_created(tx, &terms, event, counted)?;
            } else {
                apply_event(tx, &terms, event)?;
            }
        }
        Ok(())
    }
}

fn apply_event(tx: &mut Tx<'_>, terms: &Terms, event: &Event) -> Result<(), Error> {
    let at = event.occurred_at;
    if event.is::<OrderConfirmed>() {
        let OrderConfirmed(fact) = event.fact()?;
        return order_confirmed(tx, terms, &fact, at);
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
        return order_cancelled(tx, terms, &fact);
    }
    if event.is::<OrderDelivered>() {
        let OrderDelivered(fact) = event.fact()?;
        return count_order(tx, terms, CountedEvent::OrderDelivered, &fact, at);
    }
    if event.is::<OrderReturned>() {
        return order_returned(tx, terms, &event.fact()?, at);
    }
    if event.is::<PaymentCaptured>() {
        let fact: PaymentCaptured = event.fact()?;
        let payer = tx.get::<OrderPoints>(&fact.order_id)?.map(|row| row.user_id);
        return Ok(payer.map_or(Ok(()), |user_id| referrals::schedule_check(tx, user_id))?);
    }
    if event.is::<UserErased>() {
        let erased: UserErased = event.fact()?;
        return accounts::erase(tx, terms, erased.user_id);
    }
    user_registered(tx, terms, &event.fact()?, at)
}

/// Applies the creation of an order: it may earn the signup bonus and count for achievements.
fn order_created(tx: &mut Tx<'_>, terms: &Terms, event: &Event, counted: bool) -> Result<(), Error> {
    let (OrderCreated(fact), at) = (event.fact()?, event.occurred_at);
    let Some(user_id) = fact.user_id else { return Ok(()) };
    accounts::signup_bonus_with_order(tx, terms, user_id, fact.order_id)?;
    if !counted {
        return Ok(());
    }
    achievements::count_undoable(tx, terms, order_event(CountedEvent::OrderCreated, user_id, &fact, at))
}

fn order_event(event: CountedEvent, user_id: UserId, fact: &OrderFact, at: Timestamp) -> UserEvent {
    UserEvent { event, user_id, of: fact.order_id.0, amount: orders::paid(fact), at }
}

fn count_order(
    tx: &mut Tx<'_>,
    terms: &Terms,
    event: CountedEvent,
    fact: &OrderFact,
    at: Timestamp,
) -> Result<(), Error> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    achievements::count(tx, terms, order_event(event, user_id, fact, at)).map(drop)
}

fn order_confirmed(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact, at: Timestamp) -> Result<(), Error> {
    let counts = orders::post(tx, terms, fact, at)?;
    if counts {
        count_order(tx, terms, CountedEvent::OrderConfirmed, fact, at)?;
        if let Some(user_id) = fact.user_id {
            referrals::schedule_check(tx, user_id)?;
        }
    }
    let early: Vec<EarlyUse> = tx.scan::<EarlyUse>().prefix(fact.order_id).rows().collect::<Result<_, _>>()?;
    for early in early {
        tx.delete::<EarlyUse>(&(early.order_id, early.promotion_id))?;
        if counts {
            achievements::count_undoable(tx, terms, promotion_event(&early))?;
        }
    }
    Ok(())
}

/// Applies the cancellation of an order: revokes its bonuses and removes it from achievements. The order's saga
/// restores its points. The order is marked as cancelled, so that later events of its promotions are ignored.
fn order_cancelled(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact) -> Result<(), Error> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    referrals::revoke(tx, terms, user_id, fact.order_id)?;
    accounts::revoke_signup_bonus(tx, terms, user_id, fact.order_id)?;
    let of = fact.order_id.0;
    for event in [CountedEvent::OrderCreated, CountedEvent::PromotionApplied] {
        achievements::undo(tx, event, of)?;
    }
    let Some(row) = tx.get::<OrderPoints>(&fact.order_id)? else { return Ok(()) };
    if let Some(counted_at) = row.counted_at {
        let undone = Undone { of, times: 1, amount: orders::paid(fact) };
        achievements::remove_events(tx, CountedEvent::OrderConfirmed, user_id, (counted_at, undone))?;
    }
    let now = tx.now();
    Ok(tx.put(&OrderPoints { cancelled_at: Some(now), ..row })?)
}

fn order_returned(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderReturned, at: Timestamp) -> Result<(), Error> {
    orders::return_part(tx, terms, fact)?;
    let Some(user_id) = fact.user_id else { return Ok(()) };
    if fact.returned >= fact.whole {
        referrals::revoke(tx, terms, user_id, fact.order_id)?;
    }
    let (event, of, amount) = (CountedEvent::OrderReturned, fact.order_id.0, fact.refund);
    achievements::count(tx, terms, UserEvent { event, user_id, of, amount, at }).map(drop)
}

fn user_registered(tx: &mut Tx<'_>, terms: &Terms, fact: &UserRegistered, at: Timestamp) -> Result<(), Error> {
    accounts::signup_bonus(tx, terms, fact)?;
    let user_event = |event, user_id| UserEvent { event, user_id, of: 0, amount: Amount::ZERO, at };
    achievements::count(tx, terms, user_event(CountedEvent::UserRegistered, fact.user_id)).map(drop)
}

/// The events of the promotion engine's log that achievements can count.
const PROMOTION_LOG_EVENTS: [CountedEvent; 5] = [
    CountedEvent::PromotionApplied,
    CountedEvent::CouponRedeemed,
    CountedEvent::PointsAwarded,
    CountedEvent::PointsRedeemed,
    CountedEvent::TierChanged,
];

/// Counts events of the promotion engine for achievements. Points awarded by an achievement are not counted, so that
/// achievements cannot trigger each other endlessly.
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

    fn apply(&self, tx: &mut Tx<'_>, events: &[Arc<Event>]) -> Result<(), Error> {
        // In most shops no achievement counts any of these events, so check that first.
        if !achievements::counted_events(tx)?.iter().any(|counted| PROMOTION_LOG_EVENTS.contains(counted)) {
            return Ok(());
        }
        let terms = self.0.at(tx)?;
        for event in events {
            count_event(tx, &terms, event)?;
        }
        Ok(())
    }
}

fn count_event(tx: &mut Tx<'_>, terms: &Terms, event: &Event) -> Result<(), Error> {
    let at = event.occurred_at;
    if event.is::<PromotionApplied>() {
        return promotion_applied(tx, terms, &event.fact()?, at);
    }
    if event.is::<CouponRedeemed>() {
        let Some(user_id) = event.fact::<CouponRedeemed>()?.user_id else { return Ok(()) };
        let (of, amount) = (event.aggregate_id, Amount::ZERO);
        let user_event = UserEvent { event: CountedEvent::CouponRedeemed, user_id, of, amount, at };
        return achievements::count_undoable(tx, terms, user_event);
    }
    if event.is::<CouponReleased>() {
        return Ok(achievements::undo(tx, CountedEvent::CouponRedeemed, event.aggregate_id)?);
    }
    if event.is::<TierChanged>() {
        return tier_raised(tx, terms, &event.fact()?, at);
    }
    if event.is::<PointsAwarded>() {
        let PointsAwarded(fact) = event.fact()?;
        return points_moved(tx, terms, CountedEvent::PointsAwarded, (&fact, at));
    }
    if event.is::<PointsRedeemed>() {
        let PointsRedeemed(fact) = event.fact()?;
        return points_moved(tx, terms, CountedEvent::PointsRedeemed, (&fact, at));
    }
    if event.is::<PointsRevoked>() {
        let PointsRevoked(fact) = event.fact()?;
        return Ok(points_undone(tx, CountedEvent::PointsAwarded, &fact)?);
    }
    let PointsRestored(fact) = event.fact()?;
    Ok(points_undone(tx, CountedEvent::PointsRedeemed, &fact)?)
}

/// Counts a promotion that was applied to an order. If the order's own event has not arrived yet, the promotion is
/// stored until then; if the order was cancelled, it is ignored.
fn promotion_applied(tx: &mut Tx<'_>, terms: &Terms, fact: &PromotionApplied, at: Timestamp) -> Result<(), Error> {
    let Some(user_id) = fact.user_id else { return Ok(()) };
    let PromotionApplied { order_id, promotion_id, amount, .. } = *fact;
    let used = EarlyUse { order_id, promotion_id, user_id, amount, at };
    match tx.get::<OrderPoints>(&order_id)? {
        Some(row) if row.cancelled_at.is_some() => Ok(()),
        Some(row) if row.counted_at.is_some() => achievements::count_undoable(tx, terms, promotion_event(&used)),
        _ if matches!(OrderPoints::begin(tx, &order_id)?, Begin::Ended(_)) => Ok(()),
        _ if achievements::any_counts(tx, CountedEvent::PromotionApplied, at)? => Ok(tx.put(&used)?),
        _ => Ok(()),
    }
}

fn promotion_event(used: &EarlyUse) -> UserEvent {
    let EarlyUse { order_id, user_id, amount, at, .. } = *used;
    UserEvent { event: CountedEvent::PromotionApplied, user_id, of: order_id.0, amount, at }
}

/// Counts the rise to a higher tier. The fall to a lower one does not count.
fn tier_raised(tx: &mut Tx<'_>, terms: &Terms, fact: &TierChanged, at: Timestamp) -> Result<(), Error> {
    let (from, to) = (fact.from.parse::<Tier>(), fact.to.parse::<Tier>());
    if !matches!((from, to), (Ok(from), Ok(to)) if from < to) {
        return Ok(());
    }
    let (event, user_id) = (CountedEvent::TierChanged, fact.user_id);
    achievements::count(tx, terms, UserEvent { event, user_id, of: 0, amount: Amount::ZERO, at }).map(drop)
}

/// Counts points that were awarded or spent.
fn points_moved(
    tx: &mut Tx<'_>,
    terms: &Terms,
    event: CountedEvent,
    (fact, at): (&PointsFact, Timestamp),
) -> Result<(), Error> {
    if fact.reference.starts_with("achievement:") {
        return Ok(());
    }
    let of = order_of(fact).unwrap_or(0);
    let user_event = UserEvent { event, user_id: fact.user_id, of, amount: Amount(Decimal::from(fact.points)), at };
    if of > 0 {
        return achievements::count_undoable(tx, terms, user_event);
    }
    achievements::count(tx, terms, user_event).map(drop)
}

/// Removes points of an order that were revoked or restored.
fn points_undone(tx: &mut Tx<'_>, event: CountedEvent, fact: &PointsFact) -> Result<(), StoreError> {
    let Some(order) = order_of(fact) else { return Ok(()) };
    achievements::undo_part(tx, event, order, Amount(Decimal::from(fact.points)))
}

/// Returns the id of the order that points were moved for, if any.
fn order_of(fact: &PointsFact) -> Option<i64> {
    fact.reference.strip_prefix("order:")?.parse().ok()
}

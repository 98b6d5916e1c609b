//! Holds uses against limits and budgets, posts them when their order is confirmed, and releases them once when it
//! fails or is cancelled.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use promox_contract::buyer::Person;
use promox_contract::ids::{OrderId, PromotionId};
use promox_contract::promotion::{HoldUses, PromotionApplied, PromotionUse, RejectReason};
use promox_kernel::{Amount, Currency, Error, Json, Timestamp};
use promox_storage::{Begin, Hold, HoldState, StoreError, Tx};

use crate::compiled::Compiler;
use crate::records::{Count, CountByEnd, HeldUse, OrderUses, PersonUse, PersonUseByEnd, Promotion, Recount, Use};
use crate::reject;
use crate::rules::{CountedBuyer, Counter, Counting, PersonLimit, Rule, TOTAL};

/// Maximum uses of an order.
pub(crate) const MAX_USES: usize = 200;
/// Maximum rows of each kind that one sweep removes.
const MAX_SWEEP: usize = 500;

/// A use within its limits, with the updated counters and the rows that record it for the person.
struct CountedUse {
    held: HeldUse,
    counts: Vec<Count>,
    by_person: Vec<PersonUse>,
}

/// Holds an order's uses, all or nothing. Repeating the call changes nothing; after a release it is refused.
pub(crate) fn hold(
    tx: &mut Tx<'_>,
    compiler: &Compiler,
    currency: Currency,
    op: &HoldUses,
    buyer: &CountedBuyer,
) -> Result<(), Error> {
    match OrderUses::begin(tx, &op.order_id)? {
        Begin::New => {}
        Begin::Already(_) => return Ok(()),
        Begin::Ended(_) => return Err(reject::uses_released()),
    }
    if op.uses.is_empty() {
        return Ok(());
    }
    let compiled = compiler.at(tx, currency)?;
    let mut uses = Vec::with_capacity(op.uses.len());
    for requested in &op.uses {
        let rule = match compiled.rule(requested.promotion_id) {
            Some(rule) => rule,
            None => compile(tx, requested.promotion_id, currency)?,
        };
        uses.push(count_use(tx, &rule, (op.order_id, requested), buyer)?);
    }
    let mut held = Vec::with_capacity(uses.len());
    for counted in uses {
        counted.counts.iter().try_for_each(|count| tx.put(count))?;
        counted.by_person.iter().try_for_each(|used| tx.put(used))?;
        held.push(counted.held);
    }
    let (order_id, user_id, held_at) = (op.order_id, op.buyer.user_id, tx.now());
    let (person, address) = (Json(buyer.person.keys.clone()), buyer.address.clone());
    let (state, uses) = (HoldState::Held, Json(held));
    tx.insert(&OrderUses { order_id, state, user_id, person, uses, held_at, ended_at: None, address })?;
    Ok(())
}

/// Compiles a promotion, active or not: an order that was priced while it was active may still use it.
pub(crate) fn compile(tx: &Tx<'_>, id: PromotionId, currency: Currency) -> Result<Arc<Rule>, Error> {
    let row = tx.get::<Promotion>(&id)?.ok_or_else(|| reject::unusable(id, &id.to_string(), RejectReason::Unknown))?;
    let rule = Rule::compile(id, &row.document, currency, "");
    rule.map(Arc::new).map_err(Error::invalid)
}

/// Counts a use without writing anything, or refuses it if it exceeds a limit or the budget.
fn count_use(
    tx: &Tx<'_>,
    rule: &Rule,
    (order_id, requested): (OrderId, &PromotionUse),
    buyer: &CountedBuyer,
) -> Result<CountedUse, Error> {
    let id = rule.id();
    let refuse = |reason| reject::unusable(id, rule.name(), reason);
    let counting = rule.counting(buyer, tx.now());
    let announced = announced(tx, id, buyer, tx.now())?;
    if has_reached_limit(tx, id, &buyer.person, &counting.person)? {
        return Err(refuse(RejectReason::UserLimitReached));
    }
    let mut counts = Vec::with_capacity(counting.counters.len());
    for counter in &counting.counters {
        let mut count = read_count(tx, id, counter)?;
        if counter.most.is_some_and(|most| count.uses >= i64::from(most)) {
            return Err(refuse(counter.reason));
        }
        count.uses += 1;
        if counter.name == TOTAL {
            count.spent += requested.amount;
            if rule.budget_amount().is_some_and(|budget| count.spent > budget) {
                return Err(refuse(RejectReason::BudgetExhausted));
            }
        }
        counts.push(count);
    }
    for counter in &announced.counters {
        if !counts.iter().any(|count| count.name == counter.name) {
            let mut count = read_count(tx, id, counter)?;
            count.uses += 1;
            counts.push(count);
        }
    }
    let held = HeldUse {
        promotion_id: id,
        campaign_id: requested.campaign_id,
        coupon_code: requested.coupon_code.clone(),
        amount: requested.amount,
        counters: counts.iter().map(|count| count.name.clone()).collect(),
        person_limits: counting.person.iter().map(|limit| (limit.since, limit.most)).collect(),
        counted_later: counting.person.is_empty() && !announced.person.is_empty(),
    };
    let keys = if held.counts_person() { &buyer.person.keys[..] } else { &[] };
    let ends_at = counting.person_ends_with(&announced);
    let by_person = keys.iter().map(|key| PersonUse {
        promotion_id: id,
        person: key.name.clone(),
        used_at: tx.now(),
        order_id,
        exact: key.exact.clone().unwrap_or_default(),
        ends_at,
    });
    let by_person = by_person.collect();
    Ok(CountedUse { held, counts, by_person })
}

/// How a use counts for limits that are announced; as by no limits if there are none.
fn announced(tx: &Tx<'_>, id: PromotionId, buyer: &CountedBuyer, at: Timestamp) -> Result<Counting, StoreError> {
    let counted = tx.get::<Recount>(&id)?.and_then(|row| row.counted);
    Ok(counted.map(|counted| counted.counting(buyer, at)).unwrap_or_default())
}

/// Returns whether a person has reached one of the limits with active uses of a promotion. A use counts once, even if
/// several identifiers match.
pub(crate) fn has_reached_limit(
    tx: &Tx<'_>,
    id: PromotionId,
    person: &Person,
    limits: &[PersonLimit],
) -> Result<bool, StoreError> {
    for limit in limits {
        let most = usize::try_from(limit.most).unwrap_or(usize::MAX);
        let mut orders: HashSet<OrderId> = HashSet::new();
        for key in &person.keys {
            for used in tx.scan::<PersonUse>().prefix((id, key.name.as_str())).from(limit.since).rows() {
                let used = used?;
                if person.is(key, Some(used.exact.as_str()).filter(|exact| !exact.is_empty())) {
                    orders.insert(used.order_id);
                }
                if orders.len() >= most {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// A counter, or a new one at zero.
pub(crate) fn read_count(tx: &Tx<'_>, id: PromotionId, counter: &Counter) -> Result<Count, StoreError> {
    let known = tx.get::<Count>(&(id, counter.name.clone()))?;
    Ok(known.unwrap_or_else(|| Count {
        promotion_id: id,
        name: counter.name.clone(),
        uses: 0,
        spent: Amount::ZERO,
        ends_at: counter.ends,
    }))
}

/// Releases an order's uses, held or posted.
pub(crate) fn release(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    OrderUses::release(tx, &order_id, |tx, hold, _| Ok(release_counts(tx, hold)?))
}

fn release_counts(tx: &mut Tx<'_>, hold: &OrderUses) -> Result<(), StoreError> {
    for held in hold.uses.iter() {
        for name in &held.counters {
            decrement(tx, held, name)?;
        }
        for key in hold.person.iter().filter(|_| held.counts_person()) {
            let exact = key.exact.clone().unwrap_or_default();
            tx.delete::<PersonUse>(&(held.promotion_id, key.name.clone(), hold.held_at, hold.order_id, exact))?;
        }
        if let Some(mut logged) = tx.get::<Use>(&(held.promotion_id, hold.order_id))? {
            logged.released_at = Some(tx.now());
            tx.put(&logged)?;
        }
    }
    Ok(())
}

/// Removes a use from a counter. A counter of a past period may have been removed already.
fn decrement(tx: &mut Tx<'_>, held: &HeldUse, name: &str) -> Result<(), StoreError> {
    let Some(mut count) = tx.get::<Count>(&(held.promotion_id, name.to_owned()))? else { return Ok(()) };
    count.uses -= 1;
    if name == TOTAL {
        count.spent -= held.amount;
    }
    tx.put(&count)
}

/// Posts a confirmed order's uses: writes them to the usage log and emits an event for each.
pub(crate) fn post(tx: &mut Tx<'_>, order_id: OrderId, at: Timestamp) -> Result<(), Error> {
    OrderUses::post(tx, &order_id, |tx, hold, _| Ok(log_uses(tx, hold, at)?))
}

fn log_uses(tx: &mut Tx<'_>, hold: &OrderUses, at: Timestamp) -> Result<(), StoreError> {
    let (order_id, user_id) = (hold.order_id, hold.user_id);
    for held in hold.uses.iter() {
        let HeldUse { promotion_id, campaign_id, coupon_code, amount, .. } = held.clone();
        let logged =
            Use { promotion_id, order_id, user_id, campaign_id, coupon_code, amount, used_at: at, released_at: None };
        tx.put(&logged)?;
        tx.emit(promotion_id, &PromotionApplied { promotion_id, campaign_id, order_id, amount, user_id })?;
    }
    Ok(())
}

/// Removes counters and persons' uses whose periods ended before a time. Returns whether there may be more.
pub(crate) fn sweep(tx: &mut Tx<'_>, before: Timestamp) -> Result<bool, StoreError> {
    let ended: Vec<Count> = tx.scan_by::<CountByEnd>().before(Some(before)).collect(MAX_SWEEP)?;
    for count in &ended {
        tx.delete::<Count>(&(count.promotion_id, count.name.clone()))?;
    }
    let uses: Vec<PersonUse> = tx.scan_by::<PersonUseByEnd>().before(Some(before)).collect(MAX_SWEEP)?;
    for used in &uses {
        let (person, exact) = (used.person.clone(), used.exact.clone());
        tx.delete::<PersonUse>(&(used.promotion_id, person, used.used_at, used.order_id, exact))?;
    }
    Ok(ended.len() == MAX_SWEEP || uses.len() == MAX_SWEEP)
}

/// Validates the uses of an order before anything is counted. Each promotion may be used only once.
pub(crate) fn check(uses: &[PromotionUse]) -> Result<(), Error> {
    let mut seen = BTreeMap::new();
    if uses.len() > MAX_USES {
        return Err(Error::field("/uses", format!("an order can use at most {MAX_USES} promotions")));
    }
    for (i, one) in uses.iter().enumerate() {
        if one.amount.is_negative() {
            return Err(Error::field(format!("/uses/{i}/amount"), "must not be negative"));
        }
        if seen.insert(one.promotion_id.0, i).is_some() {
            return Err(Error::field(format!("/uses/{i}/promotionId"), "must be unique"));
        }
    }
    Ok(())
}

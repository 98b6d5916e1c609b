//! Audit of promotions: compares counters with active uses, and limits and budgets with the counters.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::campaign::BUDGETED;
use promox_contract::ids::{OrderId, PromotionId};
use promox_contract::promotion::{USED, shares};
use promox_contract::store::IN_DIGITS;
use promox_kernel::{Amount, Timestamp};
use promox_storage::{Hold, Report, StoreError, Tx};

use crate::commands::rule_rows;
use crate::records::{Count, HeldUse, OrderUses, PersonUse, Promotion, RuleRow, Use};
use crate::rules::TOTAL;

/// The invariant of `promotion_rules`.
const RULES: &str = "promotion: rule rows = the conditions and actions of the document";

/// The sums of active uses for a counter.
#[derive(Default)]
struct ActiveUses {
    uses: i64,
    spent: Amount,
}

/// The sums of active uses by promotion and counter.
type UsesByCounter = BTreeMap<(PromotionId, String), ActiveUses>;

/// Active uses of promotions with a limit per person, by each identifier of the person: when and by which order.
type UsesByPerson = BTreeMap<(PromotionId, String), BTreeSet<(Timestamp, OrderId)>>;

/// The invariant of `promotion_person_uses`.
const BY_PERSON: &str = "promotion: a person's uses = active uses of orders";

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let (mut by_counter, by_person) = read_holds(tx, report)?;
    check_persons(tx, report, &by_person)?;
    for count in tx.scan::<Count>().rows() {
        check_count(report, &count?, &mut by_counter);
    }
    for ((id, name), live) in by_counter {
        // Counters of periods are removed some time after the end of the period.
        let removable = name.contains(':');
        report.check("promotion: uses = active uses of orders", removable || live.uses == 0, || {
            format!("promotion {id} {name}: {} uses are not counted", live.uses)
        });
    }
    let mut rules = 0;
    for promotion in tx.scan::<Promotion>().rows() {
        let promotion = promotion?;
        if let Some(digits) = promotion.document.max_digits() {
            report.names(IN_DIGITS, digits.to_string(), || format!("promotion {}", promotion.id));
        }
        check_limits(tx, report, &promotion)?;
        rules += check_rules(tx, report, &promotion)?;
    }
    let stored = tx.scan::<RuleRow>().rows().try_fold(0, |count, row| row.map(|_| count + 1))?;
    report.check(RULES, rules == stored, || format!("{stored} rows, but only {rules} belong to a promotion"));
    check_log(tx, report)
}

fn read_holds(tx: &Tx<'_>, report: &mut Report) -> Result<(UsesByCounter, UsesByPerson), StoreError> {
    let (mut by_counter, mut by_person) = (UsesByCounter::new(), UsesByPerson::new());
    for hold in tx.scan::<OrderUses>().rows() {
        let hold = hold?;
        let live = hold.state.is_live();
        report.check("promotion: a use is active or released", live == hold.ended_at.is_none(), || {
            format!("order {} is {}", hold.order_id, hold.state)
        });
        if live {
            report_uses(tx, report, &hold)?;
        }
        for HeldUse { promotion_id, amount, counters, .. } in hold.uses.iter().filter(|_| live) {
            for name in counters {
                let entry = by_counter.entry((*promotion_id, name.clone())).or_default();
                entry.uses += 1;
                entry.spent += *amount;
            }
        }
        let limited = hold.uses.iter().filter(|held| live && held.counts_person());
        for (held, key) in limited.flat_map(|held| hold.person.iter().map(move |key| (held, key))) {
            let of_person = by_person.entry((held.promotion_id, key.name.clone())).or_default();
            of_person.insert((hold.held_at, hold.order_id));
        }
    }
    OrderUses::audit(tx, report)?;
    Ok((by_counter, by_person))
}

/// Checks that each active use is recorded under all identifiers of its person, that no other use is, and that none
/// exceeded a limit when it was made. Uses under addresses that differ only in a plus tag are not compared with the
/// limit, because they may have counted as other persons at that time.
fn check_persons(tx: &Tx<'_>, report: &mut Report, by_person: &UsesByPerson) -> Result<(), StoreError> {
    for used in tx.scan::<PersonUse>().rows() {
        let used = used?;
        let live = by_person.get(&(used.promotion_id, used.person.clone()));
        let known = live.is_some_and(|live| live.contains(&(used.used_at, used.order_id)));
        report.check(BY_PERSON, known, || format!("promotion {} order {}", used.promotion_id, used.order_id));
    }
    for hold in tx.scan::<OrderUses>().rows() {
        let hold = hold?;
        let live = hold.state.is_live();
        for held in hold.uses.iter().filter(|_| live) {
            if held.counts_person() {
                check_person(tx, report, &hold, held)?;
            }
            check_later_limit(tx, report, &hold, held)?;
        }
    }
    Ok(())
}

fn check_person(tx: &Tx<'_>, report: &mut Report, hold: &OrderUses, held: &HeldUse) -> Result<(), StoreError> {
    let (id, order, at) = (held.promotion_id, hold.order_id, hold.held_at);
    let mut before: BTreeSet<(Timestamp, OrderId)> = BTreeSet::new();
    for key in hold.person.iter() {
        // Uses in periods are removed some time after the end of the period.
        let permanent = held.person_limits.iter().any(|(since, _)| *since == Timestamp::EPOCH);
        let exact = key.exact.clone().unwrap_or_default();
        let recorded = tx.get::<PersonUse>(&(id, key.name.clone(), at, order, exact.clone()))?.is_some();
        report.check(BY_PERSON, recorded || !permanent, || format!("promotion {id} order {order} is not counted"));
        for used in tx.scan::<PersonUse>().prefix((id, key.name.as_str())).before(at).rows() {
            let used = used?;
            if used.exact == exact {
                before.insert((used.used_at, used.order_id));
            }
        }
    }
    for (since, most) in &held.person_limits {
        let earlier = before.iter().filter(|(used_at, _)| used_at >= since).count();
        let within = earlier < usize::try_from(*most).unwrap_or(usize::MAX);
        report.check("promotion: a person's uses ≤ limit", within, || {
            format!("promotion {id} order {order}: {earlier} uses before it, of {most}")
        });
    }
    Ok(())
}

/// Checks that a use counts for the current limit per person. The hold of an older version has no identifiers to count by.
fn check_later_limit(tx: &Tx<'_>, report: &mut Report, hold: &OrderUses, held: &HeldUse) -> Result<(), StoreError> {
    let (id, order) = (held.promotion_id, hold.order_id);
    let limited = |promotion: Promotion| promotion.document.limits.as_ref().is_some_and(|it| it.per_user.is_some());
    if hold.person.is_empty() || !tx.get::<Promotion>(&id)?.is_some_and(limited) {
        return Ok(());
    }
    let mut counted = held.counts_person();
    for key in hold.person.iter() {
        let exact = key.exact.clone().unwrap_or_default();
        counted &= tx.get::<PersonUse>(&(id, key.name.clone(), hold.held_at, order, exact))?.is_some();
    }
    report.check("promotion: each use counts for the limit per person", counted, || {
        format!("promotion {id} order {order}")
    });
    Ok(())
}

/// Reports the uses of an order, with which orders and campaigns must agree.
fn report_uses(tx: &Tx<'_>, report: &mut Report, hold: &OrderUses) -> Result<(), StoreError> {
    if !hold.uses.is_empty() {
        report.right(USED, hold.order_id, shares(hold.uses.iter().map(|held| (held.promotion_id.0, held.amount))));
    }
    let paid = hold.uses.iter().filter(|held| !held.amount.is_zero());
    let campaigns = shares(paid.filter_map(|held| Some((held.campaign_id?.0, held.amount))));
    if !campaigns.is_empty() {
        report.left(BUDGETED, hold.order_id, campaigns);
    }
    for held in hold.uses.iter() {
        // A gift's price is part of the use but not of the discount.
        let has_gift = |promotion: &Promotion| promotion.document.gifts().next().is_some();
        if tx.get::<Promotion>(&held.promotion_id)?.is_some_and(|promotion| has_gift(&promotion)) {
            report.open(USED, hold.order_id);
        }
    }
    Ok(())
}

fn check_count(report: &mut Report, count: &Count, by_counter: &mut UsesByCounter) {
    let live = by_counter.remove(&(count.promotion_id, count.name.clone())).unwrap_or_default();
    report.check("promotion: uses = active uses of orders", live.uses == count.uses, || {
        format!("promotion {} {}: {} counted, {} active", count.promotion_id, count.name, count.uses, live.uses)
    });
    let agreed = count.name != TOTAL || live.spent == count.spent;
    report.check("promotion: spent = discounts of active orders", agreed, || {
        format!("promotion {}: {} counted, {} given", count.promotion_id, count.spent, live.spent)
    });
}

fn check_limits(tx: &Tx<'_>, report: &mut Report, promotion: &Promotion) -> Result<(), StoreError> {
    let (uses, spent) = crate::queries::uses_and_spent(tx, promotion.id)?;
    let Some(limits) = &promotion.document.limits else { return Ok(()) };
    let within = limits.total.is_none_or(|total| uses <= i64::from(total));
    report.check("promotion: uses ≤ limit", within, || format!("promotion {}: {uses}", promotion.id));
    let within = limits.budget.is_none_or(|budget| spent <= budget);
    report.check("promotion: spent ≤ budget", within, || format!("promotion {}: {spent}", promotion.id));
    Ok(())
}

/// Checks that a promotion's rule rows match its document. Returns their number.
fn check_rules(tx: &Tx<'_>, report: &mut Report, promotion: &Promotion) -> Result<usize, StoreError> {
    let stored: Vec<RuleRow> = tx.scan::<RuleRow>().prefix(promotion.id).rows().collect::<Result<_, _>>()?;
    let expected = rule_rows::rows(promotion.id, &promotion.document);
    let first_difference = || {
        let mut pairs = expected.iter().zip(&stored);
        pairs.find(|(expected, stored)| expected != stored).map(|(expected, _)| &*expected.pointer)
    };
    report.check(RULES, stored == expected, || {
        let place = first_difference().unwrap_or("the number of rows");
        let (rows, wanted) = (stored.len(), expected.len());
        format!("promotion {}: {rows} rows, {wanted} expected, first difference: {place}", promotion.id)
    });
    Ok(stored.len())
}

/// Checks that the log agrees with the holds of the orders.
fn check_log(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for logged in tx.scan::<Use>().rows() {
        let logged = logged?;
        let hold = tx.get::<OrderUses>(&logged.order_id)?;
        let agrees = hold.is_some_and(|hold| {
            let released = !hold.state.is_live();
            let held = hold.uses.iter().find(|held| held.promotion_id == logged.promotion_id);
            released == logged.released_at.is_some() && held.is_some_and(|held| held.amount == logged.amount)
        });
        report.check("promotion: each logged use belongs to an order", agrees, || {
            format!("promotion {} order {}", logged.promotion_id, logged.order_id)
        });
    }
    Ok(())
}

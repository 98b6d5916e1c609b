//! The books of promotions, recomputed: counters against the live uses, limits and budgets against the counters.

use std::collections::BTreeMap;

use promox_contract::campaign::BUDGETED;
use promox_contract::ids::PromotionId;
use promox_contract::promotion::{USED, shares};
use promox_contract::store::IN_DIGITS;
use promox_kernel::Amount;
use promox_storage::{Audit, Database, Report, StoreError, Tx};

use crate::Promotions;
use crate::records::{Count, HeldUse, Hold, HoldStatus, Promotion, Use};
use crate::rules::{ActionType, TOTAL};

/// What live holds say of a counter.
#[derive(Default)]
struct Live {
    uses: i64,
    spent: Amount,
}

type Books = BTreeMap<(PromotionId, String), Live>;

impl Audit for Promotions {
    fn database(&self) -> Database {
        Database::Promox
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        let mut books = read_holds(tx, report)?;
        for count in tx.scan::<Count>().rows() {
            check_count(report, &count?, &mut books);
        }
        for ((id, name), live) in books {
            // Counters of periods are removed when their period is long over.
            let removable = name.contains(':') && !name.starts_with("user:") && !name.starts_with("email:");
            report.check("promotion: uses = live uses of orders", removable || live.uses == 0, || {
                format!("promotion {id} {name}: {} uses are not counted", live.uses)
            });
        }
        for promotion in tx.scan::<Promotion>().rows() {
            let promotion = promotion?;
            if let Some(digits) = promotion.document.most_digits() {
                report.names(IN_DIGITS, digits.to_string(), || format!("promotion {}", promotion.id));
            }
            check_limits(tx, report, &promotion)?;
        }
        check_log(tx, report)
    }
}

fn read_holds(tx: &Tx<'_>, report: &mut Report) -> Result<Books, StoreError> {
    let mut books = Books::new();
    for hold in tx.scan::<Hold>().rows() {
        let hold = hold?;
        let live = hold.status != HoldStatus::Released;
        report.check("promotion: uses are live or given back", live == hold.ended_at.is_none(), || {
            format!("order {} is {}", hold.order_id, hold.status)
        });
        if live {
            state_uses(tx, report, &hold)?;
        }
        for HeldUse { promotion_id, amount, counters, .. } in hold.uses.iter().filter(|_| live) {
            for name in counters {
                let entry = books.entry((*promotion_id, name.clone())).or_default();
                entry.uses += 1;
                entry.spent += *amount;
            }
        }
    }
    Ok(books)
}

/// What orders must agree with, and campaigns: what was taken of each for an order.
fn state_uses(tx: &Tx<'_>, report: &mut Report, hold: &Hold) -> Result<(), StoreError> {
    if !hold.uses.is_empty() {
        report.right(USED, hold.order_id, shares(hold.uses.iter().map(|held| (held.promotion_id.0, held.amount))));
    }
    let paid = hold.uses.iter().filter(|held| !held.amount.is_zero());
    let campaigns = shares(paid.filter_map(|held| Some((held.campaign_id?.0, held.amount))));
    if !campaigns.is_empty() {
        report.left(BUDGETED, hold.order_id, campaigns);
    }
    for held in hold.uses.iter() {
        // A gift's price is in the use and not in the discount.
        let gives = |it: &Promotion| it.document.actions.iter().any(|action| action.kind == ActionType::Gift);
        if tx.get::<Promotion>(&held.promotion_id)?.is_some_and(|it| gives(&it)) {
            report.open(USED, hold.order_id);
        }
    }
    Ok(())
}

fn check_count(report: &mut Report, count: &Count, books: &mut Books) {
    let live = books.remove(&(count.promotion_id, count.name.clone())).unwrap_or_default();
    report.check("promotion: uses = live uses of orders", live.uses == count.uses, || {
        format!("promotion {} {}: {} against {}", count.promotion_id, count.name, count.uses, live.uses)
    });
    let agreed = count.name != TOTAL || live.spent == count.spent;
    report.check("promotion: spent = discounts of live orders", agreed, || {
        format!("promotion {}: {} against {}", count.promotion_id, count.spent, live.spent)
    });
}

fn check_limits(tx: &Tx<'_>, report: &mut Report, promotion: &Promotion) -> Result<(), StoreError> {
    let (uses, spent) = crate::queries::counted(tx, promotion.id)?;
    let Some(limits) = &promotion.document.limits else { return Ok(()) };
    let within = limits.total.is_none_or(|total| uses <= i64::from(total));
    report.check("promotion: uses ≤ limit", within, || format!("promotion {}: {uses}", promotion.id));
    let within = limits.budget.is_none_or(|budget| spent <= budget);
    report.check("promotion: spent ≤ budget", within, || format!("promotion {}: {spent}", promotion.id));
    Ok(())
}

/// The log says of each use what its order's hold says.
fn check_log(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for logged in tx.scan::<Use>().rows() {
        let logged = logged?;
        let hold = tx.get::<Hold>(&logged.order_id)?;
        let agrees = hold.is_some_and(|hold| {
            let released = hold.status == HoldStatus::Released;
            let held = hold.uses.iter().find(|held| held.promotion_id == logged.promotion_id);
            released == logged.released_at.is_some() && held.is_some_and(|held| held.amount == logged.amount)
        });
        report.check("promotion: each logged use is an order's", agrees, || {
            format!("promotion {} order {}", logged.promotion_id, logged.order_id)
        });
    }
    Ok(())
}

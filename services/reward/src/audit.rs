//! Audit of the points: recomputes them from the ledger, and reports the facts that orders must agree with.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::ids::OrderId;
use promox_contract::order::{OrderConfirmed, OrderFact};
use promox_contract::reward::{EARNED, SPENT};
use promox_contract::store::IN_DIGITS;
use promox_kernel::{Timestamp, UserId};
use promox_storage::{Database, Event, Hold, HoldState, Report, StoreError, Tx};

use crate::commands::accounts::SIGNUP;
use crate::events::FOLLOW_SHOP;
use crate::records::{
    Account, Achievement, AchievementId, Counted, EarlyUse, Entry, EntryKind, Lot, OfferRedemptionStatus, OrderPoints,
    Redemption, Referral, ReferralStatus, Unlocked,
};
use crate::rules::achievement::CountedEvent;
use crate::rules::calendar::TIER_SPAN;
use crate::rules::ladder::Ladder;
use crate::settings::load;

/// The sums of a user's entries at the time when the account was last updated.
#[derive(Default)]
struct Sums {
    balance: i64,
    pending: i64,
    earned: i64,
    tier_points: i64,
}

/// The sums of an order's entries.
#[derive(Default, PartialEq, Eq, Debug)]
struct OrderSums {
    redeemed: i64,
    restored: i64,
    earned: i64,
}

/// The sums that one pass over the ledger collects.
#[derive(Default)]
struct Ledger {
    users: BTreeMap<UserId, Sums>,
    orders: BTreeMap<OrderId, OrderSums>,
    /// The references of the lots that have an expiry entry.
    expired_lots: BTreeSet<String>,
    /// Whether each signup bonus of a user is still granted, not revoked, by reference.
    signups: BTreeMap<UserId, BTreeMap<String, bool>>,
}

/// Checks that each referral has rewarded both users for one order, or nobody.
fn check_referrals(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for row in tx.scan::<Referral>().rows() {
        let row = row?;
        let given = row.status == ReferralStatus::Given;
        let mut consistent =
            given == row.order_id.is_some() && (row.status == ReferralStatus::Due) == row.due_at.is_some();
        for (user_id, lot) in [(row.user_id, row.lot_id), (row.referrer, row.referrer_lot_id)] {
            let lot = lot.map(|id| tx.get::<Lot>(&id)).transpose()?;
            consistent &= lot
                .is_none_or(|lot| given && lot.is_some_and(|lot| lot.user_id == user_id && lot.points == row.points));
        }
        report.check("points: a referral rewards both users once, for one order", consistent, || {
            format!("user {} is {}", row.user_id, row.status)
        });
    }
    Ok(())
}

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let ladder: Ladder = load(tx)?;
    check_referrals(tx, report)?;
    let mut ledger = read_ledger(tx, report)?;
    let mut lots = read_lots(tx, report, &mut ledger.expired_lots)?;
    for account in tx.scan::<Account>().rows() {
        let account = account?;
        let sums = ledger.users.remove(&account.user_id).unwrap_or_default();
        check_sums(report, &account, &sums);
        let lot_sums = lots.remove(&account.user_id).unwrap_or_default();
        report.check(
            "points: sum of lots = balance and pending",
            lot_sums == (account.balance, account.pending),
            || {
                format!(
                    "user {}: the lots sum to {lot_sums:?}, the account has {} and {}",
                    account.user_id, account.balance, account.pending
                )
            },
        );
        if account.ladder == ladder.version {
            let tier = ladder.tier(account.tier_points);
            report.check("points: the tier matches the ledger", tier == account.tier, || {
                format!("user {} is {} and should be {tier}", account.user_id, account.tier)
            });
        }
    }
    for (user, bonuses) in &ledger.signups {
        let live = bonuses.values().filter(|live| **live).count();
        report.check("points: one signup bonus per user", live <= 1, || format!("user {user}: {bonuses:?}"));
    }
    report.check(
        "points: every entry and lot belongs to an account",
        ledger.users.is_empty() && lots.is_empty(),
        || format!("{:?} and {:?}", ledger.users.keys(), lots.keys()),
    );
    for achievement in tx.scan::<Achievement>().rows() {
        let achievement = achievement?;
        if let Some(sum) = achievement.rule.money() {
            let digits = sum.0.normalize().scale().to_string();
            report.names(IN_DIGITS, digits, || format!("achievement {}", achievement.id));
        }
    }
    check_orders(tx, report, ledger.orders)?;
    open_unapplied_orders(tx, report)?;
    check_redemptions(tx, report)?;
    check_achievements(tx, report)
}

/// Reads the ledger in one pass.
fn read_ledger(tx: &Tx<'_>, report: &mut Report) -> Result<Ledger, StoreError> {
    let mut ledger = Ledger::default();
    let mut at: BTreeMap<UserId, Timestamp> = BTreeMap::new();
    for entry in tx.scan::<Entry>().rows() {
        let entry = entry?;
        let settled_at = match at.get(&entry.user_id) {
            Some(known) => *known,
            None => tx.get::<Account>(&entry.user_id)?.map_or(Timestamp::EPOCH, |account| account.settled_at),
        };
        at.insert(entry.user_id, settled_at);
        ledger.users.entry(entry.user_id).or_default().add(&entry, settled_at);
        report.check("points: an entry changes points", entry.points != 0 || entry.counted != 0, || {
            format!("entry {}", entry.id)
        });
        if entry.kind == EntryKind::SignupBonus || entry.reference.starts_with(SIGNUP) {
            let live = ledger.signups.entry(entry.user_id).or_default().entry(entry.reference.clone()).or_insert(true);
            *live &= entry.kind != EntryKind::Revoke;
        }
        if entry.kind == EntryKind::Expire {
            let once = ledger.expired_lots.insert(entry.reference.clone());
            report.check("points: each lot expires once", once, || format!("entry {}", entry.id));
        }
        if let Some(order_id) = entry.order_id {
            ledger.orders.entry(order_id).or_default().add(&entry);
        }
    }
    Ok(ledger)
}

impl Sums {
    fn add(&mut self, entry: &Entry, settled_at: Timestamp) {
        if entry.available_at.is_none_or(|at| at <= settled_at) {
            self.balance += entry.points;
        } else {
            self.pending += entry.points;
        }
        if entry.counted_for.is_some() {
            self.earned += entry.counted;
            if entry.counted_at > settled_at - TIER_SPAN {
                self.tier_points += entry.counted;
            }
        }
    }
}

impl OrderSums {
    fn add(&mut self, entry: &Entry) {
        match entry.kind {
            EntryKind::Redeem => self.redeemed -= entry.points,
            EntryKind::Restore => self.restored += entry.points,
            EntryKind::Earn => self.earned += entry.points,
            _ => {}
        }
    }
}

fn check_sums(report: &mut Report, account: &Account, sums: &Sums) {
    let Account { user_id, balance, pending, .. } = account;
    report.check("points: sum of entries = balance", (sums.balance, sums.pending) == (*balance, *pending), || {
        format!(
            "user {user_id}: the entries sum to {} and {}, the account has {balance} and {pending}",
            sums.balance, sums.pending
        )
    });
    let positive = *balance >= 0 && *pending >= 0 && account.debt >= 0;
    report.check("points: a balance is not negative", positive, || {
        format!("user {user_id}: {balance}, {pending}, {}", account.debt)
    });
    let earned = (sums.earned, sums.tier_points) == (account.lifetime_earned, account.tier_points);
    report.check("points: earned = sum of entries that count", earned, || {
        format!("user {user_id}: {} earned, {} in the last 365 days", sums.earned, sums.tier_points)
    });
    let is_empty = account.erased_at.is_none() || balance + pending == 0 || account.due_at.is_some();
    report.check("points: an erased user has none", is_empty, || format!("user {user_id}"));
}

/// Checks every lot. Returns the points in each user's lots: the available ones and the pending ones.
fn read_lots(
    tx: &Tx<'_>,
    report: &mut Report,
    expired_lots: &mut BTreeSet<String>,
) -> Result<BTreeMap<UserId, (i64, i64)>, StoreError> {
    let mut lot_sums: BTreeMap<UserId, (i64, i64)> = BTreeMap::new();
    for lot in tx.scan::<Lot>().rows() {
        let lot = lot?;
        let sums = lot_sums.entry(lot.user_id).or_default();
        if lot.pending_for.is_some() {
            sums.1 += lot.remaining;
        } else {
            sums.0 += lot.remaining;
        }
        let open = lot.remaining > 0 && lot.pending_for.is_none();
        let consistent = (0..=lot.points).contains(&lot.remaining) && lot.open_for.is_some() == open;
        report.check("points: 0 ≤ rest of a lot ≤ points granted", consistent, || format!("lot {}", lot.id));
        let recorded = expired_lots.remove(&format!("lot:{}", lot.id)) == lot.expired_at.is_some();
        let empty = lot.expired_at.is_none() || lot.remaining == 0;
        report.check("points: an expired lot is empty and recorded in the ledger", recorded && empty, || {
            format!("lot {}", lot.id)
        });
    }
    report.check("points: every expiry belongs to a lot", expired_lots.is_empty(), || format!("{expired_lots:?}"));
    Ok(lot_sums)
}

fn check_orders(tx: &Tx<'_>, report: &mut Report, mut ledger: BTreeMap<OrderId, OrderSums>) -> Result<(), StoreError> {
    for row in tx.scan::<OrderPoints>().rows() {
        let row = row?;
        let tag = || format!("order {}", row.order_id);
        let recorded = ledger.remove(&row.order_id).unwrap_or_default();
        let erased = tx.get::<Account>(&row.user_id)?.is_some_and(|account| account.erased_at.is_some());
        let restored = recorded.restored == row.given_back || erased && recorded.restored <= row.given_back;
        let same = (recorded.redeemed, recorded.earned) == (row.redeemed, row.earned) && restored;
        report.check("points: an order's points = its ledger entries", same, || {
            format!(
                "order {}: the ledger has {recorded:?}, the order {} − {}, {}",
                row.order_id, row.redeemed, row.given_back, row.earned
            )
        });
        let held: i64 = row.parts.iter().map(|part| part.points).sum();
        report.check("points: an order's hold = its parts", held == row.redeemed - row.given_back, tag);
        let within = row.given_back <= row.redeemed && (0..=row.earned).contains(&row.taken_back);
        let ended = row.state.is_live() || (row.given_back, row.taken_back) == (row.redeemed, row.earned);
        report.check("points: returned once, deducted with the return", within && ended, tag);
        if row.state.is_live() && row.redeemed > 0 {
            report.right(SPENT, row.order_id, row.redeemed);
        }
        if row.state == HoldState::Posted && row.earned > 0 {
            report.right(EARNED, row.order_id, row.earned);
        }
        if erased {
            report.open(EARNED, row.order_id);
        }
    }
    report.check("points: every order in the ledger has a row", ledger.is_empty(), || format!("{ledger:?}"));
    OrderPoints::audit(tx, report)
}

/// Exempts the confirmed orders whose events this service has not applied yet: they earn their points later.
fn open_unapplied_orders(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let place = tx.consumer_position(FOLLOW_SHOP)?;
    for event in tx.scan::<Event>().prefix(Event::log_of(Database::Ecommerce)).from(place + 1).rows() {
        let event = event?;
        if event.is::<OrderConfirmed>() {
            let OrderConfirmed(OrderFact { order_id, .. }) = event.fact()?;
            report.open(EARNED, order_id);
        }
    }
    Ok(())
}

fn check_redemptions(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for row in tx.scan::<Redemption>().rows() {
        let row = row?;
        let sum: i64 = row.parts.iter().map(|part| part.points).sum();
        let consistent = sum == row.points
            && (row.status == OfferRedemptionStatus::Issued) == row.coupon_code.is_some()
            && (row.status == OfferRedemptionStatus::Pending) == row.due_at.is_some();
        report.check("points: an offer is paid for, then issued or refunded", consistent, || {
            format!("redemption {}", row.id)
        });
    }
    Ok(())
}

fn check_achievements(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let known: BTreeSet<AchievementId> =
        tx.scan::<Achievement>().rows().map(|row| row.map(|row| row.id)).collect::<Result<_, _>>()?;
    for counted in tx.scan::<Counted>().rows() {
        let counted = counted?;
        let tag = || format!("{} {} of user {}", counted.event, counted.of, counted.user_id);
        report.check(
            "achievements: a counted event has happened",
            counted.times > 0 && !counted.amount.is_negative(),
            tag,
        );
        if matches!(counted.event, CountedEvent::OrderCreated | CountedEvent::PromotionApplied) {
            let row = tx.get::<OrderPoints>(&OrderId(counted.of))?;
            // A promotion counts only after its order was confirmed, so the order must have a row.
            let counts = row.map_or(counted.event == CountedEvent::OrderCreated, |row| row.cancelled_at.is_none());
            report.check("achievements: a cancelled order's events no longer count", counts, tag);
        }
    }
    for early in tx.scan::<EarlyUse>().rows() {
        let early = early?;
        let waits = tx.get::<OrderPoints>(&early.order_id)?.is_none_or(|row| row.counted_at.is_none());
        report.check("achievements: an event waits for its order to count", waits, || {
            format!("order {}", early.order_id)
        });
    }
    for unlocked in tx.scan::<Unlocked>().rows() {
        let unlocked = unlocked?;
        report.check("achievements: an earned achievement exists", known.contains(&unlocked.achievement_id), || {
            format!("user {} achievement {}", unlocked.user_id, unlocked.achievement_id)
        });
    }
    Ok(())
}

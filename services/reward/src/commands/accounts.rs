//! Commands on accounts: manual adjustments, bonuses, bringing accounts up to date, and erasure.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::ids::OrderId;
use promox_contract::user::UserRegistered;
use promox_kernel::{Cx, Error, Timestamp, UserId, bounded};
use promox_storage::{StoreError, Tx};
use serde_json::json;

use super::book::{Book, Cause, MAX_DUE};
use super::referrals;
use crate::api::{AccountView, AdjustPoints};
use crate::queries;
use crate::records::{Account, AccountByDue, AccountByLadder, EntryKind, Lot, Progress};
use crate::rules::calendar::INSTANT;
use crate::settings::{SignupBonusOn, Terms};

/// The reference of a signup bonus, or the prefix of the reference if an order earned it.
pub(crate) const SIGNUP: &str = "signup";
/// The maximum number of points of a manual adjustment.
const MAX_ADJUSTMENT: i64 = 1_000_000_000;
/// The maximum number of accounts that one sweep updates.
const MAX_SWEEP: usize = 50;
/// The minimum time between two birthday bonuses of a user, even if the birthday is edited.
const BIRTHDAYS_APART: Duration = Duration::from_hours(24 * 300);

/// Adjusts points manually.
pub(crate) fn adjust(tx: &mut Tx<'_>, terms: &Terms, cx: &Cx, op: &AdjustPoints) -> Result<AccountView, Error> {
    let reason = bounded(&op.reason, 1, 200).map_err(|detail| Error::field("/reason", detail))?;
    if op.points == 0 || op.points.abs() > MAX_ADJUSTMENT {
        return Err(Error::field("/points", "must be 1 to 1,000,000,000 points in either direction"));
    }
    let mut book = Book::open(tx, terms, op.id)?;
    if book.account.erased_at.is_some() {
        return Err(Error::not_found("account"));
    }
    let cause = Cause::of(EntryKind::Adjust, format!("adjustment: {reason}"));
    match op.points {
        points @ 1.. => book.grant(points, cause)?,
        points => book.remove(-points, &cause)?,
    }
    let before = book.account.balance - op.points;
    let after = book.close()?.balance;
    let (actor, subject) = (cx.principal.name(), format!("reward_account:{}", op.id));
    let (before, after) = (json!({ "balance": before }), json!({ "balance": after, "reason": reason }));
    tx.emit(op.id, &Audited::new(actor, "reward.adjust", subject, before, after))?;
    let view = queries::account(tx, terms, op.id, tx.now())?;
    view.ok_or(Error::not_found("account"))
}

/// Applies the registration of a user: grants the signup bonus, or notes that the first order earns it, and records the
/// referrer.
pub(crate) fn signup_bonus(tx: &mut Tx<'_>, terms: &Terms, fact: &UserRegistered) -> Result<(), Error> {
    let bonus = i64::from(terms.settings.signup_bonus);
    if bonus > 0 {
        let with_order = terms.settings.signup_bonus_on == SignupBonusOn::FirstOrder;
        let mut book = Book::open(tx, terms, fact.user_id)?;
        book.account.signup_due = with_order;
        let now = if with_order { 0 } else { bonus };
        book.award(now, Cause::of(EntryKind::SignupBonus, SIGNUP), false)?;
        book.close()?;
    }
    Ok(referrals::record(tx, fact)?)
}

/// Grants the signup bonus with an order that was placed, if the user's first order earns it.
pub(crate) fn signup_bonus_with_order(
    tx: &mut Tx<'_>,
    terms: &Terms,
    user: UserId,
    order: OrderId,
) -> Result<(), Error> {
    if !tx.get::<Account>(&user)?.is_some_and(|account| account.signup_due) {
        return Ok(());
    }
    let mut book = Book::open(tx, terms, user)?;
    let lot = book.award_unpaid(i64::from(terms.settings.signup_bonus), signup_cause(EntryKind::SignupBonus, order))?;
    book.account.signup_due = false;
    book.account.signup_order = Some(order);
    book.account.signup_lot = lot;
    book.close()?;
    Ok(())
}

/// Revokes the signup bonus if an order that failed or was cancelled has earned it. The next order earns it again.
pub(crate) fn revoke_signup_bonus(tx: &mut Tx<'_>, terms: &Terms, user: UserId, order: OrderId) -> Result<(), Error> {
    let account = tx.get::<Account>(&user)?.filter(|account| account.signup_order == Some(order));
    let Some(Account { signup_lot, .. }) = account else { return Ok(()) };
    let points = signup_lot.map(|id| tx.get::<Lot>(&id)).transpose()?.flatten().map_or(0, |lot| lot.points);
    let mut book = Book::open(tx, terms, user)?;
    book.revoke(points, signup_lot, &signup_cause(EntryKind::Revoke, order))?;
    book.account.signup_due = book.account.erased_at.is_none();
    book.account.signup_order = None;
    book.account.signup_lot = None;
    book.close()?;
    Ok(())
}

fn signup_cause(kind: EntryKind, order: OrderId) -> Cause {
    Cause::of(kind, format!("{SIGNUP}:order:{order}"))
}

/// Grants a user the birthday bonus of a year, unless the last one is too recent.
pub(crate) fn grant_birthday_bonus(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId, year: i16) -> Result<(), Error> {
    let mut book = Book::open(tx, terms, user_id)?;
    let now = book.now();
    if book.account.birthday_at.is_some_and(|last| now.since(last) < BIRTHDAYS_APART) {
        return Ok(());
    }
    let cause = Cause::of(EntryKind::BirthdayBonus, format!("birthday:{year}"));
    if book.award(i64::from(terms.settings.birthday_bonus), cause, false)?.is_some() {
        book.account.birthday_at = Some(now);
        book.close()?;
    }
    Ok(())
}

/// Erases a user: forfeits the points and deletes the progress towards achievements. The ledger stays.
pub(crate) fn erase(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId) -> Result<(), Error> {
    for progress in tx.scan::<Progress>().prefix(user_id).collect(MAX_DUE)? {
        tx.delete::<Progress>(&(user_id, progress.achievement_id))?;
    }
    referrals::erase(tx, user_id)?;
    if tx.get::<Account>(&user_id)?.is_none() {
        return Ok(());
    }
    let mut book = Book::open(tx, terms, user_id)?;
    book.forfeit()?;
    book.account.birthday_at = None;
    book.close()?;
    Ok(())
}

/// Returns whether any account has something due by `now`, or a tier from outdated thresholds.
pub(crate) fn any_due(tx: &Tx<'_>, terms: &Terms, now: Timestamp) -> Result<bool, StoreError> {
    let due = tx.scan_by::<AccountByDue>().before(Some(now + INSTANT)).first()?;
    Ok(due.is_some() || tx.scan_by::<AccountByLadder>().before(terms.ladder.version).first()?.is_some())
}

/// Brings one bounded batch of accounts up to date. Returns whether more may be due.
pub(crate) fn settle_due_accounts(tx: &mut Tx<'_>, terms: &Terms) -> Result<bool, Error> {
    let soon = Some(tx.now() + INSTANT);
    let mut accounts = tx.scan_by::<AccountByDue>().before(soon).collect(MAX_SWEEP)?;
    accounts.extend(tx.scan_by::<AccountByLadder>().before(terms.ladder.version).collect(MAX_SWEEP)?);
    let mut settled = 0;
    for account in &accounts {
        let mut book = Book::open_partly(tx, terms, account.user_id)?;
        let behind = book.is_behind();
        if account.erased_at.is_some() && !behind {
            book.forfeit()?;
        }
        settled += book.settled;
        book.close()?;
        if behind || settled >= MAX_DUE {
            return Ok(true);
        }
    }
    Ok(accounts.len() >= MAX_SWEEP)
}

//! Accounts: adjusted manually, given bonuses, brought up to date, erased.

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

/// The reference of a signup bonus, and its prefix when an order earned it.
pub(crate) const SIGNUP: &str = "signup";
/// Maximum points of a manual adjustment.
const MAX_ADJUSTED: i64 = 1_000_000_000;
/// Accounts that one sweep updates.
const SWEEP: usize = 50;
/// At least this much lies between two birthday bonuses of a user, even if the birthday is edited.
const BIRTHDAYS_APART: Duration = Duration::from_hours(24 * 300);

/// Adjusts points manually.
pub(crate) fn adjust(tx: &mut Tx<'_>, terms: &Terms, cx: &Cx, asked: &AdjustPoints) -> Result<AccountView, Error> {
    let reason = bounded(&asked.reason, 1, 200).map_err(|detail| Error::field("/reason", detail))?;
    if asked.points == 0 || asked.points.abs() > MAX_ADJUSTED {
        return Err(Error::field("/points", "must be 1 to 1,000,000,000 points in either direction"));
    }
    let mut book = Book::open(tx, terms, asked.id)?;
    if book.account.erased_at.is_some() {
        return Err(Error::not_found("account"));
    }
    let cause = Cause::of(EntryKind::Adjust, format!("adjustment: {reason}"));
    match asked.points {
        points @ 1.. => book.grant(points, cause)?,
        points => book.remove(-points, &cause)?,
    }
    let before = book.account.balance - asked.points;
    let after = book.close()?.balance;
    let (actor, subject) = (cx.principal.name(), format!("reward_account:{}", asked.id));
    let (before, after) = (json!({ "balance": before }), json!({ "balance": after, "reason": reason }));
    tx.emit(asked.id, &Audited::new(actor, "reward.adjust", subject, before, after))?;
    let view = queries::account(tx, terms, asked.id, tx.now())?;
    view.ok_or(Error::not_found("account"))
}

/// A user registered: grants the bonus and records the referrer.
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
    Ok(referrals::note(tx, fact)?)
}

/// An order was placed: the first one earns the signup bonus, if it is set to that.
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
    let lot = book.award_unpaid(i64::from(terms.settings.signup_bonus), signup_with(EntryKind::SignupBonus, order))?;
    book.account.signup_due = false;
    book.account.signup_order = Some(order);
    book.account.signup_lot = lot;
    book.close()?;
    Ok(())
}

/// An order that earned the signup bonus failed or was cancelled: revokes the bonus, and the next order earns it.
pub(crate) fn revoke_signup_bonus(tx: &mut Tx<'_>, terms: &Terms, user: UserId, order: OrderId) -> Result<(), Error> {
    let account = tx.get::<Account>(&user)?.filter(|account| account.signup_order == Some(order));
    let Some(Account { signup_lot, .. }) = account else { return Ok(()) };
    let points = signup_lot.map(|id| tx.get::<Lot>(&id)).transpose()?.flatten().map_or(0, |lot| lot.points);
    let mut book = Book::open(tx, terms, user)?;
    book.revoke(points, signup_lot, &signup_with(EntryKind::Revoke, order))?;
    book.account.signup_due = book.account.erased_at.is_none();
    book.account.signup_order = None;
    book.account.signup_lot = None;
    book.close()?;
    Ok(())
}

fn signup_with(kind: EntryKind, order: OrderId) -> Cause {
    Cause::of(kind, format!("{SIGNUP}:order:{order}"))
}

/// Grants the birthday bonus.
pub(crate) fn celebrate(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId, year: i16) -> Result<(), Error> {
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

/// Erases a user: forfeits the points and drops progress; the ledger stays.
pub(crate) fn erase(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId) -> Result<(), Error> {
    for progress in tx.scan::<Progress>().prefix(user_id).collect(MAX_DUE)? {
        tx.delete::<Progress>(&(user_id, progress.achievement_id))?;
    }
    referrals::forget(tx, user_id)?;
    if tx.get::<Account>(&user_id)?.is_none() {
        return Ok(());
    }
    let mut book = Book::open(tx, terms, user_id)?;
    book.forfeit()?;
    book.account.birthday_at = None;
    book.close()?;
    Ok(())
}

/// Whether an account has anything due by `now`, or its tier is from outdated thresholds.
pub(crate) fn any_due(tx: &Tx<'_>, terms: &Terms, now: Timestamp) -> Result<bool, StoreError> {
    let due = tx.scan_by::<AccountByDue>().before(Some(now + INSTANT)).first()?;
    Ok(due.is_some() || tx.scan_by::<AccountByLadder>().before(terms.ladder.version).first()?.is_some())
}

/// Updates accounts, one bounded batch. Returns whether there may be more.
pub(crate) fn keep_time(tx: &mut Tx<'_>, terms: &Terms) -> Result<bool, Error> {
    let soon = Some(tx.now() + INSTANT);
    let mut accounts = tx.scan_by::<AccountByDue>().before(soon).collect(SWEEP)?;
    accounts.extend(tx.scan_by::<AccountByLadder>().before(terms.ladder.version).collect(SWEEP)?);
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
    Ok(accounts.len() >= SWEEP)
}

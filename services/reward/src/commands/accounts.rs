//! Accounts: adjusted by hand, given bonuses, brought up to date, dropped with their person.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::user::UserRegistered;
use promox_kernel::{Cx, Error, Timestamp, UserId, bounded};
use promox_storage::{StoreError, Tx};
use serde_json::json;

use super::book::{Book, Cause, INSTANT, MOST_DUE};
use super::referrals;
use crate::api::{AccountView, AdjustPoints};
use crate::queries;
use crate::records::{Account, AccountByDue, AccountByLadder, EntryKind, Progress};
use crate::reject::Reject;
use crate::settings::Terms;

/// Points that are moved by hand at most.
const MOST_ADJUSTED: i64 = 1_000_000_000;
/// Accounts that one sweep brings up to date.
const SWEEP: usize = 50;
/// Between two birthday bonuses of one user lies the most of a year, whatever days of birth are named meanwhile.
const BIRTHDAYS_APART: Duration = Duration::from_hours(24 * 300);

/// Gives or takes points by hand.
pub(crate) fn adjust(tx: &mut Tx<'_>, terms: &Terms, cx: &Cx, asked: &AdjustPoints) -> Result<AccountView, Reject> {
    let reason = bounded(&asked.reason, 1, 200).map_err(|detail| Error::field("/reason", detail))?;
    if asked.points == 0 || asked.points.abs() > MOST_ADJUSTED {
        return Err(Error::field("/points", "1 to 1,000,000,000 points up or down").into());
    }
    let mut book = Book::open(tx, terms, asked.id)?;
    if book.account.erased_at.is_some() {
        return Err(Reject::Absent("account"));
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
    view.ok_or(Reject::Absent("account"))
}

/// Somebody registered: the bonus for it, and the note of who sent them.
pub(crate) fn welcome(tx: &mut Tx<'_>, terms: &Terms, fact: &UserRegistered) -> Result<(), Reject> {
    let signup = i64::from(terms.settings.signup_bonus);
    if signup > 0 {
        let mut book = Book::open(tx, terms, fact.user_id)?;
        book.award(signup, Cause::of(EntryKind::SignupBonus, "signup"), false)?;
        book.close()?;
    }
    Ok(referrals::note(tx, fact)?)
}

/// It is somebody's birthday.
pub(crate) fn celebrate(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId, year: i16) -> Result<(), Reject> {
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

/// A person is gone: what they had is forfeited, how far they had come is dropped, the books stay.
pub(crate) fn erase(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId) -> Result<(), Reject> {
    for progress in tx.scan::<Progress>().prefix(user_id).collect(MOST_DUE)? {
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

/// Whether an account has something due by `now`, or stands on an old ladder.
pub(crate) fn any_due(tx: &Tx<'_>, terms: &Terms, now: Timestamp) -> Result<bool, StoreError> {
    let due = tx.scan_by::<AccountByDue>().before(Some(now + INSTANT)).first()?;
    Ok(due.is_some() || tx.scan_by::<AccountByLadder>().before(terms.ladder.version).first()?.is_some())
}

/// Brings accounts up to date, one bounded batch; whether there may be more.
pub(crate) fn keep_time(tx: &mut Tx<'_>, terms: &Terms) -> Result<bool, Reject> {
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
        if behind || settled >= MOST_DUE {
            return Ok(true);
        }
    }
    Ok(accounts.len() >= SWEEP)
}

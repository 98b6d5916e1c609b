//! Referrals: recorded at registration, rewarded with the first order that was paid and kept, revoked when that is
//! undone.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::user::UserRegistered;
use promox_kernel::{Amount, BackOff, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use super::achievements::{self, Happened};
use super::book::{Book, Cause};
use crate::records::{EntryKind, LotId, Referral, ReferralByDue, ReferralStatus as Status};
use crate::rules::achievement::CountedEvent;
use crate::rules::calendar::INSTANT;
use crate::settings::Terms;

/// The pauses before an order that is not paid yet is checked again.
const PAUSES: BackOff = BackOff { first: Duration::from_secs(2), doublings: 13 };

/// Records a user's referrer.
pub(crate) fn note(tx: &mut Tx<'_>, fact: &UserRegistered) -> Result<(), StoreError> {
    let Some(referrer) = fact.referrer.filter(|referrer| *referrer != fact.user_id) else { return Ok(()) };
    let now = tx.now();
    tx.put(&Referral {
        user_id: fact.user_id,
        referrer,
        status: Status::Open,
        order_id: None,
        points: 0,
        lot_id: None,
        referrer_lot_id: None,
        due_at: None,
        tries: 0,
        created_at: now,
        changed_at: now,
    })
}

/// An order of an account was confirmed or paid: if the account was referred, it is checked at once.
pub(crate) fn wake(tx: &mut Tx<'_>, user_id: UserId) -> Result<(), StoreError> {
    match tx.get::<Referral>(&user_id)? {
        Some(row) if matches!(row.status, Status::Open | Status::Due) => put_due(tx, row, 0),
        _ => Ok(()),
    }
}

/// An order was cancelled or returned completely: revokes the rewards for it, which the next order may earn.
pub(crate) fn undone(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId, order_id: OrderId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<Referral>(&user_id)? else { return Ok(()) };
    if row.status != Status::Given || row.order_id != Some(order_id) {
        return Ok(());
    }
    let cause = Cause::of(EntryKind::Revoke, format!("referral:{user_id}"));
    for (user_id, lot) in [(row.user_id, row.lot_id), (row.referrer, row.referrer_lot_id)] {
        if lot.is_some() {
            let mut book = Book::open(tx, terms, user_id)?;
            book.revoke(row.points, lot, &cause)?;
            book.close()?;
        }
    }
    (row.order_id, row.points, row.lot_id, row.referrer_lot_id) = (None, 0, None, None);
    Ok(put_due(tx, row, 0)?)
}

fn put_due(tx: &mut Tx<'_>, row: Referral, tries: i64) -> Result<(), StoreError> {
    let now = tx.now();
    let due_at = Some(now + PAUSES.after(tries));
    tx.put(&Referral { status: Status::Due, due_at, tries, changed_at: now, ..row })
}

/// Referrals to check.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, most: usize) -> Result<Vec<Referral>, StoreError> {
    tx.scan_by::<ReferralByDue>().before(Some(now + INSTANT)).collect(most)
}

/// The finding about a referred account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No order that was paid and kept, yet.
    Nothing,
    /// The first such order.
    First(OrderId),
    /// The two are one person, or the referred user is not a new customer.
    Refused,
}

/// Continues with a referral that has not changed since it was checked.
pub(crate) fn settle(tx: &mut Tx<'_>, terms: &Terms, seen: &Referral, found: Found) -> Result<(), Error> {
    let Some(row) = tx.get::<Referral>(&seen.user_id)?.filter(|row| row == seen) else { return Ok(()) };
    let (order_id, now) = match found {
        Found::First(order_id) => (order_id, tx.now()),
        Found::Nothing => return Ok(put_due(tx, row.clone(), row.tries + 1)?),
        Found::Refused => {
            let (status, due_at, changed_at) = (Status::Refused, None, tx.now());
            return Ok(tx.put(&Referral { status, due_at, changed_at, ..row })?);
        }
    };
    let points = i64::from(terms.settings.referral_bonus);
    let lot_id = award(tx, terms, row.user_id, points, "referred".to_owned())?;
    let referrer_lot_id = award(tx, terms, row.referrer, points, format!("user:{}", row.user_id))?;
    let (referrer, order_id, status) = (row.referrer, Some(order_id), Status::Given);
    let (due_at, changed_at) = (None, now);
    tx.put(&Referral { status, order_id, points, lot_id, referrer_lot_id, due_at, changed_at, ..row })?;
    let (event, of, amount, at) = (CountedEvent::UserReferred, 0, Amount::ZERO, now);
    achievements::count(tx, terms, Happened { event, user_id: referrer, of, amount, at }).map(drop)
}

/// Awards a bonus like an order's points: pending until the return period ends.
fn award(
    tx: &mut Tx<'_>,
    terms: &Terms,
    user_id: UserId,
    points: i64,
    reference: String,
) -> Result<Option<LotId>, Error> {
    if points == 0 {
        return Ok(None);
    }
    let mut book = Book::open(tx, terms, user_id)?;
    let lot = book.award(points, Cause::of(EntryKind::ReferralBonus, reference), true)?;
    book.close()?;
    Ok(lot)
}

/// Removes the referrer of an erased user, unless the ledger refers to it.
pub(crate) fn forget(tx: &mut Tx<'_>, user_id: UserId) -> Result<(), StoreError> {
    if tx.get::<Referral>(&user_id)?.is_some_and(|row| row.status != Status::Given) {
        tx.delete::<Referral>(&user_id)?;
    }
    Ok(())
}

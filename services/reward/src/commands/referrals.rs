//! Commands on referrals: recorded at registration, rewarded with the first order that was paid and kept, revoked if
//! that order is cancelled or returned.

use std::time::Duration;

use promox_contract::ids::OrderId;
use promox_contract::user::UserRegistered;
use promox_kernel::{Amount, BackOff, Error, Timestamp, UserId};
use promox_storage::{StoreError, Tx};

use super::achievements::{self, UserEvent};
use super::book::{Book, Cause};
use crate::records::{EntryKind, LotId, Referral, ReferralByDue, ReferralStatus as Status};
use crate::rules::achievement::CountedEvent;
use crate::rules::calendar::INSTANT;
use crate::settings::Terms;

/// The delays before an order that is not paid yet is checked again.
const BACK_OFF: BackOff = BackOff { first: Duration::from_secs(2), doublings: 13 };

/// Records the referrer of a new user.
pub(crate) fn record(tx: &mut Tx<'_>, fact: &UserRegistered) -> Result<(), StoreError> {
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

/// Makes the referral of a user due for a check at once, because an order of the user was confirmed or paid.
pub(crate) fn schedule_check(tx: &mut Tx<'_>, user_id: UserId) -> Result<(), StoreError> {
    match tx.get::<Referral>(&user_id)? {
        Some(row) if matches!(row.status, Status::Open | Status::Due) => set_due(tx, row, 0),
        _ => Ok(()),
    }
}

/// Revokes the bonuses of a referral if they were granted for an order that is cancelled or completely returned. The
/// next order may earn them.
pub(crate) fn revoke(tx: &mut Tx<'_>, terms: &Terms, user_id: UserId, order_id: OrderId) -> Result<(), Error> {
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
    Ok(set_due(tx, row, 0)?)
}

fn set_due(tx: &mut Tx<'_>, row: Referral, tries: i64) -> Result<(), StoreError> {
    let now = tx.now();
    let due_at = Some(now + BACK_OFF.after(tries));
    tx.put(&Referral { status: Status::Due, due_at, tries, changed_at: now, ..row })
}

/// Returns the referrals that are due for a check, at most `most`.
pub(crate) fn due(tx: &Tx<'_>, now: Timestamp, most: usize) -> Result<Vec<Referral>, StoreError> {
    tx.scan_by::<ReferralByDue>().before(Some(now + INSTANT)).collect(most)
}

/// The result of checking a referral.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// The referred user has no order that was paid and kept, yet.
    Nothing,
    /// The first such order.
    First(OrderId),
    /// The referrer and the referred user are the same person, or the referred user is not a new customer.
    Refused,
}

/// Applies the result of checking a referral, unless the referral has changed since then.
pub(crate) fn apply_finding(tx: &mut Tx<'_>, terms: &Terms, checked: &Referral, finding: Finding) -> Result<(), Error> {
    let Some(row) = tx.get::<Referral>(&checked.user_id)?.filter(|row| row == checked) else { return Ok(()) };
    let (order_id, now) = match finding {
        Finding::First(order_id) => (order_id, tx.now()),
        Finding::Nothing => return Ok(set_due(tx, row.clone(), row.tries + 1)?),
        Finding::Refused => {
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
    achievements::count(tx, terms, UserEvent { event, user_id: referrer, of, amount, at }).map(drop)
}

/// Awards a bonus that is pending until the return period ends, like the points of an order.
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

/// Deletes the referral of an erased user, unless its bonuses were granted.
pub(crate) fn erase(tx: &mut Tx<'_>, user_id: UserId) -> Result<(), StoreError> {
    if tx.get::<Referral>(&user_id)?.is_some_and(|row| row.status != Status::Given) {
        tx.delete::<Referral>(&user_id)?;
    }
    Ok(())
}

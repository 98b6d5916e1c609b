//! Commands on the points of orders: held when an order is placed, spent when it is confirmed, restored by returns and
//! cancellations.

use promox_contract::ids::OrderId;
use promox_contract::order::{OrderFact, OrderReturned};
use promox_contract::reward::{PointsFact, PointsRedeemed};
use promox_kernel::{Amount, Error, Json, Timestamp, UserId};
use promox_storage::{Begin, Hold, HoldState, HoldStep, Tx};

use super::book::{Book, Cause};
use crate::records::{EntryKind, OrderPoints, Part};
use crate::reject;
use crate::rules::returns::revoked_share;
use crate::rules::worth;
use crate::settings::Terms;

/// The row of an order that holds no points and has earned none.
fn empty_row(tx: &Tx<'_>, order_id: OrderId, user_id: UserId) -> OrderPoints {
    OrderPoints {
        order_id,
        user_id,
        state: HoldState::Held,
        redeemed: 0,
        parts: Json(Vec::new()),
        given_back: 0,
        point_value: None,
        earned: 0,
        taken_back: 0,
        lot_id: None,
        counted_at: None,
        created_at: tx.now(),
        changed_at: None,
        cancelled_at: None,
    }
}

/// Holds points for an order, once. Refused if the order's points were released.
pub(crate) fn hold(
    tx: &mut Tx<'_>,
    terms: &Terms,
    order_id: OrderId,
    (user_id, points): (UserId, i64),
) -> Result<(), Error> {
    match OrderPoints::begin(tx, &order_id)? {
        Begin::New => {}
        Begin::Already(rows) => {
            let other = rows.iter().find(|row| row.redeemed != points || row.user_id != user_id);
            return other.map_or(Ok(()), |other| Err(reject::other_points_held(order_id, other.redeemed)));
        }
        Begin::Ended(_) => return Err(reject::points_released(order_id)),
    }
    let mut book = Book::open(tx, terms, user_id)?;
    let parts = book.spend(points, &Cause::order(EntryKind::Redeem, order_id))?;
    book.close()?;
    let held = empty_row(tx, order_id, user_id);
    let (parts, point_value) = (Json(parts), terms.settings.point_value);
    Ok(tx.insert(&OrderPoints { redeemed: points, parts, point_value, ..held })?)
}

/// Posts a confirmed order: the held points are spent, and the earned points are awarded, pending until the end of the
/// return period. Returns false if the order was already posted or released.
pub(crate) fn post(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact, at: Timestamp) -> Result<bool, Error> {
    let Some(user_id) = fact.user_id else { return Ok(false) };
    let order_id = fact.order_id;
    let held = match OrderPoints::begin(tx, &order_id)? {
        Begin::New => Some(empty_row(tx, order_id, user_id)),
        Begin::Already(rows) => rows.into_iter().find(|row| row.state == HoldState::Held),
        Begin::Ended(_) => None,
    };
    let Some(held) = held else { return Ok(false) };
    held.advance(tx, HoldStep::Post, |tx, row, _| spend_and_earn(tx, terms, row, (user_id, fact, at)))?;
    Ok(true)
}

fn spend_and_earn(
    tx: &mut Tx<'_>,
    terms: &Terms,
    row: &mut OrderPoints,
    (user_id, fact, at): (UserId, &OrderFact, Timestamp),
) -> Result<(), Error> {
    let order_id = row.order_id;
    let mut book = Book::open(tx, terms, user_id)?;
    let reference = format!("order:{order_id}");
    if row.redeemed > 0 {
        let value = row.point_value.map(|_| worth::value(row.redeemed, row.point_value, fact.currency));
        book.publish(&PointsRedeemed(PointsFact { user_id, points: row.redeemed, value, reference }))?;
    }
    row.lot_id = book.award(fact.points_earned, Cause::order(EntryKind::Earn, order_id), true)?;
    book.close()?;
    row.earned = row.lot_id.map_or(0, |_| fact.points_earned);
    row.counted_at = Some(at);
    Ok(())
}

/// Applies the return of a part of an order: restores the points that paid for it and revokes those that it earned.
pub(crate) fn return_part(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderReturned) -> Result<(), Error> {
    let Some(mut row) = tx.get::<OrderPoints>(&fact.order_id)?.filter(|row| row.state == HoldState::Posted) else {
        return Ok(());
    };
    let restored = fact.points.clamp(0, row.redeemed - row.given_back);
    let revoked = revoked_share(row.earned, fact.returned, fact.whole).max(row.taken_back);
    let parts = take_parts(&mut row.parts.0, restored);
    let mut book = Book::open(tx, terms, row.user_id)?;
    book.restore(&parts, Cause::order(EntryKind::Restore, fact.order_id), true)?;
    book.revoke(revoked - row.taken_back, row.lot_id, &Cause::order(EntryKind::Revoke, fact.order_id))?;
    book.close()?;
    row.given_back += restored;
    row.taken_back = revoked;
    row.changed_at = Some(tx.now());
    Ok(tx.put(&row)?)
}

/// Removes this many points from the end of the parts and returns them, so that the points that expire last are
/// restored first.
fn take_parts(parts: &mut Vec<Part>, points: i64) -> Vec<Part> {
    let (mut left, mut taken) = (points, Vec::new());
    while let Some(last) = parts.last_mut().filter(|_| left > 0) {
        let points = left.min(last.points);
        taken.push(Part { lot: last.lot, points });
        last.points -= points;
        left -= points;
        parts.retain(|part| part.points > 0);
    }
    taken
}

/// Releases an order: restores its points, held or spent, and revokes the points that it earned.
pub(crate) fn release(tx: &mut Tx<'_>, terms: &Terms, order_id: OrderId) -> Result<(), Error> {
    OrderPoints::release(tx, &order_id, |tx, row, step| restore_and_revoke(tx, terms, row, step))
}

fn restore_and_revoke(tx: &mut Tx<'_>, terms: &Terms, row: &mut OrderPoints, step: HoldStep) -> Result<(), Error> {
    let left = row.redeemed - row.given_back;
    let parts = take_parts(&mut row.parts.0, left);
    let mut book = Book::open(tx, terms, row.user_id)?;
    book.restore(&parts, Cause::order(EntryKind::Restore, row.order_id), step == HoldStep::Reverse)?;
    book.revoke(row.earned - row.taken_back, row.lot_id, &Cause::order(EntryKind::Revoke, row.order_id))?;
    book.close()?;
    (row.given_back, row.taken_back) = (row.redeemed, row.earned);
    Ok(())
}

/// Returns the lock key of a user's account, for engines with row locks.
pub(crate) fn lock_key(user_id: UserId) -> Vec<u8> {
    format!("reward:{user_id}").into_bytes()
}

/// Returns the amount of an order that counts for achievements.
pub(crate) fn paid(fact: &OrderFact) -> Amount {
    fact.total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::LotId;

    #[test]
    fn parts_are_restored_from_the_end() {
        let part = |lot: i64, points: i64| Part { lot: LotId(lot), points };
        let mut parts = vec![part(1, 10), part(2, 5), part(3, 1)];
        assert_eq!(take_parts(&mut parts, 0), []);
        assert_eq!(take_parts(&mut parts, 4), [part(3, 1), part(2, 3)]);
        assert_eq!(parts, [part(1, 10), part(2, 2)]);
        assert_eq!(take_parts(&mut parts, 100), [part(2, 2), part(1, 10)]);
        assert!(parts.is_empty());
    }
}

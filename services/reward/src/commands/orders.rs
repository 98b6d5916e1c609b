//! What orders take and earn: held when an order is placed, posted when it is confirmed, given back by returns and for good.

use promox_contract::ids::OrderId;
use promox_contract::order::{OrderFact, OrderReturned};
use promox_contract::reward::{PointsFact, PointsRedeemed};
use promox_kernel::{Amount, Error, Json, Timestamp, UserId};
use promox_storage::Tx;

use super::book::{Book, Cause};
use crate::records::{EntryKind, OrderPoints, OrderPointsStatus as Status, Part};
use crate::reject;
use crate::rules::returns::gone;
use crate::rules::worth;
use crate::settings::Terms;

fn untouched(tx: &Tx<'_>, order_id: OrderId, user_id: Option<UserId>, status: Status) -> OrderPoints {
    OrderPoints {
        order_id,
        user_id,
        status,
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

/// Takes points for an order, once. An order that gave back does not take again.
pub(crate) fn hold(
    tx: &mut Tx<'_>,
    terms: &Terms,
    order_id: OrderId,
    (user_id, points): (UserId, i64),
) -> Result<(), Error> {
    if let Some(known) = tx.get::<OrderPoints>(&order_id)? {
        return match known.status {
            Status::Released => Err(reject::released(order_id)),
            _ if known.redeemed == points && known.user_id == Some(user_id) => Ok(()),
            _ => Err(reject::other_hold(order_id, known.redeemed)),
        };
    }
    let mut book = Book::open(tx, terms, user_id)?;
    let parts = book.spend(points, &Cause::order(EntryKind::Redeem, order_id))?;
    book.close()?;
    let held = untouched(tx, order_id, Some(user_id), Status::Held);
    let (parts, point_value) = (Json(parts), terms.settings.point_value);
    Ok(tx.insert(&OrderPoints { redeemed: points, parts, point_value, ..held })?)
}

/// An order is confirmed: what it holds is spent, what it earns is given, at once or when the return window ends. Whether it
/// counts: one that gave back before does not.
pub(crate) fn confirm(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderFact, at: Timestamp) -> Result<bool, Error> {
    let Some(user_id) = fact.user_id else { return Ok(false) };
    let order_id = fact.order_id;
    let known = tx.get::<OrderPoints>(&order_id)?;
    let mut row = known.unwrap_or_else(|| untouched(tx, order_id, Some(user_id), Status::Held));
    if row.status != Status::Held {
        return Ok(false);
    }
    let mut book = Book::open(tx, terms, user_id)?;
    let reference = format!("order:{order_id}");
    if row.redeemed > 0 {
        let value = row.point_value.map(|_| worth::value(row.redeemed, row.point_value, fact.currency));
        book.tell(&PointsRedeemed(PointsFact { user_id, points: row.redeemed, value, reference }))?;
    }
    row.lot_id = book.award(fact.points_earned, Cause::order(EntryKind::Earn, order_id), true)?;
    book.close()?;
    row.earned = row.lot_id.map_or(0, |_| fact.points_earned);
    row.status = Status::Posted;
    row.counted_at = Some(at);
    row.changed_at = Some(tx.now());
    tx.put(&row)?;
    Ok(true)
}

/// A part of an order came back: the points that paid it go back, those that it earned are taken back.
pub(crate) fn return_part(tx: &mut Tx<'_>, terms: &Terms, fact: &OrderReturned) -> Result<(), Error> {
    let Some(mut row) = tx.get::<OrderPoints>(&fact.order_id)?.filter(|row| row.status == Status::Posted) else {
        return Ok(());
    };
    let Some(user_id) = row.user_id else { return Ok(()) };
    let back = fact.points.clamp(0, row.redeemed - row.given_back);
    let taken = gone(row.earned, fact.returned, fact.whole).max(row.taken_back);
    let parts = take_parts(&mut row.parts.0, back);
    let mut book = Book::open(tx, terms, user_id)?;
    book.restore(&parts, Cause::order(EntryKind::Restore, fact.order_id), true)?;
    book.revoke(taken - row.taken_back, row.lot_id, &Cause::order(EntryKind::Revoke, fact.order_id))?;
    book.close()?;
    row.given_back += back;
    row.taken_back = taken;
    row.changed_at = Some(tx.now());
    Ok(tx.put(&row)?)
}

/// The last of the parts, so that what lapses last comes back first; the others stay.
fn take_parts(parts: &mut Vec<Part>, points: i64) -> Vec<Part> {
    let (mut left, mut taken) = (points, Vec::new());
    while let Some(last) = parts.last_mut().filter(|_| left > 0) {
        let now = left.min(last.points);
        taken.push(Part { lot: last.lot, points: now });
        last.points -= now;
        left -= now;
        parts.retain(|part| part.points > 0);
    }
    taken
}

/// Gives an order's points back, held or spent, and takes back what it earned, once. Without any, it notes that late ones
/// must not be taken.
pub(crate) fn release(tx: &mut Tx<'_>, terms: &Terms, order_id: OrderId) -> Result<(), Error> {
    let Some(mut row) = tx.get::<OrderPoints>(&order_id)? else {
        let row = untouched(tx, order_id, None, Status::Released);
        return Ok(tx.insert(&row)?);
    };
    let (Some(user_id), true) = (row.user_id, row.status != Status::Released) else { return Ok(()) };
    let left = row.redeemed - row.given_back;
    let parts = take_parts(&mut row.parts.0, left);
    let mut book = Book::open(tx, terms, user_id)?;
    book.restore(&parts, Cause::order(EntryKind::Restore, order_id), row.status == Status::Posted)?;
    book.revoke(row.earned - row.taken_back, row.lot_id, &Cause::order(EntryKind::Revoke, order_id))?;
    book.close()?;
    (row.given_back, row.taken_back, row.status) = (row.redeemed, row.earned, Status::Released);
    row.changed_at = Some(tx.now());
    Ok(tx.put(&row)?)
}

/// What an engine that locks takes one after the other: the user's account.
pub(crate) fn lock(user_id: UserId) -> Vec<u8> {
    format!("reward:{user_id}").into_bytes()
}

/// What an order that was confirmed was paid, for achievements.
pub(crate) fn paid(fact: &OrderFact) -> Amount {
    fact.total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::LotId;

    #[test]
    fn parts_come_back_from_the_end() {
        let part = |lot: i64, points: i64| Part { lot: LotId(lot), points };
        let mut parts = vec![part(1, 10), part(2, 5), part(3, 1)];
        assert_eq!(take_parts(&mut parts, 0), []);
        assert_eq!(take_parts(&mut parts, 4), [part(3, 1), part(2, 3)]);
        assert_eq!(parts, [part(1, 10), part(2, 2)]);
        assert_eq!(take_parts(&mut parts, 100), [part(2, 2), part(1, 10)]);
        assert!(parts.is_empty());
    }
}

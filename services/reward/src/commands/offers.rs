//! Commands on offers: edited by staff and redeemed by users. A redemption spends the points first, then the coupon is
//! issued; the state in between is recorded.

use std::time::Duration;

use promox_contract::audit::Audited;
use promox_contract::reward::{PointsFact, PointsRedeemed};
use promox_kernel::{BackOff, Cx, Error, Faults, Json, UserId, bounded, multiline};
use promox_storage::{Recall, StoreError, Tx};
use serde_json::{Value, json};

use super::book::{Book, Cause};
use crate::api::{CreateOffer, OfferView, UpdateOffer};
use crate::queries::{self, offer_view};
use crate::records::{
    EntryKind, Offer, OfferId, OfferRedemptionStatus as Status, Redemption, RedemptionByDue, RedemptionId,
};
use crate::rules::calendar::INSTANT;
use crate::settings::Terms;

/// How long only the request that created a redemption works on it. After that, the job continues it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The delays before the coupon is requested again.
const BACK_OFF: BackOff = BackOff { first: Duration::from_secs(2), doublings: 7 };
/// The maximum price of an offer, in points.
const MAX_POINTS: i64 = 1_000_000_000;
/// The maximum validity of a coupon, in days.
const MAX_DAYS: u32 = 3_650;

fn faults_of(offer: &Offer) -> Faults {
    let mut faults = Faults::default();
    let texts = [("/name", bounded(&offer.name, 1, 200)), ("/description", multiline(&offer.description, 0, 2_000))];
    for (pointer, checked) in texts {
        faults.take(pointer, checked);
    }
    if !(1..=MAX_POINTS).contains(&offer.points) {
        faults.note("/points", "must be 1 to 1,000,000,000 points");
    }
    if offer.valid_days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
        faults.note("/validDays", "must be 1 to 3,650 days; null for no expiry");
    }
    faults
}

fn audit_summary(offer: &Offer) -> Value {
    json!({ "points": offer.points, "promotionId": offer.promotion_id, "validDays": offer.valid_days })
}

fn audit_change(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: OfferId,
    (before, after): (Value, Value),
) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("reward_offer:{id}"), before, after))
}

/// Creates an offer.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, op: &CreateOffer) -> Result<OfferView, Error> {
    let now = tx.now();
    let offer = Offer {
        id: OfferId(tx.next_id::<Offer>()?),
        name: op.name.trim().to_owned(),
        description: op.description.clone().unwrap_or_default(),
        points: i64::from(op.points),
        promotion_id: op.promotion_id,
        valid_days: op.valid_days,
        listed: Some(true),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    faults_of(&offer).finish()?;
    tx.insert(&offer)?;
    audit_change(tx, cx, "reward_offer.create", offer.id, (Value::Null, audit_summary(&offer)))?;
    Ok(offer_view(offer))
}

/// Changes the members of an offer that are sent.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, op: &UpdateOffer) -> Result<OfferView, Error> {
    let before = queries::offer(tx, op.id)?;
    cx.check_version(before.version)?;
    let mut after = before.clone();
    if let Some(name) = &op.name {
        name.trim().clone_into(&mut after.name);
    }
    after.description = op.description.clone().or_default().unwrap_or(after.description);
    after.points = op.points.map_or(after.points, i64::from);
    after.promotion_id = op.promotion_id.unwrap_or(after.promotion_id);
    op.valid_days.clone().apply(&mut after.valid_days);
    faults_of(&after).finish()?;
    if after != before {
        after.version += 1;
        after.updated_at = tx.now();
        tx.put(&after)?;
        audit_change(tx, cx, "reward_offer.update", after.id, (audit_summary(&before), audit_summary(&after)))?;
    }
    Ok(offer_view(after))
}

/// Deletes an offer. Issued coupons stay valid.
pub(crate) fn delete(tx: &mut Tx<'_>, cx: &Cx, id: OfferId) -> Result<(), Error> {
    let mut offer = queries::offer(tx, id)?;
    cx.check_version(offer.version)?;
    offer.listed = None;
    offer.updated_at = tx.now();
    tx.put(&offer)?;
    Ok(audit_change(tx, cx, "reward_offer.delete", id, (audit_summary(&offer), Value::Null))?)
}

/// Starts the redemption of an offer: the points are spent, and the coupon is pending. The same idempotency key returns
/// the same redemption.
pub(crate) fn redeem(
    tx: &mut Tx<'_>,
    terms: &Terms,
    cx: &Cx,
    (user_id, offer_id): (UserId, OfferId),
) -> Result<Redemption, Error> {
    if let Some(claim) = &cx.claim
        && let Recall::Undecided(id) = tx.recall(claim)?
    {
        return tx.get::<Redemption>(&RedemptionId(id))?.ok_or(Error::not_found("redemption"));
    }
    let offer = queries::offer(tx, offer_id)?;
    let id = RedemptionId(tx.next_id::<Redemption>()?);
    let reference = format!("redemption:{id}");
    let mut book = Book::open(tx, terms, user_id)?;
    let parts = book.spend(offer.points, &Cause::of(EntryKind::Redeem, reference))?;
    book.close()?;
    let redemption = Redemption {
        id,
        user_id,
        offer_id,
        points: offer.points,
        promotion_id: offer.promotion_id,
        valid_days: offer.valid_days,
        parts: Json(parts),
        status: Status::Pending,
        coupon_code: None,
        due_at: Some(tx.now() + REQUEST_TIMEOUT),
        tries: 0,
        created_at: tx.now(),
        completed_at: None,
    };
    tx.insert(&redemption)?;
    if let Some(claim) = &cx.claim {
        tx.claim(claim, id.0)?;
    }
    Ok(redemption)
}

/// Returns a redemption: as `Ok` if it is pending, as `Err` if it is completed.
fn pending(tx: &Tx<'_>, id: RedemptionId) -> Result<Result<Redemption, Redemption>, Error> {
    let row = tx.get::<Redemption>(&id)?.ok_or(Error::not_found("redemption"))?;
    Ok(if row.status == Status::Pending { Ok(row) } else { Err(row) })
}

/// Records that the coupon of a redemption was issued.
pub(crate) fn record_issued(tx: &mut Tx<'_>, id: RedemptionId, code: &str) -> Result<Redemption, Error> {
    let mut row = match pending(tx, id)? {
        Ok(row) => row,
        Err(done) => return Ok(done),
    };
    row.status = Status::Issued;
    row.coupon_code = Some(code.to_owned());
    complete(tx, &mut row)?;
    let (user_id, points, reference) = (row.user_id, row.points, format!("redemption:{id}"));
    tx.emit(user_id, &PointsRedeemed(PointsFact { user_id, points, value: None, reference }))?;
    Ok(row)
}

/// Records that the coupon of a redemption can no longer be issued, and restores the points.
pub(crate) fn record_failed(tx: &mut Tx<'_>, terms: &Terms, id: RedemptionId) -> Result<Redemption, Error> {
    let mut row = match pending(tx, id)? {
        Ok(row) => row,
        Err(done) => return Ok(done),
    };
    let mut book = Book::open(tx, terms, row.user_id)?;
    book.restore(&row.parts.0, Cause::of(EntryKind::Restore, format!("redemption:{id}")), false)?;
    book.close()?;
    row.status = Status::Failed;
    complete(tx, &mut row)?;
    Ok(row)
}

fn complete(tx: &mut Tx<'_>, row: &mut Redemption) -> Result<(), StoreError> {
    row.due_at = None;
    row.completed_at = Some(tx.now());
    tx.put(row)
}

/// Schedules another request for the coupon, because the outcome of the last one is unknown.
pub(crate) fn retry_later(tx: &mut Tx<'_>, id: RedemptionId) -> Result<Redemption, Error> {
    let mut row = match pending(tx, id)? {
        Ok(row) => row,
        Err(done) => return Ok(done),
    };
    row.tries += 1;
    row.due_at = Some(tx.now() + BACK_OFF.after(row.tries));
    tx.put(&row)?;
    Ok(row)
}

/// Makes one bounded batch of pending redemptions due. Returns whether there may be more.
pub(crate) fn make_pending_due(tx: &mut Tx<'_>, most: usize) -> Result<bool, StoreError> {
    let now = tx.now();
    let waiting = tx.scan_by::<RedemptionByDue>().from(Some(now + INSTANT)).collect(most)?;
    for mut row in waiting.iter().cloned() {
        row.due_at = Some(now);
        tx.put(&row)?;
    }
    Ok(waiting.len() == most)
}

/// Returns pending redemptions that are due, at most `most`.
pub(crate) fn due(tx: &Tx<'_>, cx: &Cx, most: usize) -> Result<Vec<Redemption>, StoreError> {
    tx.scan_by::<RedemptionByDue>().before(Some(cx.now + INSTANT)).collect(most)
}

//! Redemptions are made once and released once per reference, and never exceed a limit.

use promox_contract::audit::Audited;
use promox_contract::coupon::{CouponRedeemed, CouponReleased, normal_code};
use promox_contract::ids::OrderId;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Cx, Error};
use promox_storage::{Begin, Hold, HoldState, HoldStep, StoreError, Tx};

use crate::api::{RedemptionStatus, RedemptionView};
use crate::queries::{self, redemption_view};
use crate::records::{Coupon, Redemption, RedemptionByReference};
use crate::reject;
use crate::rules::code::subject;
use crate::rules::person::Redeemer;

/// The reference of an order's redemptions.
pub(crate) fn order_reference(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// The coupon with a code, if the person can redeem it now. Otherwise the refusal has the reason.
fn redeemable_coupon(tx: &Tx<'_>, code: &str, person: &Redeemer) -> Result<Coupon, Error> {
    let invalid = |reason| reject::invalid_coupon(code.to_owned(), reason);
    let coupon = tx.get::<Coupon>(&normal_code(code))?.ok_or_else(|| invalid(RejectReason::Unknown))?;
    match queries::reject_reason(tx, &coupon, person, tx.now())? {
        Some(reason) => Err(invalid(reason)),
        None => Ok(coupon),
    }
}

/// Records a redemption of a valid coupon.
fn record_redemption(
    tx: &mut Tx<'_>,
    mut coupon: Coupon,
    person: &Redeemer,
    reference: &str,
    order_id: Option<OrderId>,
) -> Result<Redemption, StoreError> {
    let mut emails = person.emails().cloned();
    let (email, other) = (emails.next(), emails.next());
    let (email, email_exact) = email.map_or((None, None), |key| (Some(key.name), key.exact));
    let (other_email, other_exact) = other.map_or((None, None), |key| (Some(key.name), key.exact));
    let redemption = Redemption {
        id: tx.next_id::<Redemption>()?,
        code: coupon.code.clone(),
        promotion_id: coupon.promotion_id,
        reference: reference.to_owned(),
        order_id,
        user_id: person.user_id,
        email,
        email_exact,
        other_email,
        other_exact,
        user_limit: coupon.per_user_limit,
        state: HoldState::Held,
        redeemed_at: tx.now(),
        released_at: None,
    };
    tx.insert(&redemption)?;
    coupon.redeemed += 1;
    tx.put(&coupon)?;
    let (promotion_id, user_id) = (coupon.promotion_id, person.user_id);
    let fact = CouponRedeemed { promotion_id, reference: reference.to_owned(), user_id };
    tx.emit(redemption.id, &fact)?;
    Ok(redemption)
}

/// Applies a step of a redemption's hold: a release reduces the coupon's count, and posting changes nothing.
fn apply_step(tx: &mut Tx<'_>, redemption: &mut Redemption, step: HoldStep) -> Result<(), Error> {
    if step == HoldStep::Post {
        return Ok(());
    }
    if let Some(mut coupon) = tx.get::<Coupon>(&redemption.code)? {
        coupon.redeemed = coupon.redeemed.saturating_sub(1);
        tx.put(&coupon)?;
    }
    let fact = CouponReleased { promotion_id: redemption.promotion_id, reference: redemption.reference.clone() };
    Ok(tx.emit(redemption.id, &fact)?)
}

/// Redeems a coupon under a caller's reference. Repeating the call returns the same redemption.
pub(crate) fn redeem(
    tx: &mut Tx<'_>,
    cx: &Cx,
    (code, reference): (&str, &str),
    person: &Redeemer,
) -> Result<RedemptionView, Error> {
    let normal = normal_code(code);
    if tx.get::<Coupon>(&normal)?.is_none() {
        return Err(Error::not_found("coupon"));
    }
    match tx.get_by::<RedemptionByReference>((reference, &normal))? {
        Some(known) if known.state.is_live() => return Ok(redemption_view(known)),
        Some(_) => return Err(reject::redemption_released(reference.to_owned())),
        None => {}
    }
    let coupon = redeemable_coupon(tx, code, person)?;
    let redemption = record_redemption(tx, coupon, person, reference, None)?;
    audit_change(tx, cx, "coupon.redeem", &redemption)?;
    Ok(redemption_view(redemption))
}

/// Releases a caller's redemption. Repeating the call changes nothing. Refuses redemptions of orders.
pub(crate) fn release(tx: &mut Tx<'_>, cx: &Cx, code: &str, reference: &str) -> Result<RedemptionView, Error> {
    let known = tx.get_by::<RedemptionByReference>((reference, normal_code(code)))?;
    let known = known.ok_or(Error::not_found("redemption"))?;
    if known.order_id.is_some() {
        return Err(reject::belongs_to_order());
    }
    if !known.state.is_live() {
        return Ok(redemption_view(known));
    }
    let released = known.advance(tx, HoldStep::Release, apply_step)?;
    audit_change(tx, cx, "coupon.release", &released)?;
    Ok(redemption_view(released))
}

/// Records a change in the audit trail.
fn audit_change(tx: &mut Tx<'_>, cx: &Cx, action: &str, redemption: &Redemption) -> Result<(), StoreError> {
    let after =
        serde_json::json!({ "reference": redemption.reference, "status": RedemptionStatus::of(redemption.state) });
    tx.emit(redemption.id, &Audited::new(cx.principal.name(), action, subject(&redemption.code), (), after))
}

/// Holds an order's coupons, all or nothing. Repeating the call changes nothing; after a release it is refused.
pub(crate) fn hold(tx: &mut Tx<'_>, order_id: OrderId, person: &Redeemer, codes: &[String]) -> Result<(), Error> {
    let reference = order_reference(order_id);
    match Redemption::begin(tx, &reference)? {
        Begin::New => {}
        Begin::Already(_) => return Ok(()),
        Begin::Ended(_) => return Err(reject::redemption_released(reference)),
    }
    let mut coupons: Vec<Coupon> = Vec::with_capacity(codes.len());
    for code in codes {
        let coupon = redeemable_coupon(tx, code, person)?;
        if !coupons.iter().any(|held| held.code == coupon.code) {
            coupons.push(coupon);
        }
    }
    for coupon in coupons {
        record_redemption(tx, coupon, person, &reference, Some(order_id))?;
    }
    Ok(())
}

/// Releases an order's redemptions.
pub(crate) fn release_order(tx: &mut Tx<'_>, order_id: OrderId) -> Result<(), Error> {
    Redemption::release(tx, &order_reference(order_id), apply_step)
}

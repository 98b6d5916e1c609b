//! Single coupons are created, updated, imported, and issued to a user.

use promox_contract::audit::Audited;
use promox_contract::codes;
use promox_contract::coupon::CouponsIssued;
use promox_contract::ids::PromotionId;
use promox_contract::import::RowOutcome;
use promox_kernel::{Cx, Error, FieldError, Timestamp, UserId};
use promox_storage::{StoreError, Tx};
use serde_json::{Value, json};

use crate::api::{CouponSwitch, CouponView, UpdateCoupon};
use crate::queries::{Batches, batch_disabled};
use crate::records::{Coupon, Issue};
use crate::reject;
use crate::rules::code::subject;
use crate::rules::eligibility::Terms;

/// A coupon to create.
#[derive(Clone, Debug)]
pub(crate) struct NewCoupon {
    /// The code as written, and in normal form.
    pub(crate) code: (String, String),
    pub(crate) promotion_id: PromotionId,
    pub(crate) user_id: Option<UserId>,
    pub(crate) terms: Terms,
}

impl NewCoupon {
    fn row(&self, now: Timestamp) -> Coupon {
        let (written, normal) = self.code.clone();
        Coupon {
            written: (written != normal).then_some(written),
            code: normal,
            promotion_id: self.promotion_id,
            batch_id: None,
            max_redemptions: self.terms.max_redemptions,
            per_user_limit: self.terms.per_user_limit,
            user_id: self.user_id,
            starts_at: self.terms.starts_at,
            ends_at: self.terms.ends_at,
            disabled: false,
            redeemed: 0,
            version: 1,
            created_at: now,
        }
    }
}

impl Coupon {
    fn terms(&self) -> Terms {
        Terms {
            max_redemptions: self.max_redemptions,
            per_user_limit: self.per_user_limit,
            starts_at: self.starts_at,
            ends_at: self.ends_at,
        }
    }

    fn set_terms(&mut self, terms: Terms) {
        let Terms { max_redemptions, per_user_limit, starts_at, ends_at } = terms;
        self.max_redemptions = max_redemptions;
        self.per_user_limit = per_user_limit;
        self.starts_at = starts_at;
        self.ends_at = ends_at;
    }

    /// The members that the audit trail records.
    fn audit_summary(&self) -> Value {
        json!({
            "promotionId": self.promotion_id, "userId": self.user_id, "disabled": self.disabled,
            "maxRedemptions": self.max_redemptions, "perUserLimit": self.per_user_limit,
            "startsAt": self.starts_at, "endsAt": self.ends_at,
        })
    }
}

/// Records a change in the audit trail.
pub(crate) fn audit_change(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    normal: &str,
    (before, after): (Value, Value),
) -> Result<(), StoreError> {
    tx.emit(1, &Audited::new(cx.principal.name(), action, subject(normal), before, after))
}

/// Inserts a coupon, or refuses if the code is taken.
fn insert(tx: &mut Tx<'_>, new: &NewCoupon) -> Result<Coupon, Error> {
    let coupon = new.row(tx.now());
    if tx.get::<Coupon>(&coupon.code)?.is_some() {
        return Err(reject::code_taken(new.code.0.clone()));
    }
    tx.insert(&coupon)?;
    tx.emit(coupon.promotion_id, &CouponsIssued { promotion_id: coupon.promotion_id, count: 1 })?;
    Ok(coupon)
}

/// Creates a coupon.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, new: &NewCoupon) -> Result<CouponView, Error> {
    let coupon = insert(tx, new)?;
    audit_change(tx, cx, "coupon.create", &coupon.code, (Value::Null, coupon.audit_summary()))?;
    let now = tx.now();
    Ok(Batches::default().view(tx, coupon, now)?)
}

/// Updates the members that the request has.
pub(crate) fn update(tx: &mut Tx<'_>, cx: &Cx, normal: &String, change: &UpdateCoupon) -> Result<CouponView, Error> {
    let before = tx.get::<Coupon>(normal)?.ok_or(Error::not_found("coupon"))?;
    cx.check_version(before.version)?;
    let mut after = before.clone();
    let mut terms = before.terms();
    change.max_redemptions.clone().apply(&mut terms.max_redemptions);
    change.per_user_limit.clone().apply(&mut terms.per_user_limit);
    change.starts_at.clone().apply(&mut terms.starts_at);
    change.ends_at.clone().apply(&mut terms.ends_at);
    change.user_id.clone().apply(&mut after.user_id);
    check_terms(&terms)?;
    after.set_terms(terms);
    if after.max_redemptions.is_some_and(|most| most < after.redeemed) {
        return Err(reject::already_redeemed(after.redeemed));
    }
    if let Some(switch) = change.status {
        after.disabled = switch == CouponSwitch::Disabled;
        if !after.disabled && batch_disabled(tx, &before)? {
            return Err(reject::batch_disabled());
        }
    }
    if after != before {
        after.version += 1;
        tx.put(&after)?;
        audit_change(tx, cx, "coupon.update", normal, (before.audit_summary(), after.audit_summary()))?;
    }
    let now = tx.now();
    Ok(Batches::default().view(tx, after, now)?)
}

fn check_terms(terms: &Terms) -> Result<(), Error> {
    terms.faults().finish()
}

/// Imports a coupon that was issued elsewhere, or updates it. Members that the row leaves out keep their values.
pub(crate) fn import(tx: &mut Tx<'_>, cx: &Cx, new: &NewCoupon) -> Result<RowOutcome, Error> {
    check_terms(&new.terms)?;
    let Some(before) = tx.get::<Coupon>(&new.code.1)? else {
        let coupon = insert(tx, new)?;
        audit_change(tx, cx, "coupon.import", &coupon.code, (Value::Null, coupon.audit_summary()))?;
        return Ok(RowOutcome::Created);
    };
    if before.promotion_id != new.promotion_id || before.batch_id.is_some() {
        return Err(reject::code_taken(new.code.0.clone()));
    }
    let mut after = before.clone();
    let known = before.terms();
    let terms = Terms {
        max_redemptions: new.terms.max_redemptions.or(known.max_redemptions),
        per_user_limit: new.terms.per_user_limit.or(known.per_user_limit),
        starts_at: new.terms.starts_at.or(known.starts_at),
        ends_at: new.terms.ends_at.or(known.ends_at),
    };
    check_terms(&terms)?;
    after.set_terms(terms);
    after.user_id = new.user_id.or(before.user_id);
    if after.max_redemptions.is_some_and(|most| most < after.redeemed) {
        return Err(reject::already_redeemed(after.redeemed));
    }
    if after == before {
        return Ok(RowOutcome::Skipped);
    }
    after.version += 1;
    tx.put(&after)?;
    audit_change(tx, cx, "coupon.import", &after.code, (before.audit_summary(), after.audit_summary()))?;
    Ok(RowOutcome::Updated)
}

/// Issues a personal coupon once per reference. Returns its code as written.
pub(crate) fn issue(tx: &mut Tx<'_>, reference: &str, new: &NewCoupon) -> Result<String, Error> {
    if let Some(known) = tx.get::<Issue>(&reference.to_owned())? {
        return Ok(known.code);
    }
    insert(tx, new)?;
    let issue = Issue { reference: reference.to_owned(), code: new.code.0.clone(), at: tx.now() };
    tx.insert(&issue)?;
    Ok(issue.code)
}

/// UNKNOWN_PROMOTION: the promotion does not exist.
pub(crate) fn unknown_promotion(id: PromotionId) -> Error {
    Error::invalid(vec![FieldError::coded(
        "/promotionId".to_owned(),
        codes::UNKNOWN_PROMOTION,
        format!("there is no promotion {id}"),
    )])
}

/// UNKNOWN_USER: the account does not exist.
pub(crate) fn unknown_user(id: UserId) -> Error {
    Error::invalid(vec![FieldError::coded(
        "/userId".to_owned(),
        codes::UNKNOWN_USER,
        format!("there is no account {id}"),
    )])
}

//! Batches are requested, filled in chunks, and disabled by one row.

use promox_contract::audit::Audited;
use promox_contract::coupon::CouponsIssued;
use promox_contract::ids::PromotionId;
use promox_kernel::{Cx, Error, FieldError, Timestamp};
use promox_storage::{Recall, StoreError, Tx};
use serde_json::json;

use crate::CreateBatch;
use crate::api::BatchView;
use crate::queries::batch_view;
use crate::records::{Batch, BatchId, BatchStatus, Coupon};
use crate::rules::code;
use crate::rules::eligibility::{Terms, days};
use crate::rules::pattern::Pattern;

/// A requested batch.
#[derive(Clone, Debug)]
pub(crate) struct NewBatch {
    pub(crate) promotion_id: PromotionId,
    pub(crate) count: i64,
    pub(crate) pattern: String,
    pub(crate) terms: Terms,
}

/// Creates a batch. A repeated request with the same idempotency key returns the same batch with its progress.
pub(crate) fn create(tx: &mut Tx<'_>, cx: &Cx, new: &NewBatch) -> Result<BatchView, Error> {
    if let Some(claim) = &cx.claim
        && let Recall::Undecided(id) = tx.recall(claim)?
    {
        return tx.get::<Batch>(&BatchId(id))?.map(batch_view).ok_or(Error::not_found("batch"));
    }
    let batch = Batch {
        id: BatchId(tx.next_id::<Batch>()?),
        promotion_id: new.promotion_id,
        pattern: new.pattern.clone(),
        count: new.count,
        generated: 0,
        max_redemptions: new.terms.max_redemptions,
        per_user_limit: new.terms.per_user_limit,
        starts_at: new.terms.starts_at,
        ends_at: new.terms.ends_at,
        status: BatchStatus::Generating,
        making: Some(true),
        version: 1,
        created_at: tx.now(),
        completed_at: None,
        disabled_at: None,
    };
    tx.insert(&batch)?;
    if let Some(claim) = &cx.claim {
        tx.claim(claim, batch.id.0)?;
    }
    let after = json!({ "promotionId": batch.promotion_id, "count": batch.count });
    audit_change(tx, cx, "coupon.bulk", batch.id, after)?;
    Ok(batch_view(batch))
}

/// Records a change in the audit trail.
fn audit_change(
    tx: &mut Tx<'_>,
    cx: &Cx,
    action: &str,
    id: BatchId,
    after: serde_json::Value,
) -> Result<(), StoreError> {
    tx.emit(id, &Audited::new(cx.principal.name(), action, format!("coupon_batch:{id}"), (), after))
}

/// Adds the next codes of a batch, which were drawn for ordinals starting at `from`. Returns whether more are to be
/// generated. Does nothing if the batch has progressed meanwhile or is disabled.
pub(crate) fn add(tx: &mut Tx<'_>, id: BatchId, from: i64, codes: &[String]) -> Result<bool, StoreError> {
    let Some(mut batch) = tx.get::<Batch>(&id)?.filter(|batch| batch.making.is_some()) else { return Ok(false) };
    if batch.generated != from {
        return Ok(true);
    }
    for code in codes {
        tx.insert(&coupon_of(&batch, code))?;
    }
    let added = i64::try_from(codes.len()).unwrap_or(0);
    batch.generated += added;
    if batch.generated >= batch.count {
        batch.status = BatchStatus::Completed;
        batch.making = None;
        batch.completed_at = Some(tx.now());
    }
    tx.emit(batch.promotion_id, &CouponsIssued { promotion_id: batch.promotion_id, count: added })?;
    tx.put(&batch)?;
    Ok(batch.making.is_some())
}

fn coupon_of(batch: &Batch, code: &str) -> Coupon {
    Coupon {
        code: code.to_owned(),
        promotion_id: batch.promotion_id,
        batch_id: Some(batch.id),
        written: None,
        max_redemptions: batch.max_redemptions,
        per_user_limit: batch.per_user_limit,
        user_id: None,
        starts_at: batch.starts_at,
        ends_at: batch.ends_at,
        disabled: false,
        redeemed: 0,
        version: 1,
        created_at: batch.created_at,
    }
}

/// Marks a batch as failed because its pattern has no free codes left.
pub(crate) fn mark_failed(tx: &mut Tx<'_>, id: BatchId) -> Result<(), StoreError> {
    let Some(mut batch) = tx.get::<Batch>(&id)?.filter(|batch| batch.making.is_some()) else { return Ok(()) };
    batch.status = BatchStatus::Failed;
    batch.making = None;
    tx.put(&batch)
}

/// Disables a batch. Repeating the call changes nothing.
pub(crate) fn disable(tx: &mut Tx<'_>, cx: &Cx, id: BatchId) -> Result<BatchView, Error> {
    let mut batch = tx.get::<Batch>(&id)?.ok_or(Error::not_found("batch"))?;
    cx.check_version(batch.version)?;
    if batch.disabled_at.is_none() {
        batch.status = BatchStatus::Disabled;
        batch.making = None;
        batch.disabled_at = Some(tx.now());
        batch.version += 1;
        tx.put(&batch)?;
        audit_change(tx, cx, "coupon.disable_batch", id, json!({ "disabledAt": batch.disabled_at }))?;
    }
    Ok(batch_view(batch))
}

/// Maximum codes of a batch.
const MAX_CODES: i64 = 10_000_000;

/// Maximum days that a batch is valid.
const MAX_DAYS: u32 = 3_650;

impl NewBatch {
    /// The batch that a request asks for. The error lists every fault.
    pub(crate) fn read(op: &CreateBatch, now: Timestamp) -> Result<Self, Error> {
        let valid_until = op.valid_days.map(|valid| now + days(valid));
        let terms = Terms {
            max_redemptions: op.max_redemptions.or(Some(1)),
            per_user_limit: op.per_user_limit,
            starts_at: op.starts_at,
            ends_at: op.ends_at.into_iter().chain(valid_until).min(),
        };
        let mut faults = terms.faults();
        if !(1..=MAX_CODES).contains(&op.count) {
            faults.note("/count", format!("must be 1 to {MAX_CODES}"));
        }
        if op.valid_days.is_some_and(|valid| !(1..=MAX_DAYS).contains(&valid)) {
            faults.note("/validDays", format!("must be 1 to {MAX_DAYS} days"));
        }
        let pattern = pattern(op).map_err(|fault| faults.add(fault)).ok();
        match pattern {
            Some(pattern) if faults.is_empty() => {
                let pointer = if op.pattern.is_some() { "/pattern" } else { "/length" };
                pattern.check_unguessable(op.count).map_err(|fault| Error::field(pointer, fault))?;
                Ok(Self { promotion_id: op.promotion_id, count: op.count, pattern: pattern.text(), terms })
            }
            _ => Err(Error::invalid(faults.into_list())),
        }
    }
}

/// The pattern of a batch, given as such or as prefix and length.
fn pattern(op: &CreateBatch) -> Result<Pattern, FieldError> {
    if let Some(text) = &op.pattern {
        if op.prefix.is_some() || op.length.is_some() {
            return Err(FieldError::new("/pattern", "a pattern excludes prefix and length: leave them out"));
        }
        return Pattern::parse(text).map_err(|fault| FieldError::new("/pattern", fault));
    }
    let prefix = op.prefix.as_deref().unwrap_or_default().trim();
    if prefix.chars().count() > 20 || prefix.contains('#') {
        return Err(FieldError::new("/prefix", "must be up to 20 letters, digits and separators"));
    }
    let length = op.length.map_or(code::DEFAULT_LENGTH, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if !(6..=20).contains(&length) {
        return Err(FieldError::new("/length", "must be 6 to 20 random characters"));
    }
    Pattern::parse(&format!("{prefix}{}", "#".repeat(length))).map_err(|fault| FieldError::new("/prefix", fault))
}

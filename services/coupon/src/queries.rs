//! Queries: coupons, redemptions, batches, and the reason why a code is not valid for a buyer.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};

use promox_contract::buyer::PersonKey;
use promox_contract::coupon::normal_code;
use promox_contract::ids::PromotionId;
use promox_contract::promotion::{RejectReason, ResolvedCode};
use promox_kernel::{Error, Page, Timestamp};
use promox_storage::{HoldState, StoreError, Tx};

use crate::api::{
    BatchView, CouponView, ListBatches, ListCoupons, ListRedemptions, RedemptionFilter, RedemptionStatus,
    RedemptionView,
};
use crate::records::{
    Batch, BatchByCreated, BatchId, Coupon, CouponByPromotion, CouponStatus, Redemption, RedemptionByCode,
    RedemptionByEmail, RedemptionByOtherEmail, RedemptionByReference, RedemptionByUser,
};
use crate::rules::pattern::Pattern;
use crate::rules::person::Redeemer;

/// Maximum rows examined for a filtered page.
const MAX_VISITED: usize = 2_000;

/// A cache of the batches read in one request: whether each is disabled, and its pattern.
#[derive(Default)]
pub(crate) struct Batches(BTreeMap<BatchId, (bool, Option<Pattern>)>);

impl Batches {
    fn of(&mut self, tx: &Tx<'_>, id: BatchId) -> Result<&(bool, Option<Pattern>), StoreError> {
        Ok(match self.0.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let batch = tx.get::<Batch>(&id)?;
                let pattern = batch.as_ref().and_then(|batch| Pattern::parse(&batch.pattern).ok());
                place.insert((batch.is_some_and(|batch| batch.disabled_at.is_some()), pattern))
            }
        })
    }

    /// The status of a coupon.
    pub(crate) fn status(&mut self, tx: &Tx<'_>, coupon: &Coupon, now: Timestamp) -> Result<CouponStatus, StoreError> {
        let disabled = match coupon.batch_id {
            Some(id) => self.of(tx, id)?.0,
            None => false,
        };
        Ok(coupon.status(disabled, now))
    }

    /// A coupon's code as written.
    pub(crate) fn written(&mut self, tx: &Tx<'_>, coupon: &Coupon) -> Result<String, StoreError> {
        if let Some(written) = &coupon.written {
            return Ok(written.clone());
        }
        let pattern = match coupon.batch_id {
            Some(id) => self.of(tx, id)?.1.as_ref(),
            None => None,
        };
        Ok(pattern.map_or_else(|| coupon.code.clone(), |pattern| pattern.format(&coupon.code)))
    }

    /// Builds the view of a coupon.
    pub(crate) fn view(&mut self, tx: &Tx<'_>, coupon: Coupon, now: Timestamp) -> Result<CouponView, StoreError> {
        Ok(CouponView {
            code: self.written(tx, &coupon)?,
            status: self.status(tx, &coupon, now)?,
            promotion_id: coupon.promotion_id,
            batch_id: coupon.batch_id,
            redeemed: coupon.redeemed,
            max_redemptions: coupon.max_redemptions,
            per_user_limit: coupon.per_user_limit,
            user_id: coupon.user_id,
            starts_at: coupon.starts_at,
            ends_at: coupon.ends_at,
            version: coupon.version,
            created_at: coupon.created_at,
        })
    }
}

/// Returns whether the batch of a coupon, if it has one, is disabled.
pub(crate) fn batch_disabled(tx: &Tx<'_>, coupon: &Coupon) -> Result<bool, StoreError> {
    match coupon.batch_id {
        Some(id) => Ok(tx.get::<Batch>(&id)?.is_some_and(|batch| batch.disabled_at.is_some())),
        None => Ok(false),
    }
}

/// The reason why a person cannot redeem a coupon now; `None` if they can.
pub(crate) fn reject_reason(
    tx: &Tx<'_>,
    coupon: &Coupon,
    person: &Redeemer,
    now: Timestamp,
) -> Result<Option<RejectReason>, StoreError> {
    if let Some(reason) = coupon.reason(batch_disabled(tx, coupon)?, person, now) {
        return Ok(Some(reason));
    }
    let Some(limit) = coupon.per_user_limit else { return Ok(None) };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let reached = count_redemptions(tx, coupon, person, limit)? >= limit;
    Ok(reached.then_some(RejectReason::UserLimitReached))
}

/// The number of a person's active redemptions of a coupon, at most `most`. A redemption counts once, even if several
/// identifiers match.
fn count_redemptions(tx: &Tx<'_>, coupon: &Coupon, redeemer: &Redeemer, most: usize) -> Result<usize, StoreError> {
    let (code, live) = (coupon.code.as_str(), HoldState::Held);
    let mut found: HashSet<i64> = HashSet::new();
    if redeemer.user_id.is_some() {
        for row in tx.scan_by::<RedemptionByUser>().prefix((redeemer.user_id, code, live)).rows().take(most) {
            found.insert(row?.id);
        }
    }
    for key in redeemer.emails() {
        let of = (Some(&key.name), code, live);
        let rows = tx.scan_by::<RedemptionByEmail>().prefix(of).rows();
        for row in rows.chain(tx.scan_by::<RedemptionByOtherEmail>().prefix(of).rows()) {
            if found.len() >= most {
                return Ok(found.len());
            }
            let row = row?;
            let is_theirs = |it: PersonKey| it.name == key.name && redeemer.person.is(key, it.exact.as_deref());
            if row.emails().any(is_theirs) {
                found.insert(row.id);
            }
        }
    }
    Ok(found.len())
}

/// The coupons among the codes, each with the reason why it is not valid for the person, if any.
pub(crate) fn resolve(
    tx: &Tx<'_>,
    codes: &[String],
    person: &Redeemer,
    now: Timestamp,
) -> Result<Vec<ResolvedCode>, StoreError> {
    let mut found = Vec::new();
    for code in codes {
        let Some(coupon) = tx.get::<Coupon>(&normal_code(code))? else { continue };
        let reason = reject_reason(tx, &coupon, person, now)?;
        found.push(ResolvedCode { code: code.clone(), promotion_id: coupon.promotion_id, reason });
    }
    Ok(found)
}

/// Those of the codes (in normal form) that coupons have.
pub(crate) fn taken_codes(tx: &Tx<'_>, codes: &[String]) -> Result<Vec<String>, StoreError> {
    let mut taken = Vec::new();
    for code in codes {
        if tx.get::<Coupon>(code)?.is_some() {
            taken.push(code.clone());
        }
    }
    Ok(taken)
}

/// The view of the coupon with a code in any spelling.
pub(crate) fn coupon(tx: &Tx<'_>, code: &str, now: Timestamp) -> Result<CouponView, Error> {
    let found = tx.get::<Coupon>(&normal_code(code))?.ok_or_else(|| Error::not_found("coupon"))?;
    Ok(Batches::default().view(tx, found, now)?)
}

/// A page of coupons. If few coupons match the filter, the page ends after [`MAX_VISITED`] rows and has a cursor for
/// more.
pub(crate) fn list(tx: &Tx<'_>, op: ListCoupons, now: Timestamp) -> Result<Page<CouponView>, Error> {
    let mut batches = Batches::default();
    let statuses = std::cell::RefCell::new(Batches::default());
    let matches = |coupon: &Coupon| match op.status {
        Some(status) => statuses.borrow_mut().status(tx, coupon, now).is_ok_and(|found| found == status),
        None => true,
    };
    let visited = Cell::new(0);
    let keep = |coupon: &Coupon| {
        visited.set(visited.get() + 1);
        visited.get() >= MAX_VISITED || matches(coupon)
    };
    let batch = match op.batch_id {
        Some(id) => Some(tx.get::<Batch>(&id)?.ok_or_else(|| Error::not_found("batch"))?),
        None => None,
    };
    let page = match (batch, op.promotion_id) {
        (Some(batch), promotion) if promotion.is_some_and(|id| id != batch.promotion_id) => Page::new(Vec::new(), None),
        (Some(batch), _) => {
            let prefix = (batch.promotion_id, Some(batch.id));
            tx.scan_by::<CouponByPromotion>().prefix(prefix).page_of(op.limit, op.cursor.clone(), keep)?
        }
        (None, Some(id)) => tx.scan_by::<CouponByPromotion>().prefix(id).page_of(op.limit, op.cursor.clone(), keep)?,
        (None, None) => tx.scan::<Coupon>().page_of(op.limit, op.cursor.clone(), keep)?,
    };
    let mut page = page;
    page.items.retain(matches);
    page.try_map(|coupon| batches.view(tx, coupon, now))
}

/// Converts a redemption to its view.
pub(crate) fn redemption_view(redemption: Redemption) -> RedemptionView {
    let status = RedemptionStatus::of(redemption.state);
    let Redemption { id, reference, order_id, user_id, promotion_id, redeemed_at, released_at, .. } = redemption;
    RedemptionView { id, reference, order_id, user_id, promotion_id, status, redeemed_at, released_at }
}

/// A page of a coupon's redemptions.
pub(crate) fn redemptions(tx: &Tx<'_>, op: ListRedemptions) -> Result<Page<RedemptionView>, Error> {
    let code = normal_code(&op.code);
    if tx.get::<Coupon>(&code)?.is_none() {
        return Err(Error::not_found("coupon"));
    }
    let scan = tx.scan_by::<RedemptionByCode>();
    let scan = match op.status.unwrap_or(RedemptionFilter::Live) {
        RedemptionFilter::Live => scan.prefix((code, HoldState::Held)),
        RedemptionFilter::Released => scan.prefix((code, HoldState::Released)),
        RedemptionFilter::All => scan.prefix(code),
    };
    Ok(scan.page(op.limit, op.cursor)?.map(redemption_view))
}

/// Converts a batch to its view.
pub(crate) fn batch_view(batch: Batch) -> BatchView {
    BatchView {
        id: batch.id,
        promotion_id: batch.promotion_id,
        status: batch.status,
        count: batch.count,
        generated: batch.generated,
        pattern: batch.pattern,
        max_redemptions: batch.max_redemptions,
        per_user_limit: batch.per_user_limit,
        starts_at: batch.starts_at,
        ends_at: batch.ends_at,
        version: batch.version,
        created_at: batch.created_at,
        completed_at: batch.completed_at,
        disabled_at: batch.disabled_at,
    }
}

/// Reads a batch; NOT_FOUND if it does not exist.
pub(crate) fn batch(tx: &Tx<'_>, id: BatchId) -> Result<Batch, Error> {
    tx.get::<Batch>(&id)?.ok_or_else(|| Error::not_found("batch"))
}

/// The redemption of a code under a reference, active or released.
pub(crate) fn redemption(tx: &Tx<'_>, reference: &str, code: &str) -> Result<Option<Redemption>, StoreError> {
    tx.get_by::<RedemptionByReference>((reference, &normal_code(code)))
}

/// Returns whether a promotion has coupons or a batch that was requested for it.
pub(crate) fn is_promotion_referenced(tx: &Tx<'_>, id: PromotionId) -> Result<bool, StoreError> {
    if tx.scan_by::<CouponByPromotion>().prefix(id).first()?.is_some() {
        return Ok(true);
    }
    for batch in tx.scan::<Batch>().rows() {
        if batch?.promotion_id == id {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A page of batches, newest first.
pub(crate) fn batches(tx: &Tx<'_>, op: ListBatches) -> Result<Page<BatchView>, Error> {
    let keep = |batch: &Batch| op.promotion_id.is_none_or(|id| id == batch.promotion_id);
    Ok(tx.scan_by::<BatchByCreated>().backward().page_of(op.limit, op.cursor, keep)?.map(batch_view))
}

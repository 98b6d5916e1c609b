//! Operation handlers: one read or one write each.

use std::time::Duration;

use promox_contract::buyer::Buyer;
use promox_contract::codes;
use promox_contract::coupon::{
    FindCouponCodes, HoldCoupons, IsPromotionReferencedByCoupons, IssueCoupon, IssuedCoupon, ReleaseCoupons,
    ResolveCodes, ResolvedCodes, normal_code,
};
use promox_contract::ids::PromotionId;
use promox_contract::import::ImportReport;
use promox_contract::promotion::{
    CodesInUse, DescribePromotions, FindPromotionCodes, IsReferenced, RejectReason, ResolvedCode,
};
use promox_contract::user::DescribeUsers;
use promox_kernel::{Cx, Download, Error, FieldError, Handle, Kind, Page, Patch, Principal, UserId, bounded};
use promox_storage::{Transact, Transaction};

use crate::api::{
    BatchView, CouponView, CreateBatch, CreateCoupon, DisableBatch, ExportBatch, GetBatch, GetCoupon, ImportCoupons,
    ListBatches, ListCoupons, ListRedemptions, RedeemCoupon, RedemptionView, ReleaseCoupon, UpdateCoupon,
    ValidateCoupon, Validation,
};
use crate::code_claims::CodeClaim;
use crate::commands::batches::NewBatch;
use crate::commands::coupons::{NewCoupon, unknown_promotion, unknown_user};
use crate::commands::{batches, coupons, redemptions};
use crate::reject;
use crate::rules::code;
use crate::rules::eligibility::{Terms, public_reason};
use crate::rules::pattern::Pattern;
use crate::rules::person::Redeemer;
use crate::{Coupons, queries, transfer};

/// Maximum codes of a batch.
const MAX_CODES: i64 = 10_000_000;
/// Random characters of a generated code by default.
const DEFAULT_LENGTH: usize = 12;
/// Attempts to draw a code before the caller has to retry.
const MAX_TRIES: usize = 8;
/// Maximum days that a batch is valid.
const MAX_DAYS: u32 = 3_650;

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 24 * 3600)
}

impl Coupons {
    /// Refuses a promotion that does not exist.
    async fn check_promotion(&self, cx: &Cx, id: PromotionId) -> Result<(), Error> {
        let found = cx.call(DescribePromotions { ids: vec![id] }).await?;
        if found.items.is_empty() { Err(unknown_promotion(id)) } else { Ok(()) }
    }

    /// Refuses an account that does not exist.
    async fn check_user(&self, cx: &Cx, id: Option<UserId>) -> Result<(), Error> {
        let Some(id) = id else { return Ok(()) };
        let found = cx.call(DescribeUsers { ids: vec![id] }).await?;
        if found.items.is_empty() { Err(unknown_user(id)) } else { Ok(()) }
    }

    /// Draws an unused code and claims it. Returns the code as written and in normal form, and the claim.
    async fn free_code(&self, cx: &Cx) -> Result<((String, String), CodeClaim), Error> {
        for _ in 0..MAX_TRIES {
            let code = cx.node.entropy.code(DEFAULT_LENGTH);
            if let Some(claim) = self.claim_if_free(cx, &code).await? {
                return Ok(((code.clone(), code), claim));
            }
        }
        Err(Error::unavailable(codes::NO_FREE_CODE, "No unused code was found; try again.", 1))
    }

    /// Claims the requested code, or refuses if it is taken.
    async fn requested_code(&self, cx: &Cx, text: &str) -> Result<((String, String), CodeClaim), Error> {
        let code = code::check(text).map_err(|fault| Error::field("/code", fault))?;
        match self.claim_if_free(cx, &code.1).await? {
            Some(claim) => Ok((code, claim)),
            None => Err(reject::code_taken(code.0)),
        }
    }

    /// Claims a code in normal form. Returns `None` if a coupon or a promotion has it.
    async fn claim_if_free(&self, cx: &Cx, normal: &String) -> Result<Option<CodeClaim>, Error> {
        let codes = std::slice::from_ref(normal);
        if !self.db.read(|tx| queries::taken_codes(tx, codes)).await?.is_empty() {
            return Ok(None);
        }
        let (claim, taken) = CodeClaim::codes(cx, vec![normal.clone()]).await?;
        Ok(taken.is_empty().then_some(claim))
    }
}

impl Handle<ListCoupons> for Coupons {
    async fn handle(&self, cx: &Cx, op: ListCoupons) -> Result<Page<CouponView>, Error> {
        self.db.read(|tx| queries::list(tx, op.clone(), cx.now)).await
    }
}

impl Handle<CreateCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: CreateCoupon) -> Result<CouponView, Error> {
        let terms = Terms {
            max_redemptions: op.max_redemptions,
            per_user_limit: op.per_user_limit,
            starts_at: op.starts_at,
            ends_at: op.ends_at,
        };
        terms.faults().finish()?;
        self.check_promotion(cx, op.promotion_id).await?;
        self.check_user(cx, op.user_id).await?;
        let (code, claim) = match &op.code {
            Some(text) => self.requested_code(cx, text).await?,
            None => self.free_code(cx).await?,
        };
        let (new, caller) = (NewCoupon { code, promotion_id: op.promotion_id, user_id: op.user_id, terms }, cx.clone());
        let created = self.db.answer(cx, move |tx| coupons::create(tx, &caller, &new)).await;
        claim.release(cx).await;
        created
    }
}

impl Handle<GetCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: GetCoupon) -> Result<CouponView, Error> {
        self.db.read(|tx| queries::coupon(tx, &op.code, cx.now)).await
    }
}

impl Handle<UpdateCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: UpdateCoupon) -> Result<CouponView, Error> {
        if let Patch::Set(id) = op.user_id {
            self.check_user(cx, Some(id)).await?;
        }
        let (normal, caller) = (normal_code(&op.code), cx.clone());
        self.db.write(cx, move |tx| coupons::update(tx, &caller, &normal, &op)).await
    }
}

impl Handle<ListRedemptions> for Coupons {
    async fn handle(&self, _: &Cx, op: ListRedemptions) -> Result<Page<RedemptionView>, Error> {
        self.db.read(|tx| queries::redemptions(tx, op.clone())).await
    }
}

impl Handle<CreateBatch> for Coupons {
    async fn handle(&self, cx: &Cx, op: CreateBatch) -> Result<BatchView, Error> {
        let new = new_batch(&op, cx)?;
        self.check_promotion(cx, op.promotion_id).await?;
        let caller = cx.clone();
        self.db.write(cx, move |tx| batches::create(tx, &caller, &new)).await
    }
}

/// Validates the request for a batch. The error lists all faults.
fn new_batch(op: &CreateBatch, cx: &Cx) -> Result<NewBatch, Error> {
    let valid_until = op.valid_days.map(|valid| cx.now + days(valid));
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
            Ok(NewBatch { promotion_id: op.promotion_id, count: op.count, pattern: pattern.text(), terms })
        }
        _ => Err(Error::invalid(faults.into_list())),
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
    let length = op.length.map_or(DEFAULT_LENGTH, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if !(6..=20).contains(&length) {
        return Err(FieldError::new("/length", "must be 6 to 20 random characters"));
    }
    Pattern::parse(&format!("{prefix}{}", "#".repeat(length))).map_err(|fault| FieldError::new("/prefix", fault))
}

impl Handle<ListBatches> for Coupons {
    async fn handle(&self, _: &Cx, op: ListBatches) -> Result<Page<BatchView>, Error> {
        self.db.read(|tx| queries::batches(tx, op.clone())).await
    }
}

impl Handle<GetBatch> for Coupons {
    async fn handle(&self, _: &Cx, op: GetBatch) -> Result<BatchView, Error> {
        self.db.read(|tx| queries::batch(tx, op.id)).await.map(queries::batch_view)
    }
}

impl Handle<ExportBatch> for Coupons {
    async fn handle(&self, cx: &Cx, op: ExportBatch) -> Result<Download, Error> {
        let batch = self.db.read(|tx| queries::batch(tx, op.id)).await?;
        transfer::export(&self.db, batch, cx.now)
    }
}

impl Handle<DisableBatch> for Coupons {
    async fn handle(&self, cx: &Cx, op: DisableBatch) -> Result<BatchView, Error> {
        let caller = cx.clone();
        self.db.answer(cx, move |tx| batches::disable(tx, &caller, op.id)).await
    }
}

impl Handle<ImportCoupons> for Coupons {
    async fn handle(&self, cx: &Cx, op: ImportCoupons) -> Result<ImportReport, Error> {
        transfer::import(self, cx, op).await
    }
}

impl Handle<ValidateCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: ValidateCoupon) -> Result<Validation, Error> {
        self.validate_code(cx, op).await
    }
}

/// Validates a caller's reference.
fn reference(text: &str) -> Result<String, Error> {
    let reference = bounded(text, 1, 100).map_err(|fault| Error::field("/reference", fault))?;
    if reference.starts_with("order:") {
        return Err(Error::field("/reference", "must not begin with \"order:\", which is reserved for orders"));
    }
    Ok(reference)
}

impl Handle<RedeemCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: RedeemCoupon) -> Result<RedemptionView, Error> {
        let reference = reference(&op.reference)?;
        let known = self.db.read(|tx| queries::redemption(tx, &reference, &op.code)).await?;
        // An existing redemption remains valid even if its promotion no longer applies.
        let buyer = Buyer::identify(cx, op.user_id, op.email.clone()).await?;
        let redeemer = Redeemer::new(&buyer).or_anonymous();
        if known.is_none()
            && let Some(reason) = self.promotion_reject_reason(cx, &op.code, buyer).await?
        {
            return Err(reject::invalid_coupon(op.code, reason));
        }
        let caller = cx.clone();
        let redeem =
            move |tx: &mut promox_storage::Tx<'_>| redemptions::redeem(tx, &caller, (&op.code, &reference), &redeemer);
        self.db.answer(cx, redeem).await
    }
}

impl Handle<ReleaseCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: ReleaseCoupon) -> Result<RedemptionView, Error> {
        let caller = cx.clone();
        self.db.answer(cx, move |tx| redemptions::release(tx, &caller, &op.code, &op.reference)).await
    }
}

impl Handle<ResolveCodes> for Coupons {
    async fn handle(&self, cx: &Cx, op: ResolveCodes) -> Result<ResolvedCodes, Error> {
        self.guesses.check(cx, &op.codes).await?;
        let person = Redeemer::new(&op.buyer);
        let coupons = self.db.read(|tx| queries::resolve(tx, &op.codes, &person, cx.now)).await?;
        if self.guesses.counts(cx) {
            self.note_guesses(cx, &op.codes, &coupons).await?;
        }
        Ok(ResolvedCodes { coupons })
    }
}

impl Coupons {
    /// Counts codes that do not exist, and codes that the caller must not be able to distinguish from them.
    async fn note_guesses(&self, cx: &Cx, codes: &[String], found: &[ResolvedCode]) -> Result<(), Error> {
        let anonymous = cx.principal == Principal::Anonymous;
        let coupon = |code: &String| found.iter().find(|coupon| coupon.code == *code);
        let others: Vec<String> =
            codes.iter().filter(|code| coupon(code).is_none()).map(|code| normal_code(code)).collect();
        let promotions =
            if others.is_empty() { Vec::new() } else { cx.call(FindPromotionCodes { codes: others }).await?.taken };
        let hidden = |reason: Option<RejectReason>| {
            reason.is_some_and(|reason| public_reason(reason, anonymous) == RejectReason::Unknown)
        };
        let is_known = |code: &&String| match coupon(code) {
            Some(coupon) => !hidden(coupon.reason),
            None => promotions.contains(&normal_code(code)),
        };
        let (known, wrong): (Vec<&String>, Vec<&String>) = codes.iter().partition(is_known);
        self.guesses.note(cx, &wrong, &known).await;
        Ok(())
    }
}

impl Transact<HoldCoupons> for Coupons {
    async fn transaction(&self, _: &Cx, op: HoldCoupons) -> Result<Transaction<()>, Error> {
        let person = Redeemer::new(&op.buyer).or_anonymous();
        let locks = op.codes.iter().map(|code| format!("coupon:{}", normal_code(code)).into_bytes()).collect();
        Ok(self.db.transaction(move |tx| redemptions::hold(tx, op.order_id, &person, &op.codes)).locking(locks))
    }
}

impl Handle<ReleaseCoupons> for Coupons {
    async fn handle(&self, cx: &Cx, op: ReleaseCoupons) -> Result<(), Error> {
        self.db.write(cx, move |tx| redemptions::release_order(tx, op.order_id)).await
    }
}

impl Handle<IssueCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: IssueCoupon) -> Result<IssuedCoupon, Error> {
        self.check_promotion(cx, op.promotion_id).await?;
        let ends_at = op.valid_days.map(|valid| cx.now + days(valid));
        let terms = Terms { max_redemptions: Some(1), per_user_limit: None, starts_at: None, ends_at };
        for _ in 0..MAX_TRIES {
            let (code, claim) = self.free_code(cx).await?;
            let new = NewCoupon { code, promotion_id: op.promotion_id, user_id: Some(op.user_id), terms };
            let reference = op.reference.clone();
            let issued: Result<String, Error> = self.db.write(cx, move |tx| coupons::issue(tx, &reference, &new)).await;
            claim.release(cx).await;
            match issued {
                Ok(code) => return Ok(IssuedCoupon { code }),
                Err(error) if error.kind() == Kind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::unavailable(codes::NO_FREE_CODE, "No unused code was found; try again.", 1))
    }
}

impl Handle<IsPromotionReferencedByCoupons> for Coupons {
    async fn handle(&self, _: &Cx, op: IsPromotionReferencedByCoupons) -> Result<IsReferenced, Error> {
        Ok(IsReferenced { referred: self.db.read(|tx| queries::is_promotion_referenced(tx, op.promotion_id)).await? })
    }
}

impl Handle<FindCouponCodes> for Coupons {
    async fn handle(&self, _: &Cx, op: FindCouponCodes) -> Result<CodesInUse, Error> {
        Ok(CodesInUse { taken: self.db.read(|tx| queries::taken_codes(tx, &op.codes)).await? })
    }
}

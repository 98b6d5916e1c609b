//! Operation handlers: one read or one write each.

use promox_contract::buyer::Buyer;
use promox_contract::coupon::{
    CountEnteredCodes, FindCouponCodes, HoldCoupons, IsPromotionReferencedByCoupons, IssueCoupon, IssuedCoupon,
    ReleaseCoupons, ResolveCodes, ResolvedCodes, normal_code,
};
use promox_contract::import::ImportReport;
use promox_contract::promotion::{CodesInUse, IsReferenced};
use promox_kernel::{Cx, Download, Error, Handle, Page, Patch};
use promox_storage::{Transact, Transaction};

use crate::api::{
    BatchView, CouponView, CreateBatch, CreateCoupon, DisableBatch, ExportBatch, GetBatch, GetCoupon, ImportCoupons,
    ListBatches, ListCoupons, ListRedemptions, RedeemCoupon, RedemptionView, ReleaseCoupon, UpdateCoupon,
    ValidateCoupon, Validation,
};
use crate::commands::batches::{self, NewBatch};
use crate::commands::coupons::{self, NewCoupon};
use crate::commands::redemptions;
use crate::rules::eligibility::Terms;
use crate::rules::person::Redeemer;
use crate::{Coupons, checks, queries, reject, transfer};

impl Handle<ListCoupons> for Coupons {
    async fn handle(&self, cx: &Cx, op: ListCoupons) -> Result<Page<CouponView>, Error> {
        self.db.read(|tx| queries::list(tx, op.clone(), cx.now)).await
    }
}

impl Handle<CreateCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: CreateCoupon) -> Result<CouponView, Error> {
        let terms = Terms::asked(&op);
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

    async fn check(&self, _: &Cx, op: CreateCoupon) -> Result<(), Error> {
        Terms::asked(&op).faults().finish()
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

    async fn check(&self, cx: &Cx, op: UpdateCoupon) -> Result<(), Error> {
        let (normal, caller) = (normal_code(&op.code), cx.clone());
        self.db.rehearse(cx, move |tx| coupons::update(tx, &caller, &normal, &op)).await
    }
}

impl Handle<ListRedemptions> for Coupons {
    async fn handle(&self, _: &Cx, op: ListRedemptions) -> Result<Page<RedemptionView>, Error> {
        self.db.read(|tx| queries::redemptions(tx, op.clone())).await
    }
}

impl Handle<CreateBatch> for Coupons {
    async fn handle(&self, cx: &Cx, op: CreateBatch) -> Result<BatchView, Error> {
        let new = NewBatch::read(&op, cx.now)?;
        self.check_promotion(cx, op.promotion_id).await?;
        let caller = cx.clone();
        self.db.write(cx, move |tx| batches::create(tx, &caller, &new)).await
    }

    async fn check(&self, cx: &Cx, op: CreateBatch) -> Result<(), Error> {
        NewBatch::read(&op, cx.now).map(drop)
    }
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
        transfer::export(&self.db, batch, cx.now).await
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

impl Handle<RedeemCoupon> for Coupons {
    async fn handle(&self, cx: &Cx, op: RedeemCoupon) -> Result<RedemptionView, Error> {
        let reference = checks::reference(&op.reference)?;
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
        self.guesses.check(cx, &op.entered).await?;
        let person = Redeemer::new(&op.buyer);
        let coupons = self.db.read(|tx| queries::resolve(tx, &op.codes, &person, cx.now)).await?;
        self.note_guesses(cx, &op.entered, &coupons).await?;
        Ok(ResolvedCodes { coupons })
    }
}

impl Handle<CountEnteredCodes> for Coupons {
    async fn handle(&self, cx: &Cx, op: CountEnteredCodes) -> Result<(), Error> {
        let buyer = Buyer::identify(cx, cx.principal.user(), None).await?;
        let CountEnteredCodes { codes } = op;
        cx.call(ResolveCodes { entered: codes.clone(), codes, buyer }).await.map(drop)
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
        Ok(IssuedCoupon { code: self.issue(cx, op).await? })
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

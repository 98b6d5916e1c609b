//! Operation handlers. Each does one read or one write.

use promox_contract::promotion::{
    CatalogPrices, ClaimCodes, CodesInUse, DescribePromotions, EvaluateCart, Evaluation, FindPromotionCodes,
    FindReferencingPromotion, GetCatalogPrices, HoldUses, PromotionDescriptions, ReferencingPromotion, ReleaseCodes,
    ReleaseUses, ReplaceCategory,
};
use promox_contract::store::write_amounts;
use promox_kernel::{Cx, Error, Handle, Page};
use promox_storage::{Transact, Transaction, Tx};

use crate::api::{
    ActivatePromotion, ArchivePromotion, BacktestPromotion, BacktestResult, CalculateCart, CalculatedCart,
    CreatePromotion, DeletePromotion, GetPromotion, ListPromotions, ListUsage, PausePromotion, PromotionStatus,
    PromotionView, UpdatePromotion, UsageView,
};
use crate::commands::{codes, promotions, uses};
use crate::document::{merged, validate_document};
use crate::facts::currency;
use crate::pricing::PricingRequest;
use crate::{Promotions, backtest, checks, digest, queries, rules};

impl Handle<ListPromotions> for Promotions {
    async fn handle(&self, cx: &Cx, op: ListPromotions) -> Result<Page<PromotionView>, Error> {
        let currency = currency(cx).await?;
        self.db.read(|tx| queries::list(tx, op.clone(), currency)).await
    }
}

impl Handle<GetPromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: GetPromotion) -> Result<PromotionView, Error> {
        let currency = currency(cx).await?;
        self.db.read(|tx| Ok(queries::view(tx, queries::promotion(tx, op.id)?, currency)?)).await
    }
}

impl Handle<ListUsage> for Promotions {
    async fn handle(&self, _: &Cx, op: ListUsage) -> Result<Page<UsageView>, Error> {
        self.db.read(|tx| queries::usage(tx, op.clone())).await
    }
}

impl Handle<CreatePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: CreatePromotion) -> Result<PromotionView, Error> {
        if op.0.id.is_some() {
            return Err(Error::field("/id", "promox assigns ids; this member is for promotions[] of calculate only"));
        }
        let document = validate_document(cx, op.0, None).await?;
        let claim = self.claim_new_code(cx, &document, None).await?;
        let (context, claimed) = (checks::command_context(cx).await?, claim.clone());
        let currency = context.currency;
        let work = move |tx: &mut Tx<'_>| promotions::create(tx, &context, &document, claimed.as_ref());
        let made = write_amounts(cx, currency, self.db.answer(cx, work), Result::is_ok).await;
        if made.is_err() {
            self.release_code(cx, claim).await;
        }
        made
    }

    async fn check(&self, cx: &Cx, op: CreatePromotion) -> Result<(), Error> {
        validate_document(cx, op.0, None).await.map(drop)
    }
}

impl Handle<UpdatePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: UpdatePromotion) -> Result<PromotionView, Error> {
        let id = op.id;
        let before = self.db.read(|tx| queries::promotion(tx, id)).await?;
        cx.check_version(before.version)?;
        let document = validate_document(cx, merged(&before.document, op)?, Some(&before.document)).await?;
        let (context, version) = (checks::command_context(cx).await?, before.version);
        let catalog = before.document.stage == rules::Stage::Catalog || document.stage == rules::Stage::Catalog;
        self.count_for(cx, (id, version), &document).await?;
        let claim = self.claim_new_code(cx, &document, Some(&before.document)).await?;
        let claimed = claim.clone();
        let work = move |tx: &mut Tx<'_>| promotions::update(tx, &context, (id, version), &document, claimed.as_ref());
        let view = self.db.write(cx, work).await;
        if view.is_err() {
            self.release_code(cx, claim).await;
        }
        let view = view?;
        if catalog {
            self.try_publish_price_changes(cx).await;
        }
        Ok(view)
    }

    async fn check(&self, cx: &Cx, op: UpdatePromotion) -> Result<(), Error> {
        let before = self.db.read(|tx| queries::promotion(tx, op.id)).await?;
        let after = merged(&before.document, op)?;
        validate_document(cx, after, Some(&before.document)).await.map(drop)
    }
}

impl Handle<ActivatePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: ActivatePromotion) -> Result<PromotionView, Error> {
        self.change_status(cx, op.id, PromotionStatus::Active).await
    }
}

impl Handle<PausePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: PausePromotion) -> Result<PromotionView, Error> {
        self.change_status(cx, op.id, PromotionStatus::Paused).await
    }
}

impl Handle<ArchivePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: ArchivePromotion) -> Result<PromotionView, Error> {
        self.change_status(cx, op.id, PromotionStatus::Archived).await
    }
}

impl Handle<DeletePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: DeletePromotion) -> Result<(), Error> {
        let context = checks::command_context(cx).await?;
        let referenced = checks::is_referenced(cx, op.id).await?;
        self.db.write(cx, move |tx| promotions::delete(tx, &context, op.id, referenced)).await?;
        self.try_publish_price_changes(cx).await;
        Ok(())
    }
}

impl Handle<ReplaceCategory> for Promotions {
    async fn handle(&self, cx: &Cx, op: ReplaceCategory) -> Result<(), Error> {
        let context = checks::command_context(cx).await?;
        let ReplaceCategory { category_id, by } = op;
        loop {
            let context = context.clone();
            let work = move |tx: &mut Tx<'_>| promotions::replace_category(tx, &context, category_id, by);
            if !self.db.write(cx, work).await? {
                break;
            }
        }
        self.try_publish_price_changes(cx).await;
        Ok(())
    }
}

impl Handle<FindReferencingPromotion> for Promotions {
    async fn handle(&self, _: &Cx, op: FindReferencingPromotion) -> Result<ReferencingPromotion, Error> {
        Ok(ReferencingPromotion { promotion_id: self.db.read(|tx| queries::referencing_promotion(tx, &op)).await? })
    }
}

impl Handle<EvaluateCart> for Promotions {
    async fn handle(&self, cx: &Cx, op: EvaluateCart) -> Result<Evaluation, Error> {
        self.evaluate_cart(cx, PricingRequest::of(op)?).await
    }
}

impl Handle<GetCatalogPrices> for Promotions {
    async fn handle(&self, cx: &Cx, op: GetCatalogPrices) -> Result<CatalogPrices, Error> {
        self.catalog_prices_for(cx, op).await
    }
}

impl Transact<HoldUses> for Promotions {
    async fn transaction(&self, cx: &Cx, op: HoldUses) -> Result<Transaction<()>, Error> {
        uses::check(&op.uses)?;
        let locks = op.uses.iter().map(|one| digest::lock_key(one.promotion_id)).collect();
        let (compiler, currency) = (self.compiler.clone(), currency(cx).await?);
        let buyer = digest::counted_buyer(&op.buyer, op.address_key.as_deref());
        let hold = move |tx: &mut Tx<'_>| uses::hold(tx, &compiler, currency, &op, &buyer);
        Ok(self.db.transaction(hold).locking(locks))
    }
}

impl Handle<ReleaseUses> for Promotions {
    async fn handle(&self, cx: &Cx, op: ReleaseUses) -> Result<(), Error> {
        self.db.write(cx, move |tx| uses::release(tx, op.order_id)).await
    }
}

impl Handle<DescribePromotions> for Promotions {
    async fn handle(&self, _: &Cx, op: DescribePromotions) -> Result<PromotionDescriptions, Error> {
        checks::check_count(op.ids.len(), "/ids")?;
        Ok(PromotionDescriptions { items: self.db.read(|tx| queries::describe(tx, &op.ids)).await? })
    }
}

impl Handle<CalculateCart> for Promotions {
    async fn handle(&self, cx: &Cx, op: CalculateCart) -> Result<CalculatedCart, Error> {
        self.calculate(cx, op).await
    }
}

impl Handle<BacktestPromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: BacktestPromotion) -> Result<BacktestResult, Error> {
        backtest::run(cx, &op).await
    }
}

impl Handle<FindPromotionCodes> for Promotions {
    async fn handle(&self, _: &Cx, op: FindPromotionCodes) -> Result<CodesInUse, Error> {
        checks::check_count(op.codes.len(), "/codes")?;
        Ok(CodesInUse { taken: self.db.read(|tx| queries::taken_codes(tx, op.codes.clone())).await? })
    }
}

impl Handle<ClaimCodes> for Promotions {
    async fn handle(&self, cx: &Cx, op: ClaimCodes) -> Result<CodesInUse, Error> {
        checks::check_count(op.codes.len(), "/codes")?;
        self.claim_for_coupons(cx, op).await
    }
}

impl Handle<ReleaseCodes> for Promotions {
    async fn handle(&self, cx: &Cx, op: ReleaseCodes) -> Result<(), Error> {
        Ok(self.db.write(cx, move |tx| codes::release(tx, &op.owner).map(drop)).await?)
    }
}

//! Handlers: authorise, one read or one write, convert.

use promox_contract::campaign::GetCampaignStates;
use promox_contract::coupon::IsPromotionReferencedByCoupons;
use promox_contract::ids::{CampaignId, PromotionId};
use promox_contract::product::DescribeSkus;
use promox_contract::promotion::{
    CatalogPrices, DescribePromotions, EvaluateCart, Evaluation, FindReferencingPromotion, GetCatalogPrices, HoldUses,
    PromotionDescriptions, ReferencingPromotion, ReleaseUses, ReplaceCategory,
};
use promox_contract::reward::IsPromotionReferencedByOffers;
use promox_contract::store::{GetStoreProfile, write_amounts};
use promox_kernel::{Currency, Cx, Error, Faults, FieldError, Handle, Page, Patch, Sku, bind_json};
use promox_storage::{Transact, Transaction, Tx};
use serde_json::{Map, Value};

use crate::api::{
    ActivatePromotion, ArchivePromotion, CreatePromotion, DeletePromotion, GetPromotion, ListPromotions, ListUsage,
    PausePromotion, PromotionStatus, PromotionView, UpdatePromotion, UsageView,
};
use crate::commands::promotions::CommandContext;
use crate::commands::{promotions, uses};
use crate::pricing::Question;
use crate::rules::{self, Rule, normal_code};
use crate::{Promotions, digest, queries};

/// Maximum codes and ids of one request.
const MAX_ASKED: usize = 10_000;

/// The currency in which promotions are written.
pub(crate) async fn currency(cx: &Cx) -> Result<Currency, Error> {
    Ok(cx.call(GetStoreProfile {}).await?.currency)
}

async fn command_context(cx: &Cx) -> Result<CommandContext, Error> {
    Ok(CommandContext { cx: cx.clone(), currency: currency(cx).await? })
}

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
        let document = admit(cx, op.0, None).await?;
        let claim = self.claim_new_code(cx, &document, None).await?;
        let (context, claimed) = (command_context(cx).await?, claim.clone());
        let currency = context.currency;
        let work = move |tx: &mut Tx<'_>| promotions::create(tx, &context, &document, claimed.as_ref());
        let made = write_amounts(cx, currency, self.db.answer(cx, work), Result::is_ok).await;
        if made.is_err() {
            self.release_code(cx, claim).await;
        }
        made
    }
}

impl Handle<UpdatePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: UpdatePromotion) -> Result<PromotionView, Error> {
        let id = op.id;
        let before = self.db.read(|tx| queries::promotion(tx, id)).await?;
        cx.check_version(before.version)?;
        let document = admit(cx, merged(&before.document, op)?, Some(&before.document)).await?;
        let (context, version) = (command_context(cx).await?, before.version);
        let catalogue = before.document.stage == rules::Stage::Catalog || document.stage == rules::Stage::Catalog;
        let claim = self.claim_new_code(cx, &document, Some(&before.document)).await?;
        let claimed = claim.clone();
        let work = move |tx: &mut Tx<'_>| promotions::update(tx, &context, (id, version), &document, claimed.as_ref());
        let view = self.db.write(cx, work).await;
        if view.is_err() {
            self.release_code(cx, claim).await;
        }
        let view = view?;
        if catalogue {
            self.announce_catalogue(cx).await;
        }
        Ok(view)
    }
}

/// Validates a document for storage: it type-checks, and its campaign and gifts exist.
async fn admit(
    cx: &Cx,
    promotion: rules::Promotion,
    before: Option<&rules::Promotion>,
) -> Result<rules::Promotion, Error> {
    let (promotion, currency) = (promotion.spelled_out(), currency(cx).await?);
    Rule::compile(PromotionId(1), &promotion, currency, "").map_err(Error::invalid)?;
    if promotion.campaign_id != before.and_then(|before| before.campaign_id)
        && let Some(id) = promotion.campaign_id
    {
        require_campaign(cx, id).await?;
    }
    if promotion.actions != before.map_or(&[][..], |before| &before.actions) {
        require_gifts(cx, &promotion, "").await?;
    }
    Ok(promotion.in_scale(currency))
}

/// Checks that gifts are in the catalog; `pointer` is the promotion's place in the request.
pub(crate) async fn require_gifts(cx: &Cx, promotion: &rules::Promotion, pointer: &str) -> Result<(), Error> {
    let gifts: Vec<(usize, Sku)> = promotion.gifts().map(|(i, sku)| (i, sku.clone())).collect();
    if gifts.is_empty() {
        return Ok(());
    }
    let known = cx.call(DescribeSkus { skus: gifts.iter().map(|(_, sku)| sku.clone()).collect() }).await?.by_sku();
    let strange = gifts.into_iter().filter(|(_, sku)| !known.contains_key(sku));
    let fault =
        |(i, sku)| FieldError::new(format!("{pointer}/actions/{i}/sku"), format!("{sku} is not in the catalog"));
    let faults: Faults = strange.map(fault).collect();
    faults.finish()
}

async fn require_campaign(cx: &Cx, id: CampaignId) -> Result<(), Error> {
    let known = cx.call(GetCampaignStates { ids: vec![id], customer: None }).await?.items;
    if known.is_empty() { Err(Error::field("/campaignId", "this campaign does not exist")) } else { Ok(()) }
}

/// The document after a merge patch (RFC 7396).
fn merged(before: &rules::Promotion, op: UpdatePromotion) -> Result<rules::Promotion, Error> {
    let members = [
        ("name", op.name),
        ("code", op.code),
        ("couponOnly", op.coupon_only),
        ("campaignId", op.campaign_id),
        ("stage", op.stage),
        ("priority", op.priority),
        ("stacking", op.stacking),
        ("includeFlash", op.include_flash),
        ("startsAt", op.starts_at),
        ("endsAt", op.ends_at),
        ("timezone", op.timezone),
        ("schedule", op.schedule),
        ("when", op.when),
        ("actions", op.actions),
        ("limits", op.limits),
    ];
    let mut document = serde_json::to_value(before).map_err(Error::internal)?;
    let patch: Map<String, Value> = members
        .into_iter()
        .filter_map(|(name, patch)| match patch {
            Patch::Keep => None,
            Patch::Clear => Some((name.to_owned(), Value::Null)),
            Patch::Set(value) => Some((name.to_owned(), value)),
        })
        .collect();
    merge(&mut document, Value::Object(patch));
    bind_json(&serde_json::to_vec(&document).map_err(Error::internal)?)
}

/// Applies a merge patch to a value. A complete condition replaces the other one: merging two conditions would make no
/// sense.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(&name);
        } else if name == "when" && is_whole(&value) {
            target.insert(name, value);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// Whether a patch's condition is complete.
fn is_whole(condition: &Value) -> bool {
    let has = |name| condition.get(name).is_some_and(|item| !item.is_null());
    ["all", "any", "not"].into_iter().any(has) || ["field", "op", "value"].into_iter().all(has)
}

impl Promotions {
    /// Claims the code of a document if it has changed.
    async fn claim_new_code(
        &self,
        cx: &Cx,
        document: &rules::Promotion,
        before: Option<&rules::Promotion>,
    ) -> Result<Option<String>, Error> {
        let normal = |document: &rules::Promotion| document.code.as_deref().map(normal_code);
        match normal(document).filter(|code| Some(code) != before.and_then(normal).as_ref()) {
            Some(code) => self.claim_code(cx, code).await.map(Some),
            None => Ok(None),
        }
    }

    async fn transit(&self, cx: &Cx, id: PromotionId, to: PromotionStatus) -> Result<PromotionView, Error> {
        let context = command_context(cx).await?;
        let active = match to {
            PromotionStatus::Active => {
                let currency = context.currency;
                self.db.read(|tx| self.compiler.at(tx, currency)).await?.set.len()
            }
            _ => 0,
        };
        let view = self.db.write(cx, move |tx| promotions::transit(tx, &context, id, to, active)).await?;
        self.announce_catalogue(cx).await;
        Ok(view)
    }
}

impl Handle<ActivatePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: ActivatePromotion) -> Result<PromotionView, Error> {
        self.transit(cx, op.id, PromotionStatus::Active).await
    }
}

impl Handle<PausePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: PausePromotion) -> Result<PromotionView, Error> {
        self.transit(cx, op.id, PromotionStatus::Paused).await
    }
}

impl Handle<ArchivePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: ArchivePromotion) -> Result<PromotionView, Error> {
        self.transit(cx, op.id, PromotionStatus::Archived).await
    }
}

impl Handle<DeletePromotion> for Promotions {
    async fn handle(&self, cx: &Cx, op: DeletePromotion) -> Result<(), Error> {
        let context = command_context(cx).await?;
        let referred = referred(cx, op.id).await?;
        self.db.write(cx, move |tx| promotions::delete(tx, &context, op.id, referred)).await?;
        self.announce_catalogue(cx).await;
        Ok(())
    }
}

impl Handle<ReplaceCategory> for Promotions {
    async fn handle(&self, cx: &Cx, op: ReplaceCategory) -> Result<(), Error> {
        let context = command_context(cx).await?;
        let ReplaceCategory { category_id, by } = op;
        loop {
            let context = context.clone();
            let work = move |tx: &mut Tx<'_>| promotions::replace_category(tx, &context, category_id, by);
            if !self.db.write(cx, work).await? {
                break;
            }
        }
        self.announce_catalogue(cx).await;
        Ok(())
    }
}

/// Whether a coupon or an offer refers to this promotion.
async fn referred(cx: &Cx, promotion_id: PromotionId) -> Result<bool, Error> {
    Ok(cx.call(IsPromotionReferencedByCoupons { promotion_id }).await?.referred
        || cx.call(IsPromotionReferencedByOffers { promotion_id }).await?.referred)
}

impl Handle<FindReferencingPromotion> for Promotions {
    async fn handle(&self, _: &Cx, op: FindReferencingPromotion) -> Result<ReferencingPromotion, Error> {
        Ok(ReferencingPromotion { promotion_id: self.db.read(|tx| queries::referring(tx, &op)).await? })
    }
}

impl Handle<EvaluateCart> for Promotions {
    async fn handle(&self, cx: &Cx, op: EvaluateCart) -> Result<Evaluation, Error> {
        self.answer(cx, Question::of(op)?).await
    }
}

impl Handle<GetCatalogPrices> for Promotions {
    async fn handle(&self, cx: &Cx, op: GetCatalogPrices) -> Result<CatalogPrices, Error> {
        self.price_catalogue(cx, op).await
    }
}

impl Transact<HoldUses> for Promotions {
    async fn transaction(&self, cx: &Cx, op: HoldUses) -> Result<Transaction<()>, Error> {
        uses::check(&op.uses)?;
        let locks = op.uses.iter().map(|one| digest::lock(one.promotion_id)).collect();
        let (compiler, currency) = (self.compiler.clone(), currency(cx).await?);
        let buyer = digest::counted(&op.buyer, op.address_key.as_deref());
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
        bound(op.ids.len(), "/ids")?;
        Ok(PromotionDescriptions { items: self.db.read(|tx| queries::describe(tx, &op.ids)).await? })
    }
}

/// Refuses a request with too many entries.
pub(crate) fn bound(count: usize, pointer: &str) -> Result<(), Error> {
    if count > MAX_ASKED {
        return Err(Error::field(pointer, format!("at most {MAX_ASKED} are allowed at once")));
    }
    Ok(())
}

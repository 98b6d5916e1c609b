//! Operation handlers. Each does one read or one write.

use promox_contract::campaign::{
    CampaignStateList, GetCampaignStates, GetCustomerSegments, HoldBudgets, ReleaseBudgets, SegmentNames,
};
use promox_contract::codes;
use promox_contract::condition::{Condition, Subject, Test};
use promox_contract::flashsale::FindReferencingSale;
use promox_contract::ids::{CampaignId, FlashSaleId, PromotionId};
use promox_contract::promotion::FindReferencingPromotion;
use promox_contract::store::{GetStoreProfile, StoreProfile, write_amounts};
use promox_kernel::{Amount, Currency, Cx, Error, FieldError, Handle, Page, Patch, UserId, bounded};
use promox_storage::{Transact, Transaction};

use crate::api::{
    CampaignView, CreateCampaign, CreateSegment, DeleteCampaign, DeleteSegment, GetCampaign, GetSegment, ListCampaigns,
    ListHistory, ListSegments, MoveCampaign, MoveView, SegmentView, UpdateCampaign, UpdateSegment,
};
use crate::commands::campaigns::Store;
use crate::commands::segments::Membership;
use crate::commands::{budgets, campaigns, segments, transitions};
use crate::records::Segment;
use crate::reject;
use crate::{Campaigns, facts, queries};

/// Maximum accounts in a segment's list, so that all of them can be replaced in one transaction.
const MAX_LISTED: usize = 8_000;

async fn store(cx: &Cx) -> Result<StoreProfile, Error> {
    cx.call(GetStoreProfile {}).await
}

impl Handle<ListCampaigns> for Campaigns {
    async fn handle(&self, _: &Cx, op: ListCampaigns) -> Result<Page<CampaignView>, Error> {
        self.db.read(|tx| queries::list(tx, op.clone())).await
    }
}

impl Handle<CreateCampaign> for Campaigns {
    async fn handle(&self, cx: &Cx, op: CreateCampaign) -> Result<CampaignView, Error> {
        let StoreProfile { currency, timezone, .. } = store(cx).await?;
        let (store, caller) = (Store { currency, timezone }, cx.clone());
        let made = self.db.answer(cx, move |tx| campaigns::create(tx, &caller, &store, &op));
        write_amounts(cx, currency, made, Result::is_ok).await
    }
}

impl Handle<GetCampaign> for Campaigns {
    async fn handle(&self, _: &Cx, op: GetCampaign) -> Result<CampaignView, Error> {
        self.db.read(|tx| queries::campaign(tx, op.id)).await
    }
}

impl Handle<UpdateCampaign> for Campaigns {
    async fn handle(&self, cx: &Cx, op: UpdateCampaign) -> Result<CampaignView, Error> {
        let (caller, locks) = (cx.clone(), vec![budgets::lock_key(op.id)]);
        self.db.write_locked(cx, locks, move |tx| campaigns::update(tx, &caller, &op)).await
    }
}

impl Handle<DeleteCampaign> for Campaigns {
    async fn handle(&self, cx: &Cx, op: DeleteCampaign) -> Result<(), Error> {
        self.db.read(|tx| campaigns::deletable(tx, cx, op.id)).await?;
        check_campaign_unused(cx, op.id).await?;
        let caller = cx.clone();
        self.db.write(cx, move |tx| campaigns::delete(tx, &caller, op.id)).await
    }
}

/// Refuses while a promotion or a flash sale belongs to the campaign.
async fn check_campaign_unused(cx: &Cx, id: CampaignId) -> Result<(), Error> {
    let op = FindReferencingPromotion { campaign_id: Some(id), ..FindReferencingPromotion::default() };
    if let Some(PromotionId(id)) = cx.call(op).await?.promotion_id {
        return Err(reject::campaign_in_use("promotionId", "promotion", id));
    }
    if let Some(FlashSaleId(id)) = cx.call(FindReferencingSale { campaign_id: id }).await?.flash_sale_id {
        return Err(reject::campaign_in_use("flashSaleId", "flash sale", id));
    }
    Ok(())
}

/// Refuses while a promotion's conditions refer to the segment by name, because their meaning would change.
async fn check_segment_unused(cx: &Cx, segment: Segment) -> Result<(), Error> {
    let op = FindReferencingPromotion { segment: Some(segment.name), ..FindReferencingPromotion::default() };
    match cx.call(op).await?.promotion_id {
        Some(promotion_id) => Err(reject::segment_in_promotion(promotion_id)),
        None => Ok(()),
    }
}

impl Handle<ListHistory> for Campaigns {
    async fn handle(&self, _: &Cx, op: ListHistory) -> Result<Page<MoveView>, Error> {
        self.db.read(|tx| queries::history(tx, op.clone())).await
    }
}

impl Handle<MoveCampaign> for Campaigns {
    async fn handle(&self, cx: &Cx, op: MoveCampaign) -> Result<CampaignView, Error> {
        let caller = cx.clone();
        self.db.answer(cx, move |tx| transitions::request(tx, &caller, op.id, op.to)).await
    }
}

impl Handle<ListSegments> for Campaigns {
    async fn handle(&self, _: &Cx, op: ListSegments) -> Result<Page<SegmentView>, Error> {
        self.db.read(|tx| queries::segments(tx, op.clone())).await
    }
}

impl Handle<CreateSegment> for Campaigns {
    async fn handle(&self, cx: &Cx, op: CreateSegment) -> Result<SegmentView, Error> {
        let name = segment_name(&op.name)?;
        let currency = store(cx).await?.currency;
        let membership = match (op.rule, op.user_ids) {
            (Some(rule), None) => checked_rule(rule, currency)?,
            (None, Some(ids)) => checked_list(ids)?,
            _ => return Err(rule_or_list_required()),
        };
        let caller = cx.clone();
        let made = self.db.answer(cx, move |tx| segments::create(tx, &caller, (&name, currency), &membership));
        write_amounts(cx, currency, made, Result::is_ok).await
    }
}

fn segment_name(name: &str) -> Result<String, Error> {
    bounded(name, 1, 100).map_err(|detail| Error::field("/name", detail))
}

fn rule_or_list_required() -> Error {
    let detail = "a segment must have either a rule or userIds".to_owned();
    Error::invalid(vec![FieldError { pointer: "/rule".to_owned(), code: codes::MISSING.into(), detail }])
}

fn checked_rule(rule: Condition, currency: Currency) -> Result<Membership, Error> {
    Test::<()>::read(&rule, "/rule", Subject::Customer, currency).map_err(Error::invalid)?;
    Ok(Membership::Rule(rule))
}

fn checked_list(mut ids: Vec<UserId>) -> Result<Membership, Error> {
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > MAX_LISTED {
        return Err(Error::field("/userIds", format!("must list at most {MAX_LISTED} accounts; use a rule for more")));
    }
    Ok(Membership::Listed(ids))
}

impl Handle<GetSegment> for Campaigns {
    async fn handle(&self, _: &Cx, op: GetSegment) -> Result<SegmentView, Error> {
        self.db.read(|tx| queries::segment(tx, op.id)).await
    }
}

impl Handle<UpdateSegment> for Campaigns {
    async fn handle(&self, cx: &Cx, op: UpdateSegment) -> Result<SegmentView, Error> {
        let name = op.name.as_deref().map(segment_name).transpose()?;
        let membership = match (op.rule, op.user_ids) {
            (Patch::Set(rule), Patch::Keep | Patch::Clear) => Some(checked_rule(rule, store(cx).await?.currency)?),
            (Patch::Keep | Patch::Clear, Patch::Set(ids)) => Some(checked_list(ids)?),
            (Patch::Keep, Patch::Keep) => None,
            _ => return Err(rule_or_list_required()),
        };
        let (caller, id) = (cx.clone(), op.id);
        let before = self.db.read(|tx| segments::current_version(tx, cx, id)).await?;
        if name.as_ref().is_some_and(|name| *name != before.name) {
            check_segment_unused(cx, before).await?;
        }
        let work = move |tx: &mut promox_storage::Tx<'_>| {
            segments::update(tx, &caller, id, (name.as_deref(), membership.as_ref()))
        };
        self.db.write(cx, work).await
    }
}

impl Handle<DeleteSegment> for Campaigns {
    async fn handle(&self, cx: &Cx, op: DeleteSegment) -> Result<(), Error> {
        check_segment_unused(cx, self.db.read(|tx| segments::deletable(tx, cx, op.id)).await?).await?;
        let caller = cx.clone();
        self.db.write(cx, move |tx| segments::delete(tx, &caller, op.id)).await
    }
}

impl Handle<GetCampaignStates> for Campaigns {
    async fn handle(&self, cx: &Cx, op: GetCampaignStates) -> Result<CampaignStateList, Error> {
        let needs_facts =
            |tx: &promox_storage::Tx<'_>| queries::has_audience_with_rule(tx, &*self.segments.at(tx)?, &op.ids);
        let customer = match op.customer {
            Some(customer) if self.db.read(needs_facts).await? => Some(facts::complete(cx, customer).await?),
            customer => customer,
        };
        let states = |tx: &promox_storage::Tx<'_>| {
            queries::states(tx, &*self.segments.at(tx)?, &op.ids, customer.as_ref(), cx.now)
        };
        Ok(CampaignStateList { items: self.db.read(states).await? })
    }
}

impl Handle<GetCustomerSegments> for Campaigns {
    async fn handle(&self, _: &Cx, op: GetCustomerSegments) -> Result<SegmentNames, Error> {
        let names = |tx: &promox_storage::Tx<'_>| self.segments.at(tx)?.names_of(tx, &op.customer);
        Ok(SegmentNames { names: self.db.read(names).await? })
    }
}

impl Transact<HoldBudgets> for Campaigns {
    async fn transaction(&self, _: &Cx, op: HoldBudgets) -> Result<Transaction<()>, Error> {
        if op.amounts.iter().any(|requested| requested.amount < Amount::ZERO) {
            return Err(Error::field("/amounts", "must not be negative"));
        }
        let locks = op.amounts.iter().map(|requested| budgets::lock_key(requested.campaign_id)).collect();
        Ok(self.db.transaction(move |tx| budgets::hold(tx, op.order_id, &op.amounts)).locking(locks))
    }
}

impl Handle<ReleaseBudgets> for Campaigns {
    async fn handle(&self, cx: &Cx, op: ReleaseBudgets) -> Result<(), Error> {
        self.db.write(cx, move |tx| budgets::release(tx, op.order_id)).await
    }
}

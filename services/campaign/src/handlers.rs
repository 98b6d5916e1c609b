//! Operation handlers. Each does one read or one write.

use promox_contract::campaign::{
    CampaignStateList, GetCampaignStates, GetCustomerSegments, HoldBudgets, ReleaseBudgets, SegmentNames,
};
use promox_contract::store::{StoreProfile, write_amounts};
use promox_kernel::{Amount, Cx, Error, Handle, Page, Patch};
use promox_storage::{Transact, Transaction};

use crate::api::{
    CampaignView, CreateCampaign, CreateSegment, DeleteCampaign, DeleteSegment, GetCampaign, GetSegment, ListCampaigns,
    ListHistory, ListSegments, MoveCampaign, MoveView, SegmentView, UpdateCampaign, UpdateSegment,
};
use crate::commands::campaigns::{self, Store};
use crate::commands::segments;
use crate::commands::{budgets, transitions};
use crate::{Campaigns, checks, facts, queries};

impl Handle<ListCampaigns> for Campaigns {
    async fn handle(&self, _: &Cx, op: ListCampaigns) -> Result<Page<CampaignView>, Error> {
        self.db.read(|tx| queries::list(tx, op.clone())).await
    }
}

impl Handle<CreateCampaign> for Campaigns {
    async fn handle(&self, cx: &Cx, op: CreateCampaign) -> Result<CampaignView, Error> {
        let StoreProfile { currency, timezone, .. } = checks::store(cx).await?;
        let (store, caller) = (Store { currency, timezone }, cx.clone());
        let made = self.db.answer(cx, move |tx| campaigns::create(tx, &caller, &store, &op));
        write_amounts(cx, currency, made, Result::is_ok).await
    }

    async fn check(&self, cx: &Cx, op: CreateCampaign) -> Result<(), Error> {
        let StoreProfile { currency, timezone, .. } = checks::store(cx).await?;
        let (store, caller) = (Store { currency, timezone }, cx.clone());
        self.db.rehearse(cx, move |tx| campaigns::create(tx, &caller, &store, &op)).await
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

    async fn check(&self, cx: &Cx, op: UpdateCampaign) -> Result<(), Error> {
        let caller = cx.clone();
        self.db.rehearse(cx, move |tx| campaigns::update(tx, &caller, &op)).await
    }
}

impl Handle<DeleteCampaign> for Campaigns {
    async fn handle(&self, cx: &Cx, op: DeleteCampaign) -> Result<(), Error> {
        self.db.read(|tx| campaigns::deletable(tx, cx, op.id)).await?;
        checks::check_campaign_unused(cx, op.id).await?;
        let caller = cx.clone();
        self.db.write(cx, move |tx| campaigns::delete(tx, &caller, op.id)).await
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
        let name = checks::segment_name(&op.name)?;
        let currency = checks::store(cx).await?.currency;
        let membership = match (op.rule, op.user_ids) {
            (Some(rule), None) => checks::checked_rule(rule, currency)?,
            (None, Some(ids)) => checks::checked_list(ids)?,
            _ => return Err(checks::rule_or_list_required()),
        };
        let caller = cx.clone();
        let made = self.db.answer(cx, move |tx| segments::create(tx, &caller, (&name, currency), &membership));
        write_amounts(cx, currency, made, Result::is_ok).await
    }
}

impl Handle<GetSegment> for Campaigns {
    async fn handle(&self, _: &Cx, op: GetSegment) -> Result<SegmentView, Error> {
        self.db.read(|tx| queries::segment(tx, op.id)).await
    }
}

impl Handle<UpdateSegment> for Campaigns {
    async fn handle(&self, cx: &Cx, op: UpdateSegment) -> Result<SegmentView, Error> {
        let name = op.name.as_deref().map(checks::segment_name).transpose()?;
        let membership = match (op.rule, op.user_ids) {
            (Patch::Set(rule), Patch::Keep | Patch::Clear) => {
                Some(checks::checked_rule(rule, checks::store(cx).await?.currency)?)
            }
            (Patch::Keep | Patch::Clear, Patch::Set(ids)) => Some(checks::checked_list(ids)?),
            (Patch::Keep, Patch::Keep) => None,
            _ => return Err(checks::rule_or_list_required()),
        };
        let (caller, id) = (cx.clone(), op.id);
        let before = self.db.read(|tx| segments::current_version(tx, cx, id)).await?;
        if name.as_ref().is_some_and(|name| *name != before.name) {
            checks::check_segment_unused(cx, before).await?;
        }
        let work = move |tx: &mut promox_storage::Tx<'_>| {
            segments::update(tx, &caller, id, (name.as_deref(), membership.as_ref()))
        };
        self.db.write(cx, work).await
    }
}

impl Handle<DeleteSegment> for Campaigns {
    async fn handle(&self, cx: &Cx, op: DeleteSegment) -> Result<(), Error> {
        checks::check_segment_unused(cx, self.db.read(|tx| segments::deletable(tx, cx, op.id)).await?).await?;
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

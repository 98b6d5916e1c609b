//! Operation handlers. Each does one read or one write, except those that allocate stock between two writes.

use promox_contract::buyer::Buyer;
use promox_contract::campaign::GetCampaignStates;
use promox_contract::codes;
use promox_contract::flashsale::{
    DescribeFlashSales, FindReferencingSale, FlashLines, FlashRefusal, FlashSaleDescriptions, GetReservedLines,
    HoldFlashReservations, ReferencingSale, ReleaseFlashReservations,
};
use promox_contract::ids::{CampaignId, FlashSaleId};
use promox_contract::product::{DescribeSkus, ResolveSkus, SkuDescriptions};
use promox_contract::promotion::{Customer, RejectReason};
use promox_contract::store::GetStoreProfile;
use promox_contract::user::FindAccounts;
use promox_kernel::{Cx, Download, Error, Handle, Kind, Page, Sku, UserId};
use promox_storage::{Lane, StoreError, Transact, Transaction, Tx};

use crate::api::{
    CancelSale, CreateReservation, CreateSale, DeleteSale, FollowSale, GetSale, ListActiveSales, ListSales,
    ReleaseReservation, ReservationView, SaleView, UpdateSale,
};
use crate::commands::reservations::Reserver;
use crate::commands::{order_claims, reservations, sales};
use crate::gates::{self, Freed, SaleFacts, SaleGates};
use crate::records::{Draft, FlashItem, FlashSale, MAX_CLAIMED, SaleStatus, Terms, UserCount};
use crate::reject;
use crate::stocking::Stocking;
use crate::{FlashSales, queries, rules, stream};

/// Maximum user counts fetched in one read.
const COUNTS_PER_READ: usize = 10_000;

impl Handle<ListSales> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ListSales) -> Result<Page<SaleView>, Error> {
        let mut page = self.db.read(|tx| queries::list(tx, op.clone())).await?;
        update_skus(cx, &mut page.items).await?;
        Ok(page)
    }
}

impl Handle<ListActiveSales> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ListActiveSales) -> Result<Page<SaleView>, Error> {
        let mut page = self.db.read(|tx| queries::active_sales(tx, op.clone(), cx.now)).await?;
        let ids: Vec<CampaignId> = page.items.iter().filter_map(|sale| sale.campaign_id).collect();
        let running = running_campaigns(cx, ids).await?;
        page.items.retain(|sale| sale.campaign_id.is_none_or(|id| running.contains(&id)));
        update_skus(cx, &mut page.items).await?;
        Ok(page)
    }
}

impl Handle<GetSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: GetSale) -> Result<SaleView, Error> {
        let mut sale = self.db.read(|tx| queries::sale(tx, op.id)).await?;
        update_skus(cx, std::slice::from_mut(&mut sale)).await?;
        Ok(sale)
    }
}

impl Handle<CreateSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: CreateSale) -> Result<SaleView, Error> {
        let terms = check_terms(cx, Terms::from_request(op)).await?;
        let (claim, draft) = (cx.claim.clone(), Draft { terms, by: cx.principal.name() });
        let id = self.db.write(cx, move |tx| sales::create(tx, claim.as_deref(), &draft)).await?;
        self.apply_draft(cx, id).await
    }
}

impl Handle<UpdateSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: UpdateSale) -> Result<SaleView, Error> {
        let id = op.id;
        let (version, before) = self.db.read(|tx| terms(tx, id)).await?;
        cx.check_version(version)?;
        let terms = check_terms(cx, before.clone().patched(op)).await?;
        if terms == before {
            return self.db.read(|tx| queries::sale(tx, id)).await;
        }
        let draft = Draft { terms, by: cx.principal.name() };
        self.db.write(cx, move |tx| sales::update(tx, id, version, &draft)).await?;
        self.apply_draft(cx, id).await
    }
}

/// The current terms of a sale that is not over, and its version.
fn terms(tx: &Tx<'_>, id: FlashSaleId) -> Result<(i64, Terms), Error> {
    let sale = queries::listed(tx, id)?;
    if sale.is_over() {
        return Err(reject::sale_ended(sale.status));
    }
    Ok((sale.version, sale.terms(&queries::items(tx, id)?)))
}

/// Validates terms against the catalog and the campaign.
async fn check_terms(cx: &Cx, mut terms: Terms) -> Result<Terms, Error> {
    let mut skus: Vec<Sku> = terms.items.iter().map(|item| item.sku.clone()).collect();
    skus.sort();
    skus.dedup();
    let none = SkuDescriptions { items: Vec::new() };
    let described = if skus.is_empty() { none } else { cx.call(DescribeSkus { skus }).await? };
    terms.check(described, cx.now)?;
    if let Some(id) = terms.campaign_id
        && cx.call(GetCampaignStates { ids: vec![id], customer: None }).await?.items.is_empty()
    {
        return Err(Error::field("/campaignId", "this campaign does not exist"));
    }
    Ok(terms)
}

/// Refuses if the campaign is not running or the user is not in its audience.
async fn check_campaign(cx: &Cx, id: CampaignId, user: UserId) -> Result<(), Error> {
    let customer = Customer { id: Some(user), ..Customer::default() };
    let states = cx.call(GetCampaignStates { ids: vec![id], customer: Some(customer) }).await?.items;
    match states.first().filter(|state| state.running) {
        None => Err(reject::not_active(SaleStatus::Active)),
        Some(state) if !state.in_audience => Err(reject::not_in_audience()),
        Some(_) => Ok(()),
    }
}

/// The ids of those campaigns that are running.
async fn running_campaigns(cx: &Cx, ids: Vec<CampaignId>) -> Result<Vec<CampaignId>, Error> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let states = cx.call(GetCampaignStates { ids, customer: None }).await?.items;
    Ok(states.into_iter().filter(|state| state.running).map(|state| state.id).collect())
}

impl FlashSales {
    /// Allocates a draft's stock, applies the draft and returns the sale. If the inventory refuses the stock, the error
    /// points at the short items.
    async fn apply_draft(&self, cx: &Cx, id: FlashSaleId) -> Result<SaleView, Error> {
        if let Stocking::Refused(error) = self.allocate_draft(cx, id).await? {
            self.discard_draft(cx, cx.claim.clone(), id).await?;
            return Err(error);
        }
        let work = move |tx: &mut Tx<'_>| {
            let sale = sales::apply_draft(tx, id)?;
            Ok(queries::view(tx, sale)?)
        };
        self.db.answer(cx, work).await
    }

    /// Ends a sale with `work` and records the change in the audit trail.
    async fn end(
        &self,
        cx: &Cx,
        id: FlashSaleId,
        action: &'static str,
        work: fn(&mut Tx<'_>, FlashSaleId) -> Result<FlashSale, Error>,
    ) -> Result<SaleView, Error> {
        let caller = cx.clone();
        let work = move |tx: &mut Tx<'_>| {
            let before = queries::listed(tx, id)?;
            caller.check_version(before.version)?;
            let sale = work(tx, id)?;
            if before.status != sale.status || before.listed != sale.listed {
                sales::audit_change(tx, id, (&caller.principal.name(), action), before.status, sale.status)?;
            }
            Ok(queries::view(tx, sale)?)
        };
        let view = self.db.answer(cx, work).await?;
        self.gates.forget(id).await;
        Ok(view)
    }
}

impl Handle<CancelSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: CancelSale) -> Result<SaleView, Error> {
        self.end(cx, op.id, "flashsale.cancel", sales::cancel).await
    }
}

impl Handle<DeleteSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: DeleteSale) -> Result<(), Error> {
        self.end(cx, op.id, "flashsale.delete", sales::delete).await.map(drop)
    }
}

impl Handle<FollowSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: FollowSale) -> Result<Download, Error> {
        let state = self.db.read(|tx| stream::state(tx, op.id)).await?;
        let state = state.ok_or_else(|| Error::not_found("flash sale"))?;
        Ok(Download::stream("text/event-stream", self.listeners.join(op.id, state, cx.now)?))
    }
}

impl Handle<CreateReservation> for FlashSales {
    async fn handle(&self, cx: &Cx, op: CreateReservation) -> Result<ReservationView, Error> {
        let CreateReservation { id, sku, quantity } = op;
        let user = cx.principal.user().ok_or_else(users_only)?;
        rules::check_quantity(quantity)?;
        let load = || self.read_gates(id);
        let sale = self.gates.open(id, load).await?;
        let item = item_number(cx, &sale, &sku).await?;
        if let Some(campaign) = sale.campaign_id {
            check_campaign(cx, campaign, user).await?;
        }
        let pass = self.gates.take((id, item), user, quantity, load).await?.map_err(reject::from_gate)?;
        let reserver = Reserver { user_id: user, others: other_accounts(cx, user).await? };
        let reserve = move |tx: &mut Tx<'_>| {
            let made = reservations::reserve(tx, id, item, &reserver, quantity)?;
            Ok(ReservationView { reservation_id: made.id, unit_price: made.unit_price, expires_at: made.expires_at })
        };
        let answer = self.db.answer(cx, reserve).await;
        match &answer {
            Ok(_) => pass.keep().await,
            Err(error) => {
                pass.release().await;
                if error.is_decided() {
                    // The rows are authoritative: load the gate from them again.
                    self.gates.forget(id).await;
                }
            }
        }
        answer
    }
}

/// The other accounts with the user's mailbox, if the store ignores plus tags in addresses. Otherwise there are none,
/// because an address has only one account.
async fn other_accounts(cx: &Cx, user: UserId) -> Result<Vec<UserId>, Error> {
    if !cx.call(GetStoreProfile {}).await?.ignore_plus_tags {
        return Ok(Vec::new());
    }
    let buyer = Buyer::identify(cx, Some(user), None).await?;
    let emails = buyer.emails().into_iter().cloned().collect();
    let mut ids = cx.call(FindAccounts { emails, ignore_plus_tags: true }).await?.ids;
    ids.retain(|id| *id != user);
    Ok(ids)
}

/// The position of a SKU's item in a sale. The catalog is queried only if no item has this SKU in the sale's terms.
async fn item_number(cx: &Cx, sale: &SaleFacts, sku: &Sku) -> Result<u32, Error> {
    if let Some(item) = sale.item_of_sku(sku) {
        return Ok(item);
    }
    let found = cx.call(ResolveSkus { skus: vec![sku.clone()] }).await?.variants.into_iter().flatten().next();
    let item = found.and_then(|variant| sale.item_of_variant(variant.variant_id));
    item.ok_or_else(|| Error::field("/sku", format!("{sku} is not in this sale")))
}

/// Replaces the SKUs of items by their current ones.
async fn update_skus(cx: &Cx, sales: &mut [SaleView]) -> Result<(), Error> {
    let skus: Vec<Sku> = sales.iter().flat_map(|sale| &sale.items).map(|item| item.sku.clone()).collect();
    if skus.is_empty() {
        return Ok(());
    }
    let found = cx.call(ResolveSkus { skus }).await?.variants;
    for (item, variant) in sales.iter_mut().flat_map(|sale| &mut sale.items).zip(found) {
        item.sku = variant.map_or_else(|| item.sku.clone(), |variant| variant.sku);
    }
    Ok(())
}

fn users_only() -> Error {
    Error::new(Kind::Forbidden, codes::FORBIDDEN, "Only logged-in users can reserve units.")
}

impl FlashSales {
    /// Builds the gates of a running sale from its rows.
    async fn read_gates(&self, id: FlashSaleId) -> Result<SaleGates, Error> {
        let (sale, items) = self.db.read(|tx| running_sale(tx, id)).await?;
        let mut users: Vec<UserCount> = Vec::new();
        loop {
            let from = users.last().map_or((0, 0), |last| (last.item, last.user_id.0 + 1));
            let more = self.db.read(|tx| tx.scan::<UserCount>().prefix(id).from(from).collect(COUNTS_PER_READ)).await?;
            let done = more.len() < COUNTS_PER_READ;
            users.extend(more);
            if done {
                return Ok(gates::from_rows(&sale, &items, &users));
            }
        }
    }

    /// Loads the gates of all running sales before the node is ready, so that no buyer waits for it.
    pub(crate) async fn open_gates(&self) -> Result<(), Error> {
        for sale in self.db.read(queries::running_sales).await? {
            self.gates.open(sale.id, || self.read_gates(sale.id)).await?;
        }
        Ok(())
    }

    /// Runs a write that releases units in the rows, then releases them at the gates. Returns the number of
    /// reservations that it ended.
    pub(crate) async fn write_releasing<F>(&self, cx: &Cx, lane: Lane, work: F) -> Result<usize, Error>
    where
        F: Fn(&mut Tx<'_>) -> Result<Vec<Freed>, Error> + Send + 'static,
    {
        let doubt = self.gates.doubt().await;
        let freed = self.db.write_in(cx, lane, work).await;
        doubt.settle(&freed).await;
        Ok(freed?.len())
    }
}

/// A running sale and its items.
fn running_sale(tx: &Tx<'_>, id: FlashSaleId) -> Result<(FlashSale, Vec<FlashItem>), Error> {
    let sale = queries::listed(tx, id)?;
    if !sale.is_open() {
        return Err(reject::not_active(sale.status));
    }
    let items = queries::items(tx, id)?;
    Ok((sale, items))
}

impl Handle<ReleaseReservation> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ReleaseReservation) -> Result<(), Error> {
        let user = cx.principal.user().ok_or_else(users_only)?;
        self.write_releasing(cx, Lane::Normal, move |tx| reservations::release(tx, op.id, op.rid, user)).await.map(drop)
    }
}

impl Handle<FindReferencingSale> for FlashSales {
    async fn handle(&self, _: &Cx, op: FindReferencingSale) -> Result<ReferencingSale, Error> {
        let sale: Result<_, StoreError> = self.db.read(|tx| queries::sale_of_campaign(tx, op.campaign_id)).await;
        Ok(ReferencingSale { flash_sale_id: sale? })
    }
}

impl Handle<DescribeFlashSales> for FlashSales {
    async fn handle(&self, _: &Cx, op: DescribeFlashSales) -> Result<FlashSaleDescriptions, Error> {
        let items = self.db.read(|tx| queries::describe(tx, &op.ids)).await?;
        Ok(FlashSaleDescriptions { items })
    }
}

impl Handle<GetReservedLines> for FlashSales {
    async fn handle(&self, cx: &Cx, op: GetReservedLines) -> Result<FlashLines, Error> {
        check_reservation_count(op.reservation_ids.len())?;
        let found = self.db.read(|tx| queries::reserved_lines(tx, op.user_id, &op.reservation_ids, cx.now));
        let found: Result<_, StoreError> = found.await;
        let (found, mut refused) = found?;
        let stopped = stopped_campaigns(cx, found.iter().filter_map(|line| line.campaign_id).collect()).await?;
        let mut lines = Vec::with_capacity(found.len());
        for line in found {
            match stopped.iter().find(|(id, _)| Some(*id) == line.campaign_id) {
                Some((_, reason)) => {
                    refused.push(FlashRefusal { reservation_id: line.reservation_id, reason: *reason });
                }
                None => lines.push(line),
            }
        }
        Ok(FlashLines { lines, refused })
    }
}

/// The ids of those campaigns that are paused or over, with the reason. Their reservations cannot be bought now,
/// whereas a campaign outside its hours or with an exhausted budget still lets earlier reservations be bought.
async fn stopped_campaigns(cx: &Cx, ids: Vec<CampaignId>) -> Result<Vec<(CampaignId, RejectReason)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let states = cx.call(GetCampaignStates { ids, customer: None }).await?.items;
    let stopped = |reason: &RejectReason| matches!(reason, RejectReason::Paused | RejectReason::Expired);
    Ok(states.into_iter().filter_map(|state| Some((state.id, state.reason.filter(stopped)?))).collect())
}

impl Transact<HoldFlashReservations> for FlashSales {
    async fn transaction(&self, _: &Cx, op: HoldFlashReservations) -> Result<Transaction<()>, Error> {
        check_reservation_count(op.reservation_ids.len())?;
        Ok(self.db.transaction(move |tx| order_claims::claim(tx, op.order_id, op.user_id, &op.reservation_ids)))
    }
}

fn check_reservation_count(count: usize) -> Result<(), Error> {
    if count <= MAX_CLAIMED {
        return Ok(());
    }
    let detail = format!("must name at most {MAX_CLAIMED} reservations");
    Err(Error::field("/flashSaleReservationIds", detail))
}

impl Handle<ReleaseFlashReservations> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ReleaseFlashReservations) -> Result<(), Error> {
        self.write_releasing(cx, Lane::Normal, move |tx| order_claims::release(tx, op.order_id)).await.map(drop)
    }
}

//! Operation handlers. Each does one read or one write, except those that allocate stock between two writes.

use promox_contract::flashsale::{
    DescribeFlashSales, FindReferencingSale, FlashLines, FlashRefusal, FlashSaleDescriptions, GetReservedLines,
    HoldFlashReservations, ReferencingSale, ReleaseFlashReservations,
};
use promox_contract::ids::CampaignId;
use promox_kernel::{Cx, Download, Error, Handle, Page};
use promox_storage::{Lane, StoreError, Transact, Transaction};

use crate::api::{
    CancelSale, CreateReservation, CreateSale, DeleteSale, FollowSale, GetSale, ListActiveSales, ListSales,
    ReleaseReservation, ReservationView, SaleView, UpdateSale,
};
use crate::commands::{order_claims, reservations, sales};
use crate::records::{Draft, Terms};
use crate::{FlashSales, checks, queries, reject, rules, stream};

impl Handle<ListSales> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ListSales) -> Result<Page<SaleView>, Error> {
        let mut page = self.db.read(|tx| queries::list(tx, op.clone())).await?;
        checks::update_skus(cx, &mut page.items).await?;
        Ok(page)
    }
}

impl Handle<ListActiveSales> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ListActiveSales) -> Result<Page<SaleView>, Error> {
        let mut page = self.db.read(|tx| queries::active_sales(tx, op.clone(), cx.now)).await?;
        let ids: Vec<CampaignId> = page.items.iter().filter_map(|sale| sale.campaign_id).collect();
        let running = checks::running_campaigns(cx, ids).await?;
        page.items.retain(|sale| sale.campaign_id.is_none_or(|id| running.contains(&id)));
        checks::update_skus(cx, &mut page.items).await?;
        Ok(page)
    }
}

impl Handle<GetSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: GetSale) -> Result<SaleView, Error> {
        let mut sale = self.db.read(|tx| queries::sale(tx, op.id)).await?;
        checks::update_skus(cx, std::slice::from_mut(&mut sale)).await?;
        Ok(sale)
    }
}

impl Handle<CreateSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: CreateSale) -> Result<SaleView, Error> {
        let terms = checks::terms(cx, Terms::from_request(op)).await?;
        let (claim, draft) = (cx.claim.clone(), Draft { terms, by: cx.principal.name() });
        let id = self.db.write(cx, move |tx| sales::create(tx, claim.as_deref(), &draft)).await?;
        self.apply_draft(cx, id).await
    }

    async fn check(&self, cx: &Cx, op: CreateSale) -> Result<(), Error> {
        checks::terms(cx, Terms::from_request(op)).await.map(drop)
    }
}

impl Handle<UpdateSale> for FlashSales {
    async fn handle(&self, cx: &Cx, op: UpdateSale) -> Result<SaleView, Error> {
        let id = op.id;
        let (version, before) = self.db.read(|tx| queries::terms(tx, id)).await?;
        cx.check_version(version)?;
        let terms = checks::terms(cx, before.clone().patched(op)).await?;
        if terms == before {
            return self.db.read(|tx| queries::sale(tx, id)).await;
        }
        let draft = Draft { terms, by: cx.principal.name() };
        self.db.write(cx, move |tx| sales::update(tx, id, version, &draft)).await?;
        self.apply_draft(cx, id).await
    }

    async fn check(&self, cx: &Cx, op: UpdateSale) -> Result<(), Error> {
        let (_, before) = self.db.read(|tx| queries::terms(tx, op.id)).await?;
        checks::terms(cx, before.patched(op)).await.map(drop)
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
        Ok(Download::stream("text/event-stream", self.listeners.join(cx, op.id, state)?))
    }
}

impl Handle<CreateReservation> for FlashSales {
    async fn handle(&self, cx: &Cx, op: CreateReservation) -> Result<ReservationView, Error> {
        let user = cx.principal.user().ok_or_else(reject::users_only)?;
        rules::check_quantity(op.quantity)?;
        self.reserve(cx, user, op).await
    }
}

impl Handle<ReleaseReservation> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ReleaseReservation) -> Result<(), Error> {
        let user = cx.principal.user().ok_or_else(reject::users_only)?;
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
        rules::check_reservation_count(op.reservation_ids.len())?;
        let found = self.db.read(|tx| queries::reserved_lines(tx, op.user_id, &op.reservation_ids, cx.now));
        let found: Result<_, StoreError> = found.await;
        let (found, mut refused) = found?;
        let stopped = checks::stopped_campaigns(cx, found.iter().filter_map(|line| line.campaign_id).collect()).await?;
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

impl Transact<HoldFlashReservations> for FlashSales {
    async fn transaction(&self, _: &Cx, op: HoldFlashReservations) -> Result<Transaction<()>, Error> {
        rules::check_reservation_count(op.reservation_ids.len())?;
        Ok(self.db.transaction(move |tx| order_claims::claim(tx, op.order_id, op.user_id, &op.reservation_ids)))
    }
}

impl Handle<ReleaseFlashReservations> for FlashSales {
    async fn handle(&self, cx: &Cx, op: ReleaseFlashReservations) -> Result<(), Error> {
        self.write_releasing(cx, Lane::Normal, move |tx| order_claims::release(tx, op.order_id)).await.map(drop)
    }
}

//! Allocates stock in the inventory before a sale is listed, reports purchases, and releases the rest. Every step can
//! be repeated, and the jobs repeat it until it succeeds.

use std::sync::Arc;

use promox_contract::ids::FlashSaleId;
use promox_contract::inventory::{
    AllocateStock, AllocationSale, ChangeAllocation, EndAllocation, ReturnToAllocation, SellFromAllocation,
    VariantQuantity,
};
use promox_kernel::{Claim, Cx, Error};
use promox_storage::{Lane, Tx};

use crate::commands::{claims, holds, sales};
use crate::records::{FlashPurchase, FlashSale, PurchaseStatus, SaleStatus, Terms};
use crate::reject;
use crate::{FlashSales, queries, rules};

/// Purchases reported to the inventory at once.
const BATCH: usize = 200;
/// Maximum sales per run of the job.
const TURN: usize = 50;

/// Whether the stock of a sale is allocated as its draft requires.
pub(crate) enum Stocked {
    /// It is, or nothing is to be allocated.
    Yes,
    /// It was refused; nothing was allocated.
    No(Error),
}

impl FlashSales {
    /// Allocates the stock of a draft. An error that decides nothing is returned, and the call is repeated later.
    pub(crate) async fn stock(&self, cx: &Cx, id: FlashSaleId) -> Result<Stocked, Error> {
        let Some((terms, is_new)) = self.db.read(|tx| draft(tx, id)).await? else { return Ok(Stocked::Yes) };
        let (reference, items) = (rules::allocation(id), terms.stock());
        let cx = cx.elevated();
        let answer = if is_new {
            cx.call(AllocateStock { reference, items }).await
        } else {
            cx.call(ChangeAllocation { reference, items }).await
        };
        match answer {
            Ok(()) => Ok(Stocked::Yes),
            Err(error) if error.is_decided() => Ok(Stocked::No(reject::short(error, &terms))),
            Err(error) => Err(error),
        }
    }

    /// Drops a draft whose stock was refused.
    pub(crate) async fn refuse(&self, cx: &Cx, claim: Option<Arc<Claim>>, id: FlashSaleId) -> Result<(), Error> {
        Ok(self.db.write(cx, move |tx| sales::drop_draft(tx, claim.as_deref(), id)).await?)
    }

    /// Moves sales to the status that the time requires, also after the node was down. Returns whether there is more to
    /// do.
    pub(crate) async fn turn(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| queries::due(tx, cx.now, TURN)).await?;
        let (mut more, mut failed) = (due.len() == TURN, None);
        for sale in due {
            match self.advance(cx, &sale).await {
                Ok(again) => more |= again,
                Err(error) => {
                    tracing::warn!(sale = sale.id.0, %error, "the state of a flash sale could not be updated; \
                         will retry");
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(more), Err)
    }

    async fn advance(&self, cx: &Cx, sale: &FlashSale) -> Result<bool, Error> {
        let id = sale.id;
        if sale.draft.is_some() {
            match self.stock(cx, id).await? {
                Stocked::Yes => drop(self.db.write(cx, move |tx| sales::settle(tx, id)).await?),
                Stocked::No(_) => self.refuse(cx, None, id).await?,
            }
            return Ok(true);
        }
        if sale.is_over() {
            return self.close(cx, id).await;
        }
        let status = self.db.write(cx, move |tx| sales::advance(tx, id)).await?;
        let over = matches!(status, SaleStatus::Ended | SaleStatus::Cancelled);
        if over {
            self.gates.forget(id).await;
        }
        Ok(over)
    }

    /// Settles a sale that is over: reservations end, purchases leave the stock, and the rest returns to it.
    async fn close(&self, cx: &Cx, id: FlashSaleId) -> Result<bool, Error> {
        self.gates.forget(id).await;
        if self.expire(cx, id).await? == holds::SWEEP {
            return Ok(true);
        }
        let due = self.db.read(|tx| queries::unsettled(tx, id, BATCH)).await?;
        if due.first().is_some_and(|purchase| purchase.sale_id == id) {
            self.report_purchases(cx, id, due).await?;
        }
        let kept: Vec<VariantQuantity> = self.db.read(|tx| queries::kept(tx, id)).await?;
        cx.call(EndAllocation { reference: rules::allocation(id), keep: kept.clone() }).await?;
        self.db.write(cx, move |tx| sales::close(tx, id, &kept)).await
    }

    /// Ends reservations of one sale, a bounded batch. Returns how many.
    pub(crate) async fn expire(&self, cx: &Cx, id: FlashSaleId) -> Result<usize, Error> {
        self.freeing(cx, Lane::Bulk, move |tx| holds::expire(tx, id)).await
    }

    /// Reports purchases and reversals to the inventory, one batch per sale. Returns whether there is more.
    pub(crate) async fn settle_purchases(&self, cx: &Cx) -> Result<bool, Error> {
        let (mut from, mut more, mut failed) = (FlashSaleId(0), false, None);
        loop {
            let due = self.db.read(|tx| queries::unsettled(tx, from, BATCH)).await?;
            let Some(id) = due.first().map(|purchase| purchase.sale_id) else { break };
            let full = due.len() == BATCH;
            match self.report_purchases(cx, id, due).await {
                Ok(()) => more |= full,
                Err(error) => {
                    tracing::warn!(sale = id.0, %error, "purchases are not settled yet; will retry");
                    failed = Some(error);
                }
            }
            from = FlashSaleId(id.0 + 1);
        }
        failed.map_or(Ok(more), Err)
    }

    /// Reports one sale's purchases to the inventory: reversals first, so that their units can be sold again.
    async fn report_purchases(&self, cx: &Cx, id: FlashSaleId, due: Vec<FlashPurchase>) -> Result<(), Error> {
        let allocation = rules::allocation(id);
        let (bought, released): (Vec<_>, Vec<_>) =
            due.iter().partition(|purchase| purchase.status == PurchaseStatus::Bought);
        for purchase in released {
            let reference = rules::purchase(purchase.id);
            cx.call(ReturnToAllocation { allocation: allocation.clone(), reference }).await?;
        }
        if !bought.is_empty() {
            cx.call(SellFromAllocation { allocation, sales: bought.into_iter().map(sale).collect() }).await?;
        }
        let reported: Vec<_> = due.iter().map(|purchase| (purchase.id, purchase.status)).collect();
        Ok(self.db.write_in(cx, Lane::Bulk, move |tx| claims::reported(tx, id, &reported)).await?)
    }
}

fn sale(purchase: &FlashPurchase) -> AllocationSale {
    let (variant_id, sku, quantity) = (purchase.variant_id, purchase.sku.clone(), purchase.quantity);
    let item = VariantQuantity { variant_id, sku, quantity };
    AllocationSale { reference: rules::purchase(purchase.id), order_id: purchase.order_id, items: vec![item] }
}

/// The draft of a sale, and whether nothing is allocated for it yet.
fn draft(tx: &Tx<'_>, id: FlashSaleId) -> Result<Option<(Terms, bool)>, Error> {
    let sale = tx.get::<FlashSale>(&id)?.ok_or_else(|| Error::not_found("flash sale"))?;
    let is_new = sale.listed.is_none();
    Ok(sale.draft.map(|draft| (draft.0.terms, is_new)))
}

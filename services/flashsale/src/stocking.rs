//! Allocates stock in the inventory before a sale is listed, reports purchases, and releases what remains unsold. Every
//! step is idempotent, and the jobs repeat it until it succeeds.

use std::sync::Arc;

use promox_contract::ids::FlashSaleId;
use promox_contract::inventory::{
    AllocateStock, AllocationSale, ChangeAllocation, EndAllocation, ReturnToAllocation, SellFromAllocation,
    VariantQuantity,
};
use promox_kernel::{Claim, Cx, Error};
use promox_storage::{Lane, Tx};

use crate::api::SaleView;
use crate::commands::{order_claims, reservations, sales};
use crate::records::{FlashPurchase, FlashSale, PurchaseStatus, SaleStatus, Terms};
use crate::{FlashSales, queries, reject, rules};

/// Maximum purchases reported to the inventory in one call.
const BATCH: usize = 200;

/// Maximum sales per run of the job.
const SALES_PER_RUN: usize = 50;

/// The outcome of allocating the stock of a draft.
pub(crate) enum Stocking {
    /// The stock is allocated, or the sale has no draft.
    Allocated,
    /// The inventory refused, and nothing was allocated.
    Refused(Error),
}

impl FlashSales {
    /// Allocates the stock of a sale's draft. If the outcome is unknown, it returns the error and can be called again.
    pub(crate) async fn allocate_draft(&self, cx: &Cx, id: FlashSaleId) -> Result<Stocking, Error> {
        let Some((terms, is_new)) = self.db.read(|tx| draft(tx, id)).await? else { return Ok(Stocking::Allocated) };
        let (reference, items) = (rules::allocation(id), terms.stock());
        let cx = cx.elevated();
        let answer = if is_new {
            cx.call(AllocateStock { reference, items }).await
        } else {
            cx.call(ChangeAllocation { reference, items }).await
        };
        match answer {
            Ok(()) => Ok(Stocking::Allocated),
            Err(error) if error.is_decided() => Ok(Stocking::Refused(reject::insufficient_stock(error, &terms))),
            Err(error) => Err(error),
        }
    }

    /// Discards a draft whose stock was refused.
    pub(crate) async fn discard_draft(&self, cx: &Cx, claim: Option<Arc<Claim>>, id: FlashSaleId) -> Result<(), Error> {
        Ok(self.db.write(cx, move |tx| sales::discard_draft(tx, claim.as_deref(), id)).await?)
    }

    /// Advances sales that are due to the status that the current time requires. Returns whether there is more to do.
    pub(crate) async fn advance_due_sales(&self, cx: &Cx) -> Result<bool, Error> {
        let due = self.db.read(|tx| queries::due_sales(tx, cx.now, SALES_PER_RUN)).await?;
        let (mut more, mut failed) = (due.len() == SALES_PER_RUN, None);
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

    /// Takes the next step of a due sale. Returns whether another step is due.
    async fn advance(&self, cx: &Cx, sale: &FlashSale) -> Result<bool, Error> {
        let id = sale.id;
        if sale.draft.is_some() {
            match self.allocate_draft(cx, id).await? {
                Stocking::Allocated => drop(self.db.write(cx, move |tx| sales::apply_draft(tx, id)).await?),
                Stocking::Refused(_) => self.discard_draft(cx, None, id).await?,
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

    /// Closes a sale that is over: expires its reservations, reports its purchases and releases the unsold units.
    /// Returns whether there is more to do.
    async fn close(&self, cx: &Cx, id: FlashSaleId) -> Result<bool, Error> {
        self.gates.forget(id).await;
        if self.expire(cx, id).await? == reservations::MAX_SWEEP {
            return Ok(true);
        }
        let due = self.db.read(|tx| queries::unreported_purchases(tx, id, BATCH)).await?;
        if due.first().is_some_and(|purchase| purchase.sale_id == id) {
            self.report_purchases(cx, id, due).await?;
        }
        let kept: Vec<VariantQuantity> = self.db.read(|tx| queries::units_to_keep(tx, id)).await?;
        cx.call(EndAllocation { reference: rules::allocation(id), keep: kept.clone() }).await?;
        self.db.write(cx, move |tx| sales::close(tx, id, &kept)).await
    }

    /// Expires a bounded batch of one sale's reservations. Returns the number expired.
    pub(crate) async fn expire(&self, cx: &Cx, id: FlashSaleId) -> Result<usize, Error> {
        self.write_releasing(cx, Lane::Bulk, move |tx| reservations::expire(tx, id)).await
    }

    /// Reports due purchases and reversals to the inventory, one batch per sale. Returns whether there are more.
    pub(crate) async fn report_due_purchases(&self, cx: &Cx) -> Result<bool, Error> {
        let (mut from, mut more, mut failed) = (FlashSaleId(0), false, None);
        loop {
            let due = self.db.read(|tx| queries::unreported_purchases(tx, from, BATCH)).await?;
            let Some(id) = due.first().map(|purchase| purchase.sale_id) else { break };
            let full = due.len() == BATCH;
            match self.report_purchases(cx, id, due).await {
                Ok(()) => more |= full,
                Err(error) => {
                    tracing::warn!(sale = id.0, %error, "flash sale purchases could not be reported; will retry");
                    failed = Some(error);
                }
            }
            from = FlashSaleId(id.0 + 1);
        }
        failed.map_or(Ok(more), Err)
    }

    /// Reports one sale's purchases to the inventory. Reversals come first, so that their units can be sold again.
    async fn report_purchases(&self, cx: &Cx, id: FlashSaleId, due: Vec<FlashPurchase>) -> Result<(), Error> {
        let allocation = rules::allocation(id);
        let (bought, reversed): (Vec<_>, Vec<_>) =
            due.iter().partition(|purchase| purchase.status == PurchaseStatus::Bought);
        for purchase in reversed {
            let reference = rules::purchase(purchase.id);
            cx.call(ReturnToAllocation { allocation: allocation.clone(), reference }).await?;
        }
        if !bought.is_empty() {
            cx.call(SellFromAllocation { allocation, sales: bought.into_iter().map(allocation_sale).collect() })
                .await?;
        }
        let reported: Vec<_> = due.iter().map(|purchase| (purchase.id, purchase.status)).collect();
        Ok(self.db.write_in(cx, Lane::Bulk, move |tx| order_claims::mark_reported(tx, id, &reported)).await?)
    }

    /// Allocates a draft's stock, applies the draft and returns the sale. If the inventory refuses the stock, the error
    /// points at the short items.
    pub(crate) async fn apply_draft(&self, cx: &Cx, id: FlashSaleId) -> Result<SaleView, Error> {
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
    pub(crate) async fn end(
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

fn allocation_sale(purchase: &FlashPurchase) -> AllocationSale {
    let (variant_id, sku, quantity) = (purchase.variant_id, purchase.sku.clone(), purchase.quantity);
    let item = VariantQuantity { variant_id, sku, quantity };
    AllocationSale { reference: rules::purchase(purchase.id), order_id: purchase.order_id, items: vec![item] }
}

/// The terms of a sale's draft, if it has one, and whether this is a new sale without an allocation.
fn draft(tx: &Tx<'_>, id: FlashSaleId) -> Result<Option<(Terms, bool)>, Error> {
    let sale = tx.get::<FlashSale>(&id)?.ok_or_else(|| Error::not_found("flash sale"))?;
    let is_new = sale.listed.is_none();
    Ok(sale.draft.map(|draft| (draft.0.terms, is_new)))
}

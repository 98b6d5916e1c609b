//! Carries out an approved return: the payment service decides and makes the refund, then the goods are restocked.

use promox_contract::ids::OrderId;
use promox_contract::inventory::{Restock, SkuQuantity};
use promox_contract::payment::{GetOrderPayment, PaymentOutcome, SettleReturn};
use promox_contract::product::ResolveSkus;
use promox_kernel::{Cx, Error, Kind};

use crate::api::ReturnView;
use crate::commands::{fulfil, returns};
use crate::records::{OrderItem, Return, ReturnId};
use crate::rules::request;
use crate::{Orders, queries};

/// The state of an order's payment; `None` if it has no payment.
pub(crate) async fn payment_of(cx: &Cx, order_id: OrderId) -> Result<Option<PaymentOutcome>, Error> {
    match cx.elevated().call(GetOrderPayment { order_id }).await {
        Ok(payment) => Ok(Some(payment)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Orders {
    /// Requests the refund of a return from the payment service, and sets the return to APPROVED. The reply is stored
    /// under the request's idempotency key, if it has one.
    pub(crate) async fn settle_return(&self, cx: &Cx, rid: ReturnId) -> Result<ReturnView, Error> {
        let (row, order) = self.db.read(|tx| returns::load(tx, rid)).await?;
        let settled = match row.approval.0.as_ref().filter(|_| row.is_settling()) {
            Some(approval) if order.payment_id.is_some() => {
                let settle = SettleReturn {
                    order_id: row.order_id,
                    return_id: rid.0,
                    amount: approval.money + approval.shipping_refund - approval.shipping_by_points,
                    fee: approval.fee,
                    whole: approval.whole,
                    unshipped: approval.unshipped,
                    complete: approval.complete,
                    reason: row.reason.clone(),
                };
                Some(cx.elevated().call(settle).await?)
            }
            _ => None,
        };
        self.db.answer(cx, move |tx| returns::approve(tx, rid, settled.as_ref())).await
    }

    /// Replaces SKUs that no line of an order has by the SKU under which the line's variant was sold: a variant's SKU
    /// may have changed since.
    pub(crate) async fn use_sold_skus(&self, cx: &Cx, id: OrderId, items: &mut [SkuQuantity]) -> Result<(), Error> {
        let lines = self.db.read(|tx| queries::items(tx, id)).await?;
        let mut others: Vec<&mut SkuQuantity> =
            items.iter_mut().filter(|item| lines.iter().all(|line| line.sku != item.sku)).collect();
        if lines.is_empty() || others.is_empty() || others.len() > request::MAX_LINES {
            return Ok(());
        }
        let skus = others.iter().map(|item| item.sku.clone()).collect();
        let variants = cx.call(ResolveSkus { skus }).await?.variants;
        for (item, variant) in others.iter_mut().zip(variants) {
            let variant_id = variant.map(|variant| variant.variant_id);
            let is_same = |line: &&OrderItem| variant_id.is_some() && line.variant_id == variant_id;
            if let Some(line) = lines.iter().find(is_same) {
                item.sku = line.sku.clone();
            }
        }
        Ok(())
    }

    /// Continues an approved return until it is refunded and restocked. A failure schedules a retry and is not an
    /// error.
    pub(crate) async fn complete_return(&self, cx: &Cx, rid: ReturnId) -> Result<(), Error> {
        let (row, _) = self.db.read(|tx| returns::load(tx, rid)).await?;
        if row.due_at.is_none() {
            return Ok(());
        }
        match self.settle_and_restock(cx, row).await {
            Ok(()) => self.db.write(cx, move |tx| returns::mark_completed(tx, rid)).await,
            Err(error) => {
                tracing::warn!(return_id = rid.0, %error, "a return could not be refunded or restocked and will be \
                     retried");
                self.db.write(cx, move |tx| returns::retry_later(tx, rid)).await
            }
        }
    }

    /// Settles a return if its refund is not decided yet, and restocks its goods or writes them off.
    async fn settle_and_restock(&self, cx: &Cx, row: Return) -> Result<(), Error> {
        let cx = cx.elevated();
        if row.is_settling() {
            self.settle_return(&cx, row.id).await?;
        }
        let (reference, order_id) = (format!("return:{}", row.id), row.order_id);
        let lines = self.db.read(|tx| queries::items(tx, order_id)).await?;
        let items = fulfil::variant_quantities(&lines, &row.items);
        cx.call(Restock { reference, order_id, items, write_off: !row.restock }).await
    }
}

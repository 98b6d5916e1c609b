//! Carries out a return that was approved: the payment decides its refund, then money and goods move.

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

/// The status of an order's payment, if it has one.
pub(crate) async fn payment_of(cx: &Cx, order_id: OrderId) -> Result<Option<PaymentOutcome>, Error> {
    match cx.elevated().call(GetOrderPayment { order_id }).await {
        Ok(payment) => Ok(Some(payment)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Orders {
    /// Has the payment service decide the refund of a return, and approves it; stores the reply if the request has a
    /// key.
    pub(crate) async fn settle_return(&self, cx: &Cx, rid: ReturnId) -> Result<ReturnView, Error> {
        let (row, order) = self.db.read(|tx| returns::load(tx, rid)).await?;
        let settled = match row.approval.0.as_ref().filter(|_| row.is_settling()) {
            Some(approval) if order.payment_id.is_some() => {
                let asked = SettleReturn {
                    order_id: row.order_id,
                    return_id: rid.0,
                    amount: approval.money + approval.shipping_refund - approval.shipping_by_points,
                    fee: approval.fee,
                    whole: approval.whole,
                    reason: row.reason.clone(),
                };
                Some(cx.elevated().call(asked).await?)
            }
            _ => None,
        };
        self.db.answer(cx, move |tx| returns::approve(tx, rid, settled.as_ref())).await
    }

    /// Replaces SKUs by those under which an order's lines were sold, where another SKU of the same variant is given.
    pub(crate) async fn name_as_sold(&self, cx: &Cx, id: OrderId, items: &mut [SkuQuantity]) -> Result<(), Error> {
        let lines = self.db.read(|tx| queries::items(tx, id)).await?;
        let mut others: Vec<&mut SkuQuantity> =
            items.iter_mut().filter(|item| lines.iter().all(|line| line.sku != item.sku)).collect();
        if lines.is_empty() || others.is_empty() || others.len() > request::MAX_LINES {
            return Ok(());
        }
        let skus = others.iter().map(|item| item.sku.clone()).collect();
        let found = cx.call(ResolveSkus { skus }).await?.variants;
        for (item, of) in others.iter_mut().zip(found) {
            let same = |line: &&OrderItem| of.as_ref().is_some_and(|of| line.variant_id == Some(of.variant_id));
            if let Some(line) = lines.iter().find(same) {
                item.sku = line.sku.clone();
            }
        }
        Ok(())
    }

    /// Continues an approved return until its money and goods have moved; what fails now is retried later.
    pub(crate) async fn move_return(&self, cx: &Cx, rid: ReturnId) -> Result<(), Error> {
        let (row, _) = self.db.read(|tx| returns::load(tx, rid)).await?;
        if row.due_at.is_none() {
            return Ok(());
        }
        match self.give_return_back(cx, row).await {
            Ok(()) => self.db.write(cx, move |tx| returns::moved(tx, rid)).await,
            Err(error) => {
                tracing::warn!(return_id = rid.0, %error, "refunding or restocking a return failed and will be \
                     retried");
                self.db.write(cx, move |tx| returns::moved_later(tx, rid)).await
            }
        }
    }

    async fn give_return_back(&self, cx: &Cx, row: Return) -> Result<(), Error> {
        let cx = cx.elevated();
        if row.is_settling() {
            self.settle_return(&cx, row.id).await?;
        }
        let (reference, order_id) = (format!("return:{}", row.id), row.order_id);
        let lines = self.db.read(|tx| queries::items(tx, order_id)).await?;
        let items = fulfil::goods(&lines, &row.items);
        cx.call(Restock { reference, order_id, items, write_off: !row.restock }).await
    }
}

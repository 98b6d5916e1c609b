//! Operations: authorise, one read or write, convert.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::inventory::{Restock, SkuQuantity};
use promox_contract::order::{
    CancelVoidedOrder, CheckOrderAccess, CurrentOrderStatus, DescribeOrder, GetOrderStatus, OpenOrders,
    OrderDescription, OrderStatus, PrepareErasure, PriceCart, PricedCart, ResumeCheckout, ResumedCheckout, VoidedOrder,
};
use promox_contract::payment::{GetOrderPayment, PaymentOutcome, SettleReturn};
use promox_contract::product::ResolveSkus;
use promox_contract::user::{ExportOrders, PersonalData};
use promox_kernel::{Cx, Download, Error, Handle, Kind, Page, multiline};
use promox_storage::Tx;

use crate::Orders;
use crate::api::{
    ApproveReturn, CancelOrder, DeliverFulfilment, FulfilmentView, GetInvoice, GetOrder, GetTimeline, ListOrders,
    LookUpOrder, OrderView, PlaceOrder, QuoteOrder, QuoteView, RejectReturn, RequestReturn, ReturnView, ShipOrder,
};
use crate::checkout::transitions::Resumable;
use crate::checkout::{Driver, transitions};
use crate::commands::{cancel, fulfil, leaving, returns};
use crate::pricing::{PricingRequest, Strictness, assess};
use crate::records::{Order, OrderByUser, OrderItem, Return, ReturnId, TimelineEntry};
use crate::rules::request;
use crate::{invoice, order_row, queries, reject};

/// Maximum orders in a person's export.
const MAX_EXPORTED: usize = 10_000;

impl Handle<PlaceOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: PlaceOrder) -> Result<OrderView, Error> {
        self.place(cx, op).await
    }
}

impl Handle<QuoteOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: QuoteOrder) -> Result<QuoteView, Error> {
        self.quote(cx, op.0).await
    }
}

impl Handle<GetOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: GetOrder) -> Result<OrderView, Error> {
        self.db.read(|tx| queries::view(tx, queries::visible(tx, cx, op.id, "order:read")?)).await
    }
}

impl Handle<ListOrders> for Orders {
    async fn handle(&self, cx: &Cx, op: ListOrders) -> Result<Page<OrderView>, Error> {
        self.db.read(|tx| queries::list(tx, cx, op.clone())).await
    }
}

impl Handle<GetTimeline> for Orders {
    async fn handle(&self, cx: &Cx, op: GetTimeline) -> Result<Page<TimelineEntry>, Error> {
        let order = self.db.read(|tx| queries::visible(tx, cx, op.id, "order:read")).await?;
        Ok(Page::new(order.timeline.0, None))
    }
}

impl Handle<GetInvoice> for Orders {
    async fn handle(&self, cx: &Cx, op: GetInvoice) -> Result<Download, Error> {
        let store = self.settings.get(cx).await?.facts();
        let view = self.db.read(|tx| queries::view(tx, queries::visible(tx, cx, op.id, "order:read")?)).await?;
        if matches!(view.status, OrderStatus::Pending | OrderStatus::Failed) {
            let message = format!("There is no invoice for an order that is {}.", view.status);
            return Err(reject::state(codes::ORDER_NOT_CONFIRMED, message, view.status));
        }
        let page = invoice::render(&store, &view)?;
        Ok(Download::bytes("text/html; charset=utf-8", page))
    }
}

impl Handle<LookUpOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: LookUpOrder) -> Result<OrderView, Error> {
        self.look_ups.check(cx).await?;
        let found = self.db.read(|tx| queries::look_up(tx, &op.number, &op.email)).await;
        if found.is_err() {
            self.look_ups.wrong(cx).await;
        }
        found
    }
}

impl Handle<CancelOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: CancelOrder) -> Result<OrderView, Error> {
        let reason = multiline(&op.reason, 1, 1_000).map_err(|detail| Error::field("/reason", detail))?;
        let (caller, id, until) = (cx.clone(), op.id, transitions::lease_end(cx));
        let lease = self.db.write(cx, move |tx| cancel::cancel(tx, &caller, id, &reason, until)).await?;
        if let Some(lease) = lease {
            return Driver::new(self, cx, lease).compensate().await;
        }
        self.db.read(|tx| queries::view(tx, queries::visible(tx, cx, id, "order:cancel")?)).await
    }
}

impl Handle<ShipOrder> for Orders {
    async fn handle(&self, cx: &Cx, mut op: ShipOrder) -> Result<FulfilmentView, Error> {
        if let Some(items) = &mut op.items {
            self.name_as_sold(cx, op.id, items).await?;
        }
        let (caller, payment) = (cx.clone(), payment_of(cx, op.id).await?);
        self.db.answer(cx, move |tx| fulfil::ship(tx, &caller, &op, payment.as_ref())).await
    }
}

/// The status of an order's payment, if it has one.
async fn payment_of(cx: &Cx, order_id: OrderId) -> Result<Option<PaymentOutcome>, Error> {
    match cx.elevated().call(GetOrderPayment { order_id }).await {
        Ok(payment) => Ok(Some(payment)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Handle<DeliverFulfilment> for Orders {
    async fn handle(&self, cx: &Cx, op: DeliverFulfilment) -> Result<FulfilmentView, Error> {
        let caller = cx.clone();
        self.db.answer(cx, move |tx| fulfil::deliver(tx, &caller, op.id, op.fid)).await
    }
}

impl Handle<RequestReturn> for Orders {
    async fn handle(&self, cx: &Cx, mut op: RequestReturn) -> Result<ReturnView, Error> {
        self.name_as_sold(cx, op.id, &mut op.items).await?;
        let (caller, payment) = (cx.clone(), payment_of(cx, op.id).await?);
        self.db.answer(cx, move |tx| returns::request(tx, &caller, &op, payment.as_ref())).await
    }
}

impl Handle<ApproveReturn> for Orders {
    async fn handle(&self, cx: &Cx, op: ApproveReturn) -> Result<ReturnView, Error> {
        let (caller, rid) = (cx.clone(), op.rid);
        self.db.write(cx, move |tx| returns::begin_approval(tx, &caller, &op)).await?;
        let view = self.settle_return(cx, rid).await?;
        self.move_return(cx, rid).await?;
        Ok(view)
    }
}

impl Handle<RejectReturn> for Orders {
    async fn handle(&self, cx: &Cx, op: RejectReturn) -> Result<ReturnView, Error> {
        let caller = cx.clone();
        self.db.answer(cx, move |tx| returns::reject(tx, &caller, op.id, op.rid)).await
    }
}

impl Handle<ResumeCheckout> for Orders {
    async fn handle(&self, cx: &Cx, op: ResumeCheckout) -> Result<ResumedCheckout, Error> {
        let again_at = async || self.db.read(|tx| queries::payment_due(tx, op.order_id)).await;
        if again_at().await?.is_some_and(|due| due <= cx.now) {
            self.resume(&cx.elevated(), op.order_id, Resumable::DueAt(cx.now)).await?;
        }
        Ok(ResumedCheckout { again_at: again_at().await? })
    }
}

impl Orders {
    /// Has the payment service decide the refund of a return, and approves it; stores the reply if the request has a
    /// key.
    async fn settle_return(&self, cx: &Cx, rid: ReturnId) -> Result<ReturnView, Error> {
        let (row, order) = self.db.read(|tx| returns::load(tx, rid)).await?;
        let settled = match row.approval.0.as_ref().filter(|_| row.is_settling()) {
            Some(approval) if order.payment_id.is_some() => {
                let asked = SettleReturn {
                    order_id: row.order_id,
                    return_id: rid.0,
                    amount: approval.money + approval.shipping_refund,
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
    async fn name_as_sold(&self, cx: &Cx, id: OrderId, items: &mut [SkuQuantity]) -> Result<(), Error> {
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
        if row.restock {
            let (reference, order_id) = (format!("return:{}", row.id), row.order_id);
            let lines = self.db.read(|tx| queries::items(tx, order_id)).await?;
            let items = fulfil::goods(&lines, &row.items);
            cx.call(Restock { reference, order_id, items }).await?;
        }
        Ok(())
    }
}

impl Handle<CancelVoidedOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: CancelVoidedOrder) -> Result<VoidedOrder, Error> {
        let until = transitions::lease_end(cx);
        let cancel = move |tx: &mut Tx<'_>| {
            let order = order_row::load(tx, op.order_id)?;
            if fulfil::came_back(&order, &queries::items(tx, order.id)?) {
                return Ok((false, None));
            }
            cancel::of_order(tx, order, (&op.actor, &op.reason), until).map(|lease| (true, lease))
        };
        let (cancelled, lease) = self.db.write(cx, cancel).await?;
        if let Some(lease) = lease {
            Driver::new(self, cx, lease).compensate().await?;
        }
        Ok(VoidedOrder { cancelled })
    }
}

impl Handle<GetOrderStatus> for Orders {
    async fn handle(&self, _: &Cx, op: GetOrderStatus) -> Result<CurrentOrderStatus, Error> {
        let order = self.db.read(|tx| order_row::load(tx, op.order_id)).await?;
        Ok(CurrentOrderStatus { status: order.status })
    }
}

impl Handle<PrepareErasure> for Orders {
    async fn handle(&self, cx: &Cx, op: PrepareErasure) -> Result<OpenOrders, Error> {
        let return_days = self.settings.get(cx).await?.store.return_days;
        self.db.write(cx, move |tx| leaving::prepare(tx, op.user_id, return_days)).await
    }
}

impl Handle<CheckOrderAccess> for Orders {
    async fn handle(&self, cx: &Cx, op: CheckOrderAccess) -> Result<(), Error> {
        let order = self.db.read(|tx| tx.get::<Order>(&op.order_id)).await?;
        let own = order.is_some_and(|order| queries::owns(cx, &order));
        if own { Ok(()) } else { Err(Error::not_found("order")) }
    }
}

impl Handle<DescribeOrder> for Orders {
    async fn handle(&self, _: &Cx, op: DescribeOrder) -> Result<OrderDescription, Error> {
        self.db.read(|tx| queries::describe(tx, op.order_id)).await
    }
}

impl Handle<PriceCart> for Orders {
    async fn handle(&self, cx: &Cx, op: PriceCart) -> Result<PricedCart, Error> {
        let settings = self.settings.get(cx).await?;
        let priced = assess(cx, &PricingRequest::from(op), Strictness::Cart, &settings).await?.priced;
        Ok(PricedCart {
            currency: priced.currency,
            lines: priced.lines,
            applied_promotions: priced.applied,
            rejected_promotions: priced.rejected,
            totals: priced.totals,
        })
    }
}

impl Handle<ExportOrders> for Orders {
    async fn handle(&self, _: &Cx, op: ExportOrders) -> Result<PersonalData, Error> {
        let views = self
            .db
            .read(|tx| {
                let orders: Vec<Order> = tx.scan_by::<OrderByUser>().prefix(Some(op.user_id)).collect(MAX_EXPORTED)?;
                orders.into_iter().map(|order| queries::view(tx, order)).collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        serde_json::to_value(views).map(PersonalData).map_err(Error::internal)
    }
}

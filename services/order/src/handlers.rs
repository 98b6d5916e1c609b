//! Handlers: authorise, one read or write, convert.

use promox_contract::buyer::Buyer;
use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_contract::order::{
    CancelVoidedOrder, CartInCheckout, CheckOrderAccess, CreditFigureList, CurrentOrderStatus, DescribeOrder,
    FindFirstPaidOrder, FirstPaidOrder, GetOrderStatus, GetPurchaseTotals, IsCartInCheckout, ListCreditFigures,
    ListOrderFigures, ListRunningSagas, OpenOrders, OrderDescription, OrderFigureList, OrderStatus, PrepareErasure,
    PriceCart, PricedCart, PurchaseTotals, ResumeCheckout, ResumedCheckout, RunningSaga, RunningSagas, VoidedOrder,
};
use promox_contract::promotion::{GetPricingTerms, PricingTerms};
use promox_contract::user::{DescribeUsers, ExportOrders, FindAccounts, PersonalData};
use promox_kernel::{Cx, Download, Email, Error, Handle, Page, multiline};
use promox_storage::Tx;

use crate::api::{
    ApproveReturn, CancelOrder, DeliverFulfilment, ExportHistory, FulfilmentView, GetInvoice, GetOrder, GetTimeline,
    ImportOrders, ListOrders, LookUpOrder, OrderImportReport, OrderView, PlaceOrder, QuoteOrder, QuoteView,
    RejectReturn, RequestReturn, ReturnView, ShipOrder,
};
use crate::checkout::Driver;
use crate::checkout::transitions::{self, Resumable};
use crate::commands::{cancel, erasure, fulfil, returns};
use crate::history::export;
use crate::pricing::{PricingRequest, Strictness, assess};
use crate::records::{Order, OrderByUser, Saga, SagaByCart, TimelineEntry};
use crate::rules::request;
use crate::{Orders, figures, invoice, order_row, pricing_terms, queries, reject, returning};

/// Maximum sagas that one request lists.
const MAX_SAGAS: usize = 200;

impl Handle<PlaceOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: PlaceOrder) -> Result<OrderView, Error> {
        self.place(cx, op).await
    }

    async fn check(&self, _: &Cx, op: PlaceOrder) -> Result<(), Error> {
        request::check(&op)
    }
}

impl Handle<ListRunningSagas> for Orders {
    async fn handle(&self, _: &Cx, op: ListRunningSagas) -> Result<RunningSagas, Error> {
        let (first, limit) = (OrderId(op.after.map_or(0, |after| after.0) + 1), op.limit.min(MAX_SAGAS));
        let mut rows = self.db.read(|tx| tx.scan::<Saga>().from(first).collect(limit + 1)).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.order_id);
        let view = |row: Saga| RunningSaga {
            order_id: row.order_id,
            step: row.step.to_string(),
            attempt: row.attempt,
            tries: row.tries,
            last_error: row.last_error,
            due_at: row.due_at,
            created_at: row.created_at,
        };
        Ok(RunningSagas { items: rows.into_iter().map(view).collect(), next })
    }
}

impl Handle<QuoteOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: QuoteOrder) -> Result<QuoteView, Error> {
        self.quote(cx, op.0).await
    }

    async fn check(&self, _: &Cx, op: QuoteOrder) -> Result<(), Error> {
        request::check(&op.0)
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
        Ok(Page::new(order.timeline.decode()?, None))
    }
}

impl Handle<GetInvoice> for Orders {
    async fn handle(&self, cx: &Cx, op: GetInvoice) -> Result<Download, Error> {
        let store = self.settings.get(cx).await?.profile();
        let view = self.db.read(|tx| queries::view(tx, queries::visible(tx, cx, op.id, "order:read")?)).await?;
        if matches!(view.status, OrderStatus::Pending | OrderStatus::Failed) {
            let message = format!("There is no invoice for an order that is {}.", view.status);
            return Err(reject::state(codes::ORDER_NOT_CONFIRMED, message, view.status));
        }
        let mut languages = Vec::new();
        if let Some(user) = view.user_id {
            let described = cx.elevated().call(DescribeUsers { ids: vec![user] }).await?.items;
            languages.extend(described.into_iter().filter_map(|user| user.locale));
        }
        languages.extend(self.db.read(|tx| queries::languages(tx, op.id)).await?);
        let page = invoice::render(&store, &view, &languages)?;
        Ok(Download::bytes("text/html; charset=utf-8", page))
    }
}

impl Handle<LookUpOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: LookUpOrder) -> Result<OrderView, Error> {
        self.look_ups.check(cx).await?;
        let found = self.db.read(|tx| queries::look_up(tx, &op.number, &op.email)).await;
        if found.is_err() {
            self.look_ups.count_wrong(cx).await;
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
            self.use_sold_skus(cx, op.id, items).await?;
        }
        let (caller, payment) = (cx.clone(), returning::payment_of(cx, op.id).await?);
        self.db.answer(cx, move |tx| fulfil::ship(tx, &caller, &op, payment.as_ref())).await
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
        self.use_sold_skus(cx, op.id, &mut op.items).await?;
        let (caller, payment) = (cx.clone(), returning::payment_of(cx, op.id).await?);
        self.db.answer(cx, move |tx| returns::request(tx, &caller, &op, payment.as_ref())).await
    }
}

impl Handle<ApproveReturn> for Orders {
    async fn handle(&self, cx: &Cx, op: ApproveReturn) -> Result<ReturnView, Error> {
        let (caller, rid) = (cx.clone(), op.rid);
        self.db.write(cx, move |tx| returns::begin_approval(tx, &caller, &op)).await?;
        let view = self.settle_return(cx, rid).await?;
        self.complete_return(cx, rid).await?;
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

impl Handle<CancelVoidedOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: CancelVoidedOrder) -> Result<VoidedOrder, Error> {
        let until = transitions::lease_end(cx);
        let cancel = move |tx: &mut Tx<'_>| {
            let order = order_row::load(tx, op.order_id)?;
            if fulfil::shipped_and_returned(&order, &queries::items(tx, order.id)?) {
                return Ok((false, None));
            }
            cancel::cancel_order(tx, order, (&op.actor, &op.reason), until).map(|lease| (true, lease))
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
        self.db.write(cx, move |tx| erasure::prepare(tx, op.user_id, return_days)).await
    }
}

impl Handle<CheckOrderAccess> for Orders {
    async fn handle(&self, cx: &Cx, op: CheckOrderAccess) -> Result<(), Error> {
        let order = self.db.read(|tx| tx.get::<Order>(&op.order_id)).await?;
        let own = order.is_some_and(|order| queries::owns(cx, &order));
        if own { Ok(()) } else { Err(Error::not_found("order")) }
    }
}

impl Handle<IsCartInCheckout> for Orders {
    async fn handle(&self, _: &Cx, op: IsCartInCheckout) -> Result<CartInCheckout, Error> {
        let saga = self.db.read(|tx| tx.get_by::<SagaByCart>(Some(op.cart_id))).await?;
        Ok(CartInCheckout { in_checkout: saga.is_some() })
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
        let own = Some(op.user_id);
        let orders: Vec<Order> =
            self.db.read_all(|tx, limit, cursor| tx.scan_by::<OrderByUser>().prefix(own).page(limit, cursor)).await?;
        let mut views = Vec::with_capacity(orders.len());
        for order in orders {
            views.push(self.db.read(|tx| queries::view(tx, order.clone())).await?);
        }
        serde_json::to_value(views).map(PersonalData).map_err(Error::internal)
    }
}

impl Handle<ImportOrders> for Orders {
    async fn handle(&self, cx: &Cx, op: ImportOrders) -> Result<OrderImportReport, Error> {
        self.import(cx, op).await
    }
}

impl Handle<ExportHistory> for Orders {
    async fn handle(&self, cx: &Cx, op: ExportHistory) -> Result<Download, Error> {
        export::export(&self.db, export::format(cx, op.format)?).await
    }
}

impl Handle<GetPricingTerms> for Orders {
    async fn handle(&self, cx: &Cx, op: GetPricingTerms) -> Result<PricingTerms, Error> {
        Ok(pricing_terms::terms(&*self.settings.get(cx).await?, op))
    }
}

impl Handle<GetPurchaseTotals> for Orders {
    async fn handle(&self, cx: &Cx, op: GetPurchaseTotals) -> Result<PurchaseTotals, Error> {
        let buyer = op.buyer;
        let emails: Vec<Email> = buyer.emails().into_iter().cloned().collect();
        // An order is not found by the address of its account, so the accounts with these addresses are added.
        let ignore_plus_tags = buyer.ignore_plus_tags;
        let mut accounts = if emails.is_empty() {
            Vec::new()
        } else {
            cx.call(FindAccounts { emails: emails.clone(), ignore_plus_tags }).await?.ids
        };
        accounts.extend(buyer.user_id.filter(|id| !accounts.contains(id)));
        self.db.read(|tx| Ok(figures::purchases(tx, &buyer, &accounts, &emails)?)).await
    }
}

impl Handle<FindFirstPaidOrder> for Orders {
    async fn handle(&self, cx: &Cx, op: FindFirstPaidOrder) -> Result<FirstPaidOrder, Error> {
        let buyer = Buyer::identify(cx, Some(op.user_id), None).await?;
        let referrer = Buyer::identify(cx, Some(op.referrer), None).await?;
        self.db.read(|tx| Ok(figures::first_paid(tx, op.user_id, &buyer, &referrer)?)).await
    }
}

impl Handle<ListOrderFigures> for Orders {
    async fn handle(&self, _: &Cx, op: ListOrderFigures) -> Result<OrderFigureList, Error> {
        self.db.read(|tx| figures::orders(tx, &op)).await
    }
}

impl Handle<ListCreditFigures> for Orders {
    async fn handle(&self, _: &Cx, op: ListCreditFigures) -> Result<CreditFigureList, Error> {
        self.db.read(|tx| Ok(figures::credits(tx, &op)?)).await
    }
}

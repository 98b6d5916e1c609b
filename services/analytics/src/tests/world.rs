//! The world of a test: the service, two event logs, and a stubbed order service.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use promox_contract::flashsale::{DescribeFlashSales, FlashSaleDescription, FlashSaleDescriptions};
use promox_contract::ids::{FlashSaleId, OrderId, PromotionId};
use promox_contract::order::{
    CreditFigure, CreditFigureList, CreditNoteImported, FigureLine, FigureRefund, FigureUse, ListCreditFigures,
    ListOrderFigures, OrderCancelled, OrderConfirmed, OrderCreated, OrderFailed, OrderFigure, OrderFigureList,
    OrderImported, OrderRefunded, OrderStatus,
};
use promox_contract::order_line::OrderLine;
use promox_contract::promotion::{DescribePromotions, PromotionDescription, PromotionDescriptions};
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_kernel::{Amount, Currency, Cx, Error, Fact, Timestamp};
use promox_storage::{Database, EventLog};
use promox_testkit::sample::{amount, order_fact, order_line, sku, store_profile, totals};
use promox_testkit::{Databases, Harness, Setup};

use crate::Analytics;

/// The state of the stubs: orders, credit notes, and the store's time zone.
#[derive(Debug, Default)]
pub(super) struct Stubs {
    pub(super) orders: Mutex<BTreeMap<i64, OrderFigure>>,
    pub(super) notes: Mutex<BTreeMap<i64, CreditFigure>>,
    pub(super) zone: Mutex<String>,
}

#[allow(clippy::unnecessary_wraps, reason = "stubs must return a result")]
impl Stubs {
    fn profile(&self, _: &Cx, _: GetStoreProfile) -> Result<StoreProfile, Error> {
        Ok(StoreProfile { timezone: self.zone.lock().clone(), ..store_profile() })
    }

    fn order_figures(&self, _: &Cx, op: ListOrderFigures) -> Result<OrderFigureList, Error> {
        assert!(!op.ids.is_empty(), "a request without ids would list all orders");
        let orders = self.orders.lock();
        Ok(OrderFigureList { items: op.ids.iter().filter_map(|id| orders.get(&id.0).cloned()).collect() })
    }

    fn credit_figures(&self, _: &Cx, op: ListCreditFigures) -> Result<CreditFigureList, Error> {
        let notes = self.notes.lock();
        Ok(CreditFigureList {
            items: notes.range(op.after + 1..).take(op.limit).map(|(_, note)| note.clone()).collect(),
        })
    }
}

/// The service and its surroundings.
pub(super) struct World {
    harness: Harness<Analytics>,
    pub(super) stubs: Arc<Stubs>,
}

impl Deref for World {
    type Target = Harness<Analytics>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

fn service(databases: &Databases) -> Arc<Analytics> {
    Analytics::new(databases.promox.clone(), EventLog::of(&databases.ecommerce))
}

impl World {
    pub(super) fn new() -> Self {
        let stubs = Arc::new(Stubs::default());
        *stubs.zone.lock() = "Europe/London".to_owned();
        let harness = Setup::at("2024-03-15T12:00:30Z")
            .answer(|_, op: DescribePromotions| {
                let known = op.ids.into_iter().filter(|id| id.0 < 100);
                let describe =
                    |id: PromotionId| PromotionDescription { id, name: format!("Promotion {id}"), campaign_id: None };
                Ok(PromotionDescriptions { items: known.map(describe).collect() })
            })
            .answer(|_, op: DescribeFlashSales| {
                let known = op.ids.into_iter().filter(|id| id.0 < 100);
                let describe = |id: FlashSaleId| FlashSaleDescription { id, name: format!("Sale {id}") };
                Ok(FlashSaleDescriptions { items: known.map(describe).collect() })
            })
            .answer_from(&stubs, Stubs::profile)
            .answer_from(&stubs, Stubs::order_figures)
            .answer_from(&stubs, Stubs::credit_figures)
            .start(service);
        Self { harness, stubs }
    }

    /// Starts another process on the same rows and events.
    pub(super) fn restart(&mut self) {
        self.harness = self.harness.restart(service);
    }

    /// Emits an event at a time.
    pub(super) async fn emit_at<F: Fact + Clone + Sync>(
        &self,
        database: Database,
        when: Timestamp,
        aggregate: i64,
        fact: F,
    ) {
        let cx = Cx { now: when, ..self.cx() };
        self.database(database).write(&cx, move |tx| tx.emit(aggregate, &fact)).await.unwrap();
    }

    /// Sets the state of an order and emits the event that leads to it.
    pub(super) async fn order(&self, order: OrderFigure) {
        let (id, when) = (order.id, order.placed_at);
        let (status, imported) = (order.status, order.imported);
        let fact = order_fact(id.0);
        self.stubs.orders.lock().insert(id.0, order);
        match status {
            _ if imported => self.emit_at(Database::Ecommerce, when, id.0, OrderImported { order_id: id }).await,
            OrderStatus::Cancelled => self.emit_at(Database::Ecommerce, when, id.0, OrderCancelled(fact)).await,
            OrderStatus::Pending => self.emit_at(Database::Ecommerce, when, id.0, OrderCreated(fact)).await,
            OrderStatus::Failed => self.emit_at(Database::Ecommerce, when, id.0, OrderFailed(fact)).await,
            _ => self.emit_at(Database::Ecommerce, when, id.0, OrderConfirmed(fact)).await,
        }
    }

    /// Sets the state of an order and emits the event of a refund.
    pub(super) async fn refunded(&self, order: OrderFigure) {
        let (order_id, currency) = (order.id, order.currency);
        self.stubs.orders.lock().insert(order_id.0, order);
        let fact = OrderRefunded { order_id, amount: Amount::ZERO, currency };
        self.emit_at(Database::Ecommerce, self.node.clock.now(), order_id.0, fact).await;
    }

    /// Sets the state of a credit note and emits the event of its import.
    pub(super) async fn note(&self, id: i64, total: Amount, issued_at: Timestamp) {
        self.stubs.notes.lock().insert(id, CreditFigure { id, total, issued_at });
        self.emit_at(Database::Ecommerce, issued_at, id, CreditNoteImported { id }).await;
    }

    /// Follows both logs to their ends.
    pub(super) async fn follow(&self) {
        while self.service.follow(&self.cx()).await.unwrap() {}
    }
}

/// An order line with this SKU, quantity, unit price and discount.
pub(super) fn line((name, quantity, price, discount): (&str, u32, &str, &str)) -> FigureLine {
    let line = order_line(sku(name), quantity, amount(price), amount(discount));
    FigureLine { line: OrderLine { name: format!("Product {name}"), ..line }, campaign_id: None }
}

/// A confirmed order of these lines.
pub(super) fn order(id: i64, customer: &str, placed_at: Timestamp, lines: Vec<FigureLine>) -> OrderFigure {
    OrderFigure {
        id: OrderId(id),
        status: OrderStatus::Confirmed,
        user_id: None,
        customer: customer.to_owned(),
        currency: Currency::GBP,
        prices_include_tax: false,
        totals: totals(lines.iter().map(|line| &line.line)),
        lines,
        uses: Vec::new(),
        returned: Amount::ZERO,
        refunds: Vec::new(),
        imported: false,
        placed_at,
    }
}

/// The use of a promotion, with its campaign and cost.
pub(super) fn used(promotion: i64, campaign: Option<i64>, cost: &str) -> FigureUse {
    FigureUse {
        promotion_id: PromotionId(promotion),
        campaign_id: campaign.map(promox_contract::ids::CampaignId),
        cost: amount(cost),
    }
}

/// A refund.
pub(super) fn refund(when: Timestamp, sum: &str) -> FigureRefund {
    FigureRefund { at: when, amount: amount(sum) }
}

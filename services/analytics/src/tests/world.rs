//! The world: the service between two event logs and an order service that is played.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::campaign::{CampaignStateList, CampaignStates};
use promox_contract::flashsale::{DescribeFlashSales, FlashSaleDescription, FlashSaleDescriptions};
use promox_contract::ids::{FlashSaleId, OrderId, PromotionId};
use promox_contract::order::{
    CreditFigure, CreditFigureList, CreditFigures, CreditNoteImported, FigureLine, FigureRefund, FigureUse,
    OrderCancelled, OrderConfirmed, OrderCreated, OrderFact, OrderFailed, OrderFigure, OrderFigureList, OrderFigures,
    OrderImported, OrderRefunded, OrderStatus, Totals,
};
use promox_contract::order_line::OrderLine;
use promox_contract::promotion::{DescribePromotions, PromotionDescription, PromotionDescriptions};
use promox_contract::store::{StoreFacts, StoreProfile};
use promox_kernel::{
    Amount, Clock, Currency, Cx, Entropy, Error, Fact, Handle, Node, Op, Registry, Timestamp, register,
};
use promox_storage::{Database, Db, Engine, EventLog, Finding, MemoryEngine, Report, Service, Tx};

use crate::Analytics;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

/// The order service, and what others answer.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) orders: Mutex<BTreeMap<i64, OrderFigure>>,
    pub(super) notes: Mutex<BTreeMap<i64, CreditFigure>>,
    pub(super) zone: Mutex<String>,
}

impl Handle<StoreProfile> for Played {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        let (name, locale) = ("A shop".to_owned(), "en".to_owned());
        Ok(StoreFacts {
            name,
            currency: Currency::GBP,
            timezone: self.zone.lock().clone(),
            locale,
            ignore_plus_tags: false,
        })
    }
}

impl Handle<OrderFigures> for Played {
    async fn handle(&self, _: &Cx, op: OrderFigures) -> Result<OrderFigureList, Error> {
        assert!(!op.ids.is_empty(), "no ids would be all orders");
        let orders = self.orders.lock();
        Ok(OrderFigureList { items: op.ids.iter().filter_map(|id| orders.get(&id.0).cloned()).collect() })
    }
}

impl Handle<CreditFigures> for Played {
    async fn handle(&self, _: &Cx, op: CreditFigures) -> Result<CreditFigureList, Error> {
        let notes = self.notes.lock();
        Ok(CreditFigureList {
            items: notes.range(op.after + 1..).take(op.limit).map(|(_, note)| note.clone()).collect(),
        })
    }
}

impl Handle<DescribePromotions> for Played {
    async fn handle(&self, _: &Cx, op: DescribePromotions) -> Result<PromotionDescriptions, Error> {
        let known = op.ids.into_iter().filter(|id| id.0 < 100);
        let describe =
            |id: PromotionId| PromotionDescription { id, name: format!("Promotion {id}"), campaign_id: None };
        Ok(PromotionDescriptions { items: known.map(describe).collect() })
    }
}

impl Handle<DescribeFlashSales> for Played {
    async fn handle(&self, _: &Cx, op: DescribeFlashSales) -> Result<FlashSaleDescriptions, Error> {
        let known = op.ids.into_iter().filter(|id| id.0 < 100);
        let describe = |id: FlashSaleId| FlashSaleDescription { id, name: format!("Sale {id}") };
        Ok(FlashSaleDescriptions { items: known.map(describe).collect() })
    }
}

impl Handle<CampaignStates> for Played {
    async fn handle(&self, _: &Cx, _: CampaignStates) -> Result<CampaignStateList, Error> {
        Ok(CampaignStateList::default())
    }
}

pub(super) struct World {
    pub(super) engine: Arc<MemoryEngine>,
    pub(super) shop: Db,
    pub(super) promox: Db,
    pub(super) node: Arc<Node>,
    pub(super) clock: Clock,
    pub(super) analytics: Arc<Analytics>,
    pub(super) played: Arc<Played>,
}

impl World {
    pub(super) fn new() -> Self {
        let engine = MemoryEngine::new();
        let (shop, promox) = (engine.database(Database::Ecommerce), engine.database(Database::Promox));
        let clock = Clock::manual(at("2024-03-15T12:00:30Z"));
        let node = Node::new(clock.clone(), Entropy::seeded(1));
        let analytics = Analytics::new(promox.clone(), EventLog::of(&shop));
        let played = Arc::new(Played::default());
        *played.zone.lock() = "Europe/London".to_owned();
        let mut world = Self { engine, shop, promox, node, clock, analytics, played };
        world.restart();
        world
    }

    /// Another process begins on the same rows and events.
    pub(super) fn restart(&mut self) {
        self.node = Node::new(self.clock.clone(), Entropy::seeded(1));
        self.analytics = Analytics::new(self.promox.clone(), EventLog::of(&self.shop));
        let (mut registry, played) = (Registry::default(), &self.played);
        self.analytics.register(&mut registry);
        register!(registry, played; StoreProfile, OrderFigures, CreditFigures, DescribePromotions, CampaignStates);
        register!(registry, played; DescribeFlashSales);
        self.node.install(registry);
    }

    pub(super) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(60))
    }

    pub(super) async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.cx().call(op).await
    }

    /// Tells an event at a time.
    pub(super) async fn tell<F: Fact + Clone + Sync>(&self, log: &Db, when: Timestamp, aggregate: i64, fact: F) {
        let cx = Cx { now: when, ..self.cx() };
        log.write(&cx, move |tx| tx.emit(aggregate, &fact)).await.unwrap();
    }

    /// An order as it now is, and the event of what happened to it.
    pub(super) async fn order(&self, order: OrderFigure) {
        let (id, when) = (order.id, order.placed_at);
        let (status, imported) = (order.status, order.imported);
        let fact = OrderFact {
            order_id: id,
            user_id: None,
            total: Amount::ZERO,
            currency: Currency::GBP,
            points_multiplier: None,
            points_redeemed: 0,
            points_earned: 0,
        };
        self.played.orders.lock().insert(id.0, order);
        match status {
            _ if imported => self.tell(&self.shop, when, id.0, OrderImported { order_id: id }).await,
            OrderStatus::Cancelled => self.tell(&self.shop, when, id.0, OrderCancelled(fact)).await,
            OrderStatus::Pending => self.tell(&self.shop, when, id.0, OrderCreated(fact)).await,
            OrderStatus::Failed => self.tell(&self.shop, when, id.0, OrderFailed(fact)).await,
            _ => self.tell(&self.shop, when, id.0, OrderConfirmed(fact)).await,
        }
    }

    /// An order that money was given back of, as it now is.
    pub(super) async fn refunded(&self, order: OrderFigure) {
        let (order_id, currency) = (order.id, order.currency);
        self.played.orders.lock().insert(order_id.0, order);
        let told = OrderRefunded { order_id, amount: Amount::ZERO, currency };
        self.tell(&self.shop, self.clock.now(), order_id.0, told).await;
    }

    /// A credit note as it now is.
    pub(super) async fn note(&self, id: i64, total: Amount, issued_at: Timestamp) {
        self.played.notes.lock().insert(id, CreditFigure { id, total, issued_at });
        self.tell(&self.shop, issued_at, id, CreditNoteImported { id }).await;
    }

    /// Follows both logs to their ends.
    pub(super) async fn follow(&self) {
        while self.analytics.follow(&self.cx()).await.unwrap() {}
    }

    /// What the auditor finds. What orders and payments would state is left to those who know it.
    pub(super) fn findings(&self, states: impl Fn(&mut Report)) -> Vec<Finding> {
        let reader = self.engine.long_read().unwrap();
        let mut report = Report::default();
        Analytics::TABLES.iter().for_each(|table| report.check_table(&*reader, table).unwrap());
        self.analytics.audit(&Tx::unbounded(&*reader, Database::Promox), &mut report).unwrap();
        states(&mut report);
        report.finish().0
    }
}

/// A line of an order: SKU, quantity, unit price, discount.
pub(super) fn line((sku, quantity, price, discount): (&str, u32, &str, &str)) -> FigureLine {
    let (unit_price, discount) = (amount(price), amount(discount));
    let subtotal = unit_price.times(i64::from(quantity)).unwrap();
    let line = OrderLine {
        sku: sku.parse().unwrap(),
        variant_id: None,
        product_id: None,
        name: format!("Product {sku}"),
        quantity,
        unit_price,
        list_price: unit_price,
        flash_sale_id: None,
        subtotal,
        discount,
        discounts: Vec::new(),
        tax: Amount::ZERO,
        total: subtotal - discount,
    };
    FigureLine { line, campaign_id: None }
}

/// An order of these lines.
pub(super) fn order(id: i64, customer: &str, placed_at: Timestamp, lines: Vec<FigureLine>) -> OrderFigure {
    let subtotal: Amount = lines.iter().map(|it| it.line.subtotal).sum();
    let discount: Amount = lines.iter().map(|it| it.line.discount).sum();
    OrderFigure {
        id: OrderId(id),
        status: OrderStatus::Confirmed,
        user_id: None,
        customer: customer.to_owned(),
        currency: Currency::GBP,
        prices_include_tax: false,
        lines,
        totals: Totals {
            subtotal,
            discount,
            shipping: Amount::ZERO,
            shipping_discount: Amount::ZERO,
            tax: Amount::ZERO,
            points_redeemed: 0,
            points_value: Amount::ZERO,
            total: subtotal - discount,
        },
        uses: Vec::new(),
        returned: Amount::ZERO,
        refunds: Vec::new(),
        imported: false,
        placed_at,
    }
}

/// What a promotion of a campaign cost.
pub(super) fn used(promotion: i64, campaign: Option<i64>, cost: &str) -> FigureUse {
    FigureUse {
        promotion_id: PromotionId(promotion),
        campaign_id: campaign.map(promox_contract::ids::CampaignId),
        cost: amount(cost),
    }
}

/// Money that was given back.
pub(super) fn refund(when: Timestamp, sum: &str) -> FigureRefund {
    FigureRefund { at: when, amount: amount(sum) }
}

//! A node with nothing but the inventory on the memory engine, shared by the tests.

use std::sync::Arc;
use std::time::Duration;

use crate::Inventory;
use crate::api::{CountStock, GetStock, StockView};
use promox_contract::ids::{OrderId, ProductId, VariantId};
use promox_contract::inventory::{
    AvailableStock, GiveBackStock, HoldStock, Restock, SOLD, SkuQuantity, VariantQuantity,
};
use promox_contract::order::{OrderConfirmed, OrderFact};
use promox_contract::product::{ResolveSkus, ResolvedSkus, VariantRef};
use promox_kernel::{
    Amount, Clock, Currency, Cx, Entropy, Error, Handle, Node, Op, Registry, Sku, Timestamp, register,
};
use promox_storage::{ConsumerLoop, Database, Db, Event, MemoryEngine, Report, Service, Tx};

/// The shop.
pub(crate) struct Shop {
    pub(crate) node: Arc<Node>,
    pub(crate) db: Db,
    pub(crate) inventory: Arc<Inventory>,
    engine: Arc<MemoryEngine>,
    posting: ConsumerLoop,
}

/// The id of a SKU's variant: the same for each writing.
pub(crate) fn variant(sku: &Sku) -> VariantId {
    let hash = sku.fold().bytes().fold(7_i64, |hash, byte| (hash * 131 + i64::from(byte)) % 1_000_000_007);
    VariantId(hash + 1)
}

/// A catalogue with every SKU but `nope`.
#[derive(Debug)]
struct Catalogue;

impl Handle<ResolveSkus> for Catalogue {
    async fn handle(&self, _: &Cx, op: ResolveSkus) -> Result<ResolvedSkus, Error> {
        let of = |sku: Sku| {
            let found = VariantRef { variant_id: variant(&sku), product_id: ProductId(1), sku };
            Some(found).filter(|found| found.sku.as_str() != "nope")
        };
        Ok(ResolvedSkus { variants: op.skus.into_iter().map(of).collect() })
    }
}

/// Items as the catalogue's other readers name them.
pub(crate) fn items(items: &[(&str, u32)]) -> Vec<VariantQuantity> {
    let item = |(sku, quantity): &(&str, u32)| {
        let sku: Sku = sku.parse().unwrap();
        VariantQuantity { variant_id: variant(&sku), sku, quantity: *quantity }
    };
    items.iter().map(item).collect()
}

/// Items of a reservation, which names SKUs.
pub(crate) fn by_sku(items: &[(&str, u32)]) -> Vec<SkuQuantity> {
    items.iter().map(|(sku, quantity)| SkuQuantity { sku: sku.parse().unwrap(), quantity: *quantity }).collect()
}

impl Shop {
    pub(crate) fn open() -> Self {
        let engine = MemoryEngine::new();
        let db = engine.database(Database::Ecommerce);
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1_800_000_000)), Entropy::seeded(1));
        let inventory = Inventory::new(db.clone());
        let mut registry = Registry::default();
        inventory.register(&mut registry);
        register!(registry, &Arc::new(Catalogue); ResolveSkus);
        node.install(registry);
        let consumer = inventory.consumers().remove(0);
        let posting = ConsumerLoop::new(consumer, db.clone(), db.clone());
        Self { node, db, inventory, engine, posting }
    }

    pub(crate) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_mins(1))
    }

    pub(crate) async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.cx().call(op).await
    }

    /// Counts a SKU at `MAIN`.
    pub(crate) async fn stock(&self, sku: &str, on_hand: i64) -> StockView {
        self.count(sku, on_hand, None, None).await.unwrap()
    }

    pub(crate) async fn count(
        &self,
        sku: &str,
        on_hand: i64,
        location: Option<&str>,
        backorder: Option<bool>,
    ) -> Result<StockView, Error> {
        let sku = sku.parse().unwrap();
        let location = location.map(str::to_owned);
        self.call(CountStock { sku, on_hand, location, low_stock_threshold: None, backorder }).await
    }

    pub(crate) async fn hold(&self, order: i64, wanted: &[(&str, u32)]) -> Result<i64, Error> {
        let op = HoldStock { order_id: OrderId(order), items: items(wanted) };
        self.call(op).await.map(|held| held.reservation_id.0)
    }

    pub(crate) async fn give_back(&self, order: i64) -> Result<(), Error> {
        self.call(GiveBackStock { order_id: OrderId(order) }).await
    }

    pub(crate) async fn restock(&self, reference: &str, order: i64, back: &[(&str, u32)]) -> Result<(), Error> {
        let op = Restock { reference: reference.into(), order_id: OrderId(order), items: items(back) };
        self.call(op).await
    }

    /// Tells that an order is confirmed, as the order service does.
    pub(crate) async fn confirm(&self, order: i64) {
        let total = Amount::ZERO;
        let fact = OrderFact {
            order_id: OrderId(order),
            user_id: None,
            total,
            currency: Currency::GBP,
            points_multiplier: None,
            points_redeemed: 0,
            points_earned: 0,
        };
        let told = OrderConfirmed(fact);
        self.db.write(&self.cx(), move |tx| tx.emit(order, &told)).await.unwrap();
    }

    /// Lets the consumer catch up.
    pub(crate) async fn post(&mut self) {
        while self.posting.turn(&self.node).await.unwrap() {}
    }

    pub(crate) async fn available(&self, sku: &str) -> u32 {
        self.call(AvailableStock { variants: vec![variant(&sku.parse().unwrap())] }).await.unwrap().available[0]
    }

    /// On hand and reserved.
    pub(crate) async fn numbers(&self, sku: &str) -> (i64, i64) {
        let view = self.call(GetStock { sku: sku.parse().unwrap() }).await.unwrap();
        (view.on_hand, view.reserved)
    }

    /// Kinds of the events told so far, without the audit trail's.
    pub(crate) async fn told(&self) -> Vec<String> {
        let events: Vec<Event> = self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        events.into_iter().map(|event| event.kind).filter(|kind| kind.starts_with("STOCK")).collect()
    }

    /// The auditor finds nothing.
    pub(crate) fn verify(&self) {
        let reader = promox_storage::Engine::snapshot(&*self.engine);
        let mut report = Report::default();
        let tx = Tx::unbounded(&*reader, Database::Ecommerce);
        self.inventory.audit(&tx, &mut report).unwrap();
        for table in Inventory::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        // What other services must agree with is for the auditor of a whole node.
        let (mut findings, checked) = report.finish();
        findings.retain(|it| ![promox_contract::flashsale::ASIDE, SOLD].contains(&it.invariant));
        assert_eq!(findings, []);
        assert!(checked > 0);
    }

    pub(crate) async fn sweep(&self) -> bool {
        let job = self.inventory.jobs().remove(0);
        job.run(self.cx()).await.unwrap()
    }
}

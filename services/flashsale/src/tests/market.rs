//! The market: the service between two ends that are played, the catalogue with its warehouse and the orders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::campaign::{CampaignState, CampaignStateList, CampaignStates};
use promox_contract::flashsale::{ClaimReservations, FlashLine, ReleaseClaims, ReservedLines};
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId, ProductId, ReservationId, VariantId};
use promox_contract::inventory::{
    ChangeSetAside, EndSetAside, Held, SellSetAside, SetAside, UnsellSetAside, VariantQuantity,
};
use promox_contract::order::{OrderConfirmed, OrderFact};
use promox_contract::product::{DescribeSkus, ResolveSkus, ResolvedSkus, SkuDescription, SkuDescriptions, VariantRef};
use promox_contract::store::{StoreFacts, StoreProfile};
use promox_contract::user::{AccountIds, AccountsOf, DescribeUsers, UserDescription, UserDescriptions};
use promox_kernel::{
    Amount, Claim, Clock, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Sku, Timestamp, UserId,
    register,
};
use promox_storage::{ConsumerLoop, Database, Db, Engine, Event, MemoryEngine, Report, Service, Tx};

use crate::FlashSales;
use crate::api::{
    CreateReservation, CreateSale, GetSale, ReleaseReservation, ReservationView, SaleItemInput, SaleView,
};
use crate::gates;
use crate::queries;
use crate::records::UserCount;

/// The id of a SKU's variant: the same for each writing.
pub(super) fn variant(sku: &Sku) -> VariantId {
    let hash = sku.fold().bytes().fold(7_i64, |hash, byte| (hash * 131 + i64::from(byte)) % 1_000_000_007);
    VariantId(hash + 1)
}

/// What lies in the warehouse, what is set aside of it, and what was sold of that.
#[derive(Debug, Default)]
pub(super) struct Warehouse {
    pub(super) free: BTreeMap<Sku, u32>,
    pub(super) aside: BTreeMap<String, BTreeMap<Sku, u32>>,
    ended: BTreeSet<String>,
    pub(super) sold: BTreeMap<String, (Sku, u32)>,
    undone: BTreeSet<String>,
}

impl Warehouse {
    fn change(&mut self, reference: &str, items: &[VariantQuantity]) -> Result<(), Error> {
        if self.ended.contains(reference) {
            return Err(Error::conflict("RESERVATION_ENDED", "over"));
        }
        let has = self.aside.get(reference).cloned().unwrap_or_default();
        let mut free = self.free.clone();
        for (sku, quantity) in has {
            *free.entry(sku).or_default() += quantity;
        }
        let mut short = Vec::new();
        for item in items {
            let here = free.entry(item.sku.clone()).or_default();
            if *here < item.quantity {
                short.push(serde_json::json!({"sku": item.sku, "asked": item.quantity, "available": *here}));
            }
            *here = here.saturating_sub(item.quantity);
        }
        if !short.is_empty() {
            return Err(Error::conflict("INSUFFICIENT_STOCK", "short").with("items", short));
        }
        self.free = free;
        let aside = items.iter().map(|item| (item.sku.clone(), item.quantity)).collect();
        self.aside.insert(reference.to_owned(), aside);
        Ok(())
    }
}

/// The services around.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub(super) warehouse: Mutex<Warehouse>,
    pub(super) paused: AtomicBool,
    pub(super) closed: AtomicBool,
}

impl Around {
    fn open(&self) -> Result<parking_lot::MutexGuard<'_, Warehouse>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::unavailable("CLOSED", "the warehouse is closed", 1));
        }
        Ok(self.warehouse.lock())
    }
}

impl Handle<DescribeSkus> for Around {
    async fn handle(&self, _: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        let warehouse = self.warehouse.lock();
        let found = op.skus.iter().filter_map(|sku| warehouse.free.get_key_value(sku));
        let describe = |(sku, _): (&Sku, &u32)| SkuDescription {
            variant_id: variant(sku),
            sku: sku.clone(),
            former_skus: Vec::new(),
            product_id: ProductId(1),
            name: sku.to_string(),
            price: "9.99".parse().unwrap(),
            list_price: "9.99".parse().unwrap(),
            currency: Currency::GBP,
            category_ids: Vec::new(),
            attributes: BTreeMap::new(),
            tax_class: "STANDARD".into(),
            weight_grams: None,
            discountable: true,
            floor_price: None,
            cost: None,
        };
        Ok(SkuDescriptions { items: found.map(describe).collect() })
    }
}

impl Handle<StoreProfile> for Around {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        let (name, timezone, locale) = ("Shop".to_owned(), "UTC".to_owned(), "en".to_owned());
        Ok(StoreFacts { name, currency: Currency::GBP, timezone, locale, ignore_plus_tags: true })
    }
}

/// Accounts 900,070 to 900,079 are one person's, by plus tags; every other is somebody else's.
impl Handle<DescribeUsers> for Around {
    async fn handle(&self, _: &Cx, op: DescribeUsers) -> Result<UserDescriptions, Error> {
        let email = |id: UserId| {
            if (900_070..900_080).contains(&id.0) {
                format!("ada+{id}@example.com")
            } else {
                format!("user{id}@example.com")
            }
        };
        let describe = |id: UserId| UserDescription {
            id,
            email: email(id).parse().unwrap(),
            name: None,
            registered_at: Timestamp::EPOCH,
            attributes: BTreeMap::new(),
        };
        Ok(UserDescriptions { items: op.ids.into_iter().map(describe).collect() })
    }
}

impl Handle<AccountsOf> for Around {
    async fn handle(&self, _: &Cx, op: AccountsOf) -> Result<AccountIds, Error> {
        let ada = op.emails.iter().any(|email| email.mailbox() == "ada@example.com");
        Ok(AccountIds { ids: if ada { (900_070..900_080).map(UserId).collect() } else { Vec::new() } })
    }
}

impl Handle<ResolveSkus> for Around {
    async fn handle(&self, _: &Cx, op: ResolveSkus) -> Result<ResolvedSkus, Error> {
        let of = |sku: Sku| Some(VariantRef { variant_id: variant(&sku), product_id: ProductId(1), sku });
        Ok(ResolvedSkus { variants: op.skus.into_iter().map(of).collect() })
    }
}

impl Handle<CampaignStates> for Around {
    async fn handle(&self, _: &Cx, op: CampaignStates) -> Result<CampaignStateList, Error> {
        let running = !self.paused.load(Ordering::SeqCst);
        let known = op.ids.into_iter().filter(|id| *id == CampaignId(5));
        let state = |id| CampaignState { id, running, reason: None, in_audience: true, left: None };
        Ok(CampaignStateList { items: known.map(state).collect() })
    }
}

impl Handle<SetAside> for Around {
    async fn handle(&self, _: &Cx, op: SetAside) -> Result<Held, Error> {
        let mut warehouse = self.open()?;
        if !warehouse.aside.contains_key(&op.reference) {
            warehouse.change(&op.reference, &op.items)?;
        }
        Ok(Held { reservation_id: ReservationId(1) })
    }
}

impl Handle<ChangeSetAside> for Around {
    async fn handle(&self, _: &Cx, op: ChangeSetAside) -> Result<(), Error> {
        self.open()?.change(&op.reference, &op.items)
    }
}

impl Handle<SellSetAside> for Around {
    async fn handle(&self, _: &Cx, op: SellSetAside) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        for sale in op.sales {
            if warehouse.undone.contains(&sale.reference) || warehouse.sold.contains_key(&sale.reference) {
                continue;
            }
            let item = &sale.items[0];
            let left = warehouse.aside.get_mut(&op.set_aside).unwrap().get_mut(&item.sku).unwrap();
            *left = left.checked_sub(item.quantity).expect("no more is sold than is set aside");
            warehouse.sold.insert(sale.reference, (item.sku.clone(), item.quantity));
        }
        Ok(())
    }
}

impl Handle<UnsellSetAside> for Around {
    async fn handle(&self, _: &Cx, op: UnsellSetAside) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        warehouse.undone.insert(op.reference.clone());
        let Some((sku, quantity)) = warehouse.sold.remove(&op.reference) else { return Ok(()) };
        let ended = warehouse.ended.contains(&op.set_aside);
        let aside = warehouse.aside.get_mut(&op.set_aside).filter(|_| !ended);
        let back = aside.and_then(|aside| aside.get_mut(&sku));
        match back {
            Some(back) => *back += quantity,
            None => *warehouse.free.get_mut(&sku).unwrap() += quantity,
        }
        Ok(())
    }
}

impl Handle<EndSetAside> for Around {
    async fn handle(&self, _: &Cx, op: EndSetAside) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        let mut aside = warehouse.aside.remove(&op.reference).unwrap_or_default();
        for (sku, left) in &mut aside {
            let keep = op.keep.iter().find(|item| item.sku == *sku).map_or(0, |item| item.quantity).min(*left);
            *warehouse.free.get_mut(sku).unwrap() += *left - keep;
            *left = keep;
        }
        if aside.values().all(|left| *left == 0) {
            warehouse.ended.insert(op.reference.clone());
        }
        warehouse.aside.insert(op.reference, aside);
        Ok(())
    }
}

/// A running node with flash sales.
pub(super) struct Market {
    pub(super) node: Arc<Node>,
    pub(super) around: Arc<Around>,
    pub(super) sales: Arc<FlashSales>,
    pub(super) promox: Db,
    shop: Db,
    engine: Arc<MemoryEngine>,
    consumer: ConsumerLoop,
}

pub(super) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// An item to sell.
pub(super) fn item(name: &str, stock: u32, per_user_limit: Option<u32>) -> SaleItemInput {
    SaleItemInput { sku: sku(name), sale_price: "4.50".parse().unwrap(), stock, per_user_limit }
}

/// A sale from a minute to an hour after [`START`].
pub(super) fn plan(items: Vec<SaleItemInput>) -> CreateSale {
    CreateSale {
        name: "Black Friday".into(),
        campaign_id: None,
        starts_at: START + Duration::from_mins(1),
        ends_at: START + Duration::from_hours(1),
        items,
        reservation_ttl_seconds: None,
    }
}

impl Market {
    /// A hundred A and a hundred B in the warehouse.
    pub(super) fn open() -> Self {
        let around = Arc::new(Around::default());
        around.warehouse.lock().free = BTreeMap::from([(sku("A"), 100), (sku("B"), 100)]);
        Self::on(MemoryEngine::new(), around, Clock::manual(START))
    }

    /// The same books after a start.
    pub(super) async fn reopen(self) -> Self {
        let market = Self::on(self.engine, self.around, self.node.clock.clone());
        market.sales.recover(&market.cx()).await.unwrap();
        market
    }

    fn on(engine: Arc<MemoryEngine>, around: Arc<Around>, clock: Clock) -> Self {
        let (shop, promox) = (engine.database(Database::Ecommerce), engine.database(Database::Promox));
        let node = Node::new(clock, Entropy::seeded(1));
        let sales = FlashSales::new(promox.clone());
        let mut registry = Registry::default();
        sales.register(&mut registry);
        register!(registry, &around; DescribeSkus, CampaignStates, SetAside, ChangeSetAside, SellSetAside, UnsellSetAside);
        register!(registry, &around; EndSetAside, ResolveSkus, StoreProfile, DescribeUsers, AccountsOf);
        node.install(registry);
        let consumer = ConsumerLoop::new(sales.consumers().remove(0), shop.clone(), promox.clone());
        Self { node, around, sales, promox, shop, engine, consumer }
    }

    pub(super) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_mins(1))
    }

    pub(super) fn user(&self, id: i64) -> Cx {
        Cx { principal: Principal::User { id: UserId(id), session: 1, permissions: Arc::default() }, ..self.cx() }
    }

    pub(super) fn keyed(&self, key: &str) -> Cx {
        let (caller, recorded) = ("user:1".into(), OnceLock::new());
        let claim = Claim { caller, key: key.into(), fingerprint: [0; 32], status: 201, recorded };
        Cx { claim: Some(Arc::new(claim)), ..self.cx() }
    }

    pub(super) async fn run<O: Op>(&self, cx: Cx, op: O) -> Result<O::Reply, Error> {
        self.node.registry()?.call(cx, op).await
    }

    pub(super) async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.run(self.cx(), op).await
    }

    pub(super) async fn make(&self, items: Vec<SaleItemInput>) -> FlashSaleId {
        self.call(plan(items)).await.unwrap().id
    }

    /// A sale that has just started.
    pub(super) async fn started(&self, items: Vec<SaleItemInput>) -> FlashSaleId {
        let id = self.make(items).await;
        self.wait(60).await;
        id
    }

    pub(super) async fn sale(&self, id: FlashSaleId) -> SaleView {
        self.call(GetSale { id }).await.unwrap()
    }

    /// Remaining and sold of its first item.
    pub(super) async fn first(&self, id: FlashSaleId) -> (i64, i64) {
        let view = self.sale(id).await;
        (view.items[0].remaining, view.items[0].sold)
    }

    pub(super) fn reservation(id: FlashSaleId, name: &str, quantity: u32) -> CreateReservation {
        CreateReservation { id, sku: sku(name), quantity }
    }

    pub(super) async fn reserve(&self, id: FlashSaleId, user: i64, quantity: u32) -> Result<ReservationView, Error> {
        self.run(self.user(user), Self::reservation(id, "A", quantity)).await
    }

    /// A reservation that is granted.
    pub(super) async fn granted(&self, id: FlashSaleId, user: i64, quantity: u32) -> FlashReservationId {
        self.reserve(id, user, quantity).await.unwrap().reservation_id
    }

    pub(super) async fn give_back(&self, id: FlashSaleId, user: i64, rid: FlashReservationId) -> Result<(), Error> {
        self.run(self.user(user), ReleaseReservation { id, rid }).await
    }

    pub(super) async fn lines(&self, user: i64, ids: &[FlashReservationId]) -> Vec<FlashLine> {
        let op = ReservedLines { user_id: Some(UserId(user)), reservation_ids: ids.to_vec() };
        self.call(op).await.unwrap().lines
    }

    pub(super) async fn claim(&self, order: i64, user: i64, ids: &[FlashReservationId]) -> Result<(), Error> {
        let (order_id, user_id) = (OrderId(order), Some(UserId(user)));
        self.call(ClaimReservations { order_id, user_id, reservation_ids: ids.to_vec() }).await
    }

    pub(super) async fn release(&self, order: i64) {
        self.call(ReleaseClaims { order_id: OrderId(order) }).await.unwrap();
    }

    /// Tells that an order is confirmed, as the order service does.
    pub(super) async fn confirm(&mut self, order: i64) {
        let fact = OrderFact {
            order_id: OrderId(order),
            user_id: None,
            total: Amount::ZERO,
            currency: Currency::GBP,
            points_multiplier: None,
            points_redeemed: 0,
            points_earned: 0,
        };
        let told = OrderConfirmed(fact);
        self.shop.write(&self.cx(), move |tx| tx.emit(order, &told)).await.unwrap();
        while self.consumer.turn(&self.node).await.unwrap() {}
    }

    /// Lets time pass, and the jobs do all they have to.
    pub(super) async fn wait(&self, seconds: u64) {
        self.node.clock.advance(Duration::from_secs(seconds));
        self.work().await.unwrap();
    }

    pub(super) async fn work(&self) -> Result<(), Error> {
        for job in self.sales.jobs() {
            while job.run(self.cx()).await? {}
        }
        Ok(())
    }

    pub(super) fn free(&self, name: &str) -> u32 {
        self.around.warehouse.lock().free[&sku(name)]
    }

    pub(super) fn aside(&self, id: FlashSaleId, name: &str) -> u32 {
        self.around.warehouse.lock().aside[&format!("flash-sale:{id}")][&sku(name)]
    }

    /// Kinds of the events told so far, without the audit trail's.
    pub(super) async fn told(&self) -> Vec<String> {
        let events: Vec<Event> = self.promox.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        let kinds = events.into_iter().map(|event| event.kind).filter(|kind| kind != "AUDITED");
        kinds.map(|kind| kind.trim_start_matches("FLASH_SALE_").to_owned()).collect()
    }

    /// The auditor finds nothing, and every gate is what the rows say.
    pub(super) fn verify(&self) {
        let reader = Engine::snapshot(&*self.engine);
        let mut report = Report::default();
        let tx = Tx::unbounded(&*reader, Database::Promox);
        self.sales.audit(&tx, &mut report).unwrap();
        for table in FlashSales::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        // What other services must agree with is for the auditor of a whole node.
        let (mut findings, checked) = report.finish();
        findings.retain(|it| {
            ![promox_contract::flashsale::ASIDE, promox_contract::flashsale::TAKEN].contains(&it.invariant)
        });
        assert_eq!(findings, []);
        assert!(checked > 0);
        for sale in queries::open(&tx).unwrap() {
            let Some(gate) = self.sales.gates.get(sale.id) else { continue };
            let items = queries::items(&tx, sale.id).unwrap();
            let users: Vec<UserCount> = tx.scan().prefix(sale.id).rows().collect::<Result<_, _>>().unwrap();
            let rows = gates::read(&sale, &items, &users);
            for item in &items {
                let [gate, rows] = [&*gate, &rows].map(|gate| gate.gate(item.item).unwrap().state());
                assert_eq!(gate, rows, "sale {}, {}", sale.id, item.sku);
            }
        }
    }
}

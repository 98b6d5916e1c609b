//! A test harness: the service with simulated neighbours, namely the catalog, the warehouse, campaigns and orders.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::campaign::{CampaignState, CampaignStateList, GetCampaignStates};
use promox_contract::flashsale::{FlashLine, GetReservedLines, HoldFlashReservations, ReleaseFlashReservations};
use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, OrderId};
use promox_contract::inventory::{
    AllocateStock, ChangeAllocation, EndAllocation, ReturnToAllocation, SellFromAllocation, VariantQuantity,
};
use promox_contract::order::OrderConfirmed;
use promox_contract::product::{DescribeSkus, SkuDescriptions};
use promox_contract::store::{GetStoreProfile, StoreProfile};
use promox_contract::user::{AccountIds, DescribeUsers, FindAccounts, UserDescription, UserDescriptions};
use promox_kernel::{Cx, Error, Sku, Timestamp, UserId};
use promox_storage::{Database, Gate, GateEngine, MemoryGates, Service as _, Tx};
use promox_testkit::sample::{amount, email, order_fact, sku, sku_description, store_profile, user_description};
use promox_testkit::{Harness, Setup};

use crate::FlashSales;
use crate::api::{
    CreateReservation, CreateSale, GetSale, ReleaseReservation, ReservationView, SaleItemInput, SaleView,
};
use crate::gates;
use crate::queries;
use crate::records::{FlashHold, UserCount};

/// The warehouse: free stock, allocations, and the units sold from them.
#[derive(Debug, Default)]
pub(super) struct Warehouse {
    pub(super) free: BTreeMap<Sku, u32>,
    pub(super) allocated: BTreeMap<String, BTreeMap<Sku, u32>>,
    ended: BTreeSet<String>,
    pub(super) sold: BTreeMap<String, (Sku, u32)>,
    undone: BTreeSet<String>,
}

impl Warehouse {
    fn change(&mut self, reference: &str, items: &[VariantQuantity]) -> Result<(), Error> {
        if self.ended.contains(reference) {
            return Err(Error::conflict("RESERVATION_ENDED", "the allocation has ended"));
        }
        let has = self.allocated.get(reference).cloned().unwrap_or_default();
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
        let allocated = items.iter().map(|item| (item.sku.clone(), item.quantity)).collect();
        self.allocated.insert(reference.to_owned(), allocated);
        Ok(())
    }
}

/// The services that the flash sale service calls.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    pub(super) warehouse: Mutex<Warehouse>,
    pub(super) paused: AtomicBool,
    pub(super) closed: AtomicBool,
}

#[allow(clippy::unnecessary_wraps, reason = "the harness expects handlers that return a result")]
impl Neighbours {
    fn open(&self) -> Result<parking_lot::MutexGuard<'_, Warehouse>, Error> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Error::unavailable("CLOSED", "the warehouse is closed", 1));
        }
        Ok(self.warehouse.lock())
    }

    fn describe_skus(&self, _: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        let warehouse = self.warehouse.lock();
        let found = op.skus.iter().filter_map(|sku| warehouse.free.get_key_value(sku));
        Ok(SkuDescriptions { items: found.map(|(sku, _)| sku_description(sku, amount("9.99"))).collect() })
    }

    fn campaign_states(&self, _: &Cx, op: GetCampaignStates) -> Result<CampaignStateList, Error> {
        let running = !self.paused.load(Ordering::SeqCst);
        let known = op.ids.into_iter().filter(|id| *id == CampaignId(5));
        let state = |id| CampaignState { id, running, reason: None, in_audience: true, left: None };
        Ok(CampaignStateList { items: known.map(state).collect() })
    }

    fn allocate(&self, _: &Cx, op: AllocateStock) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        if !warehouse.allocated.contains_key(&op.reference) {
            warehouse.change(&op.reference, &op.items)?;
        }
        Ok(())
    }

    fn change(&self, _: &Cx, op: ChangeAllocation) -> Result<(), Error> {
        self.open()?.change(&op.reference, &op.items)
    }

    fn sell(&self, _: &Cx, op: SellFromAllocation) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        for sale in op.sales {
            if warehouse.undone.contains(&sale.reference) || warehouse.sold.contains_key(&sale.reference) {
                continue;
            }
            let item = &sale.items[0];
            let left = warehouse.allocated.get_mut(&op.allocation).unwrap().get_mut(&item.sku).unwrap();
            *left = left.checked_sub(item.quantity).expect("no more is sold than is allocated");
            warehouse.sold.insert(sale.reference, (item.sku.clone(), item.quantity));
        }
        Ok(())
    }

    fn return_sold(&self, _: &Cx, op: ReturnToAllocation) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        warehouse.undone.insert(op.reference.clone());
        let Some((sku, quantity)) = warehouse.sold.remove(&op.reference) else { return Ok(()) };
        let ended = warehouse.ended.contains(&op.allocation);
        let allocated = warehouse.allocated.get_mut(&op.allocation).filter(|_| !ended);
        let back = allocated.and_then(|allocated| allocated.get_mut(&sku));
        match back {
            Some(back) => *back += quantity,
            None => *warehouse.free.get_mut(&sku).unwrap() += quantity,
        }
        Ok(())
    }

    fn end(&self, _: &Cx, op: EndAllocation) -> Result<(), Error> {
        let mut warehouse = self.open()?;
        let mut allocated = warehouse.allocated.remove(&op.reference).unwrap_or_default();
        for (sku, left) in &mut allocated {
            let keep = op.keep.iter().find(|item| item.sku == *sku).map_or(0, |item| item.quantity).min(*left);
            *warehouse.free.get_mut(sku).unwrap() += *left - keep;
            *left = keep;
        }
        if allocated.values().all(|left| *left == 0) {
            warehouse.ended.insert(op.reference.clone());
        }
        warehouse.allocated.insert(op.reference, allocated);
        Ok(())
    }
}

/// The accounts of one person, Ada, with plus tags in her address. Every other account is another person's.
const ADAS_ACCOUNTS: std::ops::Range<i64> = 900_070..900_080;

fn user(id: UserId) -> UserDescription {
    let user = user_description(id);
    if ADAS_ACCOUNTS.contains(&id.0) {
        UserDescription { email: email(&format!("ada+{id}@example.com")), ..user }
    } else {
        user
    }
}

/// A running node with flash sales.
pub(super) struct Market {
    harness: Harness<FlashSales>,
    /// The counters of the gates.
    counters: Arc<MemoryGates>,
    pub(super) neighbours: Arc<Neighbours>,
}

impl Deref for Market {
    type Target = Harness<FlashSales>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// An item to sell.
pub(super) fn item(name: &str, stock: u32, per_user_limit: Option<u32>) -> SaleItemInput {
    SaleItemInput { sku: sku(name), sale_price: amount("4.50"), stock, per_user_limit }
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
    /// A market with 100 units of A and 100 of B in the warehouse.
    pub(super) fn open() -> Self {
        let counters = Arc::new(MemoryGates::default());
        Self::over(counters.clone(), counters)
    }

    /// A market whose gates use this engine and keep their counters in `counters`.
    pub(super) fn over(engine: Arc<dyn GateEngine>, counters: Arc<MemoryGates>) -> Self {
        let neighbours = Arc::new(Neighbours::default());
        neighbours.warehouse.lock().free = BTreeMap::from([(sku("A"), 100), (sku("B"), 100)]);
        let harness = Setup::at_time(START)
            .answer(|_, _: GetStoreProfile| Ok(StoreProfile { ignore_plus_tags: true, ..store_profile() }))
            .answer(|_, op: DescribeUsers| Ok(UserDescriptions { items: op.ids.into_iter().map(user).collect() }))
            .answer(|_, op: FindAccounts| {
                let ada = op.emails.iter().any(|email| email.mailbox() == "ada@example.com");
                Ok(AccountIds { ids: if ada { ADAS_ACCOUNTS.map(UserId).collect() } else { Vec::new() } })
            })
            .answer_from(&neighbours, Neighbours::describe_skus)
            .answer_from(&neighbours, Neighbours::campaign_states)
            .answer_from(&neighbours, Neighbours::allocate)
            .answer_from(&neighbours, Neighbours::change)
            .answer_from(&neighbours, Neighbours::sell)
            .answer_from(&neighbours, Neighbours::return_sold)
            .answer_from(&neighbours, Neighbours::end)
            .shared(&[promox_contract::flashsale::ALLOCATED, promox_contract::flashsale::TAKEN])
            .start(|databases| FlashSales::new(databases.promox.clone(), engine));
        Self { harness, counters, neighbours }
    }

    /// The market after a restart of its node.
    pub(super) async fn reopen(self) -> Self {
        let counters = Arc::new(MemoryGates::default());
        let harness = self.restart(|databases| FlashSales::new(databases.promox.clone(), counters.clone()));
        harness.service.recover(&harness.cx()).await.unwrap();
        Self { harness, counters, neighbours: self.neighbours }
    }

    pub(super) async fn make(&self, items: Vec<SaleItemInput>) -> FlashSaleId {
        self.call(plan(items)).await.unwrap().id
    }

    /// Creates a sale and waits until it has started.
    pub(super) async fn started(&self, items: Vec<SaleItemInput>) -> FlashSaleId {
        let id = self.make(items).await;
        self.wait(60).await;
        id
    }

    pub(super) async fn sale(&self, id: FlashSaleId) -> SaleView {
        self.call(GetSale { id }).await.unwrap()
    }

    /// The remaining and sold units of the first item.
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

    /// Makes a reservation that must succeed.
    pub(super) async fn granted(&self, id: FlashSaleId, user: i64, quantity: u32) -> FlashReservationId {
        self.reserve(id, user, quantity).await.unwrap().reservation_id
    }

    pub(super) async fn release_reservation(
        &self,
        id: FlashSaleId,
        user: i64,
        rid: FlashReservationId,
    ) -> Result<(), Error> {
        self.run(self.user(user), ReleaseReservation { id, rid }).await
    }

    pub(super) async fn lines(&self, user: i64, ids: &[FlashReservationId]) -> Vec<FlashLine> {
        let op = GetReservedLines { user_id: Some(UserId(user)), reservation_ids: ids.to_vec() };
        self.call(op).await.unwrap().lines
    }

    pub(super) async fn claim(&self, order: i64, user: i64, ids: &[FlashReservationId]) -> Result<(), Error> {
        let (order_id, user_id) = (OrderId(order), Some(UserId(user)));
        self.call(HoldFlashReservations { order_id, user_id, reservation_ids: ids.to_vec() }).await
    }

    pub(super) async fn release(&self, order: i64) {
        self.call(ReleaseFlashReservations { order_id: OrderId(order) }).await.unwrap();
    }

    /// Confirms an order by the event that the order service emits.
    pub(super) async fn confirm(&self, order: i64) {
        self.emit(Database::Ecommerce, order, OrderConfirmed(order_fact(order))).await;
        self.consume().await;
    }

    /// Advances the clock and runs all jobs until they have nothing left to do.
    pub(super) async fn wait(&self, seconds: u64) {
        self.advance_and_work(Duration::from_secs(seconds)).await;
    }

    pub(super) fn free(&self, name: &str) -> u32 {
        self.neighbours.warehouse.lock().free[&sku(name)]
    }

    pub(super) fn allocated(&self, id: FlashSaleId, name: &str) -> u32 {
        self.neighbours.warehouse.lock().allocated[&format!("flash-sale:{id}")][&sku(name)]
    }

    /// The events of sales, oldest first.
    pub(super) async fn sale_events(&self) -> Vec<String> {
        let types = self.event_types("FLASH_SALE_").await;
        types.iter().map(|kind| kind.trim_start_matches("FLASH_SALE_").to_owned()).collect()
    }

    /// The units left at each gate of a sale and those taken by each user; `None` if the gates are not loaded.
    pub(super) fn counters(&self, id: FlashSaleId) -> Option<Vec<(i64, Vec<(UserId, i64)>)>> {
        self.counters.state(self.service.gates.key(id))
    }

    /// The user who holds a reservation.
    pub(super) async fn holder(&self, id: FlashReservationId) -> i64 {
        let hold = self.db.read(|tx| tx.get::<FlashHold>(&id)).await.unwrap();
        hold.unwrap().user_id.0
    }

    /// Checks that the auditor finds nothing and that every gate agrees with the rows.
    pub(super) fn verify(&self) {
        self.harness.verify();
        let reader = self.db.long_read().unwrap();
        let tx = Tx::unbounded(&*reader, Database::Promox);
        for sale in queries::running_sales(&tx).unwrap() {
            let Some(counters) = self.counters(sale.id) else { continue };
            let items = queries::items(&tx, sale.id).unwrap();
            let users: Vec<UserCount> = tx.scan().prefix(sale.id).rows().collect::<Result<_, _>>().unwrap();
            let rows = gates::from_rows(&sale, &items, &users).gates.into_iter();
            let rows: Vec<_> = rows.map(|it| Gate::new(it.left, it.limit, it.users).state()).collect();
            assert_eq!(counters, rows, "sale {}", sale.id);
        }
    }
}

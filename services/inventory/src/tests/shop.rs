//! A node with only the inventory service, on the memory engine.

use std::ops::Deref;

use crate::Inventory;
use crate::api::{CountStock, GetStock, StockView};
use crate::records::ReservationByReference;
use promox_contract::ids::OrderId;
use promox_contract::inventory::{
    GetAvailableStock, HoldStock, ReleaseStock, Restock, SOLD, SkuQuantity, VariantQuantity,
};
use promox_contract::order::OrderConfirmed;
use promox_contract::product::{ResolveSkus, ResolvedSkus};
use promox_kernel::{Error, Sku};
use promox_storage::{Database, Service as _};
use promox_testkit::sample::{order_fact, sku, variant, variant_ref};
use promox_testkit::{Harness, Setup};

/// A node with the inventory service. Every SKU except `nope` belongs to a product.
pub(crate) struct Shop(Harness<Inventory>);

impl Deref for Shop {
    type Target = Harness<Inventory>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Returns items by variant, as other services send them.
pub(crate) fn items(items: &[(&str, u32)]) -> Vec<VariantQuantity> {
    let item = |(name, quantity): &(&str, u32)| {
        let sku = sku(name);
        VariantQuantity { variant_id: variant(&sku), sku, quantity: *quantity }
    };
    items.iter().map(item).collect()
}

/// Returns items by SKU, as requests for reservations send them.
pub(crate) fn by_sku(items: &[(&str, u32)]) -> Vec<SkuQuantity> {
    items.iter().map(|(name, quantity)| SkuQuantity { sku: sku(name), quantity: *quantity }).collect()
}

impl Shop {
    pub(crate) fn open() -> Self {
        let resolve = |sku: Sku| Some(sku).filter(|sku| sku.as_str() != "nope").map(variant_ref);
        let harness = Setup::at("2027-01-15T08:00:00Z")
            .answer(move |_, op: ResolveSkus| Ok(ResolvedSkus { variants: op.skus.into_iter().map(resolve).collect() }))
            .shared(&[promox_contract::flashsale::ALLOCATED, SOLD])
            .start(|databases| Inventory::new(databases.ecommerce.clone()));
        Self(harness)
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
        self.call(op).await?;
        Ok(self.reservation(&format!("order:{order}")).await)
    }

    /// Returns the id of a reservation.
    pub(crate) async fn reservation(&self, reference: &str) -> i64 {
        let known = self.db.read(|tx| tx.get_by::<ReservationByReference>(reference)).await.unwrap();
        known.unwrap().id
    }

    pub(crate) async fn release_order(&self, order: i64) -> Result<(), Error> {
        self.call(ReleaseStock { order_id: OrderId(order) }).await
    }

    pub(crate) async fn restock(&self, reference: &str, order: i64, returned: &[(&str, u32)]) -> Result<(), Error> {
        let (reference, order_id) = (reference.to_owned(), OrderId(order));
        self.call(Restock { reference, order_id, items: items(returned), write_off: false }).await
    }

    /// Emits the event that an order is confirmed.
    pub(crate) async fn confirm(&self, order: i64) {
        self.emit(Database::Ecommerce, order, OrderConfirmed(order_fact(order))).await;
    }

    pub(crate) async fn available(&self, name: &str) -> u32 {
        self.call(GetAvailableStock { variants: vec![variant(&sku(name))] }).await.unwrap().available[0]
    }

    /// Returns the units on hand and the units reserved.
    pub(crate) async fn on_hand_and_reserved(&self, sku: &str) -> (i64, i64) {
        let view = self.call(GetStock { sku: sku.parse().unwrap() }).await.unwrap();
        (view.on_hand, view.reserved)
    }

    /// Runs the job that expires reservations. Returns whether there may be more.
    pub(crate) async fn sweep(&self) -> bool {
        let job = self.service.jobs().remove(0);
        job.run(self.cx()).await.unwrap()
    }
}

//! Commands, lists and transfer on the memory engine, each scenario closed by the auditor.

mod categories;
mod lists;
mod products;
mod shelf;
mod transfers;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::ids::VariantId;
use promox_contract::inventory::{Availability, GetAvailableStock, StockChanged};
use promox_contract::product::{ResolveSkus, SkuDescription, VariantRef};
use promox_contract::promotion::{CatalogPrices, GetCatalogPrices};
use promox_kernel::{Amount, Currency, Cx, Error, Op};
use promox_storage::{Database, Epochs, Service};
use promox_testkit::{Databases, Harness, Setup};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::{IndexPlace, Products};

/// What the other services answer from.
#[derive(Default)]
struct Others {
    stock: Mutex<BTreeMap<VariantId, u32>>,
    /// Percent that a price rule takes off, for anonymous visitors and for users; 0 for no rule.
    rule: Mutex<(i64, i64)>,
}

#[allow(clippy::unnecessary_wraps, reason = "an answer is a result, whether or not this one can fail")]
impl Others {
    fn shelf_prices(&self, cx: &Cx, op: GetCatalogPrices) -> Result<CatalogPrices, Error> {
        let (visitor, user) = *self.rule.lock();
        if visitor == 0 {
            return Ok(CatalogPrices::default());
        }
        let off = if cx.principal.user().is_some() && !op.anonymous { user } else { visitor };
        let price = |item: &SkuDescription| Amount(item.list_price.0 * Decimal::from(100 - off) / Decimal::ONE_HUNDRED);
        let prices = op.items.iter().map(|item| Currency::GBP.round(price(item).0)).collect();
        Ok(CatalogPrices { prices, epoch: visitor, personal: visitor != user, rules_state: visitor })
    }

    fn available(&self, _: &Cx, op: GetAvailableStock) -> Result<Availability, Error> {
        let stock = self.stock.lock();
        Ok(Availability { available: op.variants.iter().map(|id| stock.get(id).copied().unwrap_or(0)).collect() })
    }
}

/// A shop with this service whole.
struct Shop {
    harness: Harness<Products>,
    others: Arc<Others>,
}

impl Deref for Shop {
    type Target = Harness<Products>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

fn service(databases: &Databases, place: &IndexPlace) -> Arc<Products> {
    Products::new(databases.ecommerce.clone(), place, Epochs::of(&databases.promox)).unwrap()
}

impl Shop {
    async fn open() -> Self {
        let others = Arc::<Others>::default();
        let harness = Setup::at("2027-01-15T08:00:00Z")
            .answer_from(&others, Others::shelf_prices)
            .answer_from(&others, Others::available)
            .start(|databases| service(databases, &IndexPlace::Memory));
        Self::recovered(harness, others).await
    }

    /// Starts the service again over what is in the store.
    async fn reopen(&self, place: &IndexPlace) -> Self {
        let harness = self.restart(|databases| service(databases, place));
        Self::recovered(harness, self.others.clone()).await
    }

    async fn recovered(harness: Harness<Products>, others: Arc<Others>) -> Self {
        harness.service.recover(&harness.cx()).await.unwrap();
        Self { harness, others }
    }

    /// Sends a request as a visitor.
    async fn visit<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.anonymous(), json).await
    }

    /// Lets stock come or go, as the inventory does.
    async fn stock(&self, sku: &str, units: u32) {
        let op = ResolveSkus { skus: vec![sku.parse().unwrap()] };
        let VariantRef { variant_id, product_id, sku } = self.call(op).await.unwrap().variants.remove(0).unwrap();
        self.others.stock.lock().insert(variant_id, units);
        let changed = StockChanged { variant_id, product_id, sku, available: i64::from(units) };
        self.emit(Database::Ecommerce, 1, changed).await;
    }

    /// Lets the service's job run until it has nothing to do.
    async fn settle(&self) {
        for job in self.service.jobs() {
            self.advance(Duration::from_secs(2));
            while job.run(self.cx()).await.unwrap() {
                self.advance(Duration::from_secs(2));
            }
        }
    }
}

/// The members of an error that tests compare.
fn faults(error: &Error) -> Vec<(&str, &str)> {
    error.errors().iter().map(|fault| (fault.pointer.as_str(), fault.code.as_ref())).collect()
}

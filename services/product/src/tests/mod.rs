//! Tests of commands, lists, import and export on the memory engine. Most end with a check of all invariants.

mod catalog_prices;
mod categories;
mod lists;
mod products;
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
use promox_storage::{Database, Service};
use promox_testkit::{Databases, Harness, Setup};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::{IndexPlace, Products};

/// The state of the stubs that stand in for the other services.
#[derive(Default)]
struct StubServices {
    /// The available units of each variant.
    stock: Mutex<BTreeMap<VariantId, u32>>,
    /// The discount of a price rule in percent, for anonymous visitors and for users, or 0 for no rule.
    rule: Mutex<(i64, i64)>,
}

#[allow(clippy::unnecessary_wraps, reason = "the answers of operations are results")]
impl StubServices {
    fn catalog_prices(&self, cx: &Cx, op: GetCatalogPrices) -> Result<CatalogPrices, Error> {
        let (visitor, user) = *self.rule.lock();
        if visitor == 0 {
            return Ok(CatalogPrices::default());
        }
        let percent = if cx.principal.user().is_some() && !op.anonymous { user } else { visitor };
        let price =
            |item: &SkuDescription| Amount(item.list_price.0 * Decimal::from(100 - percent) / Decimal::ONE_HUNDRED);
        let prices = op.items.iter().map(|item| Currency::GBP.round(price(item).0)).collect();
        Ok(CatalogPrices { prices, epoch: visitor, personal: visitor != user, rules_state: visitor })
    }

    fn available(&self, _: &Cx, op: GetAvailableStock) -> Result<Availability, Error> {
        let stock = self.stock.lock();
        Ok(Availability { available: op.variants.iter().map(|id| stock.get(id).copied().unwrap_or(0)).collect() })
    }
}

/// The product service, with stubs for the other services.
struct Shop {
    harness: Harness<Products>,
    stubs: Arc<StubServices>,
}

impl Deref for Shop {
    type Target = Harness<Products>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

fn service(databases: &Databases, place: &IndexPlace) -> Arc<Products> {
    Products::new(databases.ecommerce.clone(), place, &databases.promox).unwrap()
}

impl Shop {
    /// Starts the service on an empty store.
    async fn open() -> Self {
        let stubs = Arc::<StubServices>::default();
        let harness = Setup::at("2027-01-15T08:00:00Z")
            .answer_from(&stubs, StubServices::catalog_prices)
            .answer_from(&stubs, StubServices::available)
            .start(|databases| service(databases, &IndexPlace::Memory));
        Self::recovered(harness, stubs).await
    }

    /// Starts the service again on the data of this one.
    async fn reopen(&self, place: &IndexPlace) -> Self {
        let harness = self.restart(|databases| service(databases, place));
        Self::recovered(harness, self.stubs.clone()).await
    }

    async fn recovered(harness: Harness<Products>, stubs: Arc<StubServices>) -> Self {
        harness.service.recover(&harness.cx()).await.unwrap();
        Self { harness, stubs }
    }

    /// Sends a request as an anonymous visitor.
    async fn visit<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.anonymous(), json).await
    }

    /// Sets the stock of a SKU and emits the event, as the inventory service does.
    async fn stock(&self, sku: &str, units: u32) {
        let op = ResolveSkus { skus: vec![sku.parse().unwrap()] };
        let VariantRef { variant_id, product_id, sku } = self.call(op).await.unwrap().variants.remove(0).unwrap();
        self.stubs.stock.lock().insert(variant_id, units);
        let changed = StockChanged { variant_id, product_id, sku, available: i64::from(units) };
        self.emit(Database::Ecommerce, 1, changed).await;
    }

    /// Runs the service's jobs until they have nothing to do.
    async fn run_jobs(&self) {
        for job in self.service.jobs() {
            self.advance(Duration::from_secs(2));
            while job.run(self.cx()).await.unwrap() {
                self.advance(Duration::from_secs(2));
            }
        }
    }
}

/// The pointers and codes of an error's faults.
fn faults(error: &Error) -> Vec<(&str, &str)> {
    error.errors().iter().map(|fault| (fault.pointer.as_str(), fault.code.as_ref())).collect()
}

//! Commands, lists and transfer on the memory engine, each scenario closed by the auditor.

mod categories;
mod lists;
mod products;
mod shelf;
mod transfers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::ids::VariantId;
use promox_contract::inventory::{Availability, AvailableStock, StockChanged};
use promox_contract::product::{ResolveSkus, SkuDescription, VariantRef};
use promox_contract::promotion::{PromotionReferring, ReferringPromotion, ShelfPriceList, ShelfPrices};
use promox_contract::store::{AmountsPledged, PledgeAmounts, StoreFacts, StoreProfile, StoreTaxes, TaxFacts};
use promox_kernel::{
    Amount, Clock, Content, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Reply, Timestamp,
    bind_json,
};
use promox_storage::{Database, Db, Epochs, MemoryEngine, Report, Service, Tx};
use rust_decimal::Decimal;
use serde_json::Value;

use crate::{IndexPlace, Products};

/// The other services as far as this one asks them.
#[derive(Default)]
struct Others {
    stock: Mutex<BTreeMap<VariantId, u32>>,
    /// Percent that a price rule takes off, for anonymous visitors and for users; 0 for no rule.
    rule: Mutex<(i64, i64)>,
}

impl Handle<PromotionReferring> for Others {
    async fn handle(&self, _: &Cx, _: PromotionReferring) -> Result<ReferringPromotion, Error> {
        Ok(ReferringPromotion::default())
    }
}

impl Handle<ShelfPrices> for Others {
    async fn handle(&self, cx: &Cx, asked: ShelfPrices) -> Result<ShelfPriceList, Error> {
        let (visitor, user) = *self.rule.lock();
        if visitor == 0 {
            return Ok(ShelfPriceList::default());
        }
        let off = if cx.principal.user().is_some() && !asked.anonymous { user } else { visitor };
        let price = |it: &SkuDescription| Amount(it.list_price.0 * Decimal::from(100 - off) / Decimal::ONE_HUNDRED);
        let prices = asked.items.iter().map(|it| Currency::GBP.round(price(it).0)).collect();
        Ok(ShelfPriceList { prices, epoch: visitor, personal: visitor != user, told: visitor })
    }
}

impl Handle<AvailableStock> for Others {
    async fn handle(&self, _: &Cx, asked: AvailableStock) -> Result<Availability, Error> {
        let stock = self.stock.lock();
        Ok(Availability { available: asked.variants.iter().map(|id| stock.get(id).copied().unwrap_or(0)).collect() })
    }
}

impl Handle<StoreProfile> for Others {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        Ok(StoreFacts {
            name: "Shop".to_owned(),
            currency: Currency::GBP,
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            ignore_plus_tags: false,
        })
    }
}

impl Handle<StoreTaxes> for Others {
    async fn handle(&self, _: &Cx, _: StoreTaxes) -> Result<TaxFacts, Error> {
        let classes = ["REDUCED", "STANDARD", "ZERO"].map(str::to_owned).to_vec();
        Ok(TaxFacts { classes, ..TaxFacts::default() })
    }
}

impl Handle<PledgeAmounts> for Others {
    async fn handle(&self, _: &Cx, _: PledgeAmounts) -> Result<AmountsPledged, Error> {
        Ok(AmountsPledged { pending: false })
    }
}

/// A shop with this service whole.
struct Shop {
    node: Arc<Node>,
    db: Db,
    products: Arc<Products>,
    others: Arc<Others>,
    promox: Db,
}

impl Shop {
    async fn open() -> Self {
        let db = MemoryEngine::new().database(Database::Ecommerce);
        Self::over(db, Arc::default(), &IndexPlace::Memory).await
    }

    /// Starts the service over what is in the store.
    async fn over(db: Db, others: Arc<Others>, place: &IndexPlace) -> Self {
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1_800_000_000)), Entropy::seeded(1));
        let promox = MemoryEngine::new().database(Database::Promox);
        let products = Products::new(db.clone(), place, Epochs::of(&promox)).unwrap();
        let mut registry = Registry::default();
        products.register(&mut registry);
        registry.register::<AvailableStock, _>(&others);
        registry.register::<StoreProfile, _>(&others);
        registry.register::<PledgeAmounts, _>(&others);
        registry.register::<StoreTaxes, _>(&others);
        registry.register::<ShelfPrices, _>(&others);
        registry.register::<PromotionReferring, _>(&others);
        node.install(registry);
        let shop = Self { node, db, products, others, promox };
        shop.products.recover(&shop.staff()).await.unwrap();
        shop
    }

    fn staff(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(60))
    }

    fn visitor(&self) -> Cx {
        Cx { principal: Principal::Anonymous, ..self.staff() }
    }

    /// Asks as staff, in JSON.
    async fn ask<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.staff(), json).await
    }

    /// Asks as a visitor.
    async fn visit<O: Op>(&self, json: Value) -> Result<Value, Error> {
        self.ask_as::<O>(self.visitor(), json).await
    }

    async fn ask_as<O: Op>(&self, cx: Cx, json: Value) -> Result<Value, Error> {
        O::ACCESS.check(&cx)?;
        let op: O = bind_json(json.to_string().as_bytes())?;
        // `Cx::call` drops what is the first request's alone, so this asks as the edge does.
        let reply = self.node.registry()?.call(cx, op).await?;
        match reply.respond(O::STATUS)?.content {
            Content::Json(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            _ => Ok(Value::Null),
        }
    }

    /// Lets stock come or go, as the inventory tells it.
    async fn stock(&self, sku: &str, pieces: u32) {
        let asked = ResolveSkus { skus: vec![sku.parse().unwrap()] };
        let VariantRef { variant_id, product_id, sku } =
            self.staff().call(asked).await.unwrap().variants.remove(0).unwrap();
        self.others.stock.lock().insert(variant_id, pieces);
        let told = StockChanged { variant_id, product_id, sku, available: i64::from(pieces) };
        self.db.write(&self.staff(), move |tx| Ok::<_, Error>(tx.emit(1_i64, &told)?)).await.unwrap();
    }

    /// Lets the service's job run until it has nothing to do.
    async fn settle(&self) {
        for job in self.products.jobs() {
            self.node.clock.advance(Duration::from_secs(2));
            while job.run(self.staff()).await.unwrap() {
                self.node.clock.advance(Duration::from_secs(2));
            }
        }
    }

    /// The events told so far, by type.
    async fn told(&self, kind: &str) -> usize {
        let events = self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        events.iter().filter(|event| event.kind == kind).count()
    }

    /// The auditor finds nothing.
    fn verify(&self) {
        let reader = self.db.long_read().unwrap();
        let mut report = Report::default();
        for table in Products::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        let audit = &*self.products;
        audit.audit(&Tx::unbounded(&*reader, Products::DATABASE), &mut report).unwrap();
        let (findings, checked) = report.finish();
        assert!(findings.is_empty() && checked > 0, "{findings:?}");
    }
}

/// The members of an error that tests compare.
fn faults(error: &Error) -> Vec<(&str, &str)> {
    error.errors().iter().map(|fault| (fault.pointer.as_str(), fault.code.as_ref())).collect()
}

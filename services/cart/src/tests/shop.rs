//! A harness with the cart service and a stub of the product, inventory and order services.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use parking_lot::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32};

use promox_contract::coupon::CountEnteredCodes;
use promox_contract::ids::{ProductId, VariantId};
use promox_contract::inventory::{Availability, GetAvailableStock};
use promox_contract::notification::{CartIdleTime, GetCartIdleTime};
use promox_contract::order::{CartInCheckout, IsCartInCheckout};
use promox_contract::order::{PriceCart, PricedCart};
use promox_contract::order_line::OrderLine;
use promox_contract::product::{DescribeSkus, SkuDescription, SkuDescriptions};
use promox_contract::promotion::{RejectReason, RejectedPromotion};
use promox_kernel::{Amount, Currency, Cx, Error, Op, Sku};
use promox_storage::Cache;
use promox_testkit::sample::{order_line, pence, sku, sku_description, totals, variant};
use promox_testkit::{Harness, Setup};

use crate::Carts;
use crate::api::{CartView, CreateCart};

/// A stub of the product, inventory and order services: price in pence and units in stock, by SKU.
#[derive(Default)]
pub(super) struct StubCatalog(pub(super) Mutex<BTreeMap<Sku, (i64, u32)>>);

#[allow(clippy::unnecessary_wraps, reason = "handlers return a result")]
impl StubCatalog {
    fn describe(&self, _: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        let catalog = self.0.lock();
        let found = op.skus.iter().filter_map(|sku| catalog.get_key_value(sku));
        let describe = |(sku, (price, _)): (&Sku, &(i64, u32))| SkuDescription {
            name: format!("A {sku}"),
            ..sku_description(sku, pence(*price))
        };
        Ok(SkuDescriptions { items: found.map(describe).collect() })
    }

    fn available(&self, _: &Cx, op: GetAvailableStock) -> Result<Availability, Error> {
        let catalog = self.0.lock();
        let stock: BTreeMap<VariantId, u32> = catalog.iter().map(|(sku, (_, stock))| (variant(sku), *stock)).collect();
        Ok(Availability { available: op.variants.iter().map(|id| stock.get(id).copied().unwrap_or(0)).collect() })
    }

    fn price(&self, _: &Cx, op: PriceCart) -> Result<PricedCart, Error> {
        let catalog = self.0.lock();
        let lines = op.items.iter().filter_map(|item| {
            let (sku, (price, _)) = catalog.get_key_value(&item.sku)?;
            Some(OrderLine {
                variant_id: Some(variant(sku)),
                product_id: Some(ProductId(1)),
                name: format!("A {sku}"),
                ..order_line(sku.clone(), item.quantity, pence(*price), Amount::ZERO)
            })
        });
        let lines: Vec<OrderLine> = lines.collect();
        let codes: BTreeSet<String> = op.promotion_code.into_iter().chain(op.coupon_codes).collect();
        let rejected = codes.into_iter().map(|code| RejectedPromotion {
            promotion_id: None,
            code: Some(code),
            reason: RejectReason::Unknown,
            details: Vec::new(),
        });
        Ok(PricedCart {
            currency: Currency::GBP,
            applied_promotions: Vec::new(),
            rejected_promotions: rejected.collect(),
            totals: totals(&lines),
            lines,
        })
    }
}

/// The cart service on a node whose other services are stubs.
pub(super) struct Shop {
    harness: Harness<Carts>,
    pub(super) catalog: Arc<StubCatalog>,
    /// The minutes after which a cart is abandoned.
    pub(super) idle_minutes: Arc<AtomicU32>,
    /// Whether the carts are being ordered.
    pub(super) in_checkout: Arc<AtomicBool>,
}

impl Deref for Shop {
    type Target = Harness<Carts>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

impl Shop {
    pub(super) fn open() -> Self {
        let catalog = Arc::new(StubCatalog::default());
        let (idle_minutes, in_checkout) = (Arc::new(AtomicU32::new(1_440)), Arc::<AtomicBool>::default());
        let (idle, ordering) = (idle_minutes.clone(), in_checkout.clone());
        let harness = Setup::at("1970-01-12T13:46:40Z")
            .answer_from(&catalog, StubCatalog::describe)
            .answer_from(&catalog, StubCatalog::available)
            .answer_from(&catalog, StubCatalog::price)
            .answer(|_: &Cx, _: CountEnteredCodes| Ok(()))
            .answer(move |_: &Cx, _: GetCartIdleTime| Ok(CartIdleTime { minutes: idle.load(Relaxed) }))
            .answer(move |_: &Cx, _: IsCartInCheckout| Ok(CartInCheckout { in_checkout: ordering.load(Relaxed) }))
            .start(|databases| Carts::new(databases.ecommerce.clone(), &Cache::in_memory(), true));
        Self { harness, catalog, idle_minutes, in_checkout }
    }

    pub(super) fn stock(&self, name: &str, pence: i64, units: u32) {
        self.catalog.0.lock().insert(sku(name), (pence, units));
    }

    pub(super) fn guest(&self, token: &str) -> Cx {
        Cx { cart_token: Some(token.into()), ..self.anonymous() }
    }

    /// Creates a guest's cart with these lines; returns its token and its last view.
    pub(super) async fn guest_cart(&self, lines: &[(&str, u32)]) -> (String, CartView) {
        let opened = self.anonymous().call(CreateCart {}).await.unwrap();
        let token = opened.token.clone().unwrap();
        let mut cart = opened;
        for (name, quantity) in lines {
            cart = add(&self.guest(&token), name, *quantity).await.unwrap();
        }
        (token, cart)
    }
}

pub(super) async fn add(cx: &Cx, name: &str, quantity: u32) -> Result<CartView, Error> {
    cx.call(crate::api::AddItem { sku: sku(name), quantity }).await
}

/// Performs an operation and returns SKU and quantity of each line of the cart it returns.
pub(super) async fn lines<O: Op<Reply = CartView>>(cx: &Cx, op: O) -> Vec<(String, u32)> {
    let cart = cx.call(op).await.unwrap();
    cart.items.iter().map(|item| (item.sku.to_string(), item.quantity)).collect()
}

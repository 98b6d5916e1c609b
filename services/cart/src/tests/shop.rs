//! A shop of one shelf: it answers what carts ask of product, inventory and order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::ids::{ProductId, VariantId};
use promox_contract::inventory::{Availability, AvailableStock};
use promox_contract::order::{PriceCart, PricedCart, Totals};
use promox_contract::order_line::OrderLine;
use promox_contract::product::{DescribeSkus, ResolveSkus, ResolvedSkus, SkuDescription, SkuDescriptions, VariantRef};
use promox_contract::promotion::{RejectReason, RejectedPromotion};
use promox_contract::store::{StoreFacts, StoreProfile};
use promox_kernel::{
    Amount, Clock, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Sku, Timestamp, UserId,
    register,
};
use promox_storage::{Database, Db, MemoryEngine, Report, Service, Tx};

use crate::Carts;
use crate::api::{CartView, CreateCart};

/// The id of a SKU's variant: the same for each writing.
pub(super) fn variant(sku: &Sku) -> VariantId {
    let hash = sku.fold().bytes().fold(7_i64, |hash, byte| (hash * 131 + i64::from(byte)) % 1_000_000_007);
    VariantId(hash + 1)
}

/// What the shelf holds: price in pence and units in stock, by SKU.
#[derive(Default)]
pub(super) struct Shelf(pub(super) Mutex<BTreeMap<Sku, (i64, u32)>>);

impl Handle<DescribeSkus> for Shelf {
    async fn handle(&self, _: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        let shelf = self.0.lock();
        let items = op.skus.iter().filter_map(|sku| shelf.get_key_value(sku)).map(|(sku, (pence, _))| SkuDescription {
            variant_id: variant(sku),
            sku: sku.clone(),
            former_skus: Vec::new(),
            product_id: ProductId(1),
            name: format!("A {sku}"),
            price: pounds(*pence),
            list_price: pounds(*pence),
            currency: Currency::GBP,
            category_ids: Vec::new(),
            attributes: BTreeMap::new(),
            tax_class: "STANDARD".to_owned(),
            weight_grams: None,
            discountable: true,
            floor_price: None,
            cost: None,
        });
        Ok(SkuDescriptions { items: items.collect() })
    }
}

impl Handle<AvailableStock> for Shelf {
    async fn handle(&self, _: &Cx, op: AvailableStock) -> Result<Availability, Error> {
        let shelf = self.0.lock();
        let stock: BTreeMap<VariantId, u32> = shelf.iter().map(|(sku, (_, stock))| (variant(sku), *stock)).collect();
        Ok(Availability { available: op.variants.iter().map(|id| stock.get(id).copied().unwrap_or(0)).collect() })
    }
}

impl Handle<ResolveSkus> for Shelf {
    async fn handle(&self, _: &Cx, op: ResolveSkus) -> Result<ResolvedSkus, Error> {
        let of = |sku: Sku| Some(VariantRef { variant_id: variant(&sku), product_id: ProductId(1), sku });
        Ok(ResolvedSkus { variants: op.skus.into_iter().map(of).collect() })
    }
}

impl Handle<StoreProfile> for Shelf {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        Ok(StoreFacts {
            name: "Shelf".to_owned(),
            currency: Currency::GBP,
            timezone: "UTC".to_owned(),
            locale: "en".to_owned(),
            ignore_plus_tags: false,
        })
    }
}

impl Handle<PriceCart> for Shelf {
    async fn handle(&self, _: &Cx, op: PriceCart) -> Result<PricedCart, Error> {
        let shelf = self.0.lock();
        let lines = op.items.iter().filter_map(|item| {
            let (sku, (pence, _)) = shelf.get_key_value(&item.sku)?;
            let subtotal = pounds(pence * i64::from(item.quantity));
            Some(OrderLine {
                sku: sku.clone(),
                variant_id: Some(variant(sku)),
                product_id: Some(ProductId(1)),
                name: format!("A {sku}"),
                quantity: item.quantity,
                unit_price: pounds(*pence),
                list_price: pounds(*pence),
                flash_sale_id: None,
                subtotal,
                discount: pounds(0),
                discounts: Vec::new(),
                tax: pounds(0),
                total: subtotal,
            })
        });
        let lines: Vec<OrderLine> = lines.collect();
        let sum = lines.iter().map(|line| line.subtotal).sum();
        let codes: BTreeSet<String> = op.promotion_code.into_iter().chain(op.coupon_codes).collect();
        let rejected = codes.into_iter().map(|code| RejectedPromotion {
            promotion_id: None,
            code: Some(code),
            reason: RejectReason::Unknown,
            details: Vec::new(),
        });
        Ok(PricedCart {
            currency: Currency::GBP,
            lines,
            applied_promotions: Vec::new(),
            rejected_promotions: rejected.collect(),
            totals: Totals {
                subtotal: sum,
                discount: pounds(0),
                shipping: pounds(0),
                shipping_discount: pounds(0),
                tax: pounds(0),
                points_redeemed: 0,
                points_value: pounds(0),
                total: sum,
            },
        })
    }
}

pub(super) fn pounds(pence: i64) -> Amount {
    format!("{}.{:02}", pence / 100, pence % 100).parse().unwrap()
}

pub(super) fn sku(text: &str) -> Sku {
    text.parse().unwrap()
}

/// A node with carts and a shelf.
pub(super) struct Shop {
    pub(super) node: Arc<Node>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) carts: Arc<Carts>,
    pub(super) db: Db,
}

impl Shop {
    pub(super) fn open() -> Self {
        let db = MemoryEngine::new().database(Database::Ecommerce);
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1_000_000)), Entropy::seeded(7));
        let (shelf, carts) = (Arc::new(Shelf::default()), Carts::new(db.clone()));
        let mut registry = Registry::default();
        register!(registry, &shelf; DescribeSkus, ResolveSkus, AvailableStock, StoreProfile, PriceCart);
        carts.register(&mut registry);
        node.install(registry);
        Self { node, shelf, carts, db }
    }

    pub(super) fn stock(&self, name: &str, pence: i64, units: u32) {
        self.shelf.0.lock().insert(sku(name), (pence, units));
    }

    fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_secs(5))
    }

    pub(super) fn guest(&self, token: &str) -> Cx {
        Cx { principal: Principal::Anonymous, cart_token: Some(token.into()), ..self.cx() }
    }

    pub(super) fn user(&self, id: i64) -> Cx {
        Cx { principal: Principal::User { id: UserId(id), session: 1, permissions: Arc::default() }, ..self.cx() }
    }

    pub(super) fn system(&self) -> Cx {
        self.cx()
    }

    /// A guest's cart with these lines.
    pub(super) async fn guest_cart(&self, lines: &[(&str, u32)]) -> (String, CartView) {
        let anyone = Cx { principal: Principal::Anonymous, ..self.cx() };
        let opened = anyone.call(CreateCart {}).await.unwrap();
        let token = opened.token.clone().unwrap();
        let mut cart = opened;
        for (name, quantity) in lines {
            cart = add(&self.guest(&token), name, *quantity).await.unwrap();
        }
        (token, cart)
    }

    /// The auditor finds nothing.
    pub(super) fn verify(&self) {
        let reader = self.db.long_read().unwrap();
        let mut report = Report::default();
        self.carts.audit(&Tx::unbounded(&*reader, Database::Ecommerce), &mut report).unwrap();
        for table in Carts::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        assert_eq!(report.finish().0, []);
    }
}

pub(super) async fn add(cx: &Cx, name: &str, quantity: u32) -> Result<CartView, Error> {
    cx.call(crate::api::AddItem { sku: sku(name), quantity }).await
}

/// Asks and shows what the answer holds: SKU and quantity of each line.
pub(super) async fn lines<O: Op<Reply = CartView>>(cx: &Cx, op: O) -> Vec<(String, u32)> {
    let cart = cx.call(op).await.unwrap();
    cart.items.iter().map(|item| (item.sku.to_string(), item.quantity)).collect()
}

//! A node with the promotion service, and a desk that answers for all others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::buyer::Buyer;
use promox_contract::campaign::{CampaignState, CampaignStateList, CampaignStates, SegmentNames, SegmentsOf};
use promox_contract::coupon::{CouponCodesTaken, CouponsRefer, ResolveCodes, ResolvedCode, ResolvedCodes};
use promox_contract::ids::{CampaignId, CategoryId, OrderId, ProductId, PromotionId, VariantId};
use promox_contract::inventory::{Availability, AvailableStock};
use promox_contract::order::{
    OrderConfirmed, OrderFact, OrderFigure, OrderFigureList, OrderFigures, Purchases, PurchasesOf,
};
use promox_contract::product::{DescribeSkus, SkuDescription, SkuDescriptions};
use promox_contract::promotion::{
    CartLine, EvaluateCart, Evaluation, HoldUses, PricingTerms, PricingTermsReply, PromotionUse, Referred,
    RejectReason, ReleaseUses, TakenCodes,
};
use promox_contract::reward::{OffersRefer, TierName, TierOf};
use promox_contract::store::{AmountsPledged, PledgeAmounts, StoreFacts, StoreProfile};
use promox_contract::user::{DescribeUsers, UserDescription, UserDescriptions};
use promox_kernel::{
    Amount, Clock, Currency, Cx, Entropy, Error, Handle, Node, Op, Principal, Registry, Timestamp, UserId, register,
};
use promox_storage::{ConsumerLoop, Database, Db, Event, Finding, MemoryEngine, Report, Service, Tx};
use serde_json::{Value, json};

use crate::Promotions;
use crate::api::{ActivatePromotion, CreatePromotion, PromotionView};

/// What the desk answers.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Questions about people, so that a test can see that nobody was asked in vain.
    pub(crate) asked: AtomicUsize,
    pub(crate) coupons: Mutex<Vec<(String, PromotionId, Option<RejectReason>)>>,
    pub(crate) campaigns: Mutex<Vec<CampaignState>>,
    pub(crate) orders: Mutex<Vec<OrderFigure>>,
    pub(crate) purchases: Mutex<Purchases>,
}

impl Desk {
    fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

impl Handle<StoreProfile> for Desk {
    async fn handle(&self, _: &Cx, _: StoreProfile) -> Result<StoreFacts, Error> {
        Ok(StoreFacts {
            name: "Shop".into(),
            currency: Currency::GBP,
            timezone: "UTC".into(),
            locale: "en".into(),
            ignore_plus_tags: false,
        })
    }
}

impl Handle<PledgeAmounts> for Desk {
    async fn handle(&self, _: &Cx, _: PledgeAmounts) -> Result<AmountsPledged, Error> {
        Ok(AmountsPledged { pending: false })
    }
}

impl Handle<PricingTerms> for Desk {
    async fn handle(&self, _: &Cx, op: PricingTerms) -> Result<PricingTermsReply, Error> {
        let abroad = op.country.as_deref() == Some("FR");
        let free = op.country.as_deref() == Some("DE") && op.subtotal >= amount("60.00");
        Ok(PricingTermsReply {
            prices_include_tax: true,
            max_discount_percent: None,
            shipping_method: Some("STANDARD".into()),
            shipping: amount(if abroad {
                "9.00"
            } else if free {
                "0.00"
            } else {
                "4.99"
            }),
            shipping_tax_percent: amount("20"),
            tax_percents: op.tax_classes.iter().map(|_| amount("20")).collect(),
        })
    }
}

impl Handle<DescribeSkus> for Desk {
    async fn handle(&self, _: &Cx, op: DescribeSkus) -> Result<SkuDescriptions, Error> {
        let known = op.skus.into_iter().filter(|sku| sku.as_str() != "NONE");
        Ok(SkuDescriptions { items: known.map(|sku| goods(sku.as_str(), "10.00")).collect() })
    }
}

impl Handle<AvailableStock> for Desk {
    async fn handle(&self, _: &Cx, op: AvailableStock) -> Result<Availability, Error> {
        Ok(Availability { available: vec![5; op.variants.len()] })
    }
}

impl Handle<ResolveCodes> for Desk {
    async fn handle(&self, _: &Cx, op: ResolveCodes) -> Result<ResolvedCodes, Error> {
        let coupons = self.coupons.lock();
        let resolve = |code: String| {
            let (_, promotion_id, reason) = coupons.iter().find(|(known, ..)| *known == code)?;
            Some(ResolvedCode { code, promotion_id: *promotion_id, reason: *reason })
        };
        Ok(ResolvedCodes { coupons: op.codes.into_iter().filter_map(resolve).collect() })
    }
}

impl Handle<CouponCodesTaken> for Desk {
    async fn handle(&self, _: &Cx, op: CouponCodesTaken) -> Result<TakenCodes, Error> {
        Ok(TakenCodes { taken: op.codes.into_iter().filter(|code| code == "COUPON").collect() })
    }
}

impl Handle<CouponsRefer> for Desk {
    async fn handle(&self, _: &Cx, op: CouponsRefer) -> Result<Referred, Error> {
        Ok(Referred { referred: self.coupons.lock().iter().any(|(_, id, _)| *id == op.promotion_id) })
    }
}

impl Handle<OffersRefer> for Desk {
    async fn handle(&self, _: &Cx, _: OffersRefer) -> Result<Referred, Error> {
        Ok(Referred { referred: false })
    }
}

impl Handle<DescribeUsers> for Desk {
    async fn handle(&self, cx: &Cx, op: DescribeUsers) -> Result<UserDescriptions, Error> {
        self.ask();
        let describe = |id: UserId| UserDescription {
            id,
            email: format!("user{id}@example.com").parse().unwrap(),
            name: None,
            registered_at: cx.now - Duration::from_hours(24 * 10),
            attributes: [("city".to_owned(), "London".to_owned())].into(),
        };
        Ok(UserDescriptions { items: op.ids.into_iter().map(describe).collect() })
    }
}

impl Handle<PurchasesOf> for Desk {
    async fn handle(&self, _: &Cx, _: PurchasesOf) -> Result<Purchases, Error> {
        self.ask();
        Ok(self.purchases.lock().clone())
    }
}

impl Handle<TierOf> for Desk {
    async fn handle(&self, _: &Cx, op: TierOf) -> Result<TierName, Error> {
        self.ask();
        Ok(TierName { tier: if op.user_id.0 == 7 { "GOLD" } else { "BRONZE" }.into() })
    }
}

impl Handle<SegmentsOf> for Desk {
    async fn handle(&self, _: &Cx, op: SegmentsOf) -> Result<SegmentNames, Error> {
        self.ask();
        let gold = op.customer.tier.as_deref() == Some("GOLD");
        Ok(SegmentNames { names: if gold { vec!["VIP".into()] } else { Vec::new() } })
    }
}

impl Handle<CampaignStates> for Desk {
    async fn handle(&self, _: &Cx, op: CampaignStates) -> Result<CampaignStateList, Error> {
        let known = self.campaigns.lock().clone();
        Ok(CampaignStateList { items: known.into_iter().filter(|it| op.ids.contains(&it.id)).collect() })
    }
}

impl Handle<OrderFigures> for Desk {
    async fn handle(&self, _: &Cx, op: OrderFigures) -> Result<OrderFigureList, Error> {
        let (from, to, limit) = (op.from.unwrap(), op.to.unwrap(), op.limit.unwrap());
        let orders = self.orders.lock();
        let wanted = orders.iter().filter(|it| it.placed_at >= from && it.placed_at < to);
        let after = wanted.filter(|it| op.after.is_none_or(|after| (it.placed_at, it.id) > after));
        Ok(OrderFigureList { items: after.take(limit).cloned().collect() })
    }
}

pub(crate) fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

pub(crate) fn goods(sku: &str, price: &str) -> SkuDescription {
    SkuDescription {
        variant_id: VariantId(1),
        sku: sku.parse().unwrap(),
        former_skus: Vec::new(),
        product_id: ProductId(1),
        name: sku.to_owned(),
        price: amount(price),
        list_price: amount(price),
        currency: Currency::GBP,
        category_ids: vec![CategoryId(3)],
        attributes: std::collections::BTreeMap::new(),
        tax_class: "STANDARD".into(),
        weight_grams: None,
        discountable: true,
        floor_price: None,
        cost: None,
    }
}

pub(crate) fn campaign(id: i64, reason: Option<RejectReason>, left: Option<&str>) -> CampaignState {
    CampaignState { id: CampaignId(id), running: reason.is_none(), reason, in_audience: true, left: left.map(amount) }
}

/// The shop.
pub(crate) struct Shop {
    pub(crate) node: Arc<Node>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) promotions: Arc<Promotions>,
    pub(crate) db: Db,
    ecommerce: Db,
    engine: Arc<MemoryEngine>,
    posting: ConsumerLoop,
}

/// A buyer with an account, or one of the guests.
pub(crate) fn buyer(user: Option<i64>) -> Buyer {
    let email = user.map_or_else(|| "guest@example.com".to_owned(), |id| format!("User{id}@Example.com"));
    let email = Some(email.parse().unwrap());
    match user {
        Some(id) => Buyer { user_id: Some(UserId(id)), account_email: email, ..Buyer::default() },
        None => Buyer { given_email: email, ..Buyer::default() },
    }
}

impl Shop {
    pub(crate) fn open() -> Self {
        let engine = MemoryEngine::new();
        let (db, ecommerce) = (engine.database(Database::Promox), engine.database(Database::Ecommerce));
        let node = Node::new(Clock::manual("2026-11-23T12:00:00Z".parse().unwrap()), Entropy::seeded(1));
        let (promotions, desk) = (Promotions::new(db.clone()), Arc::new(Desk::default()));
        let mut registry = Registry::default();
        promotions.register(&mut registry);
        register!(registry, &desk; StoreProfile, PledgeAmounts, PricingTerms, DescribeSkus, AvailableStock, ResolveCodes);
        register!(registry, &desk; CouponCodesTaken, DescribeUsers, PurchasesOf, TierOf, SegmentsOf, CampaignStates);
        register!(registry, &desk; OrderFigures, CouponsRefer, OffersRefer);
        node.install(registry);
        let posting = ConsumerLoop::new(promotions.consumers().remove(0), ecommerce.clone(), db.clone());
        Self { node, desk, promotions, db, ecommerce, engine, posting }
    }

    pub(crate) fn cx(&self) -> Cx {
        Cx::system(&self.node, "test", Duration::from_mins(1))
    }

    /// The context of a caller with permissions; of an anonymous one without an id.
    pub(crate) fn cx_of(&self, user: Option<i64>, permissions: &[&str]) -> Cx {
        let permissions: BTreeSet<String> = permissions.iter().map(|it| (*it).to_owned()).collect();
        let principal = user.map_or(Principal::Anonymous, |id| Principal::User {
            id: UserId(id),
            session: 1,
            permissions: Arc::new(permissions),
        });
        Cx { principal, ..self.cx() }
    }

    pub(crate) async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.cx().call(op).await
    }

    /// Reads an operation as it would come over HTTP.
    pub(crate) fn read<O: Op>(body: &Value) -> Result<O, Error> {
        promox_kernel::bind_json(&serde_json::to_vec(body).unwrap())
    }

    pub(crate) async fn create(&self, mut body: Value) -> Result<PromotionView, Error> {
        let members = body.as_object_mut().unwrap();
        members.entry("name").or_insert("Promo".into());
        members.entry("actions").or_insert(json!([{"type": "PERCENT_OFF", "value": "10"}]));
        self.call(Self::read::<CreatePromotion>(&body)?).await
    }

    /// A promotion that applies.
    pub(crate) async fn active(&self, body: Value) -> PromotionId {
        let id = self.create(body).await.unwrap().id;
        self.call(ActivatePromotion { id }).await.unwrap().id
    }

    pub(crate) fn cart(codes: &[&str]) -> EvaluateCart {
        EvaluateCart {
            lines: vec![CartLine { item: goods("A", "10.00"), quantity: 10, flash_sale_id: None }],
            currency: Currency::GBP,
            buyer: Buyer::default(),
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            coupons: Vec::new(),
            shipping: amount("4.99"),
            shipping_method: Some("STANDARD".into()),
            country: Some("GB".into()),
            payment_method: None,
            channel: None,
            attributes: std::collections::BTreeMap::new(),
            address_key: None,
        }
    }

    /// What comes off a cart of 100.00, and why codes do not.
    pub(crate) async fn off(&self, cx: &Cx, cart: EvaluateCart) -> (String, Vec<(String, RejectReason)>) {
        let answer: Evaluation = cx.call(cart).await.unwrap();
        let off: Amount = answer.line_discounts.iter().flatten().map(|it| it.amount).sum();
        let refused = answer.rejected.into_iter().map(|it| (it.code.unwrap_or_default(), it.reason)).collect();
        (off.to_string(), refused)
    }

    pub(crate) async fn hold(&self, order: i64, user: Option<i64>, uses: &[(PromotionId, &str)]) -> Result<(), Error> {
        self.hold_for(order, buyer(user), uses).await
    }

    pub(crate) async fn hold_for(&self, order: i64, buyer: Buyer, uses: &[(PromotionId, &str)]) -> Result<(), Error> {
        let of = |(promotion_id, spent): &(PromotionId, &str)| PromotionUse {
            promotion_id: *promotion_id,
            campaign_id: None,
            coupon_code: None,
            named: false,
            amount: amount(spent),
        };
        self.call(HoldUses {
            order_id: OrderId(order),
            buyer,
            address_key: Some("GB 1street".into()),
            uses: uses.iter().map(of).collect(),
        })
        .await
    }

    pub(crate) async fn release(&self, order: i64) {
        self.call(ReleaseUses { order_id: OrderId(order) }).await.unwrap();
    }

    /// Tells that an order is confirmed, and lets the log be written.
    pub(crate) async fn confirm(&mut self, order: i64) {
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
        self.ecommerce.write(&self.cx(), move |tx| tx.emit(order, &told)).await.unwrap();
        while self.posting.turn(&self.node).await.unwrap() {}
    }

    pub(crate) fn later(&self, span: Duration) {
        self.node.clock.advance(span);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.node.clock.now()
    }

    /// Events of a kind told so far.
    pub(crate) async fn told(&self, kind: &str) -> usize {
        let events: Vec<Event> = self.db.read(|tx| tx.events_after(0, 10_000)).await.unwrap();
        events.into_iter().filter(|event| event.kind == kind).count()
    }

    /// The auditor finds nothing.
    pub(crate) fn verify(&self) {
        assert_eq!(self.findings(), []);
    }

    /// What the auditor finds in this service's books.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let reader = promox_storage::Engine::snapshot(&*self.engine);
        let mut report = Report::default();
        let tx = Tx::unbounded(&*reader, Database::Promox);
        self.promotions.audit(&tx, &mut report).unwrap();
        for table in Promotions::TABLES {
            report.check_table(&*reader, table).unwrap();
        }
        // What other services must agree with is for the auditor of a whole node.
        let mut findings = report.finish().0;
        findings.retain(|it| {
            ![promox_contract::promotion::USED, promox_contract::campaign::BUDGETED].contains(&it.invariant)
        });
        findings
    }

    /// Another node on the same store.
    pub(crate) fn twin(&self) -> Self {
        let mut twin = Self::open();
        let (promotions, desk) = (Promotions::new(self.db.clone()), self.desk.clone());
        let node = Node::new(self.node.clock.clone(), Entropy::seeded(2));
        let mut registry = Registry::default();
        promotions.register(&mut registry);
        register!(registry, &desk; StoreProfile, PledgeAmounts, PricingTerms, DescribeSkus, AvailableStock, ResolveCodes);
        node.install(registry);
        twin.node = node;
        twin.promotions = promotions;
        twin
    }
}

//! A test harness: a node with the promotion service and simulated neighbours.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use promox_contract::buyer::Buyer;
use promox_contract::campaign::{
    CampaignState, CampaignStateList, GetCampaignStates, GetCustomerSegments, SegmentNames,
};
use promox_contract::coupon::{FindCouponCodes, IsPromotionReferencedByCoupons, ResolveCodes, ResolvedCodes};
use promox_contract::ids::{CampaignId, CategoryId, OrderId, PromotionId};
use promox_contract::inventory::{Availability, GetAvailableStock};
use promox_contract::order::{
    GetPurchaseTotals, ListOrderFigures, OrderConfirmed, OrderFigure, OrderFigureList, PurchaseTotals,
};
use promox_contract::product::{DescribeSkus, SkuDescription, SkuDescriptions};
use promox_contract::promotion::{
    CartLine, CodesInUse, EvaluateCart, Evaluation, GetPricingTerms, HoldUses, IsReferenced, PricingTerms,
    PromotionUse, RejectReason, ReleaseUses, ResolvedCode,
};
use promox_contract::reward::{GetTier, IsPromotionReferencedByOffers, TierName};
use promox_contract::user::{DescribeUsers, UserDescription, UserDescriptions};
use promox_kernel::{Amount, Currency, Cx, Error, Op, Timestamp, UserId};
use promox_storage::Database;
use promox_testkit::sample::{amount, order_fact, sku, sku_description, user_description};
use promox_testkit::{Databases, Harness, Setup};
use serde_json::{Value, json};

use crate::Promotions;
use crate::api::{ActivatePromotion, CreatePromotion, PromotionView};

/// The state of the simulated services.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    /// The number of queries for facts about customers, so that tests can check that none is unnecessary.
    pub(crate) customer_queries: AtomicUsize,
    pub(crate) coupons: Mutex<Vec<(String, PromotionId, Option<RejectReason>)>>,
    pub(crate) campaigns: Mutex<Vec<CampaignState>>,
    pub(crate) orders: Mutex<Vec<OrderFigure>>,
    pub(crate) purchases: Mutex<PurchaseTotals>,
}

#[allow(clippy::unnecessary_wraps, reason = "the harness expects handlers that return a result")]
impl Neighbours {
    fn count_query(&self) {
        self.customer_queries.fetch_add(1, Ordering::Relaxed);
    }

    fn resolve_codes(&self, _: &Cx, op: ResolveCodes) -> Result<ResolvedCodes, Error> {
        let coupons = self.coupons.lock();
        let resolve = |code: String| {
            let (_, promotion_id, reason) = coupons.iter().find(|(known, ..)| *known == code)?;
            Some(ResolvedCode { code, promotion_id: *promotion_id, reason: *reason })
        };
        Ok(ResolvedCodes { coupons: op.codes.into_iter().filter_map(resolve).collect() })
    }

    fn coupons_refer(&self, _: &Cx, op: IsPromotionReferencedByCoupons) -> Result<IsReferenced, Error> {
        Ok(IsReferenced { referred: self.coupons.lock().iter().any(|(_, id, _)| *id == op.promotion_id) })
    }

    fn users(&self, cx: &Cx, op: DescribeUsers) -> Result<UserDescriptions, Error> {
        self.count_query();
        let describe = |id: UserId| UserDescription {
            registered_at: cx.now - Duration::from_hours(24 * 10),
            attributes: [("city".to_owned(), "London".to_owned())].into(),
            ..user_description(id)
        };
        Ok(UserDescriptions { items: op.ids.into_iter().map(describe).collect() })
    }

    fn purchases(&self, _: &Cx, _: GetPurchaseTotals) -> Result<PurchaseTotals, Error> {
        self.count_query();
        Ok(self.purchases.lock().clone())
    }

    fn tier(&self, _: &Cx, op: GetTier) -> Result<TierName, Error> {
        self.count_query();
        Ok(TierName { tier: if op.user_id.0 == 7 { "GOLD" } else { "BRONZE" }.into() })
    }

    fn segments(&self, _: &Cx, op: GetCustomerSegments) -> Result<SegmentNames, Error> {
        self.count_query();
        let gold = op.customer.tier.as_deref() == Some("GOLD");
        Ok(SegmentNames { names: if gold { vec!["VIP".into()] } else { Vec::new() } })
    }

    fn campaigns(&self, _: &Cx, op: GetCampaignStates) -> Result<CampaignStateList, Error> {
        let known = self.campaigns.lock().clone();
        Ok(CampaignStateList { items: known.into_iter().filter(|item| op.ids.contains(&item.id)).collect() })
    }

    fn orders(&self, _: &Cx, op: ListOrderFigures) -> Result<OrderFigureList, Error> {
        let (from, to, limit) = (op.from.unwrap(), op.to.unwrap(), op.limit.unwrap());
        let orders = self.orders.lock();
        let wanted = orders.iter().filter(|order| order.placed_at >= from && order.placed_at < to);
        let after = wanted.filter(|item| op.after.is_none_or(|after| (item.placed_at, item.id) > after));
        Ok(OrderFigureList { items: after.take(limit).cloned().collect() })
    }
}

#[allow(clippy::unnecessary_wraps, reason = "the harness expects handlers that return a result")]
fn terms(_: &Cx, op: GetPricingTerms) -> Result<PricingTerms, Error> {
    let abroad = op.country.as_deref() == Some("FR");
    let free = op.country.as_deref() == Some("DE") && op.subtotal >= amount("60.00");
    Ok(PricingTerms {
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

pub(crate) fn goods(name: &str, price: &str) -> SkuDescription {
    SkuDescription { category_ids: vec![CategoryId(3)], ..sku_description(&sku(name), amount(price)) }
}

pub(crate) fn campaign(id: i64, reason: Option<RejectReason>, left: Option<&str>) -> CampaignState {
    CampaignState { id: CampaignId(id), running: reason.is_none(), reason, in_audience: true, left: left.map(amount) }
}

/// A shop with the promotion service.
pub(crate) struct Shop {
    harness: Harness<Promotions>,
    pub(crate) neighbours: Arc<Neighbours>,
}

impl Deref for Shop {
    type Target = Harness<Promotions>;

    fn deref(&self) -> &Self::Target {
        &self.harness
    }
}

/// A buyer with an account, or a guest.
pub(crate) fn buyer(user: Option<i64>) -> Buyer {
    let email = user.map_or_else(|| "guest@example.com".to_owned(), |id| format!("User{id}@Example.com"));
    let email = Some(email.parse().unwrap());
    match user {
        Some(id) => Buyer { user_id: Some(UserId(id)), account_email: email, ..Buyer::default() },
        None => Buyer { given_email: email, ..Buyer::default() },
    }
}

fn service(databases: &Databases) -> Arc<Promotions> {
    Promotions::new(databases.promox.clone())
}

impl Shop {
    pub(crate) fn open() -> Self {
        let neighbours = Arc::<Neighbours>::default();
        let harness = Setup::at("2026-11-23T12:00:00Z")
            .answer(terms)
            .answer(|_, op: DescribeSkus| {
                let known = op.skus.into_iter().filter(|sku| sku.as_str() != "NONE");
                Ok(SkuDescriptions { items: known.map(|sku| goods(sku.as_str(), "10.00")).collect() })
            })
            .answer(|_, op: GetAvailableStock| Ok(Availability { available: vec![5; op.variants.len()] }))
            .answer(|_, op: FindCouponCodes| {
                Ok(CodesInUse { taken: op.codes.into_iter().filter(|code| code == "COUPON").collect() })
            })
            .answer(|_, _: IsPromotionReferencedByOffers| Ok(IsReferenced { referred: false }))
            .answer_from(&neighbours, Neighbours::resolve_codes)
            .answer_from(&neighbours, Neighbours::coupons_refer)
            .answer_from(&neighbours, Neighbours::users)
            .answer_from(&neighbours, Neighbours::purchases)
            .answer_from(&neighbours, Neighbours::tier)
            .answer_from(&neighbours, Neighbours::segments)
            .answer_from(&neighbours, Neighbours::campaigns)
            .answer_from(&neighbours, Neighbours::orders)
            .shared(&[promox_contract::promotion::USED, promox_contract::campaign::BUDGETED])
            .start(service);
        Self { harness, neighbours }
    }

    /// Another node on the same store.
    pub(crate) fn twin(&self) -> Self {
        Self { harness: self.restart(service), neighbours: self.neighbours.clone() }
    }

    /// The context of a user with permissions, or of an anonymous caller.
    pub(crate) fn cx_of(&self, user: Option<i64>, permissions: &[&str]) -> Cx {
        user.map_or_else(|| self.anonymous(), |id| self.member(id, permissions))
    }

    /// Parses an operation from JSON, as over HTTP.
    pub(crate) fn read<O: Op>(body: &Value) -> Result<O, Error> {
        promox_kernel::bind_json(&serde_json::to_vec(body).unwrap())
    }

    pub(crate) async fn create(&self, mut body: Value) -> Result<PromotionView, Error> {
        let members = body.as_object_mut().unwrap();
        members.entry("name").or_insert("Promo".into());
        members.entry("actions").or_insert(json!([{"type": "PERCENT_OFF", "value": "10"}]));
        self.call(Self::read::<CreatePromotion>(&body)?).await
    }

    /// Creates and activates a promotion.
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

    /// The total discount on a cart of 100.00, and the rejected codes with their reasons.
    pub(crate) async fn off(&self, cx: &Cx, cart: EvaluateCart) -> (String, Vec<(String, RejectReason)>) {
        let answer: Evaluation = cx.call(cart).await.unwrap();
        let off: Amount = answer.line_discounts.iter().flatten().map(|item| item.amount).sum();
        let refused = answer.rejected.into_iter().map(|item| (item.code.unwrap_or_default(), item.reason)).collect();
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

    /// Confirms an order by the event that the order service emits, and runs the consumers.
    pub(crate) async fn confirm(&self, order: i64) {
        self.emit(Database::Ecommerce, order, OrderConfirmed(order_fact(order))).await;
        self.consume().await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.node.clock.now()
    }
}

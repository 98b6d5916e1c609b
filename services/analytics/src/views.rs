//! What analytics answers.

use promox_contract::ids::{CampaignId, FlashSaleId, ProductId, PromotionId};
use promox_kernel::{Amount, Currency, Sku, Timestamp, json_reply};
use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::metric::Metric;
use crate::rules::period::Granularity;
use crate::rules::rfm::Segment;
use crate::table::{Table, cell};

/// Coupons of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponFigures {
    /// That came to be.
    pub issued: i64,
    /// Redemptions in it that were not given back.
    pub redeemed: i64,
}

/// Points of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointFigures {
    /// Given.
    pub awarded: i64,
    /// Spent.
    pub redeemed: i64,
    /// Expired.
    pub expired: i64,
    /// Spent ones that came back, with what was cancelled or returned.
    pub restored: i64,
    /// Given ones that were taken back.
    pub revoked: i64,
    /// What customers hold at the end of it: everything given and restored so far, less what was spent, expired and taken back.
    pub liability: i64,
}

/// What was sold in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalesFigures {
    /// Orders placed in it that are neither pending, failed nor cancelled.
    pub orders: i64,
    /// Their goods after discounts, without tax and shipping, before points.
    pub revenue: Amount,
    /// What promotions took off their goods.
    pub discounts: Amount,
    /// Money given back in it, by its date and as it was paid, with tax and shipping, whatever became of the order; imported
    /// credit notes among it. Points that came back are no money.
    pub refunds: Amount,
    /// What of the revenue came back by now: the goods of returns, without tax and shipping. A refund of money alone counts the
    /// same share of the revenue that was left of its order as it was of the money and points that were left of it. Never more
    /// than the order's revenue, and all of it once everything is back.
    pub returned: Amount,
    /// Revenue − returned: an order that was given back whole comes to nothing.
    pub net_revenue: Amount,
    /// Revenue ÷ orders.
    pub average_order_value: Amount,
    /// Units in the orders.
    pub items_sold: i64,
    /// Known customers whose first order is among them.
    pub new_customers: i64,
    /// Known customers among them whose first order was before.
    pub returning_customers: i64,
    /// Orders ÷ visits with a PRODUCT_VIEWED; null without any.
    pub conversion_rate: Option<Amount>,
}

/// The figures of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodFigures {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// What was sold.
    #[serde(flatten)]
    pub sales: SalesFigures,
    /// Coupons.
    pub coupons: CouponFigures,
    /// Points.
    pub points: PointFigures,
}

/// The dashboard.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// What was sold.
    #[serde(flatten)]
    pub sales: SalesFigures,
    /// The ten products of the greatest revenue.
    pub top_products: Vec<ProductFigures>,
    /// The ten promotions of the greatest revenue.
    pub top_promotions: Vec<PromotionFigures>,
    /// The ten flash sales of the greatest revenue.
    pub flash_sales: Vec<FlashFigures>,
    /// Coupons.
    pub coupons: CouponFigures,
    /// Points.
    pub points: PointFigures,
    /// The period before, of equal length.
    pub previous: PeriodFigures,
}

impl Table for Summary {
    const COLUMNS: &'static [&'static str] = &["figure", "value", "previous"];
    fn rows(&self) -> Vec<Vec<String>> {
        let now = figures((self.from, self.to), &self.sales, &self.coupons, &self.points);
        let before = &self.previous;
        let before = figures((before.from, before.to), &before.sales, &before.coupons, &before.points);
        now.into_iter().zip(before).map(|((name, value), (_, before))| vec![name.to_owned(), value, before]).collect()
    }
}

fn figures(
    (from, to): (Timestamp, Timestamp),
    sales: &SalesFigures,
    coupons: &CouponFigures,
    points: &PointFigures,
) -> [(&'static str, String); 21] {
    [
        ("from", from.to_string()),
        ("to", to.to_string()),
        ("orders", sales.orders.to_string()),
        ("revenue", sales.revenue.to_string()),
        ("discounts", sales.discounts.to_string()),
        ("refunds", sales.refunds.to_string()),
        ("returned", sales.returned.to_string()),
        ("netRevenue", sales.net_revenue.to_string()),
        ("averageOrderValue", sales.average_order_value.to_string()),
        ("itemsSold", sales.items_sold.to_string()),
        ("newCustomers", sales.new_customers.to_string()),
        ("returningCustomers", sales.returning_customers.to_string()),
        ("conversionRate", cell(sales.conversion_rate)),
        ("couponsIssued", coupons.issued.to_string()),
        ("couponsRedeemed", coupons.redeemed.to_string()),
        ("pointsAwarded", points.awarded.to_string()),
        ("pointsRedeemed", points.redeemed.to_string()),
        ("pointsExpired", points.expired.to_string()),
        ("pointsRestored", points.restored.to_string()),
        ("pointsRevoked", points.revoked.to_string()),
        ("pointsLiability", points.liability.to_string()),
    ]
}

/// What was sold of a SKU, as it was called when it was sold: a variant that had another SKU since has a row for each, under one
/// `productId`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductFigures {
    /// Which.
    pub sku: Sku,
    /// The product; null for what was only ever imported.
    pub product_id: Option<ProductId>,
    /// What it was called when it was sold last.
    pub name: String,
    /// Orders with it.
    pub orders: i64,
    /// Units of it.
    pub quantity: i64,
    /// What they came to.
    pub revenue: Amount,
}

/// What a promotion did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionFigures {
    /// Which.
    pub promotion_id: PromotionId,
    /// Its name; null when it is gone.
    pub name: Option<String>,
    /// Orders that it had an effect on.
    pub orders: i64,
    /// What those came to.
    pub revenue: Amount,
    /// What it took off goods and shipping, and gifts at their catalogue price.
    pub discount_cost: Amount,
    /// How often it was used.
    pub redemptions: i64,
    /// Customers whose first order it had an effect on.
    pub new_customers: i64,
}

/// What a flash sale sold.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashFigures {
    /// Which.
    pub flash_sale_id: FlashSaleId,
    /// Its name; null when it is gone.
    pub name: Option<String>,
    /// Orders with pieces of it.
    pub orders: i64,
    /// Pieces.
    pub quantity: i64,
    /// What they came to.
    pub revenue: Amount,
}

/// One figure over time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// Which figure.
    pub metric: Metric,
    /// How long the parts are.
    pub granularity: Granularity,
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The zone that days, weeks and months are of.
    pub timezone: String,
    /// The parts, oldest first.
    pub items: Vec<Point>,
}

/// A figure of a part of a period.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The figure: a number for counts, a decimal string for amounts and rates, null for a rate of nothing.
    pub value: Figure,
}

/// A figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Figure {
    /// How many.
    Count(i64),
    /// How much.
    Amount(Option<Amount>),
}

impl Table for Series {
    const COLUMNS: &'static [&'static str] = &["from", "to", "value"];
    fn rows(&self) -> Vec<Vec<String>> {
        let value = |figure: Figure| match figure {
            Figure::Count(count) => count.to_string(),
            Figure::Amount(amount) => cell(amount),
        };
        let row = |point: &Point| vec![point.from.to_string(), point.to.to_string(), value(point.value)];
        self.items.iter().map(row).collect()
    }
}

/// The products that were sold best.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopProducts {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The best first.
    pub items: Vec<ProductFigures>,
}

impl Table for TopProducts {
    const COLUMNS: &'static [&'static str] = &["sku", "productId", "name", "orders", "quantity", "revenue"];
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |it: &ProductFigures| {
            let counts = [it.orders.to_string(), it.quantity.to_string(), it.revenue.to_string()];
            [vec![it.sku.to_string(), cell(it.product_id), it.name.clone()], counts.to_vec()].concat()
        };
        self.items.iter().map(row).collect()
    }
}

/// How many visits came how far.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Funnel {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// From the visit to the order. Each counts where it happened first in its visit. `ORDER_PLACED` counts every order that
    /// was placed here, paid or not; `ORDER` those of the summary, imported ones among them.
    pub items: Vec<FunnelStep>,
}

/// A step of the funnel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunnelStep {
    /// `VISIT`, `PRODUCT_VIEWED`, `CART_ADDED`, `CHECKOUT_STARTED`, `ORDER_PLACED`, `ORDER`.
    pub step: String,
    /// How many came to it.
    pub count: i64,
    /// Of the visits, this share; null without any.
    pub of_visits: Option<Amount>,
    /// Of the step before, this share; null without any.
    pub of_previous: Option<Amount>,
}

impl Table for Funnel {
    const COLUMNS: &'static [&'static str] = &["step", "count", "ofVisits", "ofPrevious"];
    fn rows(&self) -> Vec<Vec<String>> {
        let row =
            |it: &FunnelStep| vec![it.step.clone(), it.count.to_string(), cell(it.of_visits), cell(it.of_previous)];
        self.items.iter().map(row).collect()
    }
}

/// Customers by recency, frequency and monetary value.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rfm {
    /// From here on.
    pub from: Timestamp,
    /// Up to but not including here.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// Known customers who bought in the period.
    pub customers: i64,
    /// What each segment comes to.
    pub segments: Vec<SegmentFigures>,
    /// Those of the greatest revenue first.
    pub items: Vec<CustomerFigures>,
}

/// What a segment comes to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFigures {
    /// CHAMPION: recency and frequency 4 or 5; LOYAL: frequency 4 or 5, recency 3; AT_RISK: frequency 4 or 5, recency 1 or 2;
    /// PROMISING: recency 4 or 5, frequency below; HIBERNATING: the rest.
    pub segment: Segment,
    /// How many.
    pub customers: i64,
    /// Their orders.
    pub orders: i64,
    /// What those came to.
    pub revenue: Amount,
}

/// A customer's ranks.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerFigures {
    /// `user:7`, a digest of a guest's address, a number of another system: never a name.
    pub customer: String,
    /// The segment.
    pub segment: Segment,
    /// How lately, 1 to 5.
    pub recency: u32,
    /// How often, 1 to 5.
    pub frequency: u32,
    /// For how much, 1 to 5.
    pub monetary: u32,
    /// Orders.
    pub orders: i64,
    /// What they came to.
    pub revenue: Amount,
    /// The last of them.
    pub last_order_at: Timestamp,
}

impl Table for Rfm {
    const COLUMNS: &'static [&'static str] =
        &["customer", "segment", "recency", "frequency", "monetary", "orders", "revenue", "lastOrderAt"];
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |it: &CustomerFigures| {
            let ranks = [it.recency.to_string(), it.frequency.to_string(), it.monetary.to_string()];
            let sums = [it.orders.to_string(), it.revenue.to_string(), it.last_order_at.to_string()];
            [vec![it.customer.clone(), it.segment.to_string()], ranks.to_vec(), sums.to_vec()].concat()
        };
        self.items.iter().map(row).collect()
    }
}

/// What promotions of a campaign, or a promotion alone, did.
macro_rules! attributed_view {
    ($(#[$meta:meta])* $view:ident, $id:ident: $id_type:ty, $column:literal, $cost:literal, $used:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $view {
            /// Which.
            pub $id: $id_type,
            /// From here on.
            pub from: Timestamp,
            /// Up to but not including here.
            pub to: Timestamp,
            /// The store's currency.
            pub currency: Currency,
            /// Orders that it had an effect on.
            pub orders: i64,
            /// What those came to.
            pub revenue: Amount,
            #[doc = $cost]
            pub discount_cost: Amount,
            #[doc = $used]
            pub redemptions: i64,
            /// Customers whose first order it had an effect on.
            pub new_customers: i64,
            /// What came back for what it cost; null where it cost nothing.
            pub roi: Option<Amount>,
            /// How `roi` comes about.
            pub roi_definition: String,
        }

        impl Table for $view {
            const COLUMNS: &'static [&'static str] = &[
                $column, "from", "to", "orders", "revenue", "discountCost", "redemptions", "newCustomers", "roi",
                "roiDefinition",
            ];
            fn rows(&self) -> Vec<Vec<String>> {
                vec![vec![
                    self.$id.to_string(),
                    self.from.to_string(),
                    self.to.to_string(),
                    self.orders.to_string(),
                    self.revenue.to_string(),
                    self.discount_cost.to_string(),
                    self.redemptions.to_string(),
                    self.new_customers.to_string(),
                    cell(self.roi),
                    self.roi_definition.clone(),
                ]]
            }
        }
    };
}
attributed_view! {
    /// What a promotion did in a period.
    PromotionView, promotion_id: PromotionId, "promotionId",
    "Its discounts on goods and shipping, and gifts at their catalog price.", "How often it was used."
}
attributed_view! {
    /// What a campaign's promotions and flash sales did in a period. An order counts once, however many of them it used.
    CampaignView, campaign_id: CampaignId, "campaignId",
    "The discounts of its promotions on goods and shipping, gifts at their catalog price, and the difference \
         between list and sale price of its flash sale units. Tax that the prices include is included here too.",
    "How often its promotions and flash sales were used, each counted once per order."
}

/// How far a log was followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogView {
    /// The event that was followed last.
    pub position: i64,
    /// The newest event.
    pub last: i64,
}

/// How far a generation has come in both logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationView {
    /// Which.
    pub generation: u32,
    /// The shop's log.
    pub shop: LogView,
    /// The promotion engine's log.
    pub promotion: LogView,
    /// Since when it is made.
    pub started_at: Timestamp,
}

impl GenerationView {
    /// How many events were followed, of how many.
    pub(crate) fn events(&self) -> (u64, u64) {
        let logs = [self.shop, self.promotion];
        let sum = |part: fn(&LogView) -> i64| u64::try_from(logs.iter().map(part).sum::<i64>()).unwrap_or(0);
        (sum(|log| log.position), sum(|log| log.last))
    }
}

/// How far the figures have followed the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// What is shown; null before the first event was followed.
    pub current: Option<GenerationView>,
    /// What is made anew; null when no rebuild runs.
    pub rebuild: Option<GenerationView>,
}
json_reply!(StateView);

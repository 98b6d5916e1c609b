//! Replies of analytics.

use promox_contract::ids::{CampaignId, FlashSaleId, ProductId, PromotionId};
use promox_kernel::{Amount, Currency, Sku, Timestamp, json_reply};
use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::metric::Metric;
use crate::rules::period::Granularity;
use crate::rules::rfm::Segment;
use crate::table::{Table, cell};

/// Coupons in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponFigures {
    /// Coupons created.
    pub issued: i64,
    /// Redemptions that were not released.
    pub redeemed: i64,
}

/// Points in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PointFigures {
    /// Points awarded.
    pub awarded: i64,
    /// Points redeemed.
    pub redeemed: i64,
    /// Points expired.
    pub expired: i64,
    /// Redeemed points restored by cancellations and returns.
    pub restored: i64,
    /// Awarded points revoked.
    pub revoked: i64,
    /// The points that customers hold at the end of the period: everything awarded and restored so far, less what was
    /// redeemed, expired and revoked.
    pub liability: i64,
}

/// Sales of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalesFigures {
    /// Orders placed in the period that are neither pending, failed nor cancelled.
    pub orders: i64,
    /// Their goods after discounts, without tax and shipping, before points.
    pub revenue: Amount,
    /// Discounts of promotions on their goods.
    pub discounts: Amount,
    /// Money refunded in the period, by the date of the refund and as paid, with tax and shipping, whatever the order's
    /// status; includes imported credit notes. Restored points are not money.
    pub refunds: Amount,
    /// How much of the revenue was returned by now: the goods of returns, without tax and shipping. A refund of money
    /// alone counts the same share of the order's remaining revenue as it was of its remaining money and points. Never
    /// more than the order's revenue, and all of it once everything is returned.
    pub returned: Amount,
    /// Revenue − returned: a completely returned order counts zero.
    pub net_revenue: Amount,
    /// Revenue ÷ orders.
    pub average_order_value: Amount,
    /// Units in the orders.
    pub items_sold: i64,
    /// Known customers whose first order is among them.
    pub new_customers: i64,
    /// Known customers among them with an earlier first order.
    pub returning_customers: i64,
    /// Orders ÷ visits with a PRODUCT_VIEWED; null without any.
    pub conversion_rate: Option<Amount>,
}

/// The figures of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodFigures {
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The sales.
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
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The sales.
    #[serde(flatten)]
    pub sales: SalesFigures,
    /// The ten products with the highest revenue.
    pub top_products: Vec<ProductFigures>,
    /// The ten promotions with the highest revenue.
    pub top_promotions: Vec<PromotionFigures>,
    /// The ten flash sales with the highest revenue.
    pub flash_sales: Vec<FlashFigures>,
    /// Coupons.
    pub coupons: CouponFigures,
    /// Points.
    pub points: PointFigures,
    /// The preceding period of equal length.
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

/// Sales of a SKU, under its name when it was sold: a variant that had another SKU since has a row for each, with the
/// same `productId`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductFigures {
    /// The SKU.
    pub sku: Sku,
    /// The product; null if it was only ever imported.
    pub product_id: Option<ProductId>,
    /// Its name when it was last sold.
    pub name: String,
    /// Orders that contain it.
    pub orders: i64,
    /// Units sold.
    pub quantity: i64,
    /// Its revenue.
    pub revenue: Amount,
}

/// The effect of a promotion.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionFigures {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// Its name; null if it no longer exists.
    pub name: Option<String>,
    /// Orders that it applied to.
    pub orders: i64,
    /// The revenue of those orders.
    pub revenue: Amount,
    /// Its discounts on goods and shipping, and gifts at their catalog price.
    pub discount_cost: Amount,
    /// How often it was used.
    pub redemptions: i64,
    /// Customers whose first order it applied to.
    pub new_customers: i64,
}

/// The sales of a flash sale.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashFigures {
    /// The flash sale.
    pub flash_sale_id: FlashSaleId,
    /// Its name; null if it no longer exists.
    pub name: Option<String>,
    /// Orders with units of it.
    pub orders: i64,
    /// Units sold.
    pub quantity: i64,
    /// Its revenue.
    pub revenue: Amount,
}

/// One figure over time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// The figure.
    pub metric: Metric,
    /// The length of the points.
    pub granularity: Granularity,
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The time zone of days, weeks and months.
    pub timezone: String,
    /// The points, oldest first.
    pub items: Vec<Point>,
}

/// A figure at a point.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The value: a number for counts, a decimal string for amounts and rates, null for an undefined rate.
    pub value: Figure,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Figure {
    /// A count.
    Count(i64),
    /// An amount.
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

/// The best-selling products.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopProducts {
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The best-selling first.
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

/// How many visits reached each step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Funnel {
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// From the visit to the order. Each step counts where it first happened in a visit. `ORDER_PLACED` counts every
    /// order placed here, paid or not; `ORDER` those of the summary, including imported ones.
    pub items: Vec<FunnelStep>,
}

/// A step of the funnel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunnelStep {
    /// `VISIT`, `PRODUCT_VIEWED`, `CART_ADDED`, `CHECKOUT_STARTED`, `ORDER_PLACED`, `ORDER`.
    pub step: String,
    /// How many reached it.
    pub count: i64,
    /// Its share of the visits; null without any.
    pub of_visits: Option<Amount>,
    /// Its share of the previous step; null without any.
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
    /// Start.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// Known customers who bought in the period.
    pub customers: i64,
    /// The totals of each segment.
    pub segments: Vec<SegmentFigures>,
    /// Those with the highest revenue first.
    pub items: Vec<CustomerFigures>,
}

/// The totals of a segment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFigures {
    /// CHAMPION: recency and frequency 4 or 5; LOYAL: frequency 4 or 5, recency 3; AT_RISK: frequency 4 or 5, recency 1 or 2;
    /// PROMISING: recency 4 or 5, frequency below; HIBERNATING: the rest.
    pub segment: Segment,
    /// Number of customers.
    pub customers: i64,
    /// Their orders.
    pub orders: i64,
    /// Their revenue.
    pub revenue: Amount,
}

/// A customer's ranks.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerFigures {
    /// `user:7`, a digest of a guest's address, or a number of another system: never a name.
    pub customer: String,
    /// The segment.
    pub segment: Segment,
    /// Recency, 1 to 5.
    pub recency: u32,
    /// Frequency, 1 to 5.
    pub frequency: u32,
    /// Monetary value, 1 to 5.
    pub monetary: u32,
    /// Orders.
    pub orders: i64,
    /// Their revenue.
    pub revenue: Amount,
    /// The time of the last order.
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

/// The effect of a campaign or a promotion.
macro_rules! attributed_view {
    ($(#[$meta:meta])* $view:ident, $id:ident: $id_type:ty, $column:literal, $cost:literal, $used:literal) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $view {
            /// Which.
            pub $id: $id_type,
            /// Start.
            pub from: Timestamp,
            /// End, exclusive.
            pub to: Timestamp,
            /// The store's currency.
            pub currency: Currency,
            /// Orders that it applied to.
            pub orders: i64,
            /// The revenue of those orders.
            pub revenue: Amount,
            #[doc = $cost]
            pub discount_cost: Amount,
            #[doc = $used]
            pub redemptions: i64,
            /// Customers whose first order it applied to.
            pub new_customers: i64,
            /// The return on its cost; null if it cost nothing.
            pub roi: Option<Amount>,
            /// The definition of `roi`.
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
    /// The effect of a promotion in a period.
    PromotionView, promotion_id: PromotionId, "promotionId",
    "Its discounts on goods and shipping, and gifts at their catalog price.", "How often it was used."
}
attributed_view! {
    /// The effect of a campaign's promotions and flash sales in a period. An order counts once, however many of them it
    /// used.
    CampaignView, campaign_id: CampaignId, "campaignId",
    "The discounts of its promotions on goods and shipping, gifts at their catalog price, and the difference \
         between list and sale price of its flash sale units. Tax that the prices include is included here too.",
    "How often its promotions and flash sales were used, each counted once per order."
}

/// The position in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogView {
    /// The last event followed.
    pub position: i64,
    /// The newest event.
    pub last: i64,
}

/// A generation's positions in both logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationView {
    /// The generation.
    pub generation: u32,
    /// The shop's log.
    pub shop: LogView,
    /// The promotion engine's log.
    pub promotion: LogView,
    /// When its build began.
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
    /// The generation shown; null before the first event was followed.
    pub current: Option<GenerationView>,
    /// The generation being built; null when no rebuild is running.
    pub rebuild: Option<GenerationView>,
}
json_reply!(StateView);

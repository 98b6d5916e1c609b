//! Replies of the analytics service.

use promox_contract::ids::{CampaignId, FlashSaleId, ProductId, PromotionId};
use promox_kernel::{Amount, Currency, Sku, Timestamp, json_reply};
use schemars::JsonSchema;
use serde::Serialize;

use crate::rules::metric::Metric;
use crate::rules::period::Granularity;
use crate::rules::rfm::Segment;
use crate::table::{Table, cell};

/// The figures of coupons in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CouponFigures {
    /// The number of coupons created.
    pub issued: i64,
    /// The number of redemptions that were not released.
    pub redeemed: i64,
}

/// The figures of points in a period.
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
    /// The points that customers hold at the end of the period: all points awarded and restored until then, less those
    /// redeemed, expired and revoked.
    pub liability: i64,
}

/// The sales figures of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SalesFigures {
    /// The number of orders placed in the period that are neither pending, failed nor cancelled.
    pub orders: i64,
    /// The revenue of those orders: goods after discounts, without tax and shipping, before points.
    pub revenue: Amount,
    /// The discounts of promotions on the goods of those orders.
    pub discounts: Amount,
    /// The money refunded in the period, by the date of the refund, including tax and shipping, for orders in any
    /// status. Imported credit notes are included. Restored points are not.
    pub refunds: Amount,
    /// The part of the revenue that has been returned until now: the goods of returns, without tax and shipping. A
    /// refund of money alone counts the share of the order's remaining revenue that equals its share of the remaining
    /// money and points. The amount never exceeds the order's revenue, and equals it once everything is returned.
    pub returned: Amount,
    /// Revenue − returned. A completely returned order adds zero.
    pub net_revenue: Amount,
    /// Revenue ÷ orders.
    pub average_order_value: Amount,
    /// The number of units in those orders.
    pub items_sold: i64,
    /// The number of known customers whose first order is one of those orders.
    pub new_customers: i64,
    /// The number of known customers with one of those orders whose first order is earlier.
    pub returning_customers: i64,
    /// Orders ÷ visits that reached PRODUCT_VIEWED; null if there are none.
    pub conversion_rate: Option<Amount>,
}

/// The figures of a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeriodFigures {
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The sales.
    #[serde(flatten)]
    pub sales: SalesFigures,
    /// The figures of coupons.
    pub coupons: CouponFigures,
    /// The figures of points.
    pub points: PointFigures,
}

/// The dashboard.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The figures of the period.
    #[serde(flatten)]
    pub figures: PeriodFigures,
    /// The store's currency.
    pub currency: Currency,
    /// The ten products with the highest revenue.
    pub top_products: Vec<ProductFigures>,
    /// The ten promotions with the highest revenue.
    pub top_promotions: Vec<PromotionFigures>,
    /// The ten flash sales with the highest revenue.
    pub flash_sales: Vec<FlashFigures>,
    /// The preceding period of equal length.
    pub previous: PeriodFigures,
}

impl Table for Summary {
    const COLUMNS: &'static [&'static str] = &["figure", "value", "previous"];
    fn rows(&self) -> Vec<Vec<String>> {
        let (now, before) = (cells(&self.figures), cells(&self.previous));
        now.into_iter().zip(before).map(|((name, value), (_, before))| vec![name.to_owned(), value, before]).collect()
    }
}

/// The sales of a SKU. If the SKU of a variant changed, each of its SKUs has its own figures, with the same
/// `productId`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductFigures {
    /// The SKU.
    pub sku: Sku,
    /// The product; null if the SKU occurs in imported orders only.
    pub product_id: Option<ProductId>,
    /// The product's name when it was last sold.
    pub name: String,
    /// The number of orders that contain the SKU.
    pub orders: i64,
    /// The number of units sold.
    pub quantity: i64,
    /// The revenue of those units.
    pub revenue: Amount,
}

/// The effect of a promotion.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionFigures {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// The promotion's name; null if it no longer exists.
    pub name: Option<String>,
    /// The number of orders that it applied to.
    pub orders: i64,
    /// The revenue of those orders.
    pub revenue: Amount,
    /// The cost of the promotion: its discounts on goods and shipping, and its gifts at their catalog prices.
    pub discount_cost: Amount,
    /// The number of times that it was used.
    pub redemptions: i64,
    /// The number of customers whose first order it applied to.
    pub new_customers: i64,
}

/// The sales of a flash sale.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlashFigures {
    /// The flash sale.
    pub flash_sale_id: FlashSaleId,
    /// The sale's name; null if it no longer exists.
    pub name: Option<String>,
    /// The number of orders with units of the sale.
    pub orders: i64,
    /// The number of units sold.
    pub quantity: i64,
    /// The revenue of those units.
    pub revenue: Amount,
}

/// One figure over time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Series {
    /// The figure.
    pub metric: Metric,
    /// The length of the period that each point covers.
    pub granularity: Granularity,
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The time zone of days, weeks and months.
    pub timezone: String,
    /// The points, oldest first.
    pub items: Vec<Point>,
}

/// A figure at one point of a chart.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The value: a number for counts, a decimal string for amounts and rates, null for an undefined rate.
    pub value: Figure,
}

/// The value of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Figure {
    /// A number.
    Count(i64),
    /// An amount or a rate; null for an undefined rate.
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
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The products, the best-selling first.
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

/// The number of visits that reached each step of the funnel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Funnel {
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The steps from the visit to the order. A step is counted when a visit first reaches it. `ORDER_PLACED` counts
    /// all orders placed in this store, paid or not. `ORDER` counts the orders of the summary, including imported ones.
    pub items: Vec<FunnelStep>,
}

/// A step of the funnel.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunnelStep {
    /// The step: `VISIT`, `PRODUCT_VIEWED`, `CART_ADDED`, `CHECKOUT_STARTED`, `ORDER_PLACED` or `ORDER`.
    pub step: String,
    /// The number of visits or orders that reached the step.
    pub count: i64,
    /// The count ÷ the number of visits; null if there are none.
    pub of_visits: Option<Amount>,
    /// The count ÷ the count of the previous step; null if that is zero.
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
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The number of known customers who bought in the period.
    pub customers: i64,
    /// The totals of each segment.
    pub segments: Vec<SegmentFigures>,
    /// The customers, those with the highest revenue first.
    pub items: Vec<CustomerFigures>,
}

/// The totals of a segment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentFigures {
    /// The segment. CHAMPION has recency and frequency 4 or 5; LOYAL frequency 4 or 5 and recency 3; AT_RISK frequency
    /// 4 or 5 and recency 1 or 2; PROMISING recency 4 or 5 and frequency 1 to 3. All others are HIBERNATING.
    pub segment: Segment,
    /// The number of customers in the segment.
    pub customers: i64,
    /// The number of their orders.
    pub orders: i64,
    /// The revenue of their orders.
    pub revenue: Amount,
}

/// A customer's ranks and purchases in the period.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerFigures {
    /// The customer: `user:7`, a digest of a guest's address, or a number of another system. It is never a person's
    /// name.
    pub customer: String,
    /// The segment.
    pub segment: Segment,
    /// The rank by recency, from 1 to 5. 5 is best.
    pub recency: u32,
    /// The rank by frequency, from 1 to 5. 5 is best.
    pub frequency: u32,
    /// The rank by monetary value, from 1 to 5. 5 is best.
    pub monetary: u32,
    /// The number of the customer's orders.
    pub orders: i64,
    /// The revenue of those orders.
    pub revenue: Amount,
    /// When the customer's last order was placed.
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

/// The position of a generation in an event log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogView {
    /// The position of the last event that was followed.
    pub position: i64,
    /// The position of the newest event in the log.
    pub last: i64,
}

/// The positions of a generation in both event logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationView {
    /// The generation.
    pub generation: u32,
    /// The position in the shop's log.
    pub shop: LogView,
    /// The position in the promotion engine's log.
    pub promotion: LogView,
    /// When the generation was started.
    pub started_at: Timestamp,
}

impl GenerationView {
    /// The number of events that were followed, and the number of all events.
    pub(crate) fn events(&self) -> (u64, u64) {
        let logs = [self.shop, self.promotion];
        let sum = |part: fn(&LogView) -> i64| u64::try_from(logs.iter().map(part).sum::<i64>()).unwrap_or(0);
        (sum(|log| log.position), sum(|log| log.last))
    }
}

/// The positions of the figures in the event logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// The generation that is shown; null before the first event was followed.
    pub current: Option<GenerationView>,
    /// The generation that is being built; null if no rebuild is running.
    pub rebuild: Option<GenerationView>,
}

json_reply!(StateView);

fn cells(PeriodFigures { from, to, sales, coupons, points }: &PeriodFigures) -> [(&'static str, String); 21] {
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

/// The effect of a promotion or a campaign in a period.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectFigures {
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The store's currency.
    pub currency: Currency,
    /// The number of orders that it applied to.
    pub orders: i64,
    /// The revenue of those orders.
    pub revenue: Amount,
    /// The cost: discounts on goods and shipping, and gifts at their catalog prices. For a campaign, also the list price
    /// less the sale price of its flash sale units, and the tax that prices include.
    pub discount_cost: Amount,
    /// How often it was used. A campaign's promotions and flash sales each count once per order.
    pub redemptions: i64,
    /// Customers whose first order it applied to.
    pub new_customers: i64,
    /// The return on investment; null if the cost is zero.
    pub roi: Option<Amount>,
    /// The definition of `roi`.
    pub roi_definition: String,
}

impl EffectFigures {
    /// The row of a table whose first cell is `id`.
    fn row(&self, id: String) -> Vec<String> {
        vec![
            id,
            self.from.to_string(),
            self.to.to_string(),
            self.orders.to_string(),
            self.revenue.to_string(),
            self.discount_cost.to_string(),
            self.redemptions.to_string(),
            self.new_customers.to_string(),
            cell(self.roi),
            self.roi_definition.clone(),
        ]
    }
}

/// The effect of a promotion in a period.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PromotionEffect")]
pub struct PromotionView {
    /// The promotion.
    pub promotion_id: PromotionId,
    /// Its effect.
    #[serde(flatten)]
    pub effect: EffectFigures,
}

/// The columns of a table of effects, of which the first names what had them.
const fn effect_columns(id: &'static str) -> [&'static str; 10] {
    [id, "from", "to", "orders", "revenue", "discountCost", "redemptions", "newCustomers", "roi", "roiDefinition"]
}

impl Table for PromotionView {
    const COLUMNS: &'static [&'static str] = &effect_columns("promotionId");
    fn rows(&self) -> Vec<Vec<String>> {
        vec![self.effect.row(self.promotion_id.to_string())]
    }
}

/// The effect of a campaign's promotions and flash sales in a period. An order counts once, however many of them it used.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "CampaignEffect")]
pub struct CampaignView {
    /// The campaign.
    pub campaign_id: CampaignId,
    /// The effect.
    #[serde(flatten)]
    pub effect: EffectFigures,
}

impl Table for CampaignView {
    const COLUMNS: &'static [&'static str] = &effect_columns("campaignId");
    fn rows(&self) -> Vec<Vec<String>> {
        vec![self.effect.row(self.campaign_id.to_string())]
    }
}

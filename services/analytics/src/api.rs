//! Operations of the analytics service.

use promox_contract::analytics::VisitStage;
use promox_contract::ids::{CampaignId, ProductId, PromotionId};
use promox_kernel::{Download, Limit, operation, text_enum};
use schemars::JsonSchema;
use serde::Deserialize;

pub use crate::rules::metric::Metric;
pub use crate::rules::period::Granularity;
pub use crate::views::{
    CampaignView, Funnel, PeriodFigures, ProductFigures, PromotionView, Rfm, Series, StateView, Summary, TopProducts,
};

use crate::table::Tabled;

/// Gets the dashboard: the sales of a period and of the preceding period of equal length.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSummary {
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    GetSummary => Tabled<Summary>, "analytics.summary", Get "/api/analytics/dashboard/summary",
    Permission("analytics:read"), 200,
    "Sales of a period, and of the one before it. JSON, or CSV by Accept. Counts orders that were placed in the period \
    and are neither pending, failed nor cancelled; returned revenue is deducted from its order, and refunded money is \
    counted by the date of the refund."
}

/// Gets one figure over time. The points add up to the period; its ends may cut the first and the last point short.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSeries {
    /// The figure; revenue by default.
    pub metric: Option<Metric>,
    /// The length of the points, in the store's zone; a day by default. Minutes are possible for at most 24 hours,
    /// hours for 31 days, days for two years, weeks for ten years, and months for fifty years.
    pub granularity: Option<Granularity>,
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    ListSeries => Tabled<Series>, "analytics.timeseries", Get "/api/analytics/timeseries",
    Permission("analytics:read"), 200,
    "One figure over time. JSON, or CSV by Accept."
}

text_enum! {
    /// The figure by which products are ranked.
    ProductOrder {
        Revenue = "revenue",
        Quantity = "quantity",
        Orders = "orders",
    }
}

/// Lists the best-selling products.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTopProducts {
    /// The figure by which products are ranked; revenue by default.
    pub by: Option<ProductOrder>,
    /// The maximum number of products.
    #[serde(default)]
    pub limit: Limit,
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    ListTopProducts => Tabled<TopProducts>, "analytics.top_products", Get "/api/analytics/products/top",
    Permission("analytics:read"), 200,
    "The best-selling products. JSON, or CSV by Accept."
}

/// Gets the number of visits that reached each step of the funnel.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetFunnel {
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    GetFunnel => Tabled<Funnel>, "analytics.funnel", Get "/api/analytics/funnel", Permission("analytics:read"), 200,
    "The number of visits that reached each step of the funnel. JSON, or CSV by Accept."
}

/// Ranks customers by recency, frequency and monetary value in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRfm {
    /// The maximum number of customers listed. Those with the highest revenue come first.
    #[serde(default)]
    pub limit: Limit,
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    GetRfm => Tabled<Rfm>, "analytics.rfm", Get "/api/analytics/customers/rfm", Permission("analytics:read"), 200,
    "Customers ranked in fifths by recency, frequency and monetary value. JSON, or CSV by Accept."
}

/// Gets the effect of a promotion in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPromotionFigures {
    /// The id.
    pub id: PromotionId,
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    GetPromotionFigures => Tabled<PromotionView>, "analytics.promotion", Get "/api/analytics/promotions/{id}",
    Permission("analytics:read"), 200,
    "The cost, revenue and ROI of a promotion. JSON, or CSV by Accept."
}

/// Gets the effect of a campaign in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaignFigures {
    /// The id.
    pub id: CampaignId,
    /// The start: RFC 3339, or a day or time in the store's zone. The default is 30 days before `to`.
    pub from: Option<String>,
    /// The end, exclusive. The default is the end of the current minute.
    pub to: Option<String>,
}
operation! {
    GetCampaignFigures => Tabled<CampaignView>, "analytics.campaign", Get "/api/analytics/campaigns/{id}",
    Permission("analytics:read"), 200,
    "The cost, revenue and ROI of a campaign's promotions and flash sales. JSON, or CSV by Accept."
}

/// Follows the figures of the store's current day as server-sent events: an event `figures` at once, and another
/// whenever they change, at most about once a second.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowFigures {}
operation! {
    FollowFigures => Download, "analytics.live", Get "/api/analytics/live", Permission("analytics:read"), 200,
    "Today's figures as server-sent events.", sends ["text/event-stream"]
}

/// Records an action of a shopper. The shop's page chooses the name of the session. A pause of more than half an hour
/// ends a visit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordEvent {
    /// The stage that the shopper reached.
    #[serde(rename = "type")]
    pub stage: VisitStage,
    /// The session: 8 to 128 printable ASCII characters that do not identify a person. Only a digest is stored, for the
    /// duration of the visit.
    pub session_id: String,
    /// The product, if any.
    #[serde(default)]
    pub product_id: Option<ProductId>,
}
operation! {
    RecordEvent => (), "analytics.record", Post "/api/analytics/events", Anyone, 204,
    "Records that a shopper viewed a product, added one to a cart, or began a checkout."
}

/// Gets the positions of the figures in the event logs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetState {}
operation! {
    GetState => StateView, "analytics.state", Get "/api/analytics/state", Permission("analytics:read"), 200,
    "The positions of the figures in the event logs, and those of a running rebuild."
}

/// Rebuilds all figures from the event logs. The current figures are shown and updated until the new ones replace them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {}
operation! {
    Rebuild => StateView, "analytics.rebuild", Post "/api/analytics/rebuild", Permission("analytics:write"), 202,
    "Rebuilds all figures from the event logs. A rebuild that is already running continues."
}

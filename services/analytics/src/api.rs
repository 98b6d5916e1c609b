//! Requests of analytics.

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

/// The dashboard: sales of a period, and of the preceding one of equal length.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSummary {
    /// Start: RFC 3339, or a day or time of the store's zone. By default 30 days before `to`.
    pub from: Option<String>,
    /// End, exclusive. By default now.
    pub to: Option<String>,
}
operation! {
    GetSummary => Tabled<Summary>, "analytics.summary", Get "/api/analytics/dashboard/summary",
    Permission("analytics:read"), 200,
    "Sales of a period, and of the one before it. JSON, or CSV by Accept. Counts orders that were placed in the period \
    and are neither pending, failed nor cancelled; returned revenue is deducted from its order, and refunded money is \
    counted by the date of the refund."
}

/// One figure over time. The points add up to the period: the first and the last are cut by its ends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSeries {
    /// The figure; revenue by default.
    pub metric: Option<Metric>,
    /// The length of the points, in the store's zone; a day by default. A minute for at most 24 hours, an hour for 31
    /// days, a day for two years, a week for ten, a month for fifty.
    pub granularity: Option<Granularity>,
    /// Start, as for the summary.
    pub from: Option<String>,
    /// End, exclusive.
    pub to: Option<String>,
}
operation! {
    ListSeries => Tabled<Series>, "analytics.timeseries", Get "/api/analytics/timeseries",
    Permission("analytics:read"), 200,
    "One figure over time. JSON, or CSV by Accept."
}

text_enum! {
    /// How products are ranked.
    ProductOrder {
        Revenue = "revenue",
        Quantity = "quantity",
        Orders = "orders",
    }
}

/// The best-selling products.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTopProducts {
    /// How they are ranked; by revenue by default.
    pub by: Option<ProductOrder>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// Start, as for the summary.
    pub from: Option<String>,
    /// End, exclusive.
    pub to: Option<String>,
}
operation! {
    ListTopProducts => Tabled<TopProducts>, "analytics.top_products", Get "/api/analytics/products/top",
    Permission("analytics:read"), 200,
    "The best-selling products. JSON, or CSV by Accept."
}

/// How many visits reached each step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetFunnel {
    /// Start, as for the summary.
    pub from: Option<String>,
    /// End, exclusive.
    pub to: Option<String>,
}
operation! {
    GetFunnel => Tabled<Funnel>, "analytics.funnel", Get "/api/analytics/funnel", Permission("analytics:read"), 200,
    "How many visits reached each step. JSON, or CSV by Accept."
}

/// Customers by recency, frequency and monetary value in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRfm {
    /// How many customers are listed, those with the highest revenue first.
    #[serde(default)]
    pub limit: Limit,
    /// Start, as for the summary.
    pub from: Option<String>,
    /// End, exclusive.
    pub to: Option<String>,
}
operation! {
    GetRfm => Tabled<Rfm>, "analytics.rfm", Get "/api/analytics/customers/rfm", Permission("analytics:read"), 200,
    "Customers ranked in fifths by recency, frequency and monetary value. JSON, or CSV by Accept."
}

/// The effect of a promotion in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPromotionFigures {
    /// The id.
    pub id: PromotionId,
    /// Start, as for the summary.
    pub from: Option<String>,
    /// End, exclusive.
    pub to: Option<String>,
}
operation! {
    GetPromotionFigures => Tabled<PromotionView>, "analytics.promotion", Get "/api/analytics/promotions/{id}",
    Permission("analytics:read"), 200,
    "What a promotion cost and earned, with its ROI. JSON, or CSV by Accept."
}

/// The effect of a campaign in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaignFigures {
    /// The id.
    pub id: CampaignId,
    /// Start, as for the summary.
    pub from: Option<String>,
    /// End, exclusive.
    pub to: Option<String>,
}
operation! {
    GetCampaignFigures => Tabled<CampaignView>, "analytics.campaign", Get "/api/analytics/campaigns/{id}",
    Permission("analytics:read"), 200,
    "What a campaign's promotions and flash sales cost and earned, with its ROI. JSON, or CSV by Accept."
}

/// The current day of the store as server-sent events: `figures` at once and whenever they change, about once a second.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowFigures {}
operation! {
    FollowFigures => Download, "analytics.live", Get "/api/analytics/live", Permission("analytics:read"), 200,
    "Today's figures as server-sent events."
}

/// Records what a shopper did. The session is a name that the shop's page makes up; a pause of half an hour ends a
/// visit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordEvent {
    /// What the shopper did.
    #[serde(rename = "type")]
    pub stage: VisitStage,
    /// The session: 8 to 128 printable characters that identify nobody. Only a digest is stored, for the length of the
    /// visit.
    pub session_id: String,
    /// The product, if any.
    #[serde(default)]
    pub product_id: Option<ProductId>,
}
operation! {
    RecordEvent => (), "analytics.record", Post "/api/analytics/events", Anyone, 204,
    "Records that a shopper viewed a product, added one to a cart, or began a checkout."
}

/// How far the figures have followed the events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetState {}
operation! {
    GetState => StateView, "analytics.state", Get "/api/analytics/state", Permission("analytics:read"), 200,
    "How far the figures have followed the events, and whether a rebuild is running."
}

/// Rebuilds every figure from the event logs. The current figures are shown and updated until the new ones replace
/// them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {}
operation! {
    Rebuild => StateView, "analytics.rebuild", Post "/api/analytics/rebuild", Permission("analytics:write"), 202,
    "Rebuilds every figure from the event logs; if a rebuild is running already, it continues."
}

//! What can be asked of analytics.

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

/// The dashboard: what was sold in a period, and in the one before it of equal length.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSummary {
    /// From here on: RFC 3339, or a day or time of the store's zone. 30 days before `to` unless said.
    pub from: Option<String>,
    /// Up to but not including here. Now unless said.
    pub to: Option<String>,
}
operation! {
    GetSummary => Tabled<Summary>, "analytics.summary", Get "/api/analytics/dashboard/summary", Permission("analytics:read"), 200,
    "Sales of a period, and of the one before it. JSON, or CSV by Accept. Counts orders that were placed in the \
         period and are neither pending, failed nor cancelled; returned revenue is deducted from its order, and \
         refunded money is counted by the date of the refund."
}

/// One figure over time. The parts add up to the period: the first and the last are cut by its ends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSeries {
    /// Which figure; revenue unless said.
    pub metric: Option<Metric>,
    /// How long the parts are, by the store's zone; a day unless said. A minute for at most 24 hours, an hour for 31 days, a
    /// day for two years, a week for ten, a month for fifty.
    pub granularity: Option<Granularity>,
    /// From here on, as for the summary.
    pub from: Option<String>,
    /// Up to but not including here.
    pub to: Option<String>,
}
operation! { ListSeries => Tabled<Series>, "analytics.timeseries", Get "/api/analytics/timeseries", Permission("analytics:read"), 200, "\
One figure over time. JSON, or CSV by Accept." }

text_enum! {
    /// What the best products are best at.
    ProductOrder {
        Revenue = "revenue",
        Quantity = "quantity",
        Orders = "orders",
    }
}

/// The products that were sold best.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListTopProducts {
    /// Best at what; revenue unless said.
    pub by: Option<ProductOrder>,
    /// How many.
    #[serde(default)]
    pub limit: Limit,
    /// From here on, as for the summary.
    pub from: Option<String>,
    /// Up to but not including here.
    pub to: Option<String>,
}
operation! { ListTopProducts => Tabled<TopProducts>, "analytics.top_products", Get "/api/analytics/products/top", Permission("analytics:read"), 200, "\
The best-selling products. JSON, or CSV by Accept." }

/// How many visits came how far.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetFunnel {
    /// From here on, as for the summary.
    pub from: Option<String>,
    /// Up to but not including here.
    pub to: Option<String>,
}
operation! { GetFunnel => Tabled<Funnel>, "analytics.funnel", Get "/api/analytics/funnel", Permission("analytics:read"), 200, "\
How many visits reached each step. JSON, or CSV by Accept." }

/// Customers by how lately, how often and for how much they bought in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetRfm {
    /// How many customers are listed, those of the greatest revenue first.
    #[serde(default)]
    pub limit: Limit,
    /// From here on, as for the summary.
    pub from: Option<String>,
    /// Up to but not including here.
    pub to: Option<String>,
}
operation! { GetRfm => Tabled<Rfm>, "analytics.rfm", Get "/api/analytics/customers/rfm", Permission("analytics:read"), 200, "Customers ranked in fifths by recency, frequency and monetary value. JSON, or CSV by Accept." }

/// What a promotion did in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetPromotionFigures {
    /// Which.
    pub id: PromotionId,
    /// From here on, as for the summary.
    pub from: Option<String>,
    /// Up to but not including here.
    pub to: Option<String>,
}
operation! { GetPromotionFigures => Tabled<PromotionView>, "analytics.promotion", Get "/api/analytics/promotions/{id}", Permission("analytics:read"), 200, "\
What a promotion cost and earned, with its ROI. JSON, or CSV by Accept." }

/// What a campaign did in a period.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCampaignFigures {
    /// Which.
    pub id: CampaignId,
    /// From here on, as for the summary.
    pub from: Option<String>,
    /// Up to but not including here.
    pub to: Option<String>,
}
operation! { GetCampaignFigures => Tabled<CampaignView>, "analytics.campaign", Get "/api/analytics/campaigns/{id}", Permission("analytics:read"), 200, "\
What a campaign's promotions and flash sales cost and earned, with its ROI. JSON, or CSV by Accept." }

/// The running day of the store as server-sent events: `figures` at once and whenever they change, about once a second.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowFigures {}
operation! { FollowFigures => Download, "analytics.live", Get "/api/analytics/live", Permission("analytics:read"), 200, "\
Today's figures as server-sent events." }

/// Tells what a shopper did. The session is a name that the shop's page makes up; a pause of half an hour ends a visit.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordEvent {
    /// What.
    #[serde(rename = "type")]
    pub stage: VisitStage,
    /// In which session: 8 to 128 printable characters that name nobody. Only a digest is kept, for the length of the visit.
    pub session_id: String,
    /// With which product.
    #[serde(default)]
    pub product_id: Option<ProductId>,
}
operation! { RecordEvent => (), "analytics.record", Post "/api/analytics/events", Anyone, 204, "Records that a \
shopper viewed a product, added one to a cart, or began a checkout." }

/// How far the figures have followed the events.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetState {}
operation! { GetState => StateView, "analytics.state", Get "/api/analytics/state", Permission("analytics:read"), 200, "\
How far the figures have followed the events, and whether a rebuild is running." }

/// Makes every figure anew from the event logs. The present ones are shown and followed until the new ones take their place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rebuild {}
operation! { Rebuild => StateView, "analytics.rebuild", Post "/api/analytics/rebuild", Permission("analytics:write"), 202, "\
Rebuilds every figure from the event logs; if a rebuild is running already, it continues." }

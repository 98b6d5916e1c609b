//! The operations of flash sales, their requests and replies.

use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, VariantId};
use promox_kernel::{Amount, Currency, Cursor, Download, Limit, Page, Patch, Sku, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::records::SaleStatus;

/// An item of a sale request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleItemInput {
    /// The SKU.
    pub sku: Sku,
    /// The unit price in the sale, in the store's currency.
    pub sale_price: Amount,
    /// The number of units to allocate, 1 to 1,000,000.
    pub stock: u32,
    /// The maximum number of units per buyer, counting reservations and purchases; null for no limit.
    #[serde(default)]
    pub per_user_limit: Option<u32>,
}

/// Creates a sale and allocates its stock.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSale {
    /// The name, 1 to 200 characters.
    pub name: String,
    /// The campaign, if any. The sale sells only while its campaign is ACTIVE.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
    /// When it starts; immediately if the time is in the past.
    pub starts_at: Timestamp,
    /// When it ends; must be in the future.
    pub ends_at: Timestamp,
    /// The items, 1 to 50, each with a different SKU.
    pub items: Vec<SaleItemInput>,
    /// How long a reservation lasts, in seconds: 60 to 3600, 600 by default. A reservation never outlasts the sale.
    #[serde(default)]
    pub reservation_ttl_seconds: Option<u32>,
}
operation! {
    CreateSale => SaleView, "flashsale.create", Post "/api/flash-sales", Permission("flashsale:write"), 201,
    "Creates a flash sale and allocates its stock.", keyed
}

/// Updates a sale. Before it starts, everything can change; while it is running, only its name and end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSale {
    /// The id.
    pub id: FlashSaleId,
    /// The name, 1 to 200 characters.
    pub name: Option<String>,
    /// The campaign; null removes it.
    #[serde(default)]
    pub campaign_id: Patch<CampaignId>,
    /// When it starts.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// The items, which replace all existing ones.
    pub items: Option<Vec<SaleItemInput>>,
    /// How long a reservation lasts, in seconds: 60 to 3600.
    pub reservation_ttl_seconds: Option<u32>,
}
operation! {
    UpdateSale => SaleView, "flashsale.update", Patch "/api/flash-sales/{id}", Permission("flashsale:write"), 200,
    "Updates a flash sale."
}

/// Ends a sale early. Unsold units return to stock, and reservations that no order has claimed end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelSale {
    /// The id.
    pub id: FlashSaleId,
}
operation! {
    CancelSale => SaleView, "flashsale.cancel", Post "/api/flash-sales/{id}/cancel", Permission("flashsale:write"), 200,
    "Cancels a flash sale.", keyed
}

/// Deletes a sale. Orders keep the items they bought. A running sale must be cancelled first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteSale {
    /// The id.
    pub id: FlashSaleId,
}
operation! {
    DeleteSale => (), "flashsale.delete", Delete "/api/flash-sales/{id}", Permission("flashsale:write"), 204,
    "Deletes a flash sale that is not running."
}

/// Gets a sale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSale {
    /// The id.
    pub id: FlashSaleId,
}
operation! { GetSale => SaleView, "flashsale.get", Get "/api/flash-sales/{id}", Anyone, 200, "Gets a flash sale." }

/// Lists sales, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSales {
    /// Only sales with this status.
    pub status: Option<SaleStatus>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListSales => Page<SaleView>, "flashsale.list", Get "/api/flash-sales", Anyone, 200,
    "Lists flash sales, newest first."
}

/// Lists sales that are running now, including sold-out ones, ordered by their end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListActiveSales {
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListActiveSales => Page<SaleView>, "flashsale.active", Get "/api/flash-sales/active", Anyone, 200,
    "Lists flash sales that are running now."
}

/// A sale.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleView {
    /// The id.
    pub id: FlashSaleId,
    /// The name.
    pub name: String,
    /// The campaign, if any. The sale sells only while its campaign is ACTIVE.
    pub campaign_id: Option<CampaignId>,
    /// The status. SOLD_OUT becomes ACTIVE again when units are released.
    pub status: SaleStatus,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The currency of its prices.
    pub currency: Currency,
    /// The items.
    pub items: Vec<SaleItemView>,
    /// How long a reservation lasts, in seconds.
    pub reservation_ttl_seconds: u32,
    /// The version; it increases with each change of the sale, but not of its remaining units.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}
json_reply!(SaleView, etag version);

/// An item of a sale.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleItemView {
    /// The variant.
    pub variant_id: VariantId,
    /// Its SKU.
    pub sku: Sku,
    /// The unit price in the sale.
    pub sale_price: Amount,
    /// The number of units allocated.
    pub stock: i64,
    /// The maximum number of units per buyer; null for no limit.
    pub per_user_limit: Option<u32>,
    /// The number of units that are neither reserved nor bought.
    pub remaining: i64,
    /// The number of units bought.
    pub sold: i64,
}

/// Reserves units at the sale price.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateReservation {
    /// The sale.
    pub id: FlashSaleId,
    /// The SKU.
    pub sku: Sku,
    /// The number of units, 1 to 1,000,000.
    pub quantity: u32,
}
operation! {
    CreateReservation => ReservationView, "flashsale.reserve", Post "/api/flash-sales/{id}/reservations", User, 201,
    "Reserves units in a flash sale.", keyed
}

/// A reservation, which an order can claim by its id.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "FlashReservationView")]
pub struct ReservationView {
    /// The reservation id.
    pub reservation_id: FlashReservationId,
    /// The unit price.
    pub unit_price: Amount,
    /// When it expires.
    pub expires_at: Timestamp,
}
json_reply!(ReservationView);

/// Releases a reservation. Repeating the call changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReservation {
    /// The sale.
    pub id: FlashSaleId,
    /// The reservation id.
    pub rid: FlashReservationId,
}
operation! {
    ReleaseReservation => (), "flashsale.release_reservation", Delete "/api/flash-sales/{id}/reservations/{rid}",
    User, 204,
    "Releases a flash sale reservation."
}

/// Streams a sale as server-sent events: `remaining` immediately and after each change (at most a few per second),
/// `start` when the sale starts, and `end`, after which the stream closes. The data of each event is
/// `{flashSaleId,status,items:[{variantId,sku,remaining,sold}]}`, with the SKUs as they were when the sale was created.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowSale {
    /// The id.
    pub id: FlashSaleId,
}
operation! {
    FollowSale => Download, "flashsale.stream", Get "/api/flash-sales/{id}/stream", Anyone, 200,
    "Streams a flash sale as server-sent events.", sends ["text/event-stream"]
}

//! Requests and replies of flash sales.

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
    /// How many units to allocate, 1 to 1,000,000.
    pub stock: u32,
    /// How many units one buyer may have; null for no limit.
    #[serde(default)]
    pub per_user_limit: Option<u32>,
}

/// Creates a sale and allocates its stock.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSale {
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// Its campaign; the sale runs only while this is ACTIVE.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
    /// When it starts; at once if that is past.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The items, each SKU once, 1 to 50.
    pub items: Vec<SaleItemInput>,
    /// How long a reservation lasts in seconds, 60 to 3600; 600 by default. None lasts longer than the sale.
    #[serde(default)]
    pub reservation_ttl_seconds: Option<u32>,
}
operation! {
    CreateSale => SaleView, "flashsale.create", Post "/api/flash-sales", Permission("flashsale:write"), 201,
    "Creates a flash sale and allocates its stock.", keyed
}

/// Updates a sale: everything before it starts, its name and end while it is running.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSale {
    /// The id.
    pub id: FlashSaleId,
    /// Its name.
    pub name: Option<String>,
    /// Its campaign.
    #[serde(default)]
    pub campaign_id: Patch<CampaignId>,
    /// When it starts.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
    /// The complete list of items.
    pub items: Option<Vec<SaleItemInput>>,
    /// How long a reservation lasts in seconds.
    pub reservation_ttl_seconds: Option<u32>,
}
operation! {
    UpdateSale => SaleView, "flashsale.update", Patch "/api/flash-sales/{id}", Permission("flashsale:write"), 200,
    "Updates a flash sale."
}

/// Ends a sale early: the rest goes back into stock, and reservations without an order end with it.
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

/// Deletes a sale; orders keep what they bought. A running sale must be cancelled first.
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

/// One sale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSale {
    /// The id.
    pub id: FlashSaleId,
}
operation! { GetSale => SaleView, "flashsale.get", Get "/api/flash-sales/{id}", Anyone, 200, "One flash sale." }

/// Sales, newest first.
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
    "Flash sales, newest first."
}

/// Sales that are running now, sold out or not, by their end.
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
    "Flash sales that are running now."
}

/// A sale.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleView {
    /// The id.
    pub id: FlashSaleId,
    /// Its name.
    pub name: String,
    /// Its campaign; the sale runs only while this is ACTIVE.
    pub campaign_id: Option<CampaignId>,
    /// The status. SOLD_OUT becomes ACTIVE again when a reservation expires.
    pub status: SaleStatus,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The currency of its prices.
    pub currency: Currency,
    /// The items.
    pub items: Vec<SaleItemView>,
    /// How long a reservation lasts in seconds.
    pub reservation_ttl_seconds: u32,
    /// Counts changes of the sale, not of its remaining units.
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
    /// The unit price.
    pub sale_price: Amount,
    /// How many units were allocated.
    pub stock: i64,
    /// How many units one buyer may have.
    pub per_user_limit: Option<u32>,
    /// How many units are neither reserved nor bought.
    pub remaining: i64,
    /// How many units were bought.
    pub sold: i64,
}

/// Reserves units at the sale's price.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateReservation {
    /// The sale.
    pub id: FlashSaleId,
    /// The SKU.
    pub sku: Sku,
    /// The quantity, at least 1.
    pub quantity: u32,
}
operation! {
    CreateReservation => ReservationView, "flashsale.reserve", Post "/api/flash-sales/{id}/reservations", User, 201,
    "Reserves units in a flash sale.", keyed
}

/// A reservation, to be named in an order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationView {
    /// The reservation id.
    pub reservation_id: FlashReservationId,
    /// The unit price.
    pub unit_price: Amount,
    /// When it expires.
    pub expires_at: Timestamp,
}
json_reply!(ReservationView);

/// Releases a reservation; repeating it changes nothing.
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

/// A sale as server-sent events: `remaining` at once and whenever it changes (a few times a second at most), `start`,
/// and `end`, after which the stream ends. Each carries `{flashSaleId,status,items:[{variantId,sku,remaining,sold}]}`,
/// with the SKUs as of the creation of the sale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowSale {
    /// The id.
    pub id: FlashSaleId,
}
operation! {
    FollowSale => Download, "flashsale.stream", Get "/api/flash-sales/{id}/stream", Anyone, 200,
    "Streams a flash sale as server-sent events."
}

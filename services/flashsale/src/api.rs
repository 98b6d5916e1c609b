//! Requests and replies of the flash sales' own routes.

use promox_contract::ids::{CampaignId, FlashReservationId, FlashSaleId, VariantId};
use promox_kernel::{Amount, Currency, Cursor, Download, Limit, Page, Patch, Sku, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::records::SaleStatus;

/// An item as it is to be sold.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleItemInput {
    /// Which: a SKU of the catalogue.
    pub sku: Sku,
    /// What one costs in the sale, in the store's currency.
    pub sale_price: Amount,
    /// How many are set aside, 1 to 1,000,000.
    pub stock: u32,
    /// How many one buyer may have; null for no limit.
    #[serde(default)]
    pub per_user_limit: Option<u32>,
}

/// Makes a sale and sets its stock aside.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateSale {
    /// Its name, 1 to 200 characters.
    pub name: String,
    /// It sells only while this campaign is ACTIVE.
    #[serde(default)]
    pub campaign_id: Option<CampaignId>,
    /// When it starts; at once if that is past.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// What it sells, each SKU once, 1 to 50.
    pub items: Vec<SaleItemInput>,
    /// How long a reservation lasts, 60 to 3600; 600 unless said. None lasts longer than the sale.
    #[serde(default)]
    pub reservation_ttl_seconds: Option<u32>,
}
operation! { CreateSale => SaleView, "flashsale.create", Post "/api/flash-sales", Permission("flashsale:write"), 201, "\
Creates a flash sale and allocates its stock.", keyed }

/// Changes a sale: all of it before it starts, its name and end while it sells.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSale {
    /// Which.
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
    /// All that it sells.
    pub items: Option<Vec<SaleItemInput>>,
    /// How long a reservation lasts.
    pub reservation_ttl_seconds: Option<u32>,
}
operation! { UpdateSale => SaleView, "flashsale.update", Patch "/api/flash-sales/{id}", Permission("flashsale:write"), 200, "\
Updates a flash sale." }

/// Ends a sale before its time: what is left goes back into stock, reservations that no order names end with it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CancelSale {
    /// Which.
    pub id: FlashSaleId,
}
operation! { CancelSale => SaleView, "flashsale.cancel", Post "/api/flash-sales/{id}/cancel", Permission("flashsale:write"), 200, "Cancels a flash sale.", keyed }

/// Takes a sale off the lists; orders keep what they bought. One that sells is cancelled first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteSale {
    /// Which.
    pub id: FlashSaleId,
}
operation! { DeleteSale => (), "flashsale.delete", Delete "/api/flash-sales/{id}", Permission("flashsale:write"), 204, "\
Deletes a flash sale that is not running." }

/// One sale.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetSale {
    /// Which.
    pub id: FlashSaleId,
}
operation! { GetSale => SaleView, "flashsale.get", Get "/api/flash-sales/{id}", Anyone, 200, "One flash sale." }

/// Sales, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListSales {
    /// Only those that stand so.
    pub status: Option<SaleStatus>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListSales => Page<SaleView>, "flashsale.list", Get "/api/flash-sales", Anyone, 200, "Flash sales, newest first." }

/// Sales that sell now, sold out or not, the one that ends first first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListActiveSales {
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListActiveSales => Page<SaleView>, "flashsale.active", Get "/api/flash-sales/active", Anyone, 200, "\
Flash sales that are running now." }

/// A sale.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SaleView {
    /// Its id.
    pub id: FlashSaleId,
    /// Its name.
    pub name: String,
    /// It sells only while this campaign is ACTIVE.
    pub campaign_id: Option<CampaignId>,
    /// Where it stands. SOLD_OUT is ACTIVE again when a reservation lapses.
    pub status: SaleStatus,
    /// When it starts.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// The currency of its prices.
    pub currency: Currency,
    /// What it sells.
    pub items: Vec<SaleItemView>,
    /// How long a reservation lasts.
    pub reservation_ttl_seconds: u32,
    /// Counts changes of the sale, not of what is left.
    pub version: i64,
    /// When it was made.
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
    /// What one costs.
    pub sale_price: Amount,
    /// How many were set aside.
    pub stock: i64,
    /// How many one buyer may have.
    pub per_user_limit: Option<u32>,
    /// How many are neither reserved nor bought.
    pub remaining: i64,
    /// How many are bought.
    pub sold: i64,
}

/// Reserves pieces at the sale's price.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateReservation {
    /// In which sale.
    pub id: FlashSaleId,
    /// What.
    pub sku: Sku,
    /// How many, at least 1.
    pub quantity: u32,
}
operation! { CreateReservation => ReservationView, "flashsale.reserve", Post "/api/flash-sales/{id}/reservations", User, 201, "\
Reserves units in a flash sale.", keyed }

/// A reservation, to be named in an order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationView {
    /// Its number.
    pub reservation_id: FlashReservationId,
    /// What one costs.
    pub unit_price: Amount,
    /// When it goes back by itself.
    pub expires_at: Timestamp,
}
json_reply!(ReservationView);

/// Gives a reservation back; again changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReservation {
    /// In which sale.
    pub id: FlashSaleId,
    /// Which.
    pub rid: FlashReservationId,
}
operation! { ReleaseReservation => (), "flashsale.release_reservation", Delete "/api/flash-sales/{id}/reservations/{rid}", User, 204, "\
Releases a flash sale reservation." }

/// A sale as server-sent events: `remaining` at once and whenever it changes (a few times a second at most), `start`, and
/// `end`, after which the stream ends. Each carries `{flashSaleId,status,items:[{variantId,sku,remaining,sold}]}`, with the SKUs
/// of when the sale was set up.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowSale {
    /// Which.
    pub id: FlashSaleId,
}
operation! { FollowSale => Download, "flashsale.stream", Get "/api/flash-sales/{id}/stream", Anyone, 200, "\
Streams a flash sale as server-sent events." }

//! Requests and replies of the inventory's own routes.

use promox_contract::ids::{ProductId, ReservationId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_kernel::{Cursor, Limit, Page, Sku, Timestamp, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::records::{MovementKind, ReservationStatus};
pub use promox_contract::refusal::Short;

/// One SKU's stock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStock {
    /// Which.
    pub sku: Sku,
}
operation! { GetStock => StockView, "inventory.get", Get "/api/inventory/{sku}", Permission("inventory:read"), 200, "\
The stock of one SKU." }

/// A page of stock, by SKU.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListStock {
    /// Only those at or below their threshold, or only the others.
    pub low_stock: Option<bool>,
    /// Only SKUs that begin with this, whatever the case; a SKU that was just changed is listed a moment later.
    pub q: Option<String>,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListStock => Page<StockView>, "inventory.list", Get "/api/inventory", Permission("inventory:read"), 200, "Stock, by SKU." }

/// A count: what lies at a location now. A SKU that no product has, or had, is 404.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountStock {
    /// Which.
    pub sku: Sku,
    /// How many lie there, 0 to 1,000,000,000.
    pub on_hand: i64,
    /// Where; `MAIN` unless said.
    pub location: Option<String>,
    /// At or below it, available stock is low.
    pub low_stock_threshold: Option<i64>,
    /// Whether more may be sold than there is. What is sold then makes `onHand` negative: it is owed.
    pub backorder: Option<bool>,
}
operation! { CountStock => StockView, "inventory.count", Put "/api/inventory/{sku}", Permission("inventory:write"), 200, "\
Sets the counted stock of a SKU at a location." }

/// A movement by hand: a delivery, breakage, theft.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustStock {
    /// Which.
    pub sku: Sku,
    /// How many come (or go, below zero); not 0.
    pub delta: i64,
    /// Why, for the ledger: 1 to 200 characters.
    pub reason: String,
    /// Where; `MAIN` unless said.
    pub location: Option<String>,
}
operation! { AdjustStock => StockView, "inventory.adjust", Post "/api/inventory/{sku}/adjustments", Permission("inventory:write"), 201, "\
Adjusts stock manually.", keyed }

/// A SKU's movements, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMovements {
    /// Which.
    pub sku: Sku,
    /// Items a page.
    #[serde(default)]
    pub limit: Limit,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}
operation! { ListMovements => Page<MovementView>, "inventory.movements", Get "/api/inventory/{sku}/movements", Permission("inventory:read"), 200, "\
A SKU's stock movements, newest first." }

/// Reserves stock, all or nothing. The same reference with the same items answers the same reservation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateReservation {
    /// The caller's name for it: 1 to 100 characters, not beginning with `order:`.
    pub reference: String,
    /// What, each SKU once, 1 to 1,000. One that no product has is 422 `UNKNOWN_SKU`.
    pub items: Vec<SkuQuantity>,
    /// When it lapses unless it is confirmed: 1 second to 7 days.
    pub ttl_seconds: u32,
}
operation! { CreateReservation => ReservationView, "inventory.reserve", Post "/api/inventory/reservations", Permission("inventory:write"), 201, "\
Reserves stock for a limited time.", keyed }

/// One reservation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetReservation {
    /// Which.
    pub id: ReservationId,
}
operation! { GetReservation => ReservationView, "inventory.reservation", Get "/api/inventory/reservations/{id}", Permission("inventory:write"), 200, "One reservation." }

/// Confirms a reservation: the goods are sold and leave the stock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmReservation {
    /// Which.
    pub id: ReservationId,
}
operation! { ConfirmReservation => ReservationView, "inventory.confirm", Post "/api/inventory/reservations/{id}/confirm", Permission("inventory:write"), 200, "\
Confirms a reservation: its goods leave the stock.", keyed }

/// Releases a reservation: the goods can be sold again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReservation {
    /// Which.
    pub id: ReservationId,
}
operation! { ReleaseReservation => ReservationView, "inventory.release", Post "/api/inventory/reservations/{id}/release", Permission("inventory:write"), 200, "Releases a reservation.", keyed }

/// A variant's stock.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockView {
    /// The variant, on which the stock hangs whatever its SKU becomes.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its SKU now.
    pub sku: Sku,
    /// What lies at all locations.
    pub on_hand: i64,
    /// What of it is promised.
    pub reserved: i64,
    /// On hand less reserved; below zero only with backorder.
    pub available: i64,
    /// At or below it, available stock is low.
    pub low_stock_threshold: i64,
    /// Whether more may be sold than there is.
    pub backorder: bool,
    /// Where it lies: `MAIN` first, then by name, as holds take it.
    pub locations: Vec<LocationView>,
    /// Counts every change.
    pub version: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}
json_reply!(StockView, etag version);

/// What lies at one location.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationView {
    /// Where.
    pub location: String,
    /// What lies there.
    pub on_hand: i64,
    /// What of it is promised.
    pub reserved: i64,
}

/// A movement.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovementView {
    /// Its number, from 1 for each SKU.
    pub id: i64,
    /// What kind.
    pub kind: MovementKind,
    /// How many came, or went below zero.
    pub delta: i64,
    /// On hand at all locations after it.
    pub on_hand: i64,
    /// Where.
    pub location: String,
    /// What an administrator wrote.
    pub reason: Option<String>,
    /// `order:7`, `return:3`, or a reservation's own.
    pub reference: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A reservation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservationView {
    /// Its id.
    pub id: ReservationId,
    /// The caller's name for it.
    pub reference: String,
    /// Where it stands.
    pub status: ReservationStatus,
    /// What it holds.
    pub items: Vec<SkuQuantity>,
    /// When it lapses unless confirmed; null for an order's.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was confirmed, released or lapsed.
    pub ended_at: Option<Timestamp>,
}
json_reply!(ReservationView);

//! Requests and replies of the inventory service.

use promox_contract::ids::{ProductId, ReservationId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_kernel::{Cursor, Limit, Page, Sku, Timestamp, json_reply, operation, text_enum};
use promox_storage::HoldState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::records::MovementKind;
pub use promox_contract::refusal::Short;

/// Gets the stock of one SKU.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetStock {
    /// The SKU.
    pub sku: Sku,
}
operation! {
    GetStock => StockView, "inventory.get", Get "/api/inventory/{sku}", Permission("inventory:read"), 200,
    "Gets the stock of one SKU."
}

/// Lists the stock, ordered by SKU.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListStock {
    /// True for only the SKUs at or below their threshold, false for only the others; all by default.
    pub low_stock: Option<bool>,
    /// Only SKUs with this prefix, ignoring case. A SKU that was just changed may appear with a delay.
    pub q: Option<String>,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListStock => Page<StockView>, "inventory.list", Get "/api/inventory", Permission("inventory:read"), 200,
    "Lists the stock, ordered by SKU."
}

/// Sets the counted stock of a SKU at a location. A SKU that no product has or had is not found (404).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CountStock {
    /// The SKU.
    pub sku: Sku,
    /// The counted units, 0 to 1,000,000,000.
    pub on_hand: i64,
    /// The location; `MAIN` by default.
    pub location: Option<String>,
    /// The low-stock threshold: available stock at or below it is low.
    pub low_stock_threshold: Option<i64>,
    /// Whether more units may be sold than are in stock. `onHand` is then negative by the number of units owed.
    pub backorder: Option<bool>,
}
operation! {
    CountStock => StockView, "inventory.count", Put "/api/inventory/{sku}", Permission("inventory:write"), 200,
    "Sets the counted stock of a SKU at a location."
}

/// Adjusts stock manually, for example for a delivery, breakage or theft.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdjustStock {
    /// The SKU.
    pub sku: Sku,
    /// The units added, or removed if negative; not 0.
    pub delta: i64,
    /// The reason, for the ledger: 1 to 200 characters.
    pub reason: String,
    /// The location; `MAIN` by default.
    pub location: Option<String>,
}
operation! {
    AdjustStock => StockView, "inventory.adjust", Post "/api/inventory/{sku}/adjustments",
    Permission("inventory:write"), 201,
    "Adjusts stock manually.", keyed
}

/// Lists a SKU's stock movements, newest first.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMovements {
    /// The SKU.
    pub sku: Sku,
    /// Page size.
    #[serde(default)]
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListMovements => Page<MovementView>, "inventory.movements", Get "/api/inventory/{sku}/movements",
    Permission("inventory:read"), 200,
    "Lists a SKU's stock movements, newest first."
}

/// Reserves stock for all items or for none. A repeated request with the same reference and items returns the same
/// reservation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateReservation {
    /// The caller's reference: 1 to 100 characters, not beginning with `order:`.
    pub reference: String,
    /// The items: 1 to 1,000, each SKU once. A SKU that no product has is refused with 422 `UNKNOWN_SKU`.
    pub items: Vec<SkuQuantity>,
    /// The time after which the reservation expires unless it is confirmed, in seconds: 1 second to 7 days.
    pub ttl_seconds: u32,
}
operation! {
    CreateReservation => ReservationView, "inventory.reserve", Post "/api/inventory/reservations",
    Permission("inventory:write"), 201,
    "Reserves stock for a limited time.", keyed
}

/// Gets one reservation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetReservation {
    /// The id.
    pub id: ReservationId,
}
operation! {
    GetReservation => ReservationView, "inventory.reservation", Get "/api/inventory/reservations/{id}",
    Permission("inventory:write"), 200,
    "Gets one reservation."
}

/// Confirms a reservation: its units are sold and leave the stock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfirmReservation {
    /// The id.
    pub id: ReservationId,
}
operation! {
    ConfirmReservation => ReservationView, "inventory.confirm", Post "/api/inventory/reservations/{id}/confirm",
    Permission("inventory:write"), 200,
    "Confirms a reservation: its units leave the stock.", keyed
}

/// Releases a reservation: its units can be sold again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseReservation {
    /// The id.
    pub id: ReservationId,
}
operation! {
    ReleaseReservation => ReservationView, "inventory.release", Post "/api/inventory/reservations/{id}/release",
    Permission("inventory:write"), 200,
    "Releases a reservation.", keyed
}

/// A variant's stock.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StockView {
    /// The variant. Its stock stays with it when its SKU changes.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its current SKU.
    pub sku: Sku,
    /// The units in stock at all locations.
    pub on_hand: i64,
    /// The units that are reserved.
    pub reserved: i64,
    /// The units on hand minus those reserved; negative only with backorder.
    pub available: i64,
    /// The low-stock threshold: available stock at or below it is low.
    pub low_stock_threshold: i64,
    /// Whether more units may be sold than are in stock.
    pub backorder: bool,
    /// The stock by location, in the order in which units are reserved: `MAIN` first, then by name.
    pub locations: Vec<LocationView>,
    /// The version; it increases with each change.
    pub version: i64,
    /// When it last changed.
    pub updated_at: Timestamp,
}
json_reply!(StockView, etag version);

/// Stock at one location.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocationView {
    /// The location.
    pub location: String,
    /// The units at the location.
    pub on_hand: i64,
    /// The units that are reserved at the location.
    pub reserved: i64,
}

/// A stock movement.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MovementView {
    /// The number of the movement, counted from 1 for each variant.
    pub id: i64,
    /// The kind.
    pub kind: MovementKind,
    /// The units added, or removed if negative.
    pub delta: i64,
    /// The units on hand at all locations after the movement.
    pub on_hand: i64,
    /// The location.
    pub location: String,
    /// The reason that staff gave, for an adjustment.
    pub reason: Option<String>,
    /// What caused the movement: `order:7`, `return:3`, or the reference of a reservation.
    pub reference: Option<String>,
    /// When the units moved.
    pub at: Timestamp,
}

text_enum! {
    /// The status of a reservation.
    ReservationStatus {
        Held = "HELD",
        Confirmed = "CONFIRMED",
        Released = "RELEASED",
        Expired = "EXPIRED",
        Returned = "RETURNED",
    }
}

impl ReservationStatus {
    /// Returns the status for the state of a hold.
    pub(crate) fn of(state: HoldState) -> Self {
        match state {
            HoldState::Held => Self::Held,
            HoldState::Posted => Self::Confirmed,
            HoldState::Released => Self::Released,
            HoldState::Expired => Self::Expired,
            HoldState::Reversed => Self::Returned,
        }
    }
}

/// A reservation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "StockReservationView")]
pub struct ReservationView {
    /// The id.
    pub id: ReservationId,
    /// The caller's reference.
    pub reference: String,
    /// The status.
    pub status: ReservationStatus,
    /// The items.
    pub items: Vec<SkuQuantity>,
    /// When it expires unless it is confirmed; null for the reservation of an order.
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was confirmed, released or expired.
    pub ended_at: Option<Timestamp>,
}
json_reply!(ReservationView);

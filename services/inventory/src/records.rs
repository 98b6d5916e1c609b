//! Tables. A variant's locations are in its stock row, and a hold's lines are in the hold's row, so that a checkout
//! writes one row per line and one for the hold. Rows refer to variants by id; the SKU in a stock row is for lists and
//! messages.

use promox_contract::ids::{OrderId, ProductId, VariantId};
use promox_kernel::{Json, Sku, Timestamp, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

/// The stock at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    /// The name of the location.
    pub(crate) name: String,
    /// The units at the location.
    pub(crate) on_hand: i64,
    /// The units at the location that are reserved.
    pub(crate) reserved: i64,
}

/// Units that a hold took from one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// The location.
    pub(crate) location: String,
    /// The quantity.
    pub(crate) quantity: u32,
}

/// A line of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldLine {
    /// The variant.
    pub(crate) variant_id: VariantId,
    /// The quantity.
    pub(crate) quantity: u32,
    /// The part of the quantity that was taken from locations other than `MAIN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) elsewhere: Vec<Taken>,
    /// The units that were returned after the hold was posted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) restocked: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

text_enum! {
    /// Why units moved into or out of the stock.
    MovementKind {
        Count = "COUNT",
        Adjustment = "ADJUSTMENT",
        Sale = "SALE",
        Cancel = "CANCEL",
        Return = "RETURN",
    }
}

record! {
    /// A variant's stock. Units that are not at another location are at `MAIN`, so most rows have no list of locations.
    pub(crate) struct Stock in Ecommerce.inventory = 150, key(variant_id: VariantId) {
        product_id: ProductId,
        /// The variant's SKU. A consumer updates it when the product changes.
        sku: Sku,
        on_hand: i64,
        reserved: i64,
        threshold: i64,
        backorder: bool,
        /// Locations other than `MAIN`, by name.
        elsewhere: Json<Vec<Location>>,
        /// True while the available stock is at or below the threshold, otherwise null, so that the index contains only
        /// low stock.
        low: Option<bool>,
        /// The number of movements, which is also the number of the newest one.
        movements: i64,
        version: i64,
        updated_at: Timestamp,
    }
    index StockByLow = 151 (low, sku);
    index StockBySku = 159 (sku);
}

record! {
    /// A stock movement of a variant, numbered from 1 for each variant. It never changes.
    pub(crate) struct Movement in Ecommerce.stock_movements = 152, key(variant_id: VariantId, number: i64) {
        kind: MovementKind,
        delta: i64,
        /// The units on hand at all locations after the movement.
        on_hand: i64,
        location: String,
        /// The reason that staff gave, for an adjustment.
        reason: Option<String>,
        /// What caused the movement: `order:7`, `return:3`, or the reference of a reservation.
        reference: Option<String>,
        at: Timestamp,
    }
}

record! {
    /// A hold of stock. The hold of an order has a reference such as `order:7`, and it does not expire.
    pub(crate) struct Reservation in Ecommerce.reservations = 153, key(id: i64) {
        reference: String,
        state: HoldState,
        lines: Json<Vec<HeldLine>>,
        /// When it expires; null if it does not, or once it has ended.
        lapses_at: Option<Timestamp>,
        /// When it expires or was due to expire; null if it does not. Kept after the hold has ended.
        expires_at: Option<Timestamp>,
        created_at: Timestamp,
        ended_at: Option<Timestamp>,
    }
    unique ReservationByReference = 154 (reference);
    index ReservationByLapse = 155 (lapses_at);
}

impl Hold for Reservation {
    const KIND: &'static str = "stock";
    type Reference = String;

    fn of(tx: &Tx<'_>, reference: &String) -> Result<Vec<Self>, StoreError> {
        Ok(tx.get_by::<ReservationByReference>(reference.as_str())?.into_iter().collect())
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, at: Timestamp) {
        self.state = state;
        (self.lapses_at, self.ended_at) = (None, Some(at));
    }
}

record! {
    /// A return that was restocked or written off. The key ensures that this happens once per reference.
    pub(crate) struct Restocked in Ecommerce.restocks = 156, key(reference: String) {
        order_id: i64,
        at: Timestamp,
    }
}

record! {
    /// An order's purchase from an allocation, once per reference. It is posted from the start, and reversed when the
    /// order is cancelled.
    pub(crate) struct AllocationPurchase in Ecommerce.set_aside_sales = 157, key(reference: String) {
        order_id: OrderId,
        lines: Json<Vec<HeldLine>>,
        state: HoldState,
        at: Timestamp,
    }
    index AllocationPurchaseByOrder = 158 (order_id);
}

impl Hold for AllocationPurchase {
    const KIND: &'static str = "set-aside sale";
    type Reference = String;

    fn of(tx: &Tx<'_>, reference: &String) -> Result<Vec<Self>, StoreError> {
        Ok(tx.get::<Self>(reference)?.into_iter().collect())
    }
    fn state(&self) -> HoldState {
        self.state
    }
    fn set_state(&mut self, state: HoldState, _: Timestamp) {
        self.state = state;
    }
}

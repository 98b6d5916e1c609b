//! The tables of the inventory. A variant's locations are in its row and a hold's lines in the hold's row, so that a
//! checkout writes one row per line and one for the hold. Rows refer to variants' ids; the SKU in a stock row is for
//! lists.

use promox_contract::ids::{OrderId, ProductId, VariantId};
use promox_kernel::{Json, Sku, Timestamp, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

/// The stock at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    /// Its name.
    pub(crate) name: String,
    /// Units there.
    pub(crate) on_hand: i64,
    /// Units of them that are reserved.
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
    /// Units that came back after the hold was posted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) restocked: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

text_enum! {
    /// Why units came or went.
    MovementKind {
        Count = "COUNT",
        Adjustment = "ADJUSTMENT",
        Sale = "SALE",
        Cancel = "CANCEL",
        Return = "RETURN",
    }
}

record! {
    /// A variant's stock. Units that no other location has are at `MAIN`, so most rows have no list to read and write.
    pub(crate) struct Stock in Ecommerce.inventory = 150, key(variant_id: VariantId) {
        product_id: ProductId,
        /// The variant's SKU; a consumer follows the catalogue.
        sku: Sku,
        on_hand: i64,
        reserved: i64,
        threshold: i64,
        backorder: bool,
        /// Locations other than `MAIN`, by name.
        elsewhere: Json<Vec<Location>>,
        /// True while at or below the threshold, else null, so that the index holds only these.
        low: Option<bool>,
        /// The number of movements, which is the number of the newest.
        movements: i64,
        version: i64,
        updated_at: Timestamp,
    }
    index StockByLow = 151 (low, sku);
    index StockBySku = 159 (sku);
}

record! {
    /// A movement of a variant, numbered from 1 for each variant; never changed.
    pub(crate) struct Movement in Ecommerce.stock_movements = 152, key(variant_id: VariantId, number: i64) {
        kind: MovementKind,
        delta: i64,
        /// On hand at all locations after it.
        on_hand: i64,
        location: String,
        /// The administrator's reason.
        reason: Option<String>,
        /// `order:7`, `return:3`, or a reservation's own reference.
        reference: Option<String>,
        at: Timestamp,
    }
}

record! {
    /// A hold of stock. An order's is `order:7` and has no expiry; an ended one has none either.
    pub(crate) struct Reservation in Ecommerce.reservations = 153, key(id: i64) {
        reference: String,
        state: HoldState,
        lines: Json<Vec<HeldLine>>,
        /// When it expires, while it is held.
        lapses_at: Option<Timestamp>,
        /// When it was due to expire; kept after it ended.
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
    /// A return that was put back into stock, once per reference.
    pub(crate) struct Restocked in Ecommerce.restocks = 156, key(reference: String) {
        order_id: i64,
        at: Timestamp,
    }
}

record! {
    /// An order's purchase from an allocation, once per reference: posted from the start, reversed when the order is
    /// cancelled.
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

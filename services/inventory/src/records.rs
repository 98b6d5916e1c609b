//! The tables of the inventory. A variant's locations stand in its row and a hold's lines in the hold's, so that a checkout
//! writes one row a line and one for the hold. All hang on the variant's id: its SKU in the stock's row is what lists go by.

use promox_contract::ids::{OrderId, ProductId, VariantId};
use promox_kernel::{Json, Sku, Timestamp, text_enum};
use promox_storage::{Hold, HoldState, StoreError, Tx, record};
use serde::{Deserialize, Serialize};

/// What lies at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Location {
    /// Its name.
    pub(crate) name: String,
    /// Pieces there.
    pub(crate) on_hand: i64,
    /// Pieces of them promised.
    pub(crate) reserved: i64,
}

/// What a hold took from one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    /// From where.
    pub(crate) location: String,
    /// The quantity.
    pub(crate) quantity: u32,
}

/// A line of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeldLine {
    /// Of what.
    pub(crate) variant_id: VariantId,
    /// The quantity.
    pub(crate) quantity: u32,
    /// What of them was taken from other places than `MAIN`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) elsewhere: Vec<Taken>,
    /// How many have come back since it was confirmed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) restocked: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

text_enum! {
    /// Why a piece came or went.
    MovementKind {
        Count = "COUNT",
        Adjustment = "ADJUSTMENT",
        Sale = "SALE",
        Cancel = "CANCEL",
        Return = "RETURN",
    }
}

record! {
    /// A variant's stock. What does not lie elsewhere lies at `MAIN`: most rows have no list to read and write.
    pub(crate) struct Stock in Ecommerce.inventory = 150, key(variant_id: VariantId) {
        product_id: ProductId,
        /// What the variant is called; a consumer follows the catalogue.
        sku: Sku,
        on_hand: i64,
        reserved: i64,
        threshold: i64,
        backorder: bool,
        /// Other places than `MAIN`, by name.
        elsewhere: Json<Vec<Location>>,
        /// True while at or below the threshold, else null, so that the index holds only these.
        low: Option<bool>,
        /// How many movements there are: the number of the newest.
        movements: i64,
        version: i64,
        updated_at: Timestamp,
    }
    index StockByLow = 151 (low, sku);
    index StockBySku = 159 (sku);
}

record! {
    /// A movement of a variant, numbered from 1 for each; never changed.
    pub(crate) struct Movement in Ecommerce.stock_movements = 152, key(variant_id: VariantId, number: i64) {
        kind: MovementKind,
        delta: i64,
        /// On hand at all locations after it.
        on_hand: i64,
        location: String,
        /// What an administrator wrote.
        reason: Option<String>,
        /// `order:7`, `return:3`, or a reservation's own.
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
        /// When it lapses, while it can.
        lapses_at: Option<Timestamp>,
        /// When it was to lapse, as it was promised.
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
    /// A return that was put back into stock: once a reference.
    pub(crate) struct Restocked in Ecommerce.restocks = 156, key(reference: String) {
        order_id: i64,
        at: Timestamp,
    }
}

record! {
    /// Pieces of a set-aside that an order bought, once a reference: posted from the start, reversed when it is undone.
    pub(crate) struct AsideSale in Ecommerce.set_aside_sales = 157, key(reference: String) {
        order_id: OrderId,
        lines: Json<Vec<HeldLine>>,
        state: HoldState,
        at: Timestamp,
    }
    index AsideSaleByOrder = 158 (order_id);
}

impl Hold for AsideSale {
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

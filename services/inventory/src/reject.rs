//! Refusals of the inventory service. The codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::refusal::{InsufficientStock, Short};
use promox_kernel::{Error, Sku, Timestamp};
use promox_storage::HoldState;

use crate::api::ReservationStatus;

/// There are too few units of some SKUs.
pub(crate) fn insufficient_stock(items: Vec<Short>) -> Error {
    InsufficientStock { items }.into()
}

/// Fewer units would remain than are reserved.
pub(crate) fn stock_reserved(sku: Sku, location: String, reserved: i64) -> Error {
    Error::conflict(
        codes::STOCK_RESERVED,
        format!("{reserved} units of {sku} at {location} are reserved: the stock cannot be lower than that."),
    )
    .with("reserved", reserved)
}

/// Backorder cannot be switched off while units are owed to buyers.
pub(crate) fn stock_owed(sku: Sku, owed: i64) -> Error {
    Error::conflict(
        codes::STOCK_OWED,
        format!("{owed} units of {sku} are owed to buyers: restock them before switching backorder off."),
    )
}

/// The SKU already has the maximum number of locations.
pub(crate) fn too_many_locations(most: usize) -> Error {
    Error::refused(codes::TOO_MANY_LOCATIONS, format!("A SKU can have at most {most} locations."))
}

/// The reference was already used for other items.
pub(crate) fn reference_taken(id: i64) -> Error {
    Error::conflict(codes::REFERENCE_TAKEN, format!("Reservation {id} has this reference but other items."))
        .with("reservationId", id)
}

/// The reservation has ended.
pub(crate) fn ended(state: HoldState) -> Error {
    let status = ReservationStatus::of(state);
    Error::conflict(codes::RESERVATION_ENDED, format!("The reservation is already {status}.")).with("status", status)
}

/// The reservation has expired.
pub(crate) fn expired(at: Timestamp) -> Error {
    Error::conflict(codes::RESERVATION_EXPIRED, format!("The reservation expired at {at}; create a new one."))
}

/// The reservation belongs to an order, which alone can end it.
pub(crate) fn pinned() -> Error {
    Error::conflict(codes::RESERVATION_PINNED, "The reservation belongs to an order: confirm or cancel the order.")
}

/// More units would be restocked than were sold.
pub(crate) fn restock_exceeds_sold(sku: Sku, left: u32) -> Error {
    Error::conflict(codes::RESTOCK_EXCEEDS_SOLD, format!("Only {left} units of {sku} can still be restocked."))
}

/// More units would be sold than are allocated.
pub(crate) fn not_allocated(sku: Sku, left: u32) -> Error {
    Error::conflict(codes::NOT_SET_ASIDE, format!("Only {left} units of {sku} are allocated."))
}

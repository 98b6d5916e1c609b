//! What the inventory refuses, and the codes a caller may branch on.

use promox_contract::codes;
use promox_kernel::{Error, Sku, Timestamp};
use promox_storage::HoldState;

use crate::api::ReservationStatus;

/// Less would be left than is promised.
pub(crate) fn reserved(sku: Sku, location: String, reserved: i64) -> Error {
    Error::conflict(
        codes::STOCK_RESERVED,
        format!("{reserved} of {sku} at {location} are reserved: the stock there cannot be lower."),
    )
    .with("reserved", reserved)
}

/// Backorder cannot end while pieces are owed.
pub(crate) fn owed(sku: Sku, owed: i64) -> Error {
    Error::conflict(
        codes::STOCK_OWED,
        format!("{owed} of {sku} are owed to buyers: restock them before switching backorder off."),
    )
}

/// A SKU may lie at so many places.
pub(crate) fn too_many_locations(most: usize) -> Error {
    Error::refused(codes::TOO_MANY_LOCATIONS, format!("A SKU can have at most {most} locations."))
}

/// The reference was used for other items.
pub(crate) fn reference_taken(id: i64) -> Error {
    Error::conflict(codes::REFERENCE_TAKEN, format!("Reservation {id} has this reference but other items."))
        .with("reservationId", id)
}

/// The reservation is over.
pub(crate) fn ended(state: HoldState) -> Error {
    let status = ReservationStatus::of(state);
    Error::conflict(codes::RESERVATION_ENDED, format!("The reservation is already {status}.")).with("status", status)
}

/// The reservation lapsed.
pub(crate) fn lapsed(at: Timestamp) -> Error {
    Error::conflict(codes::RESERVATION_EXPIRED, format!("The reservation expired at {at}; create a new one."))
}

/// The reservation is an order's.
pub(crate) fn pinned() -> Error {
    Error::conflict(codes::RESERVATION_PINNED, "The reservation belongs to an order: confirm or cancel the order.")
}

/// More comes back than was sold.
pub(crate) fn not_sold(sku: Sku, left: u32) -> Error {
    Error::conflict(codes::RESTOCK_EXCEEDS_SOLD, format!("Only {left} of {sku} can still be restocked."))
}

/// More is sold than was set aside.
pub(crate) fn not_aside(sku: Sku, left: u32) -> Error {
    Error::conflict(codes::NOT_SET_ASIDE, format!("Only {left} of {sku} are allocated."))
}

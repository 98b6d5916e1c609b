//! Refusals of flash sales; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::ids::FlashReservationId;
use promox_contract::promotion::RejectReason;
use promox_contract::refusal::{InsufficientStock, Short};
use promox_kernel::{Error, FieldError, Kind};
use promox_storage::GateRefusal;

use crate::records::{SaleStatus, Terms};

/// SOLD_OUT: fewer units are left than requested.
pub(crate) fn sold_out(left: i64) -> Error {
    let message = match left {
        ..=0 => "This item is sold out.".to_owned(),
        left => format!("Only {left} of this item are left."),
    };
    Error::conflict(codes::SOLD_OUT, message).with("remaining", left.max(0))
}

/// LIMIT_REACHED: the user would exceed the limit per buyer.
pub(crate) fn limit_reached(limit: u32) -> Error {
    let message = format!("A buyer may have at most {limit} of this item, counting reservations and purchases.");
    Error::conflict(codes::LIMIT_REACHED, message).with("perUserLimit", limit)
}

/// NOT_ACTIVE: the sale is not running.
pub(crate) fn not_active(status: SaleStatus) -> Error {
    Error::conflict(codes::NOT_ACTIVE, "This sale is not running.").with("status", status)
}

/// NOT_ACTIVE: the user is not in the audience of the sale's campaign.
pub(crate) fn not_in_audience() -> Error {
    Error::conflict(codes::NOT_ACTIVE, "This sale is not open to you.").with("reason", RejectReason::NotEligible)
}

/// FLASH_RESERVATION_INVALID: the reservation cannot be ordered.
pub(crate) fn invalid_reservation(id: FlashReservationId, reason: RejectReason) -> Error {
    let message = match reason {
        RejectReason::Unknown => format!("Reservation {id} does not exist or is not yours."),
        _ => format!("Reservation {id} has expired or was already ordered: reserve again."),
    };
    Error::refused(codes::FLASH_RESERVATION_INVALID, message).with("reason", reason).with("reservationId", id)
}

/// SALE_RUNNING: the change is not possible while the sale is running.
pub(crate) fn sale_running() -> Error {
    Error::conflict(
        codes::SALE_RUNNING,
        "The sale is running: only its name and end can be changed. For anything else, cancel it and create \
             another one.",
    )
}

/// INVALID_TRANSITION: the sale is over.
pub(crate) fn sale_ended(status: SaleStatus) -> Error {
    Error::conflict(codes::INVALID_TRANSITION, format!("The sale is {status} and can no longer be changed."))
        .with("allowed", Vec::<SaleStatus>::new())
}

/// SALE_CHANGING: another request is changing the sale.
pub(crate) fn sale_changing() -> Error {
    Error::conflict(codes::SALE_CHANGING, "The sale is being changed by another request: read it again and retry.")
}

/// RESERVATION_ORDERED: the reservation belongs to an order.
pub(crate) fn reservation_ordered() -> Error {
    Error::conflict(codes::RESERVATION_ORDERED, "The reservation belongs to an order: cancel the order.")
}

/// The refusal of a sale's gate as an error.
pub(crate) fn from_gate(refusal: GateRefusal) -> Error {
    match refusal {
        GateRefusal::SoldOut { left } => sold_out(left),
        GateRefusal::LimitReached { limit } => limit_reached(limit),
    }
}

/// Adds pointers to the short items to the inventory's refusal of a sale's stock. Returns any other error unchanged.
pub(crate) fn insufficient_stock(error: Error, terms: &Terms) -> Error {
    let Some(InsufficientStock { items }) = InsufficientStock::of(&error) else { return error };
    let fault = |Short { sku, available, .. }: Short| {
        let at = terms.items.iter().position(|item| item.sku == sku)?;
        let detail = format!("only {available} of {sku} are in stock");
        Some(FieldError::coded(format!("/items/{at}/stock"), codes::INSUFFICIENT_STOCK, detail))
    };
    let faults: Vec<FieldError> = items.into_iter().filter_map(fault).collect();
    if faults.is_empty() { error } else { Error::invalid(faults) }
}

pub(crate) fn users_only() -> Error {
    Error::new(Kind::Forbidden, codes::FORBIDDEN, "Only logged-in users can reserve units.")
}

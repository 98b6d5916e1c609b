//! Refusals of flash sales; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::ids::FlashReservationId;
use promox_contract::promotion::RejectReason;
use promox_contract::refusal::{InsufficientStock, Short};
use promox_kernel::{Error, FieldError};
use promox_storage::GateRefusal;

use crate::records::{SaleStatus, Terms};

/// Fewer units are left than requested.
pub(crate) fn sold_out(left: i64) -> Error {
    let message = match left {
        ..=0 => "This item is sold out.".to_owned(),
        left => format!("Only {left} of this item are left."),
    };
    Error::conflict(codes::SOLD_OUT, message).with("remaining", left.max(0))
}

/// The user has reached the limit.
pub(crate) fn limit_reached(limit: u32) -> Error {
    let message = format!("A buyer may have {limit} of this item, reservations and purchases together.");
    Error::conflict(codes::LIMIT_REACHED, message).with("perUserLimit", limit)
}

/// The sale is not running.
pub(crate) fn not_active(status: SaleStatus) -> Error {
    Error::conflict(codes::NOT_ACTIVE, "This sale is not running.").with("status", status)
}

/// The audience of the sale's campaign excludes the user.
pub(crate) fn not_for_you() -> Error {
    Error::conflict(codes::NOT_ACTIVE, "This sale is limited to other customers.")
        .with("reason", RejectReason::NotEligible)
}

/// A reservation cannot be ordered.
pub(crate) fn invalid(id: FlashReservationId, reason: RejectReason) -> Error {
    let message = match reason {
        RejectReason::Unknown => format!("Reservation {id} does not exist or is not yours."),
        _ => format!("Reservation {id} has expired or was already ordered: reserve again."),
    };
    Error::refused(codes::FLASH_RESERVATION_INVALID, message).with("reason", reason).with("reservationId", id)
}

/// A running sale can only be renamed or get another end.
pub(crate) fn running() -> Error {
    Error::conflict(
        codes::SALE_RUNNING,
        "The sale is running: only its name and end can be changed. For anything else, cancel it and create \
             another one.",
    )
}

/// The sale is over.
pub(crate) fn over(status: SaleStatus) -> Error {
    Error::conflict(codes::INVALID_TRANSITION, format!("The sale is {status} and can no longer be changed."))
        .with("allowed", Vec::<SaleStatus>::new())
}

/// Another request is changing the sale.
pub(crate) fn changing() -> Error {
    Error::conflict(codes::SALE_CHANGING, "The sale is being changed by another request: read it again and retry.")
}

/// The reservation is an order's.
pub(crate) fn ordered() -> Error {
    Error::conflict(codes::RESERVATION_ORDERED, "The reservation belongs to an order: cancel the order.")
}

/// The gate of a sale refuses.
pub(crate) fn by_gate(refusal: GateRefusal) -> Error {
    match refusal {
        GateRefusal::SoldOut { left } => sold_out(left),
        GateRefusal::LimitReached { limit } => limit_reached(limit),
    }
}

/// The inventory's refusal of a sale's stock, with pointers to the short items; any other error unchanged.
pub(crate) fn short(error: Error, terms: &Terms) -> Error {
    let Some(InsufficientStock { items }) = InsufficientStock::of(&error) else { return error };
    let fault = |Short { sku, available, .. }: Short| {
        let at = terms.items.iter().position(|item| item.sku == sku)?;
        let detail = format!("only {available} of {sku} are in stock");
        Some(FieldError { pointer: format!("/items/{at}/stock"), code: codes::INSUFFICIENT_STOCK.into(), detail })
    };
    let faults: Vec<FieldError> = items.into_iter().filter_map(fault).collect();
    if faults.is_empty() { error } else { Error::invalid(faults) }
}

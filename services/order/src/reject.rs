//! Refusals that a caller may branch on, with their stable codes.

use promox_contract::ids::{FlashReservationId, OrderId};
use promox_contract::promotion::{RejectReason, RejectedPromotion};
use promox_kernel::{Error, Kind};

/// The payment was declined; the order is there, FAILED.
pub(crate) fn declined(order: OrderId, code: Option<&str>) -> Error {
    Error::new(Kind::Declined, "PAYMENT_DECLINED", "The payment was declined; nothing was charged.")
        .with("declineCode", code.unwrap_or("DECLINED"))
        .with("orderId", order)
}

/// A code that the buyer named does not apply: nothing is charged.
pub(crate) fn code_refused(rejected: &RejectedPromotion, is_coupon: bool) -> Error {
    let (code, what, member) = if is_coupon {
        ("COUPON_INVALID", "coupon", "couponCode")
    } else {
        ("PROMOTION_INVALID", "promotion code", "promotionCode")
    };
    let name = rejected.code.clone().unwrap_or_default();
    Error::refused(code, format!("The {what} \"{name}\" does not apply: {}.", rejected.reason))
        .with("reason", rejected.reason)
        .with("details", &rejected.details)
        .with(member, name)
}

/// A flash reservation that the buyer named cannot be ordered.
pub(crate) fn reservation_refused(id: FlashReservationId, reason: RejectReason) -> Error {
    let message = match reason {
        RejectReason::Unknown => format!("Reservation {id} is not there, or not yours."),
        RejectReason::Paused => format!("The sale of reservation {id} is paused: order it when it goes on."),
        RejectReason::NoMatchingItems => format!("What reservation {id} is of is not sold any more."),
        _ => format!("Reservation {id} has lapsed, ended with its sale, or was ordered already: reserve again."),
    };
    Error::refused("FLASH_RESERVATION_INVALID", message).with("reason", reason).with("reservationId", id)
}

/// A state that does not allow this.
pub(crate) fn state(code: &'static str, message: impl Into<String>, status: impl std::fmt::Display) -> Error {
    Error::conflict(code, message).with("status", status.to_string())
}

/// A checkout of the same order or cart is running.
pub(crate) fn in_progress() -> Error {
    let message = "This is being checked out at this moment; look again in a second.";
    Error::conflict("CHECKOUT_IN_PROGRESS", message).retry_after(1)
}

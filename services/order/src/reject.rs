//! The refusals of the order service.

use promox_contract::codes;
use promox_contract::ids::{FlashReservationId, OrderId};
use promox_contract::promotion::{RejectReason, RejectedPromotion};
use promox_kernel::{Amount, Currency, Error, Kind};

/// 402: the payment was declined. The order exists and is FAILED.
pub(crate) fn declined(order: OrderId, code: Option<&str>) -> Error {
    Error::new(Kind::Declined, codes::PAYMENT_DECLINED, "The payment was declined; nothing was charged.")
        .with("declineCode", code.unwrap_or(codes::DECLINED))
        .with("orderId", order)
}

/// 422: a code that the buyer entered does not apply. Nothing is charged.
pub(crate) fn code_refused(rejected: &RejectedPromotion, is_coupon: bool) -> Error {
    let (code, kind, member) = if is_coupon {
        (codes::COUPON_INVALID, "coupon", "couponCode")
    } else {
        (codes::PROMOTION_INVALID, "promotion code", "promotionCode")
    };
    let name = rejected.code.clone().unwrap_or_default();
    Error::refused(code, format!("The {kind} \"{name}\" does not apply: {}.", rejected.reason))
        .with("reason", rejected.reason)
        .with("details", &rejected.details)
        .with(member, name)
}

/// 422: a flash sale reservation cannot be ordered.
pub(crate) fn reservation_refused(id: FlashReservationId, reason: RejectReason) -> Error {
    let message = match reason {
        RejectReason::Unknown => format!("Reservation {id} does not exist or is not yours."),
        RejectReason::Paused => format!("The sale of reservation {id} is paused: order it when the sale resumes."),
        RejectReason::NoMatchingItems => format!("The item of reservation {id} is no longer sold."),
        _ => format!("Reservation {id} has expired, ended with its sale, or was already ordered: reserve again."),
    };
    Error::refused(codes::FLASH_RESERVATION_INVALID, message).with("reason", reason).with("reservationId", id)
}

/// 409: the status of the order or return does not allow the change.
pub(crate) fn state(code: &'static str, message: impl Into<String>, status: impl std::fmt::Display) -> Error {
    Error::conflict(code, message).with("status", status.to_string())
}

/// 409: a checkout of the order or cart is running.
pub(crate) fn in_progress() -> Error {
    let message = "A checkout of this order or cart is in progress; retry in one second.";
    Error::conflict(codes::CHECKOUT_IN_PROGRESS, message).retry_after(1)
}

/// 409: a return of the order is in progress.
pub(crate) fn return_in_progress() -> Error {
    let message = "A return of this order is in progress; retry in one second.";
    Error::conflict(codes::RETURN_IN_PROGRESS, message).retry_after(1)
}

/// 409: the goods to be shipped are not paid for.
pub(crate) fn unpaid(needed: Amount, secured: Amount, currency: Currency) -> Error {
    let message = format!(
        "The shipped goods including this parcel cost {needed} {currency}, of which {secured} {currency} is paid: send \
             `confirm: true` to ship the parcel anyway."
    );
    Error::conflict(codes::UNPAID, message).with("needed", needed).with("paid", secured)
}

/// 422: more shipping is to be refunded than is left of what was paid for it.
pub(crate) fn shipping_refund(left: Amount, currency: Currency) -> Error {
    let message = format!("At most {left} {currency} of shipping can still be refunded.");
    Error::refused(codes::SHIPPING_REFUND_EXCEEDS_PAID, message).with("pointer", "/shippingRefund").with("left", left)
}

/// 422: a fee exceeds the refund that it is deducted from.
pub(crate) fn fee(max: Amount, currency: Currency) -> Error {
    let message = format!("The fee must not exceed the refund of {max} {currency}.");
    Error::refused(codes::FEE_EXCEEDS_REFUND, message).with("pointer", "/fee").with("most", max)
}

/// 409: the order has the maximum number of returns.
pub(crate) fn too_many_returns(max: usize) -> Error {
    Error::conflict(codes::TOO_MANY_RETURNS, format!("An order can have at most {max} returns."))
}

//! The refusals of the payment service.

use promox_contract::codes;
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Currency, Error};

/// The status does not allow the change.
pub(crate) fn transition(from: PaymentStatus, to: PaymentStatus) -> Error {
    Error::conflict(codes::INVALID_TRANSITION, format!("The payment is {from}: it cannot become {to}."))
        .with("status", from)
}

/// The amount exceeds what is left of the capture.
pub(crate) fn exceeds(left: Amount, currency: Currency) -> Error {
    Error::refused(
        codes::REFUND_EXCEEDS_CAPTURED,
        format!("At most {left} {currency} of this payment can still be refunded."),
    )
    .with("pointer", "/amount")
    .with("left", left)
}

/// The payment has the maximum number of refunds.
pub(crate) fn too_many_refunds(most: usize) -> Error {
    Error::refused(codes::TOO_MANY_REFUNDS, format!("A payment can have at most {most} manual refunds."))
}

/// The order has a payment of another amount or currency.
pub(crate) fn mismatch(amount: Amount, currency: Currency) -> Error {
    Error::conflict(codes::PAYMENT_MISMATCH, format!("The order's payment is for {amount} {currency}."))
}

/// The order has ended and takes no payment.
pub(crate) fn cancelled() -> Error {
    Error::conflict(codes::PAYMENT_CANCELLED, "The order has ended and takes no payment.")
}

/// The provider has not answered: the request may have been carried out, and repeating it is safe.
pub(crate) fn no_answer() -> Error {
    Error::unavailable(codes::PROVIDER_SILENT, "The payment provider has not answered; try again.", 2)
}

/// The sandbox was switched off after the order was placed.
pub(crate) fn sandbox_off() -> Error {
    Error::conflict(codes::SANDBOX_OFF, "The sandbox is switched off: its test money pays for nothing.")
}

/// The order's checkout is still running and controls the payment.
pub(crate) fn in_checkout() -> Error {
    let message = "A checkout of the order is in progress; look again in a second.";
    Error::conflict(codes::CHECKOUT_IN_PROGRESS, message).retry_after(1)
}

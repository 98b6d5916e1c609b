//! What the payment service refuses, and the codes a caller may branch on.

use promox_contract::codes;
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Currency, Error};

/// It does not go there from where it stands.
pub(crate) fn transition(from: PaymentStatus, to: PaymentStatus) -> Error {
    Error::conflict(codes::INVALID_TRANSITION, format!("The payment is {from}: it cannot become {to}."))
        .with("status", from)
}

/// More than what is left of the capture.
pub(crate) fn exceeds(left: Amount, currency: Currency) -> Error {
    Error::refused(
        codes::REFUND_EXCEEDS_CAPTURED,
        format!("At most {left} {currency} of this payment can still be refunded."),
    )
    .with("pointer", "/amount")
    .with("left", left)
}

/// The payment has all the refunds it may have.
pub(crate) fn too_many_refunds(most: usize) -> Error {
    Error::refused(codes::TOO_MANY_REFUNDS, format!("A payment can have at most {most} manual refunds."))
}

/// The order has a payment of another amount or currency.
pub(crate) fn mismatch(amount: Amount, currency: Currency) -> Error {
    Error::conflict(codes::PAYMENT_MISMATCH, format!("The order's payment is for {amount} {currency}."))
}

/// The order ended: it takes no payment.
pub(crate) fn cancelled() -> Error {
    Error::conflict(codes::PAYMENT_CANCELLED, "The order has ended and takes no payment.")
}

/// The provider has not answered: what was asked may have happened, and asking again is safe.
pub(crate) fn no_answer() -> Error {
    Error::unavailable(codes::PROVIDER_SILENT, "The payment provider has not answered; try again.", 2)
}

/// The sandbox was switched off since the order was placed.
pub(crate) fn sandbox_off() -> Error {
    Error::conflict(codes::SANDBOX_OFF, "The sandbox is switched off: its test money pays for nothing.")
}

/// The order's checkout has not ended: its payment is the checkout's.
pub(crate) fn in_checkout() -> Error {
    let message = "A checkout of the order is in progress; look again in a second.";
    Error::conflict(codes::CHECKOUT_IN_PROGRESS, message).retry_after(1)
}

//! The refusals of the payment service.

use promox_contract::codes;
use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Currency, Error, Kind};

use crate::records::Provider;

/// 409: the payment's status does not allow the change.
pub(crate) fn transition(from: PaymentStatus, to: PaymentStatus) -> Error {
    let detail = if from == to {
        format!("The payment is already {from}.")
    } else {
        format!("The payment is {from}: it cannot become {to}.")
    };
    Error::conflict(codes::INVALID_TRANSITION, detail).with("status", from)
}

/// 422: the amount exceeds what is left of the capture.
pub(crate) fn exceeds(left: Amount, currency: Currency) -> Error {
    Error::refused(
        codes::REFUND_EXCEEDS_CAPTURED,
        format!("At most {left} {currency} of this payment can still be refunded."),
    )
    .with("pointer", "/amount")
    .with("left", left)
}

/// 422: the payment has the maximum number of manual refunds.
pub(crate) fn too_many_refunds(max: usize) -> Error {
    Error::refused(codes::TOO_MANY_REFUNDS, format!("A payment can have at most {max} manual refunds."))
}

/// 409: the order has a payment of another amount or currency.
pub(crate) fn mismatch(amount: Amount, currency: Currency) -> Error {
    Error::conflict(codes::PAYMENT_MISMATCH, format!("The order's payment is for {amount} {currency}."))
}

/// 409: the order has ended.
pub(crate) fn cancelled() -> Error {
    Error::conflict(codes::PAYMENT_CANCELLED, "The order has ended and can no longer be paid.")
}

/// 503: the provider has not answered. The request may have been carried out; repeating it is safe.
pub(crate) fn no_answer() -> Error {
    Error::unavailable(codes::PROVIDER_SILENT, "The payment provider has not answered; try again.", 2)
}

/// 503: a capture of the payment waits for its provider, and decides how much can be refunded.
pub(crate) fn capturing() -> Error {
    Error::unavailable(codes::CAPTURE_PENDING, "A capture of the payment waits for its provider; try again.", 2)
}

/// 409: the provider accepts no charges any more.
pub(crate) fn provider_off(provider: Provider) -> Error {
    let (code, message) = match provider {
        Provider::Sandbox => (codes::SANDBOX_OFF, "The sandbox is disabled.".to_owned()),
        _ => (codes::PROVIDER_OFF, format!("The payment provider {provider} is not configured.")),
    };
    Error::conflict(code, message)
}

/// 503: the provider that a payment was made with is not configured any more.
pub(crate) fn not_configured(provider: Provider) -> Error {
    Error::unavailable(codes::PROVIDER_OFF, format!("The payment provider {provider} is not configured."), 60)
}

/// 404: the provider sends no webhooks, or they are not set up.
pub(crate) fn no_webhooks() -> Error {
    Error::not_found("provider of webhooks")
}

/// 401: a webhook cannot be trusted. `why` completes the message.
pub(crate) fn untrusted(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Unauthenticated, codes::BAD_SIGNATURE, format!("The webhook was rejected: {why}."))
}

/// 409: the order's checkout is still running and controls the payment.
pub(crate) fn in_checkout() -> Error {
    let message = "A checkout of this order is in progress; retry in one second.";
    Error::conflict(codes::CHECKOUT_IN_PROGRESS, message).retry_after(1)
}

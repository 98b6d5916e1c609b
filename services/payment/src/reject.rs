//! What the payment service refuses, and the codes a caller may branch on.

use promox_contract::payment::PaymentStatus;
use promox_kernel::{Amount, Currency, Error};
use promox_storage::{StoreError, carries_errors};

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// It does not go there from where it stands.
    Transition { from: PaymentStatus, to: PaymentStatus },
    /// More than what is left of the capture.
    Exceeds { left: Amount, currency: Currency },
    /// The payment has all the refunds it may have.
    TooManyRefunds { most: usize },
    /// The order has a payment of another amount or currency.
    Mismatch { amount: Amount, currency: Currency },
    /// The order ended: it takes no payment.
    Cancelled,
    /// There is no such thing.
    Absent(&'static str),
    /// Something that has its words already.
    Other(Error),
    /// The store did not do it.
    Store(StoreError),
}

carries_errors!(Reject);

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Transition { from, to } => {
                Self::conflict("INVALID_TRANSITION", format!("The payment is {from}: it cannot become {to}."))
                    .with("status", from)
            }
            Reject::Exceeds { left, currency } => Self::refused(
                "REFUND_EXCEEDS_CAPTURED",
                format!("At most {left} {currency} of this payment can be refunded still."),
            )
            .with("pointer", "/amount")
            .with("left", left),
            Reject::TooManyRefunds { most } => {
                Self::refused("TOO_MANY_REFUNDS", format!("A payment has at most {most} refunds by hand."))
            }
            Reject::Mismatch { amount, currency } => {
                Self::conflict("PAYMENT_MISMATCH", format!("The order's payment is one of {amount} {currency}."))
            }
            Reject::Cancelled => Self::conflict("PAYMENT_CANCELLED", "The order has ended: it takes no payment."),
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
}

/// The provider has not answered: what was asked may have happened, and asking again is safe.
pub(crate) fn no_answer() -> Error {
    Error::unavailable("PROVIDER_SILENT", "The payment provider has not answered; ask again.", 2)
}

/// The sandbox was switched off since the order was placed.
pub(crate) fn sandbox_off() -> Error {
    Error::conflict("SANDBOX_OFF", "The sandbox is switched off: its pretend money pays for nothing.")
}

/// The order's checkout has not ended: its payment is the checkout's.
pub(crate) fn in_checkout() -> Error {
    let message = "The order is being checked out at this moment; look again in a second.";
    Error::conflict("CHECKOUT_IN_PROGRESS", message).retry_after(1)
}

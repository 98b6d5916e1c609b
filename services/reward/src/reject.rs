//! What rewards refuse, and the codes a caller may branch on.

use promox_contract::ids::OrderId;
use promox_kernel::{Amount, Error};
use promox_storage::{StoreError, carries_errors};

use crate::rules::worth::Unfit;

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// There are not so many points to spend.
    NotEnough { asked: i64, spendable: i64 },
    /// They are spread over more lots than are taken at once.
    Scattered { most: usize },
    /// Points do not pay so much of an order, or nothing.
    Unfit(Unfit),
    /// An adjustment would take more than there is.
    BelowZero { balance: i64 },
    /// The order gave its points back.
    Released { order_id: OrderId },
    /// The order took another number of points.
    OtherHold { order_id: OrderId, points: i64 },
    /// Another achievement has the code.
    CodeTaken { code: String },
    /// So many there can be.
    TooMany { what: &'static str, most: usize },
    /// More of an account is due than one transaction does; a job is at it.
    Busy,
    /// There is no such thing.
    Absent(&'static str),
    /// It has its words already.
    Other(Error),
    /// The store did not do it.
    Store(StoreError),
}

carries_errors!(Reject);

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::NotEnough { asked, spendable } => {
                insufficient("NOT_ENOUGH", format!("{asked} points are asked for, {spendable} can be spent."))
                    .with("asked", asked)
                    .with("spendable", spendable)
            }
            Reject::Scattered { most } => {
                let message = format!("So many points lie in more than {most} lots: spend fewer at once.");
                insufficient("TOO_MANY_LOTS", message)
            }
            Reject::Unfit(unfit) => unfit_error(unfit),
            Reject::BelowZero { balance } => Self::conflict(
                "POINTS_INSUFFICIENT",
                format!("The balance is {balance} points; it cannot go below zero."),
            )
            .with("balance", balance),
            Reject::Released { order_id } => {
                Self::conflict("POINTS_RELEASED", format!("Order {order_id} has given its points back."))
            }
            Reject::OtherHold { order_id, points } => {
                Self::conflict("POINTS_HELD", format!("Order {order_id} has taken {points} points already."))
            }
            Reject::CodeTaken { code } => {
                Self::conflict("CODE_TAKEN", format!("There is an achievement \"{code}\" already."))
            }
            Reject::TooMany { what, most } => {
                Self::conflict("TOO_MANY", format!("There can be {most} {what}: delete one first."))
            }
            Reject::Busy => Self::unavailable("ACCOUNT_BUSY", "The account is being brought up to date.", 1),
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
}

fn insufficient(reason: &str, message: String) -> Error {
    Error::refused("POINTS_INSUFFICIENT", message).with("reason", reason)
}

fn unfit_error(unfit: Unfit) -> Error {
    let limit = |reason: &str, words: &str, amount: Amount| {
        insufficient(reason, format!("Points pay {words} {amount} of this order.")).with("limit", amount)
    };
    match unfit {
        Unfit::WorthNothing => insufficient("WORTH_NOTHING", "So many points are worth nothing here.".to_owned()),
        Unfit::BelowShare(least) => limit("BELOW_SHARE", "at least", least),
        Unfit::AboveShare(most) => limit("ABOVE_SHARE", "at most", most),
    }
}

//! Refusals of rewards; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_kernel::{Amount, Error};

use crate::rules::worth::Unfit;

/// The user has too few points to spend.
pub(crate) fn not_enough(asked: i64, spendable: i64) -> Error {
    insufficient(codes::NOT_ENOUGH, format!("{asked} points were requested, but only {spendable} can be spent."))
        .with("asked", asked)
        .with("spendable", spendable)
}

/// The points are spread over more lots than can be spent from at once.
pub(crate) fn scattered(most: usize) -> Error {
    let message = format!("That many points are spread over more than {most} lots: spend fewer at once.");
    insufficient(codes::TOO_MANY_LOTS, message)
}

/// Points cannot pay that much of an order, or nothing.
pub(crate) fn unfit(unfit: Unfit) -> Error {
    let limit = |reason: &str, words: &str, amount: Amount| {
        insufficient(reason, format!("Points can pay {words} {amount} of this order.")).with("limit", amount)
    };
    match unfit {
        Unfit::WorthNothing => {
            insufficient(codes::WORTH_NOTHING, "That many points have no value for this order.".to_owned())
        }
        Unfit::BelowShare(least) => limit(codes::BELOW_SHARE, "at least", least),
        Unfit::AboveShare(most) => limit(codes::ABOVE_SHARE, "at most", most),
    }
}

/// An adjustment would make the balance negative.
pub(crate) fn below_zero(balance: i64) -> Error {
    Error::conflict(codes::POINTS_INSUFFICIENT, format!("The balance is {balance} points and cannot become negative."))
        .with("balance", balance)
}

/// The order has released its points.
pub(crate) fn released(order_id: OrderId) -> Error {
    Error::conflict(codes::POINTS_RELEASED, format!("The points of order {order_id} were already released."))
}

/// The order holds another number of points.
pub(crate) fn other_hold(order_id: OrderId, points: i64) -> Error {
    Error::conflict(codes::POINTS_HELD, format!("Order {order_id} already holds {points} points."))
}

/// Another achievement has the code.
pub(crate) fn code_taken(code: String) -> Error {
    Error::conflict(codes::CODE_TAKEN, format!("An achievement with the code \"{code}\" already exists."))
}

/// The maximum is reached.
pub(crate) fn too_many(what: &'static str, most: usize) -> Error {
    Error::conflict(codes::TOO_MANY, format!("The limit of {most} {what} is reached: delete one first."))
}

/// More of an account is due than one transaction can handle; a job is working on it.
pub(crate) fn busy() -> Error {
    Error::unavailable(codes::ACCOUNT_BUSY, "The account is being brought up to date; try again.", 1)
}

fn insufficient(reason: &str, message: String) -> Error {
    Error::refused(codes::POINTS_INSUFFICIENT, message).with("reason", reason)
}

//! Refusals of the reward service. The codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::ids::OrderId;
use promox_kernel::{Amount, Error};

use crate::rules::worth::PointsRefusal;

/// The user has too few points to spend.
pub(crate) fn not_enough_points(requested: i64, spendable: i64) -> Error {
    insufficient(codes::NOT_ENOUGH, format!("{requested} points were requested, but only {spendable} can be spent."))
        .with("asked", requested)
        .with("spendable", spendable)
}

/// The points are spread over more lots than one transaction can spend from.
pub(crate) fn too_many_lots(most: usize) -> Error {
    let message = format!("Spending this many points would use more than {most} lots: spend fewer points at once.");
    insufficient(codes::TOO_MANY_LOTS, message)
}

/// The points cannot pay for the order: they have no value, or too small or too large a share.
pub(crate) fn points_refused(refusal: PointsRefusal) -> Error {
    let limit = |reason: &str, words: &str, amount: Amount| {
        insufficient(reason, format!("Points can pay {words} {amount} of this order.")).with("limit", amount)
    };
    match refusal {
        PointsRefusal::WorthNothing => {
            insufficient(codes::WORTH_NOTHING, "That many points have no value for this order.".to_owned())
        }
        PointsRefusal::BelowShare(least) => limit(codes::BELOW_SHARE, "at least", least),
        PointsRefusal::AboveShare(most) => limit(codes::ABOVE_SHARE, "at most", most),
    }
}

/// An adjustment would make the balance negative.
pub(crate) fn balance_below_zero(balance: i64) -> Error {
    Error::conflict(codes::POINTS_INSUFFICIENT, format!("The balance is {balance} points and cannot become negative."))
        .with("balance", balance)
}

/// The points of the order were already released.
pub(crate) fn points_released(order_id: OrderId) -> Error {
    Error::conflict(codes::POINTS_RELEASED, format!("The points of order {order_id} were already released."))
}

/// The order already holds another number of points.
pub(crate) fn other_points_held(order_id: OrderId, points: i64) -> Error {
    Error::conflict(codes::POINTS_HELD, format!("Order {order_id} already holds {points} points."))
}

/// Another achievement already has the code.
pub(crate) fn code_taken(code: String) -> Error {
    Error::conflict(codes::CODE_TAKEN, format!("An achievement with the code \"{code}\" already exists."))
}

/// There are already as many items of a kind as are allowed.
pub(crate) fn too_many(what: &'static str, most: usize) -> Error {
    Error::conflict(codes::TOO_MANY, format!("The limit of {most} {what} is reached: delete one first."))
}

/// More lots of the account are due than one transaction can handle. A job brings the account up to date.
pub(crate) fn account_busy() -> Error {
    Error::unavailable(codes::ACCOUNT_BUSY, "The account is being brought up to date; try again.", 1)
}

fn insufficient(reason: &str, message: String) -> Error {
    Error::refused(codes::POINTS_INSUFFICIENT, message).with("reason", reason)
}

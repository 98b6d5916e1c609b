//! Refusals of coupons; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::promotion::RejectReason;
use promox_kernel::Error;

/// COUPON_INVALID: the buyer cannot use the code now.
pub(crate) fn invalid_coupon(code: String, reason: RejectReason) -> Error {
    Error::refused(codes::COUPON_INVALID, format!("The coupon \"{code}\" cannot be used: {}.", reason_text(reason)))
        .with("code", code)
        .with("reason", reason)
}

/// CODE_TAKEN: another coupon or a promotion has the code.
pub(crate) fn code_taken(code: String) -> Error {
    Error::conflict(codes::CODE_TAKEN, format!("The code \"{code}\" is already in use: choose another."))
}

/// REDEMPTION_RELEASED: the reference has already released its redemption.
pub(crate) fn redemption_released(reference: String) -> Error {
    Error::conflict(
        codes::REDEMPTION_RELEASED,
        format!("The redemption of \"{reference}\" was released: use a new reference."),
    )
}

/// REDEMPTION_PINNED: the redemption belongs to an order.
pub(crate) fn belongs_to_order() -> Error {
    Error::conflict(codes::REDEMPTION_PINNED, "The redemption belongs to an order: cancel the order to release it.")
}

/// ALREADY_REDEEMED: the limit would be lower than the number of active redemptions.
pub(crate) fn already_redeemed(redeemed: u32) -> Error {
    Error::conflict(
        codes::ALREADY_REDEEMED,
        format!("The coupon was redeemed {redeemed} times: the limit cannot be lower than that."),
    )
    .with("redeemed", redeemed)
}

/// BATCH_DISABLED: the coupon's batch is disabled.
pub(crate) fn batch_disabled() -> Error {
    Error::conflict(codes::BATCH_DISABLED, "The coupon's whole batch is disabled: create a new coupon instead.")
}

/// A reason as text.
fn reason_text(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Unknown => "this code does not exist",
        RejectReason::NotStarted => "it is not valid yet",
        RejectReason::Expired => "it has expired",
        RejectReason::Paused => "it is disabled",
        RejectReason::LimitReached => "its limit of redemptions is reached",
        RejectReason::UserLimitReached => "you have reached the limit of redemptions per user",
        RejectReason::BudgetExhausted => "its budget is exhausted",
        RejectReason::NotEligible => "it belongs to another user",
        RejectReason::ConditionsNotMet => "its conditions are not met",
        RejectReason::NotCombinable => "a better discount applies",
        RejectReason::NoMatchingItems => "it is for other items",
    }
}

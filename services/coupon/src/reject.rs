//! Refusals of coupons; their codes are in `contract::codes`.

use promox_contract::codes;
use promox_contract::promotion::RejectReason;
use promox_kernel::Error;

/// The buyer cannot use the code now.
pub(crate) fn invalid(code: String, reason: RejectReason) -> Error {
    Error::refused(codes::COUPON_INVALID, format!("The coupon \"{code}\" cannot be used: {}.", words(reason)))
        .with("code", code)
        .with("reason", reason)
}

/// Another coupon or a promotion has the code.
pub(crate) fn taken(code: String) -> Error {
    Error::conflict(codes::CODE_TAKEN, format!("The code \"{code}\" is already in use: choose another."))
}

/// The reference has released its redemption.
pub(crate) fn released(reference: String) -> Error {
    Error::conflict(
        codes::REDEMPTION_RELEASED,
        format!("The redemption of \"{reference}\" was released: use a new reference."),
    )
}

/// The redemption is an order's.
pub(crate) fn pinned() -> Error {
    Error::conflict(codes::REDEMPTION_PINNED, "The redemption belongs to an order: cancel the order to release it.")
}

/// The limit is below the current redemptions.
pub(crate) fn already_redeemed(redeemed: u32) -> Error {
    Error::conflict(
        codes::ALREADY_REDEEMED,
        format!("The coupon was redeemed {redeemed} times: the limit cannot be lower than that."),
    )
    .with("redeemed", redeemed)
}

/// The coupon's batch is disabled.
pub(crate) fn batch_disabled() -> Error {
    Error::conflict(codes::BATCH_DISABLED, "The coupon's whole batch is disabled: create a new coupon instead.")
}

/// A reason as text.
fn words(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Unknown => "this code does not exist",
        RejectReason::NotStarted => "it is not valid yet",
        RejectReason::Expired => "it has expired",
        RejectReason::Paused => "it is disabled",
        RejectReason::LimitReached => "its limit of redemptions is reached",
        RejectReason::UserLimitReached => "you have reached the limit of redemptions per user",
        RejectReason::BudgetExhausted => "its budget is spent",
        RejectReason::NotEligible => "it belongs to another user",
        RejectReason::ConditionsNotMet => "its conditions are not met",
        RejectReason::NotCombinable => "a better discount applies",
        RejectReason::NoMatchingItems => "it is for other items",
    }
}

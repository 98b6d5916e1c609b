//! What coupons refuse, and the codes a caller may branch on.

use promox_contract::codes;
use promox_contract::promotion::RejectReason;
use promox_kernel::Error;

/// The code is not good for this buyer now.
pub(crate) fn invalid(code: String, reason: RejectReason) -> Error {
    Error::refused(codes::COUPON_INVALID, format!("The coupon \"{code}\" cannot be used: {}.", words(reason)))
        .with("code", code)
        .with("reason", reason)
}

/// Another coupon or a promotion has the code.
pub(crate) fn taken(code: String) -> Error {
    Error::conflict(codes::CODE_TAKEN, format!("The code \"{code}\" is taken: choose another."))
}

/// The reference gave its redemption back.
pub(crate) fn released(reference: String) -> Error {
    Error::conflict(
        codes::REDEMPTION_RELEASED,
        format!("\"{reference}\" has given its redemption back: take a new reference."),
    )
}

/// The redemption is an order's.
pub(crate) fn pinned() -> Error {
    Error::conflict(codes::REDEMPTION_PINNED, "The redemption is an order's: cancel the order to release it.")
}

/// Fewer redemptions than there are cannot be the limit.
pub(crate) fn already_redeemed(redeemed: u32) -> Error {
    Error::conflict(
        codes::ALREADY_REDEEMED,
        format!("It is redeemed {redeemed} times: the limit cannot be below that."),
    )
    .with("redeemed", redeemed)
}

/// The coupon's batch is disabled.
pub(crate) fn batch_disabled() -> Error {
    Error::conflict(codes::BATCH_DISABLED, "Its whole batch is disabled: make a new coupon instead.")
}

/// A reason for people.
fn words(reason: RejectReason) -> &'static str {
    match reason {
        RejectReason::Unknown => "there is no such code",
        RejectReason::NotStarted => "it is not good yet",
        RejectReason::Expired => "it has expired",
        RejectReason::Paused => "it is disabled",
        RejectReason::LimitReached => "it has been used as often as it may",
        RejectReason::UserLimitReached => "you have used it as often as one may",
        RejectReason::BudgetExhausted => "its budget is spent",
        RejectReason::NotEligible => "it is somebody else's",
        RejectReason::ConditionsNotMet => "its conditions are not met",
        RejectReason::NotCombinable => "something better applies",
        RejectReason::NoMatchingItems => "it is for other goods",
    }
}

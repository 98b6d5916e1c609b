//! The refusals of the promotion service.

use promox_contract::codes;
use promox_contract::ids::PromotionId;
use promox_contract::promotion::RejectReason;
use promox_contract::refusal::PromotionUnusable;
use promox_kernel::Error;

use crate::records::PromotionStatus;

/// 422: a promotion cannot be used because a limit is reached, its budget is exhausted, or it no longer exists.
pub(crate) fn unusable(id: PromotionId, name: &str, reason: RejectReason) -> Error {
    let unusable = PromotionUnusable { promotion_id: Some(id), campaign_id: None, reason };
    unusable.refusal(format!("\"{name}\" can no longer be used: {reason}."))
}

/// 409: another promotion or coupon has the code.
pub(crate) fn code_taken(code: &str) -> Error {
    Error::conflict(codes::CODE_TAKEN, format!("Another promotion or coupon has the code {code}."))
}

/// The transitions that a promotion's status allows.
pub(crate) fn allowed(from: PromotionStatus) -> &'static [PromotionStatus] {
    use PromotionStatus::{Active, Archived, Draft, Paused};
    match from {
        Draft | Paused => &[Active, Archived],
        Active => &[Paused, Archived],
        Archived => &[],
    }
}

/// 409: the status does not allow this transition. The refusal lists those that are allowed.
pub(crate) fn invalid_transition(from: PromotionStatus, to: PromotionStatus) -> Error {
    let allowed = allowed(from);
    let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
    let words = if names.is_empty() { "nothing".to_owned() } else { names.join(" or ") };
    let message = format!("A promotion that is {from} can become {words}, not {to}.");
    Error::conflict(codes::INVALID_TRANSITION, message).with("allowed", allowed)
}

/// 422: a limit would be lower than the uses so far.
pub(crate) fn below_use(pointer: &'static str, used: impl std::fmt::Display) -> Error {
    Error::field(pointer, format!("must not be lower than what is used so far, {used}"))
}

/// 422: the maximum number of active promotions is reached.
pub(crate) fn too_many_active(most: usize) -> Error {
    let message = format!("At most {most} promotions can be active at once: pause or archive some first.");
    Error::refused(codes::TOO_MANY_ACTIVE, message)
}

/// 409: the order's uses were released.
pub(crate) fn uses_released() -> Error {
    Error::conflict(codes::USES_RELEASED, "The order's uses were released and cannot be taken again.")
}

/// 409: another request changed the promotion.
pub(crate) fn changed_meanwhile() -> Error {
    Error::conflict(codes::CHANGED_MEANWHILE, "The promotion was changed by another request: try again.")
}

/// 503: a promotion has so many uses that counting them for new limits takes longer than a request may.
pub(crate) fn uses_uncounted() -> Error {
    let message =
        "Counting the promotion's earlier uses for the new limits takes longer: repeat the request to continue.";
    Error::unavailable(codes::USES_UNCOUNTED, message, 1)
}

/// 503: the claim of a code expired before the promotion was written.
pub(crate) fn claim_expired() -> Error {
    Error::unavailable(codes::CLAIM_LAPSED, "Checking that the code is unused took too long: try again.", 1)
}

/// 503: another request is claiming the same codes.
pub(crate) fn codes_busy() -> Error {
    Error::unavailable(codes::CODES_BUSY, "Another request is claiming these codes: try again.", 1)
}

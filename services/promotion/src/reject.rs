//! The refusals of the promotion service.

use promox_contract::ids::PromotionId;
use promox_contract::promotion::RejectReason;
use promox_kernel::Error;
use promox_storage::{StoreError, carries_errors};

use crate::records::PromotionStatus;

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// A limit or budget is used up.
    Exhausted { id: PromotionId, name: String, reason: RejectReason },
    /// Another promotion or coupon has the code.
    CodeTaken(String),
    /// The status does not allow this transition.
    Transition { from: PromotionStatus, to: PromotionStatus },
    /// A limit would be below its uses.
    BelowUse { pointer: &'static str, used: String },
    /// The maximum of active promotions is reached.
    TooManyActive { most: usize },
    /// The order's uses were released.
    Released,
    /// The entity does not exist.
    Absent(&'static str),
    /// An error of another operation.
    Other(Error),
    /// The store failed.
    Store(StoreError),
}

carries_errors!(Reject);

/// The transitions that a promotion's status allows.
pub(crate) fn allowed(from: PromotionStatus) -> &'static [PromotionStatus] {
    use PromotionStatus::{Active, Archived, Draft, Paused};
    match from {
        Draft | Paused => &[Active, Archived],
        Active => &[Paused, Archived],
        Archived => &[],
    }
}

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Exhausted { id, name, reason } => {
                Self::refused("PROMOTION_INVALID", format!("\"{name}\" can no longer be used: {reason}."))
                    .with("promotionId", id)
                    .with("reason", reason)
            }
            Reject::CodeTaken(code) => {
                Self::conflict("CODE_TAKEN", format!("Another promotion or coupon has the code {code}."))
            }
            Reject::Transition { from, to } => {
                let allowed = allowed(from);
                let names: Vec<&str> = allowed.iter().map(|status| status.as_str()).collect();
                let words = if names.is_empty() { "nothing".to_owned() } else { names.join(" or ") };
                Self::conflict(
                    "INVALID_TRANSITION",
                    format!("A promotion that is {from} can become {words}, not {to}."),
                )
                .with("allowed", allowed)
            }
            Reject::BelowUse { pointer, used } => {
                Self::field(pointer, format!("must not be lower than the {used} uses so far"))
            }
            Reject::TooManyActive { most } => Self::refused(
                "TOO_MANY_ACTIVE",
                format!("At most {most} promotions can be active at once: pause or archive some first."),
            ),
            Reject::Released => {
                Self::conflict("USES_RELEASED", "The order's uses were released and cannot be taken again.")
            }
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
}

//! What coupons refuse, and the codes a caller may branch on.

use promox_contract::promotion::RejectReason;
use promox_kernel::Error;
use promox_storage::{StoreError, carries_errors};

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// The code is not good for this buyer now.
    Invalid { code: String, reason: RejectReason },
    /// Another coupon or a promotion has the code.
    Taken { code: String },
    /// The reference gave its redemption back.
    Released { reference: String },
    /// The redemption is an order's.
    Pinned,
    /// Fewer redemptions than there are cannot be the limit.
    AlreadyRedeemed { redeemed: u32 },
    /// The coupon's batch is disabled.
    BatchDisabled,
    /// There is no such thing.
    Absent(&'static str),
    /// The caller knows another version, or something else that has its words already.
    Other(Error),
    /// The store did not do it.
    Store(StoreError),
}

carries_errors!(Reject);

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::Invalid { code, reason } => {
                Self::refused("COUPON_INVALID", format!("The coupon \"{code}\" cannot be used: {}.", words(reason)))
                    .with("code", code)
                    .with("reason", reason)
            }
            Reject::Taken { code } => {
                Self::conflict("CODE_TAKEN", format!("The code \"{code}\" is taken: choose another."))
            }
            Reject::Released { reference } => Self::conflict(
                "REDEMPTION_RELEASED",
                format!("\"{reference}\" has given its redemption back: take a new reference."),
            ),
            Reject::Pinned => {
                Self::conflict("REDEMPTION_PINNED", "The redemption is an order's: cancel the order to release it.")
            }
            Reject::AlreadyRedeemed { redeemed } => Self::conflict(
                "ALREADY_REDEEMED",
                format!("It is redeemed {redeemed} times: the limit cannot be below that."),
            )
            .with("redeemed", redeemed),
            Reject::BatchDisabled => {
                Self::conflict("BATCH_DISABLED", "Its whole batch is disabled: make a new coupon instead.")
            }
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
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

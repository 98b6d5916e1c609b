//! What flash sales refuse, and the codes a caller may branch on.

use promox_contract::ids::FlashReservationId;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Error, FieldError};
use promox_storage::{GateRefusal, StoreError, carries_errors};

use crate::records::{SaleStatus, Terms};

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// Fewer are left than were asked for.
    SoldOut { left: i64 },
    /// The user has as many as one may have.
    LimitReached { limit: u32 },
    /// The sale does not sell now.
    NotActive { status: SaleStatus },
    /// The sale's campaign is for others.
    NotForYou,
    /// A reservation cannot be ordered.
    Invalid { id: FlashReservationId, reason: RejectReason },
    /// A sale that sells can only be renamed or end at another time.
    Running,
    /// The sale is over.
    Over { status: SaleStatus },
    /// Somebody else changes the sale at this moment.
    Changing,
    /// The reservation is an order's.
    Ordered,
    /// There is no such thing, or not the caller's.
    Absent(&'static str),
    /// Something else that has its words already.
    Other(Error),
    /// The store did not do it.
    Store(StoreError),
}

carries_errors!(Reject);

impl From<GateRefusal> for Reject {
    fn from(no: GateRefusal) -> Self {
        match no {
            GateRefusal::SoldOut { left } => Self::SoldOut { left },
            GateRefusal::LimitReached { limit } => Self::LimitReached { limit },
        }
    }
}

impl From<Reject> for Error {
    fn from(reject: Reject) -> Self {
        match reject {
            Reject::SoldOut { left } => sold_out(left),
            Reject::LimitReached { limit } => {
                let message = format!("{limit} a buyer may have of this, reservations and purchases together.");
                Self::conflict("LIMIT_REACHED", message).with("perUserLimit", limit)
            }
            Reject::NotActive { status } => {
                Self::conflict("NOT_ACTIVE", "This sale does not sell now.").with("status", status)
            }
            Reject::NotForYou => Self::conflict("NOT_ACTIVE", "This sale is for others: it does not sell to you.")
                .with("reason", RejectReason::NotEligible),
            Reject::Invalid { id, reason } => invalid(id, reason),
            Reject::Running => Self::conflict(
                "SALE_RUNNING",
                "The sale sells already: its name and end can change, or cancel it and make another.",
            ),
            Reject::Over { status } => {
                Self::conflict("INVALID_TRANSITION", format!("The sale is {status}: nothing of it can change."))
                    .with("allowed", Vec::<SaleStatus>::new())
            }
            Reject::Changing => {
                Self::conflict("SALE_CHANGING", "The sale is being changed at this moment: read it again.")
            }
            Reject::Ordered => {
                Self::conflict("RESERVATION_ORDERED", "The reservation is an order's: cancel the order.")
            }
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
}

fn sold_out(left: i64) -> Error {
    let message = match left {
        ..=0 => "Nothing is left of this.".to_owned(),
        left => format!("Only {left} are left of this."),
    };
    Error::conflict("SOLD_OUT", message).with("remaining", left.max(0))
}

fn invalid(id: FlashReservationId, reason: RejectReason) -> Error {
    let message = match reason {
        RejectReason::Unknown => format!("Reservation {id} is not there, or not yours."),
        _ => format!("Reservation {id} has lapsed or was ordered already: reserve again."),
    };
    Error::refused("FLASH_RESERVATION_INVALID", message).with("reason", reason).with("reservationId", id)
}

/// What the inventory refused of a sale's stock, with pointers to the items that are short.
pub(crate) fn short(error: Error, terms: &Terms) -> Error {
    let short = error.members().get("items").and_then(serde_json::Value::as_array);
    let fault = |short: &serde_json::Value| {
        let sku = short.get("sku")?.as_str()?.parse().ok()?;
        let at = terms.items.iter().position(|item| item.sku == sku)?;
        let available = short.get("available")?.as_u64()?;
        let detail = format!("only {available} of {sku} are in stock");
        Some(FieldError { pointer: format!("/items/{at}/stock"), code: "INSUFFICIENT_STOCK".into(), detail })
    };
    let faults: Vec<FieldError> = short.into_iter().flatten().filter_map(fault).collect();
    if faults.is_empty() { error } else { Error::invalid(faults) }
}

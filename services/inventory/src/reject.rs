//! What the inventory refuses, and the codes a caller may branch on.

use promox_kernel::{Error, Sku, Timestamp};
use promox_storage::{StoreError, carries_errors};
use schemars::JsonSchema;
use serde::Serialize;

use crate::records::ReservationStatus;

/// A SKU of which there is less than was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Short {
    /// Which.
    pub sku: Sku,
    /// How many were asked for.
    pub asked: u32,
    /// How many there are.
    pub available: u32,
}

/// Why a command was refused.
#[derive(Debug)]
pub(crate) enum Reject {
    /// Every SKU that is short.
    Insufficient(Vec<Short>),
    /// Less would be left than is promised.
    Reserved { sku: Sku, location: String, reserved: i64 },
    /// Backorder cannot end while pieces are owed.
    Owed { sku: Sku, owed: i64 },
    /// A SKU may lie at so many places.
    TooManyLocations { most: usize },
    /// The reference was used for other items.
    ReferenceTaken { id: i64 },
    /// The reservation is over.
    Ended { status: ReservationStatus },
    /// The reservation lapsed.
    Lapsed { at: Timestamp },
    /// The reservation is an order's.
    Pinned,
    /// More comes back than was sold.
    NotSold { sku: Sku, left: u32 },
    /// More is sold than was set aside.
    NotAside { sku: Sku, left: u32 },
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
            Reject::Insufficient(items) => insufficient(&items),
            Reject::Reserved { sku, location, reserved } => Self::conflict(
                "STOCK_RESERVED",
                format!("{reserved} of {sku} at {location} are promised: no fewer can be left there."),
            )
            .with("reserved", reserved),
            Reject::Owed { sku, owed } => Self::conflict(
                "STOCK_OWED",
                format!("{owed} of {sku} are owed to buyers: restock them before backorder ends."),
            ),
            Reject::TooManyLocations { most } => {
                Self::refused("TOO_MANY_LOCATIONS", format!("A SKU may lie at {most} locations."))
            }
            Reject::ReferenceTaken { id } => {
                Self::conflict("REFERENCE_TAKEN", format!("Reservation {id} has this reference with other items."))
                    .with("reservationId", id)
            }
            Reject::Ended { status } => {
                Self::conflict("RESERVATION_ENDED", format!("The reservation is {status} already."))
                    .with("status", status)
            }
            Reject::Lapsed { at } => {
                Self::conflict("RESERVATION_EXPIRED", format!("The reservation lapsed at {at}; make a new one."))
            }
            Reject::Pinned => {
                Self::conflict("RESERVATION_PINNED", "The reservation is an order's: confirm or cancel the order.")
            }
            Reject::NotSold { sku, left } => {
                Self::conflict("RESTOCK_EXCEEDS_SOLD", format!("Of {sku} only {left} are still out."))
            }
            Reject::NotAside { sku, left } => {
                Self::conflict("NOT_SET_ASIDE", format!("Of {sku} only {left} are set aside."))
            }
            Reject::Absent(what) => Self::not_found(what),
            Reject::Other(error) => error,
            Reject::Store(error) => error.into(),
        }
    }
}

fn insufficient(items: &[Short]) -> Error {
    let words: Vec<String> =
        items.iter().take(5).map(|it| format!("{} ({} asked, {} there)", it.sku, it.asked, it.available)).collect();
    let more = if items.len() > words.len() { " and others" } else { "" };
    Error::conflict("INSUFFICIENT_STOCK", format!("Not enough in stock: {}{more}.", words.join(", ")))
        .with("items", items)
}

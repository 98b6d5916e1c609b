//! What analytics tells and what it must agree with others about.

use promox_kernel::{fact, text_enum};
use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// Orders and analytics both state the revenue of each order that counts.
pub const COUNTED: &str = "analytics: totals = what the orders say at the same position";
/// Orders and analytics both state each imported credit note.
pub const CREDITED: &str = "analytics: refunds = the imported credit notes at the same position";
/// Payments and analytics both state what was given back of each order.
pub const GIVEN_BACK: &str = "analytics: refunds = what payments gave back at the same position";

text_enum! {
    /// How far a visit has come.
    VisitStage {
        ProductViewed = "PRODUCT_VIEWED",
        CartAdded = "CART_ADDED",
        CheckoutStarted = "CHECKOUT_STARTED",
    }
}

/// A visit came to a stage for the first time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VisitAdvanced {
    /// Which visit.
    pub visit_id: i64,
    /// Where it came to.
    pub stage: VisitStage,
    /// Whether it is the first that is heard of the visit.
    pub first: bool,
    /// With which product, if it was told.
    pub product_id: Option<ProductId>,
}
fact! { VisitAdvanced = "VISIT_ADVANCED" in "visit" }

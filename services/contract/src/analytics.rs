//! What analytics tells and what it must agree with others about.

use promox_kernel::{Amount, fact, text_enum};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// Orders and analytics both state the revenue of each order that counts, and what of it came back.
pub const COUNTED: &str = "analytics: totals = the orders' totals at the same position";
/// Orders and analytics both state each imported credit note.
pub const CREDITED: &str = "analytics: refunds = the imported credit notes at the same position";
/// Orders and analytics both state what each order that counts bought of campaigns' flash sales, as
/// [`shares`](crate::promotion::shares) of the difference to the list prices.
pub const FLASH_SALES: &str = "analytics: a campaign's flash sales = the flash lines of its orders";
/// Payments and orders both state the money that was given back of each order.
pub const GIVEN_BACK: &str = "an order's refunds = the refunds of its payment";
/// Orders and analytics both state the money that was given back of each order.
pub const REFUNDED: &str = "analytics: refunds = the orders' refunds at the same position";

/// What [`COUNTED`] states of an order: its revenue, and what of it came back.
pub fn counted(revenue: Amount, returned: Amount) -> String {
    format!("{} less {}", revenue.0.normalize(), returned.0.normalize())
}

/// What the pieces of a flash line cost less than by their list price.
pub fn below_list(list_price: Amount, unit_price: Amount, quantity: u32) -> Amount {
    let off = (list_price - unit_price).max(Amount::ZERO);
    Amount(off.0 * Decimal::from(quantity))
}

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

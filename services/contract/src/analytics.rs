//! Events of analytics, and the facts that it must agree on with other services.

use promox_kernel::{Amount, fact, text_enum};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// Orders and analytics both state the revenue of each order that counts, and how much of it was returned.
pub const COUNTED: &str = "analytics: totals = the orders' totals at the same position";
/// Orders and analytics both state each imported credit note.
pub const CREDITED: &str = "analytics: refunds = the imported credit notes at the same position";
/// Orders and analytics both state what each order that counts bought in campaigns' flash sales, as
/// [`shares`](crate::promotion::shares) of the difference to the list prices.
pub const FLASH_SALES: &str = "analytics: a campaign's flash sales = the flash lines of its orders";
/// Payments and orders both state the refunds of each order.
pub const GIVEN_BACK: &str = "an order's refunds = the refunds of its payment";
/// Orders and analytics both state the refunds of each order.
pub const REFUNDED: &str = "analytics: refunds = the orders' refunds at the same position";

/// The statement of [`COUNTED`] about an order: its revenue, and how much of it was returned.
pub fn counted(revenue: Amount, returned: Amount) -> String {
    format!("{} less {}", revenue.0.normalize(), returned.0.normalize())
}

/// The difference between the list price and the price of a flash line.
pub fn below_list(list_price: Amount, unit_price: Amount, quantity: u32) -> Amount {
    let off = (list_price - unit_price).max(Amount::ZERO);
    Amount(off.0 * Decimal::from(quantity))
}

text_enum! {
    /// The stages of a visit.
    VisitStage {
        ProductViewed = "PRODUCT_VIEWED",
        CartAdded = "CART_ADDED",
        CheckoutStarted = "CHECKOUT_STARTED",
    }
}

/// A visit reached a stage for the first time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VisitAdvanced {
    /// The visit.
    pub visit_id: i64,
    /// The stage.
    pub stage: VisitStage,
    /// Whether this is the visit's first event.
    pub first: bool,
    /// The product, if any.
    pub product_id: Option<ProductId>,
}
fact! { VisitAdvanced = "VISIT_ADVANCED" in "visit" }

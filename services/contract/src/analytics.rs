//! Events of the analytics service, and the figures on which it must agree with other services.

use promox_kernel::{Amount, fact, text_enum};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::ids::ProductId;

/// The audit's name for the check that orders and analytics agree on the revenue of each counted order, and on the part
/// of it that was returned.
pub const COUNTED: &str = "analytics: totals = the orders' totals at the same position";
/// The audit's name for the check that orders and analytics agree on each imported credit note.
pub const CREDITED: &str = "analytics: refunds = the imported credit notes at the same position";
/// The audit's name for the check that orders and analytics agree on the discounts of campaigns' flash sales in each
/// counted order, as [`shares`](crate::promotion::shares) of the difference to the list prices.
pub const FLASH_SALES: &str = "analytics: a campaign's flash sales = the flash lines of its orders";
/// The audit's name for the check that payments and orders agree on the refunds of each order.
pub const REFUNDED_BY_PAYMENT: &str = "an order's refunds = the refunds of its payment";
/// The audit's name for the check that orders and analytics agree on the refunds of each order.
pub const REFUNDED: &str = "analytics: refunds = the orders' refunds at the same position";

/// Formats an order's revenue and the part of it that was returned, for [`COUNTED`].
pub fn counted(revenue: Amount, returned: Amount) -> String {
    format!("{} less {}", revenue.0.normalize(), returned.0.normalize())
}

/// The discount of a flash sale line: the difference between list price and unit price for all units, at least zero.
pub fn below_list(list_price: Amount, unit_price: Amount, quantity: u32) -> Amount {
    let discount = (list_price - unit_price).max(Amount::ZERO);
    Amount(discount.0 * Decimal::from(quantity))
}

text_enum! {
    /// A stage of a visit.
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
    /// Whether this is the first stage that the visit reached.
    pub first: bool,
    /// The product, if any.
    pub product_id: Option<ProductId>,
}
fact! { VisitAdvanced = "VISIT_ADVANCED" in "visit" }

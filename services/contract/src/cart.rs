//! Operations of the cart service for other services, and its events.

use promox_kernel::{Email, Locale, Sku, UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CartId, OrderId};
use crate::inventory::SkuQuantity;

/// Gets the caller's cart for checkout, by login or else by cart token. 404 if there is none, 422 `CART_EMPTY` if it is
/// empty.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCartForCheckout {}
operation! { GetCartForCheckout => CartContents, "cart.for_checkout", internal, "The caller's cart, for checkout." }

/// The contents of a cart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartContents {
    /// The cart.
    pub cart_id: CartId,
    /// The version of the cart, for [`EmptyCart`].
    pub version: i64,
    /// The lines of the cart.
    pub items: Vec<SkuQuantity>,
    /// The promotion code, if any.
    pub promotion_code: Option<String>,
    /// The coupon codes.
    pub coupon_codes: Vec<String>,
}
json_reply!(CartContents);

/// Checks that the caller's cart has not changed. 409 `CART_CHANGED` if it has. It is also refused for the reasons of
/// [`GetCartForCheckout`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckCart {
    /// The cart.
    pub cart_id: CartId,
    /// The [`CartContents::version`] that the caller read.
    pub version: i64,
}
operation! { CheckCart => (), "cart.check", internal, "Checks that the caller's cart has not changed." }

/// Removes the contents that an order was placed from. Lines that were added or changed since `version` stay. Repeating
/// the request for the same order changes nothing. The contents of a cart are ordered only once: 409
/// `CART_ALREADY_ORDERED` if another order took this version or a later one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyCart {
    /// The cart.
    pub cart_id: CartId,
    /// The order.
    pub order_id: OrderId,
    /// The [`CartContents::version`] from which the order was placed.
    pub version: i64,
}
operation! { EmptyCart => (), "cart.empty", internal, "Empties a cart that was ordered." }

/// Merges a guest's cart into a user's at login. An unknown or ended token changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergeGuestCart {
    /// The guest cart's secret.
    pub cart_token: String,
    /// The user whose cart it is merged into.
    pub user_id: UserId,
}
operation! { MergeGuestCart => (), "cart.merge_guest", internal, "Merges a guest's cart into a user's." }

/// Prepares the reminder of an abandoned cart, once until the cart is emptied. A guest's cart gets a token for the link,
/// which replaces an earlier one. Repeating the request for the same version prepares the same reminder.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrepareCartReminder {
    /// The cart.
    pub cart_id: CartId,
    /// The version that was abandoned.
    pub version: i64,
}
operation! {
    PrepareCartReminder => PreparedCartReminder, "cart.prepare_reminder", internal, "The reminder of an abandoned cart."
}

/// The answer to [`PrepareCartReminder`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreparedCartReminder {
    /// The reminder; null if the cart has changed, is being ordered, was reminded of before, or has no recipient.
    pub reminder: Option<CartReminder>,
}
json_reply!(PreparedCartReminder);

/// What a reminder shows, and whom it is for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartReminder {
    /// The user; null for a guest.
    pub user_id: Option<UserId>,
    /// The address of a guest who agreed to reminders; null for a user.
    pub email: Option<Email>,
    /// The languages that the guest's browser accepted, the preferred ones first.
    pub languages: Vec<Locale>,
    /// The token that opens a guest's cart, for the link; null for a user's cart, which is opened by logging in.
    pub token: Option<String>,
    /// The lines, in display order.
    pub lines: Vec<CartReminderLine>,
}

/// A line of an abandoned cart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartReminderLine {
    /// The SKU.
    pub sku: Sku,
    /// The product's name; the SKU if it is no longer sold.
    pub name: String,
    /// The units.
    pub quantity: u32,
}

/// A cart with items was idle for the time that the message settings state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartAbandoned {
    /// The cart.
    pub cart_id: CartId,
    /// The user, if known.
    pub user_id: Option<UserId>,
    /// The version of the cart.
    #[serde(default)]
    pub version: i64,
    /// Whether somebody can be reminded: the user, or a guest who agreed to that.
    #[serde(default)]
    pub has_recipient: bool,
}
fact! { CartAbandoned = "CART_ABANDONED" in "cart" kept 30 }

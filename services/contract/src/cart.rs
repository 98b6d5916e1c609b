//! Operations of the cart service for other services, and its events.

use promox_kernel::{UserId, fact, json_reply, operation};
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

/// A cart with items was idle for a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartAbandoned {
    /// The cart.
    pub cart_id: CartId,
    /// The user, if known.
    pub user_id: Option<UserId>,
}
fact! { CartAbandoned = "CART_ABANDONED" in "cart" kept 30 }

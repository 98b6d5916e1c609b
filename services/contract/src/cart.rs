//! What others ask of the cart: what is in it, and to end or merge it.

use promox_kernel::{UserId, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CartId, OrderId};
use crate::inventory::SkuQuantity;

/// Asks for the caller's cart (by login, else by cart token) to check it out; 404 without one, 422 `CART_EMPTY` when nothing is in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCartForCheckout {}
operation! { GetCartForCheckout => CartContents, "cart.for_checkout", internal, "The caller's cart, for checkout." }

/// What is in a cart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartContents {
    /// The cart.
    pub cart_id: CartId,
    /// The state of the cart that this is: what [`EmptyCart`] wants back.
    pub version: i64,
    /// Its lines.
    pub items: Vec<SkuQuantity>,
    /// A promotion's code.
    pub promotion_code: Option<String>,
    /// Coupons' codes.
    pub coupon_codes: Vec<String>,
}
json_reply!(CartContents);

/// Takes out of a cart what an order was placed from: lines put in or changed since `version` stay. Asking again for the
/// same order changes nothing. One order a cart's contents: when another order took that version or a later one, this is
/// 409 `CART_ALREADY_ORDERED` and changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyCart {
    /// Which.
    pub cart_id: CartId,
    /// By which order.
    pub order_id: OrderId,
    /// [`CartContents::version`] as it was when the order was placed.
    pub version: i64,
}
operation! { EmptyCart => (), "cart.empty", internal, "Empties a cart that was ordered." }

/// Merges a guest's cart into a user's at login. An unknown or ended token changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergeGuestCart {
    /// The guest cart's secret.
    pub cart_token: String,
    /// Into whose cart.
    pub user_id: UserId,
}
operation! { MergeGuestCart => (), "cart.merge_guest", internal, "Merges a guest's cart into a user's." }

/// Nothing happened to a cart with items for a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CartAbandoned {
    /// Which.
    pub cart_id: CartId,
    /// Whose, if known.
    pub user_id: Option<UserId>,
}
fact! { CartAbandoned = "CART_ABANDONED" in "cart" kept 30 }

//! Requests and replies of carts.

use promox_contract::ids::{CartId, ProductId};
use promox_contract::order::Totals;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Currency, Sku, Timestamp, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Opens a guest's cart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCart {}
operation! { CreateCart => CartView, "cart.create", Post "/api/carts", Anyone, 201, "Creates a guest's cart; \
its token is shown only once." }

/// Reads the caller's cart: by login, else by `X-Cart-Token`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCart {}
operation! { GetCart => CartView, "cart.get", Get "/api/carts/current", Guest, 200, "The caller's cart at \
current prices." }

/// Ends the caller's cart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCart {}
operation! { DeleteCart => (), "cart.delete", Delete "/api/carts/current", Guest, 204, "Deletes the caller's \
cart with its contents." }

/// Puts units of a SKU into the cart; those that are in it already are added to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddItem {
    /// Which.
    pub sku: Sku,
    /// How many more, 1 to 9999.
    #[schemars(range(min = 1, max = 9999))]
    pub quantity: u32,
}
operation! { AddItem => CartView, "cart.add_item", Post "/api/carts/current/items", Guest, 200, "Adds units of \
a SKU to the cart." }

/// Sets how many units of a line there are.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeItem {
    /// Which.
    pub sku: Sku,
    /// How many, 1 to 9999.
    #[schemars(range(min = 1, max = 9999))]
    pub quantity: u32,
}
operation! { ChangeItem => CartView, "cart.change_item", Patch "/api/carts/current/items/{sku}", Guest, 200, "Sets the quantity of a line." }

/// Takes a line out.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveItem {
    /// Which.
    pub sku: Sku,
}
operation! { RemoveItem => (), "cart.remove_item", Delete "/api/carts/current/items/{sku}", Guest, 204, "\
Removes a line from the cart." }

/// Sets the cart's codes: what is left out is cleared. Codes that do not apply yet are kept, with the reason in `warnings`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetCodes {
    /// A promotion's code.
    pub promotion_code: Option<String>,
    /// Coupons' codes, at most 10.
    #[serde(default)]
    pub coupon_codes: Vec<String>,
}
operation! { SetCodes => CartView, "cart.set_codes", Put "/api/carts/current/codes", Guest, 200, "Sets the cart's promotion and coupon codes." }

/// Merges a guest's cart into the caller's. Merging it again changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergeCart {
    /// The guest cart's token.
    pub cart_token: String,
}
operation! { MergeCart => CartView, "cart.merge", Post "/api/carts/current/merge", User, 200, "Merges a guest's cart into the caller's; the guest's ends." }

/// A cart as its owner sees it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartView {
    /// The cart.
    pub id: CartId,
    /// A guest cart's token, when it was opened and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Counts changes; a change that names another in `If-Match` is refused.
    pub version: i64,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The lines, in the order in which they were put in.
    pub items: Vec<CartLine>,
    /// The codes.
    pub codes: CartCodes,
    /// The sums, by the engine that charges.
    pub totals: Totals,
    /// What stands in the way of ordering this as it is.
    pub warnings: Vec<CartWarning>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}
json_reply!(CartView);

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// Which.
    pub sku: Sku,
    /// The product; null when it cannot be bought any more.
    pub product_id: Option<ProductId>,
    /// Its name; null as above.
    pub name: Option<String>,
    /// How many.
    pub quantity: u32,
    /// What one costs now; null as above.
    pub unit_price: Option<Amount>,
    /// What one costs without price rules; null as above.
    pub list_price: Option<Amount>,
    /// Quantity × unit price; null as above.
    pub line_total: Option<Amount>,
    /// What promotions take off the line.
    pub discount: Option<Amount>,
    /// How many can be bought now.
    pub available: u32,
}

/// The codes of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartCodes {
    /// A promotion's code.
    pub promotion_code: Option<String>,
    /// Coupons' codes.
    pub coupon_codes: Vec<String>,
}

text_enum! {
    /// What a warning is about.
    WarningCode {
        ProductUnavailable = "PRODUCT_UNAVAILABLE",
        InsufficientStock = "INSUFFICIENT_STOCK",
        CodeNotApplied = "CODE_NOT_APPLIED",
        QuantityCapped = "QUANTITY_CAPPED",
    }
}

/// What stands in the way of ordering a cart as it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartWarning {
    /// What it is about.
    pub code: WarningCode,
    /// For people.
    pub detail: String,
    /// The line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// How many are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<u32>,
    /// How many can be bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<u32>,
    /// The promotion or coupon code as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_code: Option<String>,
    /// Why the code has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RejectReason>,
}

//! Requests and replies of the cart service's routes.

use promox_contract::ids::{CartId, ProductId};
use promox_contract::order::Totals;
use promox_contract::promotion::RejectReason;
use promox_kernel::{Amount, Currency, Email, Sku, Timestamp, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creates a guest's cart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreateCart {}
operation! {
    CreateCart => CartView, "cart.create", Post "/api/carts", Anyone, 201,
    "Creates a guest's cart; its token is shown only once."
}

/// Returns the caller's cart: the account's when logged in, otherwise the one that `X-Cart-Token` names.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetCart {}
operation! {
    GetCart => CartView, "cart.get", Get "/api/carts/current", Guest, 200,
    "The caller's cart at current prices.", refuses [404]
}

/// Deletes a guest's cart, or empties the cart of a logged-in user.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteCart {}
operation! {
    DeleteCart => (), "cart.delete", Delete "/api/carts/current", Guest, 204,
    "Deletes the caller's cart with its contents."
}

/// Adds units of a SKU to the cart, on top of those already in it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddItem {
    /// The SKU.
    pub sku: Sku,
    /// The number of units to add, 1 to 9999.
    #[schemars(range(min = 1, max = 9999))]
    pub quantity: u32,
}
operation! {
    AddItem => CartView, "cart.add_item", Post "/api/carts/current/items", Guest, 200,
    "Adds units of a SKU to the cart."
}

/// Sets the quantity of a line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeItem {
    /// The SKU.
    pub sku: Sku,
    /// The new quantity, 1 to 9999.
    #[schemars(range(min = 1, max = 9999))]
    pub quantity: u32,
}
operation! {
    ChangeItem => CartView, "cart.change_item", Patch "/api/carts/current/items/{sku}", Guest, 200,
    "Sets the quantity of a line."
}

/// Removes a line.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoveItem {
    /// The SKU.
    pub sku: Sku,
}
operation! {
    RemoveItem => (), "cart.remove_item", Delete "/api/carts/current/items/{sku}", Guest, 204,
    "Removes a line from the cart."
}

/// Sets the cart's codes; omitted ones are cleared. Codes that do not apply are kept, and `warnings` gives the reason.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetCodes {
    /// A promotion code.
    pub promotion_code: Option<String>,
    /// Coupon codes, at most 10.
    #[serde(default)]
    pub coupon_codes: Vec<String>,
}
operation! {
    SetCodes => CartView, "cart.set_codes", Put "/api/carts/current/codes", Guest, 200,
    "Sets the cart's promotion and coupon codes."
}

/// Notes that the guest agreed to be reminded of the cart by e-mail, once, if it is not ordered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SetReminder {
    /// The guest's e-mail address.
    pub email: Email,
    /// Whether the guest agreed; must be true.
    pub agreed: bool,
}
operation! {
    SetReminder => CartView, "cart.set_reminder", Put "/api/carts/current/reminder", Guest, 200,
    "Notes that a guest agreed to be reminded of the cart.", refuses [404]
}

/// Withdraws a guest's agreement to be reminded of the cart.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeleteReminder {}
operation! {
    DeleteReminder => (), "cart.delete_reminder", Delete "/api/carts/current/reminder", Guest, 204,
    "Withdraws a guest's agreement to be reminded of the cart."
}

/// Merges a guest's cart into the caller's and closes it. Repeating the request changes nothing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MergeCart {
    /// The guest cart's token.
    pub cart_token: String,
}
operation! {
    MergeCart => CartView, "cart.merge", Post "/api/carts/current/merge", User, 200,
    "Merges a guest's cart into the caller's and closes it.", refuses [404]
}

/// A cart at current prices.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartView {
    /// The cart's id.
    pub id: CartId,
    /// A guest cart's token; returned only when the cart is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The number of changes so far; a request whose `If-Match` names another version is refused.
    pub version: i64,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The lines, in the order in which they were added.
    pub items: Vec<CartLine>,
    /// The promotion and coupon codes entered.
    pub codes: CartCodes,
    /// The totals, calculated as at checkout; zero with the warning `AMOUNT_TOO_LARGE`.
    pub totals: Totals,
    /// The address at which a guest agreed to be reminded of the cart; null for a user, who sets preferences.
    pub reminder_email: Option<Email>,
    /// What prevents ordering this cart as it is.
    pub warnings: Vec<CartWarning>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}
json_reply!(CartView);

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartLine {
    /// The SKU.
    pub sku: Sku,
    /// The product; null when the SKU can no longer be bought.
    pub product_id: Option<ProductId>,
    /// The product's name; null when the SKU can no longer be bought.
    pub name: Option<String>,
    /// The quantity.
    pub quantity: u32,
    /// The current unit price; null when the SKU can no longer be bought or the cart is too large to be priced.
    pub unit_price: Option<Amount>,
    /// The current unit price before price rules; null when `unitPrice` is.
    pub list_price: Option<Amount>,
    /// Quantity × unit price; null when `unitPrice` is.
    pub line_total: Option<Amount>,
    /// The promotion discounts on the line; null when `unitPrice` is.
    pub discount: Option<Amount>,
    /// The number of units that can be bought now.
    pub available: u32,
}

/// The codes of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartCodes {
    /// The promotion code.
    pub promotion_code: Option<String>,
    /// The coupon codes.
    pub coupon_codes: Vec<String>,
}

text_enum! {
    /// The reason of a warning.
    WarningCode {
        ProductUnavailable = "PRODUCT_UNAVAILABLE",
        InsufficientStock = "INSUFFICIENT_STOCK",
        CodeNotApplied = "CODE_NOT_APPLIED",
        QuantityCapped = "QUANTITY_CAPPED",
        AmountTooLarge = "AMOUNT_TOO_LARGE",
    }
}

/// Something that prevents ordering a cart as it is.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CartWarning {
    /// The reason.
    pub code: WarningCode,
    /// A human-readable explanation.
    pub detail: String,
    /// The SKU of the line concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    /// The quantity requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<u32>,
    /// The quantity available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available: Option<u32>,
    /// The promotion or coupon code as it was entered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_code: Option<String>,
    /// Why the code has no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RejectReason>,
}

//! The tables of carts, numbers 350 to 379.

use promox_contract::ids::{CartId, OrderId, VariantId};
use promox_kernel::{Email, Json, Locale, Sku, Timestamp, UserId};
use promox_storage::record;

record! {
    /// A user's cart, a guest's cart, or, until it expires, the record of a merged guest cart.
    pub(crate) struct Cart in Ecommerce.carts = 350, key(id: CartId) {
        /// The user; null for a guest's cart.
        user_id: Option<UserId>,
        /// SHA-256 of a guest's token; null for a user's.
        token_hash: Option<Vec<u8>>,
        /// The user into whose cart this guest cart was merged; null while it is open.
        merged_by: Option<UserId>,
        promotion_code: Option<String>,
        coupon_codes: Json<Vec<String>>,
        /// The version at which the codes were last set.
        codes_version: i64,
        /// The number of lines.
        lines: u32,
        /// The display position of the next line to be added.
        next_place: u32,
        /// The number of changes, from 1.
        version: i64,
        /// A day after the last change; null while the cart is empty, and once it was reported as abandoned. The job
        /// compares it with the time that the message settings state, so that a change of that applies to all carts.
        idle_at: Option<Timestamp>,
        /// When a guest's cart is deleted; null for a user's.
        expires_at: Option<Timestamp>,
        created_at: Timestamp,
        updated_at: Timestamp,
        /// The address of a guest who agreed to be reminded of the cart.
        email: Option<Email>,
        /// The languages that the guest's browser accepted then, the preferred ones first.
        languages: Option<Json<Vec<Locale>>>,
        /// SHA-256 of the token in the link of a guest's reminder, which opens the cart as the guest's own token does.
        link_hash: Option<Vec<u8>>,
        /// The version at which a reminder was prepared; null until then, and again once the cart is empty.
        reminded_version: Option<i64>,
    }
    unique CartByUser = 351 (user_id);
    unique CartByToken = 352 (token_hash);
    index CartByIdle = 353 (idle_at);
    index CartByExpiry = 354 (expires_at);
    unique CartByLink = 355 (link_hash);
}

record! {
    /// A line of a cart, one per variant.
    pub(crate) struct CartItem in Ecommerce.cart_items = 360, key(cart_id: CartId, variant_id: VariantId) {
        /// The variant's SKU when the line was last changed; it may have another by now.
        sku: Sku,
        quantity: u32,
        /// The position in the display order of lines.
        place: u32,
        /// The cart's version at which the line was last changed.
        version: i64,
    }
}

record! {
    /// The unit counts of a merge, kept for the audit; deleted with the record of the guest's cart.
    pub(crate) struct CartMerge in Ecommerce.cart_merges = 365, key(guest_cart: CartId) {
        /// Units in the guest's cart.
        guest_units: i64,
        /// Units of the same variants in the user's cart before the merge.
        own_units: i64,
        /// Units of the same variants in the user's cart after the merge.
        merged_units: i64,
        /// Units that were left out for lack of stock or because the cart was full.
        capped_units: i64,
        at: Timestamp,
    }
}

record! {
    /// The order that was placed from a cart's contents at a version.
    pub(crate) struct CartOrder in Ecommerce.cart_orders = 370, key(cart_id: CartId, version: i64) {
        order_id: OrderId,
        at: Timestamp,
    }
}

record! {
    /// A guest's address that was reminded of a cart, whichever it was; deleted once it may be reminded again.
    pub(crate) struct RemindedAddress in Ecommerce.cart_reminded = 375, key(address_hash: Vec<u8>) {
        at: Timestamp,
    }
    index RemindedByTime = 376 (at);
}

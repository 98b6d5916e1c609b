//! The tables of carts, numbers 350 to 379.

use promox_contract::ids::{CartId, OrderId, VariantId};
use promox_kernel::{Json, Sku, Timestamp, UserId};
use promox_storage::record;

record! {
    /// A cart: a user's, a guest's, or, for a while, the record of a merged guest cart.
    pub(crate) struct Cart in Ecommerce.carts = 350, key(id: CartId) {
        /// The user; null for a guest's cart.
        user_id: Option<UserId>,
        /// SHA-256 of a guest's token; null for a user's.
        token_hash: Option<Vec<u8>>,
        /// The user's cart that this guest cart was merged into: it has ended.
        merged_by: Option<UserId>,
        promotion_code: Option<String>,
        coupon_codes: Json<Vec<String>>,
        /// The version at which the codes were last set.
        codes_version: i64,
        /// The number of lines.
        lines: u32,
        /// The place of the next line.
        next_place: u32,
        /// Counts changes, from 1.
        version: i64,
        /// When it will count as abandoned; null while it is empty or once that was reported.
        idle_at: Option<Timestamp>,
        /// When a guest's cart is deleted.
        expires_at: Option<Timestamp>,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique CartByUser = 351 (user_id);
    unique CartByToken = 352 (token_hash);
    index CartByIdle = 353 (idle_at);
    index CartByExpiry = 354 (expires_at);
}

record! {
    /// A line of a cart, one per variant.
    pub(crate) struct CartItem in Ecommerce.cart_items = 360, key(cart_id: CartId, variant_id: VariantId) {
        /// The SKU when it was added. The line can be found by it even if the variant's SKU has changed.
        sku: Sku,
        quantity: u32,
        /// The display order of lines.
        place: u32,
        /// The cart's version at which the line was last changed.
        version: i64,
    }
}

record! {
    /// The units of a merge, so that its sum can be checked; deleted with the record of the guest's cart.
    pub(crate) struct CartMerge in Ecommerce.cart_merges = 365, key(guest_cart: CartId) {
        /// Units in the guest's cart.
        guest_units: i64,
        /// Units of the same variants in the user's cart before.
        own_units: i64,
        /// Units of the same variants in the user's cart after.
        merged_units: i64,
        /// Units without stock or without room.
        capped_units: i64,
        at: Timestamp,
    }
}

record! {
    /// The order that took the cart's contents at a version.
    pub(crate) struct CartOrder in Ecommerce.cart_orders = 370, key(cart_id: CartId, version: i64) {
        order_id: OrderId,
        at: Timestamp,
    }
}

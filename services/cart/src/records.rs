//! The tables of carts. Numbers 350 to 379 are theirs.

use promox_contract::ids::{CartId, OrderId, VariantId};
use promox_kernel::{Json, Sku, Timestamp, UserId};
use promox_storage::record;

record! {
    /// A cart: a user's, a guest's, or, for a while, the trace of a guest's that was merged.
    pub(crate) struct Cart in Ecommerce.carts = 350, key(id: CartId) {
        /// Whose; null for a guest's.
        user_id: Option<UserId>,
        /// SHA-256 of a guest's token; null for a user's.
        token_hash: Option<Vec<u8>>,
        /// Into whose cart this guest cart went: it has ended then.
        merged_by: Option<UserId>,
        promotion_code: Option<String>,
        coupon_codes: Json<Vec<String>>,
        /// The version at which the codes were set last.
        codes_version: i64,
        /// How many lines it has.
        lines: u32,
        /// The place of the next line.
        next_place: u32,
        /// Counts changes, from 1.
        version: i64,
        /// When it will have been idle for a day; null while empty or once that was told.
        idle_at: Option<Timestamp>,
        /// When a guest's cart is dropped.
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
    /// A line of a cart: a variant stands in it once.
    pub(crate) struct CartItem in Ecommerce.cart_items = 360, key(cart_id: CartId, variant_id: VariantId) {
        /// What it was called when it was put in, by which it is found whatever it is called now.
        sku: Sku,
        quantity: u32,
        /// Lines are shown in the order of their places.
        place: u32,
        /// The cart's version at which the line was changed last.
        version: i64,
    }
}

record! {
    /// What a merge did, in units, so that its sum can be checked; dropped with the trace of the guest's cart.
    pub(crate) struct CartMerge in Ecommerce.cart_merges = 365, key(guest_cart: CartId) {
        /// Units in the guest's cart.
        guest_units: i64,
        /// Units of the same variants in the user's cart before.
        own_units: i64,
        /// Units of the same variants in the user's cart after.
        merged_units: i64,
        /// Units that found no stock or no room.
        capped_units: i64,
        at: Timestamp,
    }
}

record! {
    /// Which order took the cart's contents at a version.
    pub(crate) struct CartOrder in Ecommerce.cart_orders = 370, key(cart_id: CartId, version: i64) {
        order_id: OrderId,
        at: Timestamp,
    }
}

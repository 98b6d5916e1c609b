//! Reads: carts by holder, with their contents.

use promox_contract::cart::{CartContents, CartReminder, CartReminderLine, CheckCart};
use promox_contract::codes;
use promox_contract::ids::{CartId, VariantId};
use promox_contract::inventory::SkuQuantity;
use promox_kernel::{Cx, Error, Kind, Sku, UserId};
use promox_storage::{StoreError, Tx};

use crate::records::{Cart, CartByLink, CartByToken, CartByUser, CartItem};
use crate::reject;
use crate::rules::{MAX_LINES, token_hash};

/// The key by which a cart is found.
#[derive(Clone, Debug)]
pub(crate) enum Holder {
    /// The id of a logged-in user.
    User(UserId),
    /// The hash of a guest's token.
    Guest(Vec<u8>),
}

impl Holder {
    /// The caller as the holder of a cart: the user when logged in, otherwise the guest whose token was sent.
    pub(crate) fn of(cx: &Cx) -> Result<Self, Error> {
        match (cx.principal.user(), &cx.cart_token) {
            (Some(user), _) => Ok(Self::User(user)),
            (None, Some(token)) => Ok(Self::Guest(token_hash(token))),
            (None, None) => {
                Err(Error::new(Kind::Unauthenticated, codes::UNAUTHENTICATED, "Log in or send a cart token."))
            }
        }
    }
}

/// A cart with its lines, in display order.
#[derive(Clone, Debug)]
pub(crate) struct Contents {
    pub(crate) cart: Cart,
    pub(crate) items: Vec<CartItem>,
}

impl Contents {
    /// Reads the lines of a cart.
    pub(crate) fn read(tx: &Tx<'_>, cart: Cart) -> Result<Self, StoreError> {
        let mut items = lines(tx, cart.id)?;
        items.sort_by_key(|item| item.place);
        Ok(Self { cart, items })
    }

    /// The units of a variant; `None` if the cart has no line of it.
    pub(crate) fn quantity(&self, variant_id: VariantId) -> Option<u32> {
        self.items.iter().find(|item| item.variant_id == variant_id).map(|item| item.quantity)
    }

    /// Sets the units of a variant at the cart's current version; a new line is added at the end.
    pub(crate) fn put(&mut self, variant_id: VariantId, sku: &Sku, quantity: u32) {
        let Self { cart, items } = self;
        let version = cart.version;
        if let Some(item) = items.iter_mut().find(|item| item.variant_id == variant_id) {
            *item = CartItem { sku: sku.clone(), quantity, version, ..item.clone() };
            return;
        }
        let place = cart.next_place;
        cart.lines += 1;
        cart.next_place += 1;
        items.push(CartItem { cart_id: cart.id, variant_id, sku: sku.clone(), quantity, place, version });
    }

    /// The SKU and quantity of each line.
    pub(crate) fn quantities(&self) -> Vec<SkuQuantity> {
        self.items.iter().map(|item| SkuQuantity { sku: item.sku.clone(), quantity: item.quantity }).collect()
    }

    /// The contents for the checkout; 422 `CART_EMPTY` without lines.
    pub(crate) fn for_checkout(self) -> Result<CartContents, Error> {
        if self.items.is_empty() {
            return Err(reject::cart_empty());
        }
        Ok(CartContents {
            items: self.quantities(),
            cart_id: self.cart.id,
            version: self.cart.version,
            promotion_code: self.cart.promotion_code,
            coupon_codes: self.cart.coupon_codes.0,
        })
    }
}

/// The lines of a cart, ordered by variant.
pub(crate) fn lines(tx: &Tx<'_>, cart: CartId) -> Result<Vec<CartItem>, StoreError> {
    tx.scan::<CartItem>().prefix(cart).collect(MAX_LINES as usize)
}

/// The cart that a guest's token opens: the guest's own, or that in the link of a reminder.
pub(crate) fn guest_cart(tx: &Tx<'_>, hash: &[u8]) -> Result<Option<Cart>, StoreError> {
    match tx.get_by::<CartByToken>(Some(hash.to_vec()))? {
        Some(cart) => Ok(Some(cart)),
        None => tx.get_by::<CartByLink>(Some(hash.to_vec())),
    }
}

/// The cart of a holder; `None` if there is none or it was merged.
pub(crate) fn open_cart(tx: &Tx<'_>, holder: &Holder) -> Result<Option<Cart>, StoreError> {
    let cart = match holder {
        Holder::User(user) => tx.get_by::<CartByUser>(Some(*user))?,
        Holder::Guest(hash) => guest_cart(tx, hash)?,
    };
    Ok(cart.filter(|cart| cart.merged_by.is_none()))
}

/// The cart of a holder with its lines; `None` if there is none or it was merged.
pub(crate) fn contents(tx: &Tx<'_>, holder: &Holder) -> Result<Option<Contents>, StoreError> {
    open_cart(tx, holder)?.map(|cart| Contents::read(tx, cart)).transpose()
}

/// The reminder of a cart. The token opens a guest's cart.
pub(crate) fn reminder(cart: Cart, lines: Vec<CartReminderLine>, token: String) -> CartReminder {
    CartReminder {
        user_id: cart.user_id,
        token: cart.email.is_some().then_some(token),
        email: cart.email,
        languages: cart.languages.map(|languages| languages.0).unwrap_or_default(),
        lines,
    }
}

/// Refuses the order of a cart that is no longer the holder's, or has changed since it was read.
pub(crate) fn check(tx: &Tx<'_>, holder: &Holder, op: &CheckCart) -> Result<(), Error> {
    let current = contents(tx, holder)?.ok_or_else(reject::no_cart)?.for_checkout()?;
    let is_unchanged = current.cart_id == op.cart_id && current.version == op.version;
    if is_unchanged { Ok(()) } else { Err(reject::changed()) }
}

//! Changes to one cart: load, decide, write. Every check comes before the first write.

use std::time::Duration;

use promox_contract::cart::EmptyCart;
use promox_contract::ids::{CartId, VariantId};
use promox_contract::product::VariantRef;
use promox_kernel::{Error, IfMatch, Json, Sku};
use promox_storage::{StoreError, Tx};

use crate::queries::{Contents, Holder, lines, open_cart};
use crate::records::{Cart, CartItem, CartMerge, CartOrder};
use crate::{reject, rules};

/// How long it is remembered which order took a cart's contents.
const ORDERS_KEPT: Duration = Duration::from_hours(2160);
/// Old order records of a cart removed by one order.
const ORDERS_SWEPT: usize = 4;
/// Order records of a cart that are removed with it; a cart has more only after a hundred orders a day.
const MAX_ORDERS: usize = 10_000;

/// Creates a cart for a holder without one.
pub(crate) fn open(tx: &mut Tx<'_>, holder: &Holder) -> Result<Contents, Error> {
    let cart = new_cart(tx, holder)?;
    tx.insert(&cart)?;
    Ok(Contents { cart, items: Vec::new() })
}

/// The holder's cart; a user without one gets a new one.
pub(crate) fn current(tx: &mut Tx<'_>, holder: &Holder) -> Result<Contents, Error> {
    match open_cart(tx, holder)? {
        Some(cart) => Ok(Contents::read(tx, cart)?),
        None if matches!(holder, Holder::User(_)) => open(tx, holder),
        None => Err(reject::no_cart()),
    }
}

/// Adds units of a variant. `available` is the stock at the time of the request; only the checkout holds stock.
pub(crate) fn add(
    tx: &mut Tx<'_>,
    change: &Change,
    of: &VariantRef,
    more: u32,
    available: u32,
) -> Result<Contents, Error> {
    let mut cart = change.load(tx)?;
    let line = tx.get::<CartItem>(&(cart.id, of.variant_id))?;
    let quantity = rules::added(line.as_ref().map_or(0, |line| line.quantity), more)?;
    if quantity > available {
        return Err(reject::insufficient_stock(&of.sku, quantity, available));
    }
    if line.is_none() && cart.lines >= rules::MAX_LINES {
        return Err(reject::cart_full());
    }
    cart.version += 1;
    put_line(tx, &mut cart, line, (of.variant_id, &of.sku), quantity)?;
    finish(tx, cart)
}

/// Sets the quantity of a line.
pub(crate) fn set_quantity(
    tx: &mut Tx<'_>,
    change: &Change,
    of: &VariantRef,
    quantity: u32,
    available: u32,
) -> Result<Contents, Error> {
    let mut cart = change.load(tx)?;
    let line = tx.get::<CartItem>(&(cart.id, of.variant_id))?.ok_or_else(reject::no_line)?;
    if quantity > available {
        return Err(reject::insufficient_stock(&of.sku, quantity, available));
    }
    cart.version += 1;
    put_line(tx, &mut cart, Some(line), (of.variant_id, &of.sku), quantity)?;
    finish(tx, cart)
}

/// Removes a line.
pub(crate) fn remove(tx: &mut Tx<'_>, change: &Change, of: &VariantRef) -> Result<(), Error> {
    let mut cart = change.load(tx)?;
    if !tx.delete::<CartItem>(&(cart.id, of.variant_id))? {
        return Err(reject::no_line());
    }
    cart.version += 1;
    cart.lines = cart.lines.saturating_sub(1);
    touch(tx, &mut cart)?;
    Ok(())
}

/// Sets the codes.
pub(crate) fn set_codes(
    tx: &mut Tx<'_>,
    change: &Change,
    promotion_code: Option<String>,
    coupon_codes: Vec<String>,
) -> Result<Contents, Error> {
    let mut cart = change.load(tx)?;
    cart.version += 1;
    cart.promotion_code = promotion_code;
    cart.coupon_codes = Json(coupon_codes);
    cart.codes_version = cart.version;
    finish(tx, cart)
}

/// Empties the holder's cart; a guest's cart is deleted. A user without a cart has nothing to empty; a guest's token
/// must be valid.
pub(crate) fn delete(tx: &mut Tx<'_>, change: &Change) -> Result<(), Error> {
    let Some(mut cart) = open_cart(tx, &change.holder)? else {
        return if matches!(change.holder, Holder::User(_)) { Ok(()) } else { Err(reject::no_cart()) };
    };
    change.check(&cart)?;
    if cart.token_hash.is_some() {
        return Ok(drop_cart(tx, &cart)?);
    }
    take_lines(tx, &mut cart, i64::MAX)?;
    cart.version += 1;
    Ok(touch(tx, &mut cart)?)
}

/// Removes the contents that an order was placed from, once; later additions stay.
pub(crate) fn empty(tx: &mut Tx<'_>, op: &EmptyCart) -> Result<(), Error> {
    let Some(mut cart) = tx.get::<Cart>(&op.cart_id)?.filter(|cart| cart.merged_by.is_none()) else { return Ok(()) };
    match tx.scan::<CartOrder>().prefix(cart.id).from(op.version).first()? {
        Some(taken) if taken.version == op.version && taken.order_id == op.order_id => return Ok(()),
        Some(_) => return Err(reject::already_ordered()),
        None => {}
    }
    take_lines(tx, &mut cart, op.version)?;
    sweep_orders(tx, cart.id)?;
    tx.insert(&CartOrder { cart_id: cart.id, version: op.version, order_id: op.order_id, at: tx.now() })?;
    cart.version += 1;
    Ok(touch(tx, &mut cart)?)
}

/// Removes old records of which orders took the cart, a few at a time.
fn sweep_orders(tx: &mut Tx<'_>, cart: CartId) -> Result<(), StoreError> {
    let oldest = tx.now() - ORDERS_KEPT;
    let first = tx.scan::<CartOrder>().prefix(cart).collect(ORDERS_SWEPT)?;
    for old in first.iter().filter(|taken| taken.at < oldest) {
        tx.delete::<CartOrder>(&(old.cart_id, old.version))?;
    }
    Ok(())
}

/// Removes the lines and the codes that have not changed since `version`.
fn take_lines(tx: &mut Tx<'_>, cart: &mut Cart, version: i64) -> Result<(), StoreError> {
    for line in lines(tx, cart.id)? {
        if line.version <= version {
            tx.delete::<CartItem>(&(cart.id, line.variant_id))?;
            cart.lines = cart.lines.saturating_sub(1);
        }
    }
    if cart.codes_version <= version {
        cart.promotion_code = None;
        cart.coupon_codes = Json(Vec::new());
    }
    Ok(())
}

/// A change requested by a holder.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The cart's holder.
    pub(crate) holder: Holder,
    /// The versions that the caller requires, if any.
    pub(crate) if_match: Option<IfMatch>,
}

impl Change {
    /// The cart to change: for a user without one a new one, which [`touch`] stores.
    fn load(&self, tx: &mut Tx<'_>) -> Result<Cart, Error> {
        let cart = match open_cart(tx, &self.holder)? {
            Some(cart) => cart,
            None if matches!(self.holder, Holder::User(_)) => new_cart(tx, &self.holder)?,
            None => return Err(reject::no_cart()),
        };
        self.check(&cart)?;
        Ok(cart)
    }

    fn check(&self, cart: &Cart) -> Result<(), Error> {
        self.if_match.as_ref().map_or(Ok(()), |seen| seen.check(cart.version))
    }
}

pub(crate) fn new_cart(tx: &mut Tx<'_>, holder: &Holder) -> Result<Cart, StoreError> {
    let (user_id, token_hash) = match holder {
        Holder::User(user) => (Some(*user), None),
        Holder::Guest(hash) => (None, Some(hash.clone())),
    };
    let now = tx.now();
    Ok(Cart {
        id: CartId(tx.next_id::<Cart>()?),
        user_id,
        expires_at: token_hash.is_some().then(|| rules::expires_at(now)),
        token_hash,
        merged_by: None,
        promotion_code: None,
        coupon_codes: Json(Vec::new()),
        codes_version: 0,
        lines: 0,
        next_place: 0,
        version: 1,
        idle_at: None,
        created_at: now,
        updated_at: now,
    })
}

/// Writes a line at the cart's current version; a new one is added at the end.
pub(crate) fn put_line(
    tx: &mut Tx<'_>,
    cart: &mut Cart,
    line: Option<CartItem>,
    (variant_id, sku): (VariantId, &Sku),
    quantity: u32,
) -> Result<(), StoreError> {
    let place = line.as_ref().map_or(cart.next_place, |line| line.place);
    if line.is_none() {
        cart.lines += 1;
        cart.next_place += 1;
    }
    let sku = sku.clone();
    tx.put(&CartItem { cart_id: cart.id, variant_id, sku, quantity, place, version: cart.version })
}

/// Stores a cart that was changed now.
pub(crate) fn touch(tx: &mut Tx<'_>, cart: &mut Cart) -> Result<(), StoreError> {
    let now = tx.now();
    cart.updated_at = now;
    cart.idle_at = rules::idle_at(now, cart.lines);
    cart.expires_at = cart.token_hash.is_some().then(|| rules::expires_at(now));
    tx.put(cart)
}

fn finish(tx: &mut Tx<'_>, mut cart: Cart) -> Result<Contents, Error> {
    touch(tx, &mut cart)?;
    Ok(Contents::read(tx, cart)?)
}

/// Deletes a cart with everything that belongs to it.
pub(crate) fn drop_cart(tx: &mut Tx<'_>, cart: &Cart) -> Result<(), StoreError> {
    for line in lines(tx, cart.id)? {
        tx.delete::<CartItem>(&(cart.id, line.variant_id))?;
    }
    for order in tx.scan::<CartOrder>().prefix(cart.id).collect(MAX_ORDERS)? {
        tx.delete::<CartOrder>(&(order.cart_id, order.version))?;
    }
    tx.delete::<CartMerge>(&cart.id)?;
    tx.delete::<Cart>(&cart.id)?;
    Ok(())
}

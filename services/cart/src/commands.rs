//! Changes to one cart: load, decide, write. Every check comes before the first write.

use std::time::Duration;

use promox_contract::cart::{EmptyCart, PrepareCartReminder};
use promox_contract::ids::CartId;
use promox_contract::product::VariantRef;
use promox_kernel::{Cx, Email, Error, IfMatch, Json, Locale, Timestamp};
use promox_storage::{StoreError, Tx};

use crate::queries::{self, Contents, Holder, lines, open_cart};
use crate::records::{Cart, CartItem, CartMerge, CartOrder, RemindedAddress};
use crate::{reject, rules};

/// How long the record of which order took a cart's contents is kept.
const ORDER_RECORD_RETENTION: Duration = Duration::from_hours(2160);

/// Maximum old order records of a cart that are deleted when it is ordered.
const MAX_ORDERS_SWEPT: usize = 4;

/// Maximum order records deleted with a cart; only a cart that is ordered a hundred times a day has more.
const MAX_ORDERS: usize = 10_000;

/// The contents that a change would lead to, not stored yet.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) contents: Contents,
    /// The id and version of the stored cart that the draft is based on; `None` for a new cart, which has no id yet.
    pub(crate) base: Option<(CartId, i64)>,
}

impl Draft {
    /// An unchanged draft of the holder's cart; a user without a cart gets a new one.
    pub(crate) fn of(tx: &Tx<'_>, holder: &Holder) -> Result<Self, Error> {
        if let Some(contents) = queries::contents(tx, holder)? {
            let base = Some((contents.cart.id, contents.cart.version));
            return Ok(Self { contents, base });
        }
        if matches!(holder, Holder::Guest(_)) {
            return Err(reject::no_cart());
        }
        let contents = Contents { cart: new_cart(CartId(0), holder, tx.now()), items: Vec::new() };
        Ok(Self { contents, base: None })
    }

    /// The draft with only the lines that it changes, which is all that storing it needs.
    pub(crate) fn changed_lines(&self) -> Self {
        let Contents { cart, items } = &self.contents;
        let items = items.iter().filter(|item| item.version == cart.version).cloned().collect();
        Self { contents: Contents { cart: cart.clone(), items }, base: self.base }
    }

    /// Stores the cart and the lines changed by the draft, which are those with the cart's current version.
    pub(crate) fn store(self, tx: &mut Tx<'_>) -> Result<Contents, StoreError> {
        let Contents { mut cart, mut items } = self.contents;
        if self.base.is_none() {
            cart.id = CartId(tx.next_id::<Cart>()?);
            items.iter_mut().for_each(|item| item.cart_id = cart.id);
        }
        for item in items.iter().filter(|item| item.version == cart.version) {
            tx.put(item)?;
        }
        touch(tx, &mut cart)?;
        Ok(Contents { cart, items })
    }
}

/// Creates a cart for a holder without one.
pub(crate) fn open(tx: &mut Tx<'_>, holder: &Holder) -> Result<Contents, Error> {
    let cart = new_cart(CartId(tx.next_id::<Cart>()?), holder, tx.now());
    tx.insert(&cart)?;
    Ok(Contents { cart, items: Vec::new() })
}

/// The holder's cart; a user without one gets a new one.
pub(crate) fn current(tx: &mut Tx<'_>, holder: &Holder) -> Result<Contents, Error> {
    match queries::contents(tx, holder)? {
        Some(contents) => Ok(contents),
        None if matches!(holder, Holder::User(_)) => open(tx, holder),
        None => Err(reject::no_cart()),
    }
}

/// A change to a cart's contents; it is refused if the resulting cart cannot be priced.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Adds units of a variant. `available` is the stock at the time of the request; only the checkout holds stock.
    Add { of: VariantRef, more: u32, available: u32 },
    /// Sets the quantity of a line.
    SetQuantity { of: VariantRef, quantity: u32, available: u32 },
    /// Sets the codes.
    SetCodes { promotion_code: Option<String>, coupon_codes: Vec<String> },
}

impl Edit {
    fn apply(&self, contents: &mut Contents) -> Result<(), Error> {
        contents.cart.version += 1;
        match self {
            Self::Add { of, more, available } => {
                let before = contents.quantity(of.variant_id);
                let quantity = rules::added(before.unwrap_or(0), *more)?;
                if quantity > *available {
                    return Err(reject::insufficient_stock(&of.sku, quantity, *available));
                }
                if before.is_none() && contents.cart.lines >= rules::MAX_LINES {
                    return Err(reject::cart_full());
                }
                contents.put(of.variant_id, &of.sku, quantity);
            }
            Self::SetQuantity { of, quantity, available } => {
                contents.quantity(of.variant_id).ok_or_else(reject::no_line)?;
                if quantity > available {
                    return Err(reject::insufficient_stock(&of.sku, *quantity, *available));
                }
                contents.put(of.variant_id, &of.sku, *quantity);
            }
            Self::SetCodes { promotion_code, coupon_codes } => {
                contents.cart.promotion_code.clone_from(promotion_code);
                contents.cart.coupon_codes = Json(coupon_codes.clone());
                contents.cart.codes_version = contents.cart.version;
            }
        }
        Ok(())
    }
}

/// Applies an edit to a draft of the holder's cart.
pub(crate) fn draft(tx: &Tx<'_>, change: &Change, edit: &Edit) -> Result<Draft, Error> {
    let mut draft = Draft::of(tx, &change.holder)?;
    change.check(&draft.contents.cart)?;
    edit.apply(&mut draft.contents)?;
    Ok(draft)
}

/// Stores a draft that was priced, unless the cart has changed since the draft's base. Its other lines are not read
/// again: every change of a cart's contents raises its version. Returns the stored cart, or `None` if the edit must be
/// priced again.
pub(crate) fn edit(tx: &mut Tx<'_>, change: &Change, draft: &Draft) -> Result<Option<Cart>, Error> {
    let stored = open_cart(tx, &change.holder)?;
    if stored.is_none() && matches!(change.holder, Holder::Guest(_)) {
        return Err(reject::no_cart());
    }
    if stored.as_ref().map(|cart| (cart.id, cart.version)) != draft.base {
        return Ok(None);
    }
    Ok(Some(draft.clone().store(tx)?.cart))
}

/// Removes a line.
pub(crate) fn remove(tx: &mut Tx<'_>, change: &Change, of: &VariantRef) -> Result<(), Error> {
    let mut cart = Draft::of(tx, &change.holder)?.contents.cart;
    change.check(&cart)?;
    if !tx.delete::<CartItem>(&(cart.id, of.variant_id))? {
        return Err(reject::no_line());
    }
    cart.version += 1;
    cart.lines = cart.lines.saturating_sub(1);
    Ok(touch(tx, &mut cart)?)
}

/// Empties the holder's cart; a guest's cart is deleted. A user without a cart has nothing to empty; a guest's token
/// must be valid.
pub(crate) fn delete(tx: &mut Tx<'_>, change: &Change) -> Result<(), Error> {
    let Some(mut cart) = open_cart(tx, &change.holder)? else {
        return if matches!(change.holder, Holder::User(_)) { Ok(()) } else { Err(reject::no_cart()) };
    };
    change.check(&cart)?;
    if cart.token_hash.is_some() {
        return Ok(delete_cart(tx, &cart)?);
    }
    remove_contents(tx, &mut cart, i64::MAX)?;
    cart.version += 1;
    Ok(touch(tx, &mut cart)?)
}

/// Removes the contents that an order was placed from; later additions stay. Repeating it for the same order changes
/// nothing.
pub(crate) fn empty(tx: &mut Tx<'_>, op: &EmptyCart) -> Result<(), Error> {
    let Some(mut cart) = tx.get::<Cart>(&op.cart_id)?.filter(|cart| cart.merged_by.is_none()) else { return Ok(()) };
    match tx.scan::<CartOrder>().prefix(cart.id).from(op.version).first()? {
        Some(order) if order.version == op.version && order.order_id == op.order_id => return Ok(()),
        Some(_) => return Err(reject::already_ordered()),
        None => {}
    }
    remove_contents(tx, &mut cart, op.version)?;
    sweep_orders(tx, cart.id)?;
    tx.insert(&CartOrder { cart_id: cart.id, version: op.version, order_id: op.order_id, at: tx.now() })?;
    cart.version += 1;
    Ok(touch(tx, &mut cart)?)
}

/// Deletes the oldest expired order records of a cart, a few at a time.
fn sweep_orders(tx: &mut Tx<'_>, cart: CartId) -> Result<(), StoreError> {
    let oldest = tx.now() - ORDER_RECORD_RETENTION;
    let first = tx.scan::<CartOrder>().prefix(cart).collect(MAX_ORDERS_SWEPT)?;
    for old in first.iter().filter(|order| order.at < oldest) {
        tx.delete::<CartOrder>(&(old.cart_id, old.version))?;
    }
    Ok(())
}

/// Removes the lines and codes last changed at `version` or before.
fn remove_contents(tx: &mut Tx<'_>, cart: &mut Cart, version: i64) -> Result<(), StoreError> {
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

/// A request to change a cart.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The cart's holder.
    pub(crate) holder: Holder,
    /// The versions that the caller requires, if any.
    pub(crate) if_match: Option<IfMatch>,
}

impl Change {
    fn check(&self, cart: &Cart) -> Result<(), Error> {
        self.if_match.as_ref().map_or(Ok(()), |if_match| if_match.check(cart.version))
    }

    /// The change that a guest requests; refused for a logged-in user.
    pub(crate) fn of_guest(cx: &Cx) -> Result<Self, Error> {
        let change = Self::of(cx)?;
        if matches!(change.holder, Holder::User(_)) { Err(reject::reminder_of_user()) } else { Ok(change) }
    }

    /// The change that the caller requests.
    pub(crate) fn of(cx: &Cx) -> Result<Self, Error> {
        Ok(Self { holder: Holder::of(cx)?, if_match: cx.if_match.clone() })
    }
}

/// An empty cart, not stored yet.
pub(crate) fn new_cart(id: CartId, holder: &Holder, now: Timestamp) -> Cart {
    let (user_id, token_hash) = match holder {
        Holder::User(user) => (Some(*user), None),
        Holder::Guest(hash) => (None, Some(hash.clone())),
    };
    Cart {
        id,
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
        email: None,
        languages: None,
        link_hash: None,
        reminded_version: None,
    }
}

/// Notes that a guest agreed to be reminded of the cart at an address, or no longer wants that.
pub(crate) fn set_reminder(
    tx: &mut Tx<'_>,
    change: &Change,
    email: Option<Email>,
    languages: Vec<Locale>,
) -> Result<Contents, Error> {
    let mut contents = queries::contents(tx, &change.holder)?.ok_or_else(reject::no_cart)?;
    let cart = &mut contents.cart;
    change.check(cart)?;
    cart.languages = email.as_ref().map(|_| Json(languages));
    if email.is_none() {
        cart.link_hash = None;
    }
    cart.email = email;
    cart.version += 1;
    touch(tx, cart)?;
    Ok(contents)
}

/// Prepares the reminder of a cart that is still as it was abandoned; `None` if it is not, if there was one before, or if the
/// guest's address was reminded of another cart lately. The hash is that of the token which opens a guest's cart.
pub(crate) fn prepare_reminder(
    tx: &mut Tx<'_>,
    op: &PrepareCartReminder,
    link_hash: &[u8],
) -> Result<Option<Contents>, StoreError> {
    let unchanged = |cart: &Cart| cart.version == op.version && cart.merged_by.is_none() && cart.lines > 0;
    let is_first = |cart: &Cart| cart.reminded_version.is_none_or(|version| version == op.version);
    let has_recipient = |cart: &Cart| cart.user_id.is_some() || cart.email.is_some();
    let found = tx.get::<Cart>(&op.cart_id)?;
    let Some(mut cart) = found.filter(|cart| unchanged(cart) && is_first(cart) && has_recipient(cart)) else {
        return Ok(None);
    };
    let is_repeated = cart.reminded_version == Some(op.version);
    if let Some(email) = &cart.email
        && !is_repeated
        && !claim_address(tx, email)?
    {
        return Ok(None);
    }
    cart.reminded_version = Some(op.version);
    cart.link_hash = cart.email.is_some().then(|| link_hash.to_vec());
    tx.put(&cart)?;
    Contents::read(tx, cart).map(Some)
}

/// Claims the reminder of an address for [`rules::REMINDER_PAUSE`]. Returns whether it was free.
fn claim_address(tx: &mut Tx<'_>, email: &Email) -> Result<bool, StoreError> {
    let (address_hash, now) = (rules::address_hash(email), tx.now());
    let before = tx.get::<RemindedAddress>(&address_hash)?;
    if before.is_some_and(|before| before.at + rules::REMINDER_PAUSE > now) {
        return Ok(false);
    }
    tx.put(&RemindedAddress { address_hash, at: now })?;
    Ok(true)
}

/// Stores a changed cart and restarts the times after which it counts as abandoned or expires.
pub(crate) fn touch(tx: &mut Tx<'_>, cart: &mut Cart) -> Result<(), StoreError> {
    let now = tx.now();
    cart.updated_at = now;
    if cart.lines == 0 {
        (cart.link_hash, cart.reminded_version) = (None, None);
    }
    cart.idle_at = rules::idle_at(now, cart.lines);
    cart.expires_at = cart.token_hash.is_some().then(|| rules::expires_at(now));
    tx.put(cart)
}

/// Deletes a cart with its lines, order records and merge record.
pub(crate) fn delete_cart(tx: &mut Tx<'_>, cart: &Cart) -> Result<(), StoreError> {
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

//! Merging a guest's cart into a user's: quantities are added, capped at the available stock; the guest's cart ends.

use std::collections::BTreeMap;

use promox_contract::ids::{CartId, VariantId};
use promox_kernel::{Error, Sku, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::{CartWarning, WarningCode};
use crate::commands::{new_cart, put_line, touch};
use crate::queries::{Contents, Holder, lines, open_cart};
use crate::records::{Cart, CartByToken, CartItem, CartMerge};
use crate::rules;

/// The outcome of a merge.
#[derive(Debug)]
pub(crate) enum Merge {
    /// The carts were merged now; with what did not fit.
    Done(Box<Contents>, Vec<CartWarning>),
    /// The carts were merged before, or there is nothing to merge.
    Before,
    /// Lines were added whose stock was not queried: query it and repeat.
    Stale,
    /// No guest's cart has this token, or it was merged into another user's.
    Unknown,
}

/// The available stock of each variant.
pub(crate) type Available = BTreeMap<VariantId, u32>;

/// The variants in a guest's cart that is still to be merged.
pub(crate) fn guest_variants(tx: &Tx<'_>, token_hash: &[u8]) -> Result<Vec<VariantId>, StoreError> {
    let Some(guest) = open_cart(tx, &Holder::Guest(token_hash.to_vec()))? else { return Ok(Vec::new()) };
    Ok(lines(tx, guest.id)?.into_iter().map(|line| line.variant_id).collect())
}

/// Merges a guest's cart, once.
pub(crate) fn merge(tx: &mut Tx<'_>, token_hash: &[u8], user: UserId, available: &Available) -> Result<Merge, Error> {
    let Some(guest) = tx.get_by::<CartByToken>(Some(token_hash.to_vec()))? else { return Ok(Merge::Unknown) };
    match guest.merged_by {
        Some(by) if by == user => return Ok(Merge::Before),
        Some(_) => return Ok(Merge::Unknown),
        None => {}
    }
    let mut guest_lines = lines(tx, guest.id)?;
    guest_lines.sort_by_key(|line| line.place);
    if guest_lines.iter().any(|line| !available.contains_key(&line.variant_id)) {
        return Ok(Merge::Stale);
    }
    let holder = Holder::User(user);
    let mut cart = match open_cart(tx, &holder)? {
        Some(cart) => cart,
        None => new_cart(tx, &holder)?,
    };
    cart.version += 1;
    take_codes(&mut cart, &guest);
    let (sums, warnings) = move_lines(tx, &mut cart, guest_lines, available)?;
    touch(tx, &mut cart)?;
    end_guest(tx, guest, user, sums)?;
    Ok(Merge::Done(Box::new(Contents::read(tx, cart)?), warnings))
}

/// Units of a merge.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    guest: i64,
    own: i64,
    merged: i64,
}

fn move_lines(
    tx: &mut Tx<'_>,
    cart: &mut Cart,
    guest_lines: Vec<CartItem>,
    available: &Available,
) -> Result<(Sums, Vec<CartWarning>), StoreError> {
    let (mut sums, mut warnings) = (Sums::default(), Vec::new());
    for line in guest_lines {
        let in_stock = available.get(&line.variant_id).copied().unwrap_or(0);
        let own = tx.get::<CartItem>(&(cart.id, line.variant_id))?;
        let before = own.as_ref().map_or(0, |own| own.quantity);
        let room = own.is_some() || cart.lines < rules::MAX_LINES;
        let after = if room { rules::merged(before, line.quantity, in_stock) } else { 0 };
        if after != before {
            put_line(tx, cart, own, (line.variant_id, &line.sku), after)?;
        }
        tx.delete::<CartItem>(&(line.cart_id, line.variant_id))?;
        sums.guest += i64::from(line.quantity);
        sums.own += i64::from(before);
        sums.merged += i64::from(after);
        let asked = before.saturating_add(line.quantity);
        if after < asked {
            warnings.push(capped(&line.sku, asked, after, room));
        }
    }
    Ok((sums, warnings))
}

fn capped(sku: &Sku, asked: u32, after: u32, room: bool) -> CartWarning {
    let detail = if room {
        format!("{asked} of {sku} were requested, but only {after} are in the cart: there is no more stock.")
    } else {
        format!("{sku} was left out: a cart has at most {} lines.", rules::MAX_LINES)
    };
    CartWarning {
        code: WarningCode::QuantityCapped,
        detail,
        sku: Some(sku.clone()),
        asked: Some(asked),
        available: Some(after),
        rejected_code: None,
        reason: None,
    }
}

fn take_codes(cart: &mut Cart, guest: &Cart) {
    if cart.promotion_code.is_none() {
        cart.promotion_code.clone_from(&guest.promotion_code);
    }
    for code in guest.coupon_codes.iter() {
        rules::join(&mut cart.coupon_codes, code.clone());
    }
    cart.codes_version = cart.version;
}

/// Keeps a record of the guest's cart, so that a repeated merge is recognised.
fn end_guest(tx: &mut Tx<'_>, mut guest: Cart, user: UserId, sums: Sums) -> Result<(), StoreError> {
    let guest_cart: CartId = guest.id;
    guest.merged_by = Some(user);
    guest.promotion_code = None;
    guest.coupon_codes.clear();
    guest.lines = 0;
    guest.version += 1;
    touch(tx, &mut guest)?;
    tx.insert(&CartMerge {
        guest_cart,
        guest_units: sums.guest,
        own_units: sums.own,
        merged_units: sums.merged,
        capped_units: sums.guest + sums.own - sums.merged,
        at: tx.now(),
    })
}

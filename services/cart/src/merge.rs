//! Merging a guest's cart into a user's: quantities are added up to the available stock, and the guest's cart is
//! closed.

use std::collections::BTreeMap;

use promox_contract::ids::{CartId, VariantId};
use promox_kernel::{Error, Sku, UserId};
use promox_storage::{StoreError, Tx};

use crate::api::{CartWarning, WarningCode};
use crate::commands::{Draft, touch};
use crate::queries::{Contents, Holder, guest_cart, lines, open_cart};
use crate::records::{Cart, CartItem, CartMerge};
use crate::rules;

/// The outcome of planning a merge.
#[derive(Debug)]
pub(crate) enum Plan {
    /// The carts can be merged.
    Ready(Box<Planned>),
    /// The carts were merged before, or there is nothing to merge.
    AlreadyMerged,
    /// Lines were added whose stock has not been queried: the caller queries it and plans again.
    Stale,
    /// No guest's cart has this token, or it was merged into another user's.
    Unknown,
}

/// A planned merge, not stored yet.
#[derive(Debug)]
pub(crate) struct Planned {
    /// The user's cart after the merge.
    pub(crate) draft: Draft,
    /// A warning for each line that was capped or left out.
    pub(crate) warnings: Vec<CartWarning>,
    guest: Cart,
    guest_lines: Vec<CartItem>,
    sums: Sums,
}

impl Planned {
    /// The versions of both carts that the plan is based on.
    pub(crate) fn base(&self) -> Base {
        Base { guest: self.guest.version, own: self.draft.base }
    }
}

/// The versions of both carts when a merge was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    guest: i64,
    own: Option<(CartId, i64)>,
}

/// The available stock of each variant.
pub(crate) type Available = BTreeMap<VariantId, u32>;

/// The variants in a guest's cart; none if there is no such cart or it was merged.
pub(crate) fn guest_variants(tx: &Tx<'_>, token_hash: &[u8]) -> Result<Vec<VariantId>, StoreError> {
    let Some(guest) = open_cart(tx, &Holder::Guest(token_hash.to_vec()))? else { return Ok(Vec::new()) };
    Ok(lines(tx, guest.id)?.into_iter().map(|line| line.variant_id).collect())
}

/// Plans the merge of a guest's cart without storing anything.
pub(crate) fn plan(tx: &Tx<'_>, token_hash: &[u8], user: UserId, available: &Available) -> Result<Plan, Error> {
    let Some(guest) = guest_cart(tx, token_hash)? else { return Ok(Plan::Unknown) };
    match guest.merged_by {
        Some(by) if by == user => return Ok(Plan::AlreadyMerged),
        Some(_) => return Ok(Plan::Unknown),
        None => {}
    }
    let mut guest_lines = lines(tx, guest.id)?;
    guest_lines.sort_by_key(|line| line.place);
    if guest_lines.iter().any(|line| !available.contains_key(&line.variant_id)) {
        return Ok(Plan::Stale);
    }
    let mut draft = Draft::of(tx, &Holder::User(user))?;
    draft.contents.cart.version += 1;
    merge_codes(&mut draft.contents.cart, &guest);
    let (sums, warnings) = add_lines(&mut draft.contents, &guest_lines, available);
    Ok(Plan::Ready(Box::new(Planned { draft, warnings, guest, guest_lines, sums })))
}

/// Merges a guest's cart. Returns `None` if one of the carts has changed since `base`: the merge must then be planned
/// and priced again.
pub(crate) fn merge(
    tx: &mut Tx<'_>,
    token_hash: &[u8],
    user: UserId,
    available: &Available,
    base: Base,
) -> Result<Option<Contents>, Error> {
    let Plan::Ready(planned) = plan(tx, token_hash, user, available)? else { return Ok(None) };
    if planned.base() != base {
        return Ok(None);
    }
    let Planned { draft, guest, guest_lines, sums, .. } = *planned;
    for line in guest_lines {
        tx.delete::<CartItem>(&(line.cart_id, line.variant_id))?;
    }
    let merged = draft.store(tx)?;
    close_guest_cart(tx, guest, user, sums)?;
    Ok(Some(merged))
}

/// Units in both carts before a merge and in the user's cart after it, summed over the guest's variants.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    guest: i64,
    own: i64,
    merged: i64,
}

/// Adds the guest's lines to the user's contents. Returns the unit counts and a warning for each line that was capped.
fn add_lines(contents: &mut Contents, guest_lines: &[CartItem], available: &Available) -> (Sums, Vec<CartWarning>) {
    let (mut sums, mut warnings) = (Sums::default(), Vec::new());
    for line in guest_lines {
        let in_stock = available.get(&line.variant_id).copied().unwrap_or(0);
        let own = contents.quantity(line.variant_id);
        let before = own.unwrap_or(0);
        let room = own.is_some() || contents.cart.lines < rules::MAX_LINES;
        let after = if room { rules::merged(before, line.quantity, in_stock) } else { 0 };
        if after != before {
            contents.put(line.variant_id, &line.sku, after);
        }
        sums.guest += i64::from(line.quantity);
        sums.own += i64::from(before);
        sums.merged += i64::from(after);
        let requested = before.saturating_add(line.quantity);
        if after < requested {
            warnings.push(capped_warning(&line.sku, requested, after, room));
        }
    }
    (sums, warnings)
}

fn capped_warning(sku: &Sku, requested: u32, after: u32, room: bool) -> CartWarning {
    let detail = if room {
        format!("{requested} of {sku} were requested, but only {after} are in the cart: there is no more stock.")
    } else {
        format!("{sku} was left out: a cart has at most {} lines.", rules::MAX_LINES)
    };
    CartWarning {
        code: WarningCode::QuantityCapped,
        detail,
        sku: Some(sku.clone()),
        asked: Some(requested),
        available: Some(after),
        rejected_code: None,
        reason: None,
    }
}

/// Adds the guest's codes; a promotion code that the user entered is kept.
fn merge_codes(cart: &mut Cart, guest: &Cart) {
    if cart.promotion_code.is_none() {
        cart.promotion_code.clone_from(&guest.promotion_code);
    }
    for code in guest.coupon_codes.iter() {
        rules::add_code(&mut cart.coupon_codes, code.clone());
    }
    cart.codes_version = cart.version;
}

/// Closes a merged guest cart. Its record is kept, so that a repeated merge is recognised.
fn close_guest_cart(tx: &mut Tx<'_>, mut guest: Cart, user: UserId, sums: Sums) -> Result<(), StoreError> {
    let guest_cart: CartId = guest.id;
    guest.merged_by = Some(user);
    guest.promotion_code = None;
    guest.coupon_codes.clear();
    (guest.email, guest.languages) = (None, None);
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

//! The audit of carts.

use promox_contract::product::{VARIANTS, variant_named};
use promox_storage::{Report, StoreError, Tx};

use crate::records::{Cart, CartItem, CartMerge, CartOrder};
use crate::rules::{MAX_LINES, MAX_UNITS};

/// Checks every row of this service and reports the facts that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    for cart in tx.scan::<Cart>().rows() {
        check_cart(tx, report, &cart?)?;
    }
    for item in tx.scan::<CartItem>().rows() {
        let item = item?;
        report.names(VARIANTS, variant_named(item.variant_id, None), || format!("cart {}", item.cart_id));
        let owned = tx.get::<Cart>(&item.cart_id)?.is_some();
        report
            .check("references: every line belongs to a cart", owned, || format!("cart {} {}", item.cart_id, item.sku));
        let fits = (1..=MAX_UNITS).contains(&item.quantity);
        report.check("cart: a line has 1 to 9999 units", fits, || format!("cart {} {}", item.cart_id, item.sku));
    }
    for merge in tx.scan::<CartMerge>().rows() {
        let merge = merge?;
        let conserved = merge.guest_units + merge.own_units == merge.merged_units + merge.capped_units;
        let only_adds = merge.capped_units >= 0 && merge.merged_units >= merge.own_units;
        report.check("cart: a merge conserves quantities", conserved && only_adds, || {
            format!("guest cart {}", merge.guest_cart)
        });
    }
    Ok(())
}

fn check_cart(tx: &Tx<'_>, report: &mut Report, cart: &Cart) -> Result<(), StoreError> {
    let items: Vec<CartItem> = tx.scan::<CartItem>().prefix(cart.id).rows().collect::<Result<_, _>>()?;
    let count_matches = items.len() == cart.lines as usize && cart.lines <= MAX_LINES;
    report.check("cart: the line count is right and at most 1,000", count_matches, || {
        format!("cart {} counts {} lines, but has {}", cart.id, cart.lines, items.len())
    });
    let open_or_empty = cart.merged_by.is_none() || items.is_empty();
    report.check("cart: a merged cart is empty", open_or_empty, || format!("cart {}", cart.id));
    let has_one_holder = cart.user_id.is_some() != cart.token_hash.is_some();
    report.check("cart: a cart belongs to a user or a guest", has_one_holder, || format!("cart {}", cart.id));
    let is_guests = cart.email.is_none() || (cart.token_hash.is_some() && cart.merged_by.is_none());
    report.check("cart: only a guest's open cart has an address", is_guests, || format!("cart {}", cart.id));
    let ordered = tx.scan::<CartOrder>().prefix(cart.id).backward().first()?.map_or(0, |order| order.version);
    let unordered = items.iter().all(|item| item.version > ordered && item.version <= cart.version);
    report.check("cart: an ordered cart has no lines", unordered, || {
        format!("cart {} has lines that were ordered", cart.id)
    });
    Ok(())
}

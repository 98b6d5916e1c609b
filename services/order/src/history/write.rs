//! Writes a document: new, replaced whole, or left because it is the same.

use promox_contract::ids::OrderId;
use promox_contract::order::{CreditNoteImported, OrderImported, OrderStatus};
use promox_kernel::{Currency, Error, Json};
use promox_storage::Tx;

use super::read::Document;
use crate::checkout::steps::note;
use crate::queries;
use crate::records::{
    CreditLine, CreditNote, CreditNoteByNumber, CreditNoteId, Order, OrderByNumber, OrderDetails, OrderItem,
};

/// What became of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Created,
    Updated,
    Same,
    /// The number is an order's that was placed here.
    Taken,
}

/// Takes a document.
pub(crate) fn upsert(tx: &mut Tx<'_>, document: &Document, currency: Currency) -> Result<Outcome, Error> {
    if document.is_credit { credit_note(tx, document, currency) } else { order(tx, document, currency) }
}

fn credit_note(tx: &mut Tx<'_>, document: &Document, currency: Currency) -> Result<Outcome, Error> {
    let old = tx.get_by::<CreditNoteByNumber>(document.number.clone())?;
    let line = |line: &super::read::Line| CreditLine {
        sku: line.sku.clone(),
        name: line.name.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        total: line.total(),
    };
    let new = CreditNote {
        id: match &old {
            Some(old) => old.id,
            None => CreditNoteId(tx.next_id::<CreditNote>()?),
        },
        number: document.number.clone(),
        currency,
        total: currency.round(document.total().0),
        lines: Json(document.lines.iter().map(line).collect()),
        issued_at: document.at,
    };
    if old.as_ref() == Some(&new) {
        return Ok(Outcome::Same);
    }
    tx.put(&new)?;
    tx.emit(new.id, &CreditNoteImported { id: new.id.0 })?;
    Ok(if old.is_some() { Outcome::Updated } else { Outcome::Created })
}

fn order(tx: &mut Tx<'_>, document: &Document, currency: Currency) -> Result<Outcome, Error> {
    let old = tx.get_by::<OrderByNumber>(document.number.clone())?;
    if old.as_ref().is_some_and(|old| !old.imported) {
        return Ok(Outcome::Taken);
    }
    let id = match &old {
        Some(old) => old.id,
        None => OrderId(tx.next_id::<Order>()?),
    };
    let new_items = items(id, document, currency);
    let Some(old) = old else {
        tx.emit(id, &OrderImported { order_id: id })?;
        tx.insert(&imported(id, document, currency))?;
        new_items.iter().try_for_each(|item| tx.insert(item))?;
        return Ok(Outcome::Created);
    };
    let old_items = queries::items(tx, id)?;
    let new = Order {
        version: old.version,
        timeline: old.timeline.clone(),
        updated_at: old.updated_at,
        ..imported(id, document, currency)
    };
    if new == old && new_items == old_items {
        return Ok(Outcome::Same);
    }
    tx.emit(id, &OrderImported { order_id: id })?;
    for item in old_items.iter().skip(new_items.len()) {
        tx.delete::<OrderItem>(&(id, item.line))?;
    }
    new_items.iter().try_for_each(|item| tx.put(item))?;
    tx.put(&Order { version: old.version + 1, updated_at: tx.now(), ..new })?;
    Ok(Outcome::Updated)
}

fn imported(id: OrderId, document: &Document, currency: Currency) -> Order {
    let (subtotal, total) = (currency.round(document.subtotal().0), currency.round(document.total().0));
    let zero = currency.zero();
    let mut details = OrderDetails::default();
    if let Some(customer) = &document.customer {
        details.attributes.insert("customer".to_owned(), customer.clone());
    }
    let mut order = Order {
        id,
        number: document.number.clone(),
        status: OrderStatus::Delivered,
        user_id: None,
        email: document.email.clone(),
        mailbox: document.email.as_ref().map(promox_kernel::Email::mailbox),
        currency,
        prices_include_tax: true,
        subtotal,
        discount: currency.round((subtotal - total).0),
        shipping: zero,
        shipping_discount: zero,
        tax: zero,
        points_redeemed: 0,
        points_value: zero,
        total,
        points_earned: 0,
        payment_id: None,
        payment_status: None,
        token_hash: None,
        imported: true,
        returned: zero,
        returned_points: 0,
        given_back: zero,
        returned_net: zero,
        details: Json(details),
        timeline: Json(Vec::new()),
        version: 1,
        created_at: document.at,
        updated_at: document.at,
    };
    note(&mut order, document.at, "IMPORT", "DONE", "Taken over from another system.", "system");
    order
}

fn items(id: OrderId, document: &Document, currency: Currency) -> Vec<OrderItem> {
    let zero = currency.zero();
    let item = |(line, row): (u32, &super::read::Line)| {
        let quantity = u32::try_from(row.quantity).unwrap_or(u32::MAX);
        OrderItem {
            order_id: id,
            line,
            sku: row.sku.clone(),
            variant_id: None,
            product_id: None,
            name: row.name.clone(),
            quantity,
            unit_price: row.unit_price,
            list_price: row.unit_price,
            subtotal: currency.round(row.subtotal.0),
            discount: currency.round(row.discount.0),
            tax: zero,
            total: currency.round(row.total().0),
            flash_sale_id: None,
            discounts: Json(Vec::new()),
            shipped: quantity,
            delivered: quantity,
            returned: 0,
            withdrawn: 0,
            campaign_id: None,
        }
    };
    (0..).zip(&document.lines).map(item).collect()
}

//! Writes documents: a document is added, replaces its earlier import as a whole, or is skipped if it is unchanged.

use promox_contract::ids::OrderId;
use promox_contract::import::RowOutcome;
use promox_contract::order::{CreditNoteImported, OrderImported};
use promox_kernel::Error;
use promox_storage::Tx;

use super::check::{Checked, Content, Sale};
use crate::order_row::note;
use crate::queries;
use crate::records::{
    CreditNote, CreditNoteByNumber, CreditNoteId, Fulfilment, FulfilmentByOrder, FulfilmentId, Order, OrderByNumber,
    OrderItem, Return, ReturnByOrder, ReturnId,
};

/// Writes a document. Returns `None`, and writes nothing, if its number belongs to an order that was not imported.
pub(crate) fn upsert(tx: &mut Tx<'_>, document: &Checked) -> Result<Option<RowOutcome>, Error> {
    match &document.content {
        Content::CreditNote(note) => credit_note(tx, note),
        Content::Order(sale) => order(tx, sale),
    }
}

fn credit_note(tx: &mut Tx<'_>, note: &CreditNote) -> Result<Option<RowOutcome>, Error> {
    let old = tx.get_by::<CreditNoteByNumber>(note.number.clone())?;
    let id = match &old {
        Some(old) => old.id,
        None => CreditNoteId(tx.next_id::<CreditNote>()?),
    };
    let new = CreditNote { id, ..note.clone() };
    if old.as_ref() == Some(&new) {
        return Ok(Some(RowOutcome::Skipped));
    }
    tx.put(&new)?;
    tx.emit(new.id, &CreditNoteImported { id: new.id.0 })?;
    Ok(Some(if old.is_some() { RowOutcome::Updated } else { RowOutcome::Created }))
}

fn order(tx: &mut Tx<'_>, sale: &Sale) -> Result<Option<RowOutcome>, Error> {
    let old = tx.get_by::<OrderByNumber>(sale.order.number.clone())?;
    if old.as_ref().is_some_and(|old| !old.imported) {
        return Ok(None);
    }
    let Some(old) = old else {
        let id = OrderId(tx.next_id::<Order>()?);
        tx.emit(id, &OrderImported { order_id: id })?;
        let mut order = Order { id, ..sale.order.clone() };
        let at = order.created_at;
        note(&mut order, at, "IMPORT", "DONE", "Imported from another system.", "system")?;
        tx.insert(&order)?;
        put_parts(tx, id, sale, &Parts::default())?;
        return Ok(Some(RowOutcome::Created));
    };
    let id = old.id;
    let parts = Parts::of(tx, id)?;
    let new = Order {
        id,
        version: old.version,
        timeline: old.timeline.clone(),
        updated_at: old.updated_at,
        ..sale.order.clone()
    };
    if new == old && parts.match_document(id, sale) {
        return Ok(Some(RowOutcome::Skipped));
    }
    tx.emit(id, &OrderImported { order_id: id })?;
    put_parts(tx, id, sale, &parts)?;
    tx.put(&Order { version: old.version + 1, updated_at: tx.now(), ..new })?;
    Ok(Some(RowOutcome::Updated))
}

/// The rows of an order that was imported before, except the order's own.
#[derive(Default)]
struct Parts {
    items: Vec<OrderItem>,
    parcels: Vec<Fulfilment>,
    returns: Vec<Return>,
}

impl Parts {
    fn of(tx: &Tx<'_>, id: OrderId) -> Result<Self, Error> {
        let parcels = tx.scan_by::<FulfilmentByOrder>().prefix(id).rows().collect::<Result<_, _>>()?;
        let returns = tx.scan_by::<ReturnByOrder>().prefix(id).rows().collect::<Result<_, _>>()?;
        Ok(Self { items: queries::items(tx, id)?, parcels, returns })
    }

    /// Whether these rows are those of a document, apart from the ids that they got when they were written.
    fn match_document(&self, order_id: OrderId, sale: &Sale) -> bool {
        let items = sale.items.iter().map(|item| OrderItem { order_id, ..item.clone() });
        let parcels =
            self.parcels.iter().map(|row| Fulfilment { id: FulfilmentId(0), order_id: OrderId(0), ..row.clone() });
        let returns = self.returns.iter().map(|row| Return { id: ReturnId(0), order_id: OrderId(0), ..row.clone() });
        items.eq(self.items.iter().cloned())
            && parcels.eq(sale.parcels.iter().cloned())
            && returns.eq(sale.returns.iter().cloned())
    }
}

/// Replaces the rows of an order, except the order's own.
fn put_parts(tx: &mut Tx<'_>, order_id: OrderId, sale: &Sale, old: &Parts) -> Result<(), Error> {
    for item in old.items.iter().skip(sale.items.len()) {
        tx.delete::<OrderItem>(&(order_id, item.line))?;
    }
    for item in &sale.items {
        tx.put(&OrderItem { order_id, ..item.clone() })?;
    }
    for parcel in &old.parcels {
        tx.delete::<Fulfilment>(&parcel.id)?;
    }
    for parcel in &sale.parcels {
        let id = FulfilmentId(tx.next_id::<Fulfilment>()?);
        tx.insert(&Fulfilment { id, order_id, ..parcel.clone() })?;
    }
    for row in &old.returns {
        tx.delete::<Return>(&row.id)?;
    }
    for row in &sale.returns {
        let id = ReturnId(tx.next_id::<Return>()?);
        tx.insert(&Return { id, order_id, ..row.clone() })?;
    }
    Ok(())
}

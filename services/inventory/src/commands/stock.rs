//! Commands on stock: counts and adjustments by staff, counts of an import, and changes of SKUs.

use promox_contract::audit::Audited;
use promox_contract::ids::VariantId;
use promox_contract::inventory::CountsTaken;
use promox_contract::product::{SkuChanged, VariantRef};
use promox_kernel::{Cx, Error, multiline};
use promox_storage::{StoreError, Tx};

use super::Book;
use super::book::Cause;
use crate::api::{AdjustStock, CountStock, StockView};
use crate::queries::stock_view;
use crate::records::{MovementKind, Stock};
use crate::rules::{self, MAIN, MAX_UNITS};

/// A validated count.
#[derive(Debug)]
pub(crate) struct Count {
    of: VariantRef,
    on_hand: i64,
    location: String,
    threshold: Option<i64>,
    backorder: Option<bool>,
}

impl Count {
    /// Validates a request for the variant `of`.
    pub(crate) fn read(op: &CountStock, of: VariantRef) -> Result<Self, Error> {
        if !(0..=MAX_UNITS).contains(&op.on_hand) {
            return Err(Error::field("/onHand", format!("must be 0 to {MAX_UNITS} units")));
        }
        if op.low_stock_threshold.is_some_and(|threshold| !(0..=MAX_UNITS).contains(&threshold)) {
            return Err(Error::field("/lowStockThreshold", format!("must be 0 to {MAX_UNITS} units")));
        }
        let location = rules::location(op.location.as_deref())?;
        let (threshold, backorder) = (op.low_stock_threshold, op.backorder);
        Ok(Self { of, on_hand: op.on_hand, location, threshold, backorder })
    }

    /// Returns the variant that is counted.
    pub(crate) fn variant(&self) -> VariantId {
        self.of.variant_id
    }
}

/// Records a count at a location, with the settings that were sent.
pub(crate) fn count(tx: &mut Tx<'_>, cx: &Cx, count: &Count) -> Result<StockView, Error> {
    let id = count.of.variant_id;
    let before = tx.get::<Stock>(&id)?;
    cx.check_version(before.as_ref().map_or(0, |stock| stock.version))?;
    let mut book = Book::default();
    let stock = book.open_or_create(tx, &count.of)?;
    if let Some(threshold) = count.threshold {
        stock.threshold = threshold;
    }
    if let Some(backorder) = count.backorder {
        stock.backorder = backorder;
    }
    let delta = count.on_hand - stock.at(&count.location).0;
    stock.check_movement(&count.location, delta)?;
    stock.change(&count.location, 0, 0);
    let cause = Cause { kind: MovementKind::Count, reason: None, reference: None };
    book.record_movement(tx, id, (&count.location, delta), cause)?;
    book.open(tx, id)?.check_backorder()?;
    book.close(tx)?;
    answer(tx, cx, "inventory.count", id, before)
}

/// A validated adjustment.
#[derive(Debug)]
pub(crate) struct Adjustment {
    of: VariantRef,
    delta: i64,
    reason: String,
    location: String,
}

impl Adjustment {
    /// Validates a request for the variant `of`.
    pub(crate) fn read(op: &AdjustStock, of: VariantRef) -> Result<Self, Error> {
        if op.delta == 0 || !(-MAX_UNITS..=MAX_UNITS).contains(&op.delta) {
            return Err(Error::field("/delta", format!("must be 1 to {MAX_UNITS} units in either direction")));
        }
        let reason = multiline(&op.reason, 1, 200).map_err(|fault| Error::field("/reason", fault))?;
        let location = rules::location(op.location.as_deref())?;
        Ok(Self { of, delta: op.delta, reason, location })
    }
}

/// Records a manual adjustment.
pub(crate) fn adjust(tx: &mut Tx<'_>, cx: &Cx, adjustment: &Adjustment) -> Result<StockView, Error> {
    let Adjustment { of, delta, reason, location } = adjustment;
    let before = tx.get::<Stock>(&of.variant_id)?.ok_or(Error::not_found("SKU in stock"))?;
    before.check_movement(location, *delta)?;
    let mut book = Book::default();
    book.open_or_create(tx, of)?;
    let cause = Cause { kind: MovementKind::Adjustment, reason: Some(reason), reference: None };
    book.record_movement(tx, of.variant_id, (location, *delta), cause)?;
    book.close(tx)?;
    answer(tx, cx, "inventory.adjust", of.variant_id, Some(before))
}

/// Emits the audit entry of a change and returns the stock after it.
fn answer(tx: &mut Tx<'_>, cx: &Cx, action: &str, id: VariantId, before: Option<Stock>) -> Result<StockView, Error> {
    let after = tx.get::<Stock>(&id)?.ok_or(Error::not_found("SKU in stock"))?;
    let after = stock_view(after);
    let subject = format!("sku:{}", after.sku);
    let entry = Audited::new(cx.principal.name(), action, subject, before.map(stock_view), &after);
    tx.emit(id, &entry)?;
    Ok(after)
}

/// Records the counts of an import at `MAIN`. SKUs that were already counted are not changed, so that a repeated import
/// does not undo later sales and counts.
pub(crate) fn import_counts(tx: &mut Tx<'_>, counts: &[(VariantRef, u32)]) -> Result<CountsTaken, StoreError> {
    let mut book = Book::default();
    let mut taken = CountsTaken { refused: Vec::new(), kept: 0 };
    for (of, on_hand) in counts {
        if tx.get::<Stock>(&of.variant_id)?.is_some() {
            taken.kept += 1;
            continue;
        }
        let delta = i64::from(*on_hand);
        if delta > MAX_UNITS {
            taken.refused.push(of.sku.clone());
            continue;
        }
        book.open_or_create(tx, of)?;
        let cause = Cause { kind: MovementKind::Count, reason: Some("import"), reference: None };
        book.record_movement(tx, of.variant_id, (MAIN, delta), cause)?;
    }
    book.close(tx)?;
    Ok(taken)
}

/// Updates the SKU of a variant's stock row. A variant that was never counted gets its row now, so that a concurrent
/// count under the former SKU does not store that SKU.
pub(crate) fn rename(tx: &Tx<'_>, book: &mut Book, change: SkuChanged) -> Result<(), StoreError> {
    let SkuChanged { product_id, variant_id, sku, .. } = change;
    let stock = book.open_or_create(tx, &VariantRef { variant_id, product_id, sku: sku.clone() })?;
    stock.sku = sku;
    Ok(())
}

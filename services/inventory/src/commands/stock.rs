//! Counts and adjustments: what an administrator or an import says of the shelf.

use promox_contract::audit::Audited;
use promox_contract::inventory::{CountsTaken, StockCount};
use promox_kernel::{Cx, Error, Sku, multiline};
use promox_storage::{StoreError, Tx};

use super::Book;
use super::book::Cause;
use crate::api::{AdjustStock, CountStock, StockView};
use crate::queries::stock_view;
use crate::records::{MovementKind, Stock};
use crate::reject::Reject;
use crate::rules::{self, MAIN, MOST_PIECES};

/// A count whose members were checked.
#[derive(Debug)]
pub(crate) struct Count {
    sku: Sku,
    on_hand: i64,
    location: String,
    threshold: Option<i64>,
    backorder: Option<bool>,
}

impl TryFrom<CountStock> for Count {
    type Error = Error;
    fn try_from(op: CountStock) -> Result<Self, Error> {
        if !(0..=MOST_PIECES).contains(&op.on_hand) {
            return Err(Error::field("/onHand", format!("a count is 0 to {MOST_PIECES}")));
        }
        if op.low_stock_threshold.is_some_and(|threshold| !(0..=MOST_PIECES).contains(&threshold)) {
            return Err(Error::field("/lowStockThreshold", format!("a threshold is 0 to {MOST_PIECES}")));
        }
        let location = rules::location(op.location.as_deref())?;
        let (threshold, backorder) = (op.low_stock_threshold, op.backorder);
        Ok(Self { sku: op.sku, on_hand: op.on_hand, location, threshold, backorder })
    }
}

/// Takes a count.
pub(crate) fn count(tx: &mut Tx<'_>, cx: &Cx, count: &Count) -> Result<StockView, Reject> {
    let before = tx.get::<Stock>(&count.sku)?;
    cx.check_version(before.as_ref().map_or(0, |stock| stock.version))?;
    let mut book = Book::default();
    let stock = book.open(tx, &count.sku)?;
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
    book.enter(tx, &count.sku, (&count.location, delta), cause)?;
    book.open(tx, &count.sku)?.check_backorder()?;
    book.close(tx)?;
    answer(tx, cx, "inventory.count", &count.sku, before)
}

/// An adjustment whose members were checked.
#[derive(Debug)]
pub(crate) struct Adjustment {
    sku: Sku,
    delta: i64,
    reason: String,
    location: String,
}

impl TryFrom<AdjustStock> for Adjustment {
    type Error = Error;
    fn try_from(op: AdjustStock) -> Result<Self, Error> {
        if op.delta == 0 || !(-MOST_PIECES..=MOST_PIECES).contains(&op.delta) {
            return Err(Error::field("/delta", format!("a movement is up to {MOST_PIECES} either way, not 0")));
        }
        let reason = multiline(&op.reason, 1, 200).map_err(|fault| Error::field("/reason", fault))?;
        let location = rules::location(op.location.as_deref())?;
        Ok(Self { sku: op.sku, delta: op.delta, reason, location })
    }
}

/// Moves stock by hand.
pub(crate) fn adjust(tx: &mut Tx<'_>, cx: &Cx, adjustment: &Adjustment) -> Result<StockView, Reject> {
    let Adjustment { sku, delta, reason, location } = adjustment;
    let before = tx.get::<Stock>(sku)?.ok_or(Reject::Absent("SKU in stock"))?;
    before.check_movement(location, *delta)?;
    let mut book = Book::default();
    let cause = Cause { kind: MovementKind::Adjustment, reason: Some(reason), reference: None };
    book.enter(tx, sku, (location, *delta), cause)?;
    book.close(tx)?;
    answer(tx, cx, "inventory.adjust", sku, Some(before))
}

fn answer(tx: &mut Tx<'_>, cx: &Cx, action: &str, sku: &Sku, before: Option<Stock>) -> Result<StockView, Reject> {
    let after = tx.get::<Stock>(sku)?.ok_or(Reject::Absent("SKU in stock"))?;
    let id = after.id;
    let after = stock_view(after);
    let subject = format!("sku:{}", after.sku);
    let entry = Audited::new(cx.principal.name(), action, subject, before.map(stock_view), &after);
    tx.emit(id, &entry)?;
    Ok(after)
}

/// Counts of an import, at `MAIN`. A SKU of which more is promised than is counted stays as it is and is named.
pub(crate) fn set(tx: &mut Tx<'_>, counts: &[StockCount]) -> Result<CountsTaken, StoreError> {
    let mut book = Book::default();
    let mut refused = Vec::new();
    for count in counts {
        let stock = book.open(tx, &count.sku)?;
        let delta = i64::from(count.on_hand) - stock.at(MAIN).0;
        if stock.check_movement(MAIN, delta).is_err() {
            refused.push(count.sku.clone());
            continue;
        }
        let cause = Cause { kind: MovementKind::Count, reason: Some("import"), reference: None };
        book.enter(tx, &count.sku, (MAIN, delta), cause)?;
    }
    book.close(tx)?;
    Ok(CountsTaken { refused })
}

//! The stock rows of one transaction: each is read once, written once, and told of once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use promox_contract::inventory::{StockChanged, StockLow};
use promox_kernel::Sku;
use promox_storage::{StoreError, Tx};

use crate::records::{Movement, MovementKind, Stock};

/// Why pieces move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) kind: MovementKind,
    pub(crate) reason: Option<&'a str>,
    pub(crate) reference: Option<&'a str>,
}

/// A stock row as it was and as it is.
struct Opened {
    before: Option<Stock>,
    now: Stock,
    moved: bool,
}

/// The stock rows that a transaction works on.
#[derive(Default)]
pub(crate) struct Book {
    stocks: BTreeMap<Sku, Opened>,
    movements: Vec<Movement>,
}

impl Book {
    /// A SKU's row; a new one for a SKU that is not known.
    pub(crate) fn open(&mut self, tx: &mut Tx<'_>, sku: &Sku) -> Result<&mut Stock, StoreError> {
        Ok(&mut self.opened(tx, sku)?.now)
    }

    fn opened(&mut self, tx: &mut Tx<'_>, sku: &Sku) -> Result<&mut Opened, StoreError> {
        Ok(match self.stocks.entry(sku.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let before = tx.get::<Stock>(sku)?;
                let now = match &before {
                    Some(stock) => stock.clone(),
                    None => Stock::blank(sku.clone(), tx.next_id::<Stock>()?),
                };
                place.insert(Opened { before, now, moved: false })
            }
        })
    }

    /// Moves pieces in or out of a place, and enters it in the ledger; nothing for nothing.
    pub(crate) fn enter(
        &mut self,
        tx: &mut Tx<'_>,
        sku: &Sku,
        (location, delta): (&str, i64),
        cause: Cause<'_>,
    ) -> Result<(), StoreError> {
        let at = tx.now();
        let opened = self.opened(tx, sku)?;
        if delta == 0 {
            return Ok(());
        }
        opened.moved = true;
        let stock = &mut opened.now;
        stock.change(location, delta, 0);
        stock.movements += 1;
        let movement = Movement {
            sku: stock.sku.clone(),
            number: stock.movements,
            kind: cause.kind,
            delta,
            on_hand: stock.on_hand,
            location: location.to_owned(),
            reason: cause.reason.map(str::to_owned),
            reference: cause.reference.map(str::to_owned),
            at,
        };
        self.movements.push(movement);
        Ok(())
    }

    /// Writes what changed, and tells of it.
    pub(crate) fn close(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for Opened { before, mut now, moved } in self.stocks.into_values() {
            if before.as_ref() == Some(&now) {
                continue;
            }
            now.low = now.is_low().then_some(true);
            now.version += 1;
            now.updated_at = tx.now();
            tx.put(&now)?;
            tell(tx, before.as_ref(), &now, moved)?;
        }
        for movement in self.movements {
            tx.insert(&movement)?;
        }
        Ok(())
    }
}

/// Tells of a change that others act on: a movement, or a hold that crosses zero or the threshold.
fn tell(tx: &mut Tx<'_>, before: Option<&Stock>, now: &Stock, moved: bool) -> Result<(), StoreError> {
    let (was, is) = (before.map_or(0, Stock::sellable), now.sellable());
    let was_low = before.is_none_or(Stock::is_low);
    let crossed = (was == 0) != (is == 0) || was_low != now.is_low();
    let settings = before.is_some_and(|before| before.backorder != now.backorder);
    if was != is && (moved || crossed || settings) {
        tx.emit(now.id, &StockChanged { sku: now.sku.clone(), available: i64::from(is) })?;
    }
    if now.is_low() && !was_low {
        let low = StockLow { sku: now.sku.clone(), available: now.available(), threshold: now.threshold };
        tx.emit(now.id, &low)?;
    }
    Ok(())
}

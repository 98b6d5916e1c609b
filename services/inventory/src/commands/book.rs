//! The stock rows of one transaction. Each is read once and written once, and emits its events once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use promox_contract::ids::VariantId;
use promox_contract::inventory::{StockChanged, StockLow};
use promox_contract::product::VariantRef;
use promox_storage::{Before, StoreError, Tx};

use crate::records::{Movement, MovementKind, Stock};

/// Why units move, as the ledger records it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause<'a> {
    pub(crate) kind: MovementKind,
    pub(crate) reason: Option<&'a str>,
    pub(crate) reference: Option<&'a str>,
}

/// A stock row before and after the transaction's changes.
struct Opened {
    /// The stored row; `None` if the variant was never counted.
    before: Option<Stock>,
    now: Stock,
    /// Whether units moved into or out of the stock.
    moved: bool,
}

/// The stock rows that a transaction changes.
#[derive(Default)]
pub(crate) struct Book {
    stocks: BTreeMap<VariantId, Opened>,
    movements: Vec<Movement>,
}

impl Book {
    /// Returns a variant's row; an empty one if the variant was never counted.
    pub(crate) fn open_or_create(&mut self, tx: &Tx<'_>, of: &VariantRef) -> Result<&mut Stock, StoreError> {
        let opened = match self.stocks.entry(of.variant_id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let before = tx.get::<Stock>(&of.variant_id)?;
                let now = before.clone().unwrap_or_else(|| Stock::empty(of));
                place.insert(Opened { before, now, moved: false })
            }
        };
        Ok(&mut opened.now)
    }

    /// Returns a variant's row, if the variant was ever counted.
    pub(crate) fn find(&mut self, tx: &Tx<'_>, id: VariantId) -> Result<Option<&mut Stock>, StoreError> {
        Ok(self.opened(tx, id)?.map(|opened| &mut opened.now))
    }

    /// Returns the row of a variant that has or had holds. A missing row is an error, because the data is damaged.
    pub(crate) fn open(&mut self, tx: &Tx<'_>, id: VariantId) -> Result<&mut Stock, StoreError> {
        self.find(tx, id)?.ok_or_else(|| no_stock(id))
    }

    fn opened(&mut self, tx: &Tx<'_>, id: VariantId) -> Result<Option<&mut Opened>, StoreError> {
        Ok(match self.stocks.entry(id) {
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let Some(now) = tx.get::<Stock>(&id)? else { return Ok(None) };
                Some(place.insert(Opened { before: Some(now.clone()), now, moved: false }))
            }
        })
    }

    /// Moves units into or out of a location and adds the movement to the ledger. Does nothing for zero units.
    pub(crate) fn record_movement(
        &mut self,
        tx: &Tx<'_>,
        id: VariantId,
        (location, delta): (&str, i64),
        cause: Cause<'_>,
    ) -> Result<(), StoreError> {
        let at = tx.now();
        let opened = self.opened(tx, id)?.ok_or_else(|| no_stock(id))?;
        if delta == 0 {
            return Ok(());
        }
        opened.moved = true;
        let stock = &mut opened.now;
        stock.change(location, delta, 0);
        stock.movements += 1;
        let movement = Movement {
            variant_id: stock.variant_id,
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

    /// Writes the changed rows and the movements, and emits the events of the changes.
    pub(crate) fn close(self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for Opened { before, mut now, moved } in self.stocks.into_values() {
            if before.as_ref() == Some(&now) {
                continue;
            }
            now.low = now.is_low().then_some(true);
            now.version += 1;
            now.updated_at = tx.now();
            match &before {
                Some(before) => tx.put_changed(&Before::of(before), &now)?,
                None => tx.put(&now)?,
            }
            emit_changes(tx, before.as_ref(), &now, moved)?;
        }
        for movement in self.movements {
            tx.insert(&movement)?;
        }
        Ok(())
    }
}

fn no_stock(id: VariantId) -> StoreError {
    StoreError::Damaged { place: format!("variant {id} has holds, but no row in inventory") }
}

/// Emits events for the changes that other services act on: the sellable units have changed by a movement or a change
/// of backorder, or a hold has sold the variant out, made it available again, or crossed the low-stock threshold.
fn emit_changes(tx: &mut Tx<'_>, before: Option<&Stock>, now: &Stock, moved: bool) -> Result<(), StoreError> {
    let (sellable_before, sellable) = (before.map_or(0, Stock::sellable), now.sellable());
    let was_low = before.is_none_or(Stock::is_low);
    let crossed = (sellable_before == 0) != (sellable == 0) || was_low != now.is_low();
    let backorder_changed = before.is_some_and(|before| before.backorder != now.backorder);
    let (variant_id, product_id) = (now.variant_id, now.product_id);
    if sellable_before != sellable && (moved || crossed || backorder_changed) {
        let (sku, available) = (now.sku.clone(), i64::from(sellable));
        tx.emit(variant_id, &StockChanged { variant_id, product_id, sku, available })?;
    }
    if now.is_low() && !was_low {
        let (sku, available, threshold) = (now.sku.clone(), now.available(), now.threshold);
        tx.emit(variant_id, &StockLow { variant_id, product_id, sku, available, threshold })?;
    }
    Ok(())
}

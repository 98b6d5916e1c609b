//! The sums of a period: always the measures, and other tables on request.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Timestamp};
use promox_storage::{Record, StoreError, Tx};

use super::{ENTRIES_PER_READ, EntryCursor};
use crate::commands::deltas;
use crate::commands::rollups::RollupRow;
use crate::records::{BuyerRollup, CampaignRollup, Entry, FlashRollup, ProductRollup, PromotionRollup, Rollup};
use crate::rules::attributed::Attributed;
use crate::rules::cover::{Level, Piece};
use crate::rules::measures::Measures;
use crate::rules::members::Union;
use crate::rules::sold::Sold;
use crate::rules::sum::Sum as _;

/// The tables to sum in addition to the measures.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a table that is read or not, in any combination")]
pub(crate) struct Wanted {
    pub(crate) buyers: bool,
    pub(crate) products: bool,
    pub(crate) promotions: bool,
    pub(crate) campaigns: bool,
    pub(crate) flash_sales: bool,
}

/// The sums of a period.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    wanted: Wanted,
    pub(crate) measures: Measures,
    buyers: Union,
    /// The sales of each product, indexed by the product's number.
    products: Vec<Sold>,
    pub(crate) promotions: BTreeMap<i64, Attributed>,
    pub(crate) campaigns: BTreeMap<i64, Attributed>,
    pub(crate) flash_sales: BTreeMap<i64, Sold>,
    /// The number of rows read.
    pub(crate) rows: usize,
}

impl Sums {
    /// Empty sums of the requested tables.
    pub(crate) fn of(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// The number of customers who bought in the period and before it: all who bought in it, less those whose first
    /// order is in it.
    pub(crate) fn returning_customers(&self) -> i64 {
        self.buyers.count() - self.measures.new_customers
    }

    /// The products with sales, by number.
    pub(crate) fn products(&self) -> impl Iterator<Item = (i64, &Sold)> {
        (0..).zip(&self.products).filter(|(_, sold)| **sold != Sold::default())
    }

    /// Revenue less returns.
    pub(crate) fn net_revenue(&self) -> Amount {
        self.measures.revenue - self.measures.returned
    }

    /// Adds a piece of a period, from a cursor on if a part of it is done. Returns where to continue if the piece is
    /// too much for one read.
    pub(crate) fn add(
        &mut self,
        tx: &Tx<'_>,
        generation: u32,
        piece: Piece,
        cursor: Option<EntryCursor>,
    ) -> Result<Option<EntryCursor>, StoreError> {
        match piece.level {
            Some(level) => self.add_buckets(tx, generation, level, piece).map(|()| None),
            None => self.add_entries(tx, generation, cursor.unwrap_or(EntryCursor::at(piece.from)), piece.to),
        }
    }

    fn add_entries(
        &mut self,
        tx: &Tx<'_>,
        generation: u32,
        from: EntryCursor,
        to: Timestamp,
    ) -> Result<Option<EntryCursor>, StoreError> {
        let (mut count, mut cursor) = (0, None);
        for entry in from.entries(tx, generation, to).rows().take(ENTRIES_PER_READ) {
            let entry = entry?;
            count += 1;
            cursor = Some(EntryCursor::after(&entry));
            self.add_entry(&entry);
        }
        self.rows += count;
        Ok(cursor.filter(|_| count == ENTRIES_PER_READ))
    }

    fn add_entry(&mut self, entry: &Entry) {
        self.measures.add(&entry.measures);
        if let Some(buyer) = entry.buyer.filter(|_| self.wanted.buyers) {
            self.buyers.insert(buyer);
        }
        if self.wanted.products {
            entry.sold.0.iter().for_each(|(product, sold)| self.add_product(*product, sold));
        }
        if self.wanted.promotions {
            deltas::promotions(entry).for_each(|(id, part)| self.promotions.entry(id).or_default().add(&part));
        }
        if self.wanted.campaigns {
            deltas::campaigns(entry).for_each(|(id, part)| self.campaigns.entry(id).or_default().add(&part));
        }
        if self.wanted.flash_sales {
            deltas::flash_sales(entry).for_each(|(id, sold)| self.flash_sales.entry(id).or_default().add(&sold));
        }
    }

    fn add_product(&mut self, product: i64, sold: &Sold) {
        let Ok(at) = usize::try_from(product) else { return };
        if self.products.len() <= at {
            self.products.resize(at + 1, Sold::default());
        }
        if let Some(sum) = self.products.get_mut(at) {
            sum.add(sold);
        }
    }

    fn add_buckets(&mut self, tx: &Tx<'_>, generation: u32, level: Level, piece: Piece) -> Result<(), StoreError> {
        let run = Run { tx, generation, level, from: piece.from, to: piece.to };
        self.rows += run.each(|row: Rollup| self.measures.add(&row.measures))?;
        if self.wanted.buyers {
            self.rows += run.each(|row: BuyerRollup| self.buyers.add(row.chunk, &row.members))?;
        }
        if self.wanted.products {
            self.rows += run.each(|row: ProductRollup| {
                row.sold.0.iter().for_each(|(product, sold)| self.add_product(*product, sold));
            })?;
        }
        if self.wanted.promotions {
            self.rows += run.add_up::<PromotionRollup>(&mut self.promotions)?;
        }
        if self.wanted.campaigns {
            self.rows += run.add_up::<CampaignRollup>(&mut self.campaigns)?;
        }
        if self.wanted.flash_sales {
            self.rows += run.add_up::<FlashRollup>(&mut self.flash_sales)?;
        }
        Ok(())
    }
}

/// Consecutive buckets of a level.
struct Run<'t, 'a> {
    tx: &'t Tx<'a>,
    generation: u32,
    level: Level,
    from: Timestamp,
    to: Timestamp,
}

impl Run<'_, '_> {
    /// Visits each row of a table and returns the number of rows.
    fn each<R: Record>(&self, mut visit: impl FnMut(R)) -> Result<usize, StoreError> {
        let scan = self.tx.scan::<R>().prefix((self.generation, self.level)).from(self.from).before(self.to);
        let mut count = 0;
        for row in scan.rows() {
            visit(row?);
            count += 1;
        }
        Ok(count)
    }

    /// Adds the rows of a roll-up to the sums of their ids and returns the number of rows.
    fn add_up<R: RollupRow>(&self, sums: &mut BTreeMap<R::Id, R::Sum>) -> Result<usize, StoreError> {
        self.each(|row: R| {
            let (id, sum) = row.into_parts();
            sums.entry(id).or_default().add(&sum);
        })
    }
}

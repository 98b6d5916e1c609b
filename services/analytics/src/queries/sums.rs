//! The sums of a period: always the measures, and other tables on request.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Timestamp};
use promox_storage::{Record, StoreError, Tx};

use super::{ENTRIES_PER_READ, EntryCursor};
use crate::commands::deltas;
use crate::commands::rollups::RollupRow;
use crate::records::{BuyerRollup, CampaignRollup, Entry, FlashRollup, ProductRollup, PromotionRollup, Rollup};
use crate::rules::attributed::Attributed;
use crate::rules::cover::Run;
use crate::rules::measures::Measures;
use crate::rules::members::Union;
use crate::rules::packed::ProductSums;
use crate::rules::sold::Sold;
use crate::rules::sum::{Sign, Sum};

/// The maximum number of rows of a table read at once.
const ROWS_PER_PART: usize = 2_000;

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

/// A table of roll-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Measures,
    Buyers,
    Products,
    Promotions,
    Campaigns,
    FlashSales,
}

/// A part of a period that is read from one table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    /// Single entries, up to an instant, exclusive.
    Entries(EntryCursor, Timestamp),
    /// Buckets, which are added or subtracted, after the row with this start and id if a part of them is done.
    Buckets(Table, Sign, Run, Option<(Timestamp, i64)>),
}

impl Wanted {
    /// Visits every part of the runs. Sums are read by `signed`. Sets of customers cannot be subtracted, so they are read
    /// by `plain`.
    pub(crate) fn each_table(self, signed: &[(Sign, Run)], plain: &[Run], mut visit: impl FnMut(Part)) {
        let tables = [
            (Table::Measures, true),
            (Table::Products, self.products),
            (Table::Promotions, self.promotions),
            (Table::Campaigns, self.campaigns),
            (Table::FlashSales, self.flash_sales),
        ];
        for (table, _) in tables.into_iter().filter(|(_, wanted)| *wanted) {
            signed.iter().for_each(|(sign, run)| visit(Part::Buckets(table, *sign, *run, None)));
        }
        if self.buyers {
            plain.iter().for_each(|run| visit(Part::Buckets(Table::Buyers, Sign::Plus, *run, None)));
        }
    }
}

/// The sums of a period.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) wanted: Wanted,
    pub(crate) measures: Measures,
    buyers: Union,
    pub(crate) products: ProductSums,
    pub(crate) promotions: BTreeMap<i64, Attributed>,
    pub(crate) campaigns: BTreeMap<i64, Attributed>,
    pub(crate) flash_sales: BTreeMap<i64, Sold>,
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

    /// Revenue less returns.
    pub(crate) fn net_revenue(&self) -> Amount {
        self.measures.revenue - self.measures.returned
    }

    /// Removes what was added and subtracted again.
    pub(crate) fn remove_empty(&mut self) {
        self.promotions.retain(|_, sum| !sum.is_empty());
        self.campaigns.retain(|_, sum| !sum.is_empty());
        self.flash_sales.retain(|_, sum| !sum.is_empty());
    }

    /// Adds a part of a period. Returns the number of rows read, and the rest of the part if it is too much for one
    /// read.
    pub(crate) fn add(
        &mut self,
        tx: &Tx<'_>,
        generation: u32,
        part: Part,
    ) -> Result<(usize, Option<Part>), StoreError> {
        match part {
            Part::Entries(from, to) => self.add_entries(tx, generation, from, to),
            Part::Buckets(table, sign, run, after) => {
                let rows = Rows { tx, generation, run, after };
                let (count, last) = self.add_buckets(table, sign, &rows)?;
                Ok((count, last.map(|last| Part::Buckets(table, sign, run, Some(last)))))
            }
        }
    }

    fn add_entries(
        &mut self,
        tx: &Tx<'_>,
        generation: u32,
        from: EntryCursor,
        to: Timestamp,
    ) -> Result<(usize, Option<Part>), StoreError> {
        let (mut count, mut cursor) = (0, None);
        for entry in from.entries(tx, generation, to).rows().take(ENTRIES_PER_READ) {
            let entry = entry?;
            count += 1;
            cursor = Some(EntryCursor::after(&entry));
            self.add_entry(&entry);
        }
        let rest = cursor.filter(|_| count == ENTRIES_PER_READ).map(|cursor| Part::Entries(cursor, to));
        Ok((count, rest))
    }

    fn add_entry(&mut self, entry: &Entry) {
        self.measures.add(&entry.measures);
        if let Some(buyer) = entry.buyer.filter(|_| self.wanted.buyers) {
            self.buyers.insert(buyer);
        }
        if self.wanted.products {
            entry.sold.0.iter().for_each(|(product, sold)| self.products.add_sold(*product, sold));
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

    fn add_buckets(&mut self, table: Table, sign: Sign, rows: &Rows<'_, '_>) -> Result<ReadRows, StoreError> {
        match table {
            Table::Measures => rows.each(|row: Rollup| {
                self.measures.add(&sign.apply(&row.measures));
                (row.start, 0)
            }),
            Table::Buyers => rows.each(|row: BuyerRollup| {
                self.buyers.add(row.chunk, &row.members);
                (row.start, row.chunk)
            }),
            Table::Products => rows.each(|row: ProductRollup| {
                self.products.add(&row.sold, sign);
                (row.start, row.chunk)
            }),
            Table::Promotions => rows.add_up::<PromotionRollup>(&mut self.promotions, sign, |row| row.start),
            Table::Campaigns => rows.add_up::<CampaignRollup>(&mut self.campaigns, sign, |row| row.start),
            Table::FlashSales => rows.add_up::<FlashRollup>(&mut self.flash_sales, sign, |row| row.start),
        }
    }
}

/// The number of rows read, and the start and id of the last one if others may follow.
type ReadRows = (usize, Option<(Timestamp, i64)>);

/// The rows of a run of buckets.
struct Rows<'t, 'a> {
    tx: &'t Tx<'a>,
    generation: u32,
    run: Run,
    /// The start and id of the last row that was read before.
    after: Option<(Timestamp, i64)>,
}

impl Rows<'_, '_> {
    /// Visits each row of a table. `visit` returns its start and id.
    fn each<R: Record>(&self, mut visit: impl FnMut(R) -> (Timestamp, i64)) -> Result<ReadRows, StoreError> {
        let scan = self.tx.scan::<R>().prefix((self.generation, self.run.level)).before(self.run.to);
        let scan = match self.after {
            // A bucket has only one row of measures, which has no id in its key.
            Some((start, _)) if R::TABLE.name == Rollup::TABLE.name => scan.from(Timestamp(start.0.saturating_add(1))),
            Some((start, id)) => scan.from((start, id.saturating_add(1))),
            None => scan.from(self.run.from),
        };
        let (mut count, mut last) = (0, None);
        for row in scan.rows().take(ROWS_PER_PART) {
            last = Some(visit(row?));
            count += 1;
        }
        Ok((count, last.filter(|_| count == ROWS_PER_PART)))
    }

    /// Adds the rows of a roll-up to the sums of their ids, or subtracts them.
    fn add_up<R: RollupRow<Id = i64>>(
        &self,
        sums: &mut BTreeMap<i64, R::Sum>,
        sign: Sign,
        start: impl Fn(&R) -> Timestamp,
    ) -> Result<ReadRows, StoreError> {
        self.each(|row: R| {
            let start = start(&row);
            let (id, sum) = row.into_parts();
            sums.entry(id).or_default().add(&sign.apply(&sum));
            (start, id)
        })
    }
}

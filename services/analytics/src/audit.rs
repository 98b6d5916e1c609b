//! The audit of analytics: every roll-up is the sum of its entries, and the entries agree with orders, credit
//! notes and payments as of the position in the event log.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::analytics::{COUNTED, CREDITED, FLASH_SALES, REFUNDED, counted};
use promox_contract::promotion::shares;
use promox_kernel::{Amount, Timestamp};
use promox_storage::{Database, Event, Record, Report, StoreError, Tx};

use crate::commands::deltas::Deltas;
use crate::commands::generations;
use crate::commands::rollups::{Bucket, Changes, RollupRow, sum_of};
use crate::events::{Change, change_of};
use crate::records::{
    BuyerRollup, CampaignRollup, Entry, EntryByBuyer, EntryKind, First, FlashRollup, Generation, ProductRollup,
    PromotionRollup, Refunded, Rollup,
};
use crate::rules::cover::Level;
use crate::rules::members::{Members, chunk_and_offset};
use crate::rules::sum::Sign;

const SUMS: &str = "analytics: every roll-up is the sum of its entries";
const ENTERED: &str = "analytics: every refund is entered at its time";
const FIRSTS: &str = "analytics: a customer has one first order";

/// Checks every row of this service, and reports the figures that other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let current = generations::current(tx)?;
    report_open(tx, report, current.as_ref())?;
    let Some(generation) = current.map(|row| row.id) else { return Ok(()) };
    let mut refunds = BTreeMap::<i64, Amount>::new();
    for row in tx.scan::<Refunded>().prefix(generation).rows() {
        let row = row?;
        let entry = tx.get::<Entry>(&(generation, row.at, EntryKind::Refund, row.order_id))?;
        let entered = entry.map_or(Amount::ZERO, |entry| entry.measures.refunds);
        report.check(ENTERED, entered == row.amount, || format!("order {} at {}", row.order_id, row.at));
        *refunds.entry(row.order_id).or_default() += entered;
    }
    refunds.into_iter().for_each(|(order, sum)| report.right(REFUNDED, order, sum.0.normalize()));
    let mut month = Month::new(generation);
    for entry in tx.scan::<Entry>().prefix(generation).rows() {
        let entry = entry?;
        report_figures(report, &entry);
        check_first(tx, report, &entry)?;
        if Level::Month.floor(entry.at) != month.start {
            month.check(tx, report)?;
            month = Month { start: Level::Month.floor(entry.at), rows: month.rows, ..Month::new(generation) };
        }
        month.add(&entry);
    }
    month.check(tx, report)?;
    month.check_counts(tx, report)
}

/// Reports orders and credit notes that may still differ, because their events were not followed yet.
fn report_open(tx: &Tx<'_>, report: &mut Report, current: Option<&Generation>) -> Result<(), StoreError> {
    let position = current.map_or(0, |row| row.shop_position);
    let log = tx.scan::<Event>().prefix(Event::log_of(Database::Ecommerce)).from(position.saturating_add(1));
    for event in log.rows() {
        match change_of(&event?)? {
            Some(Change::Order(order)) => {
                report.open(COUNTED, order);
                report.open(FLASH_SALES, order);
                report.open(REFUNDED, order);
            }
            Some(Change::CreditNote(note)) => report.open(CREDITED, note),
            _ => {}
        }
    }
    Ok(())
}

/// Reports the figures that the order service reports too.
fn report_figures(report: &mut Report, entry: &Entry) {
    match entry.kind {
        EntryKind::Order => {
            report.right(COUNTED, entry.subject, counted(entry.measures.revenue, entry.measures.returned));
            let sales = shares(entry.campaign_sales.0.iter().map(|sale| (sale.campaign, sale.cost)));
            if !sales.is_empty() {
                report.right(FLASH_SALES, entry.subject, sales);
            }
        }
        EntryKind::CreditNote => report.right(CREDITED, entry.subject, (-entry.measures.refunds).0.normalize()),
        _ => {}
    }
}

/// Checks that an entry is marked as its customer's first order if and only if it is.
fn check_first(tx: &Tx<'_>, report: &mut Report, entry: &Entry) -> Result<(), StoreError> {
    let Some(buyer) = entry.buyer else {
        report.check(FIRSTS, entry.measures.new_customers == 0, || format!("entry {} has no customer", entry.subject));
        return Ok(());
    };
    let first = tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), entry.generation)).first()?;
    let is_first = first.is_some_and(|first| (first.at, first.subject) == (entry.at, entry.subject));
    report.check(FIRSTS, entry.measures.new_customers == i64::from(is_first), || format!("order {}", entry.subject));
    if is_first {
        let stored = tx.get::<First>(&(entry.generation, buyer))?;
        let same = stored.is_some_and(|row| (row.at, row.order_id) == (entry.at, entry.subject));
        report.check(FIRSTS, same, || format!("customer {buyer}"));
    }
    Ok(())
}

/// The number of rows that the entries require in each table, by the table's name.
type Rows = BTreeMap<&'static str, usize>;

/// The sums of the entries of a month.
struct Month {
    generation: u32,
    start: Timestamp,
    deltas: Deltas,
    buyers: BTreeMap<(Bucket, i64), BTreeSet<u16>>,
    rows: Rows,
}

impl Month {
    fn new(generation: u32) -> Self {
        let (deltas, buyers) = (Deltas::default(), BTreeMap::new());
        Self { generation, start: Timestamp(i64::MIN), deltas, buyers, rows: Rows::new() }
    }

    fn add(&mut self, entry: &Entry) {
        self.deltas.count(entry, Sign::Plus);
        self.expect_rows::<First>(usize::from(entry.measures.new_customers == 1));
        self.expect_rows::<Refunded>(usize::from(entry.kind == EntryKind::Refund));
        let Some((chunk, offset)) = entry.buyer.map(chunk_and_offset) else { return };
        for level in Level::ALL {
            self.buyers.entry(((*level, level.floor(entry.at)), chunk)).or_default().insert(offset);
        }
    }

    /// Counts rows that a table must have.
    fn expect_rows<R: Record>(&mut self, rows: usize) {
        *self.rows.entry(R::TABLE.name).or_default() += rows;
    }

    /// Checks that every row that the month's entries require exists with the right values.
    fn check(&mut self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        let deltas = std::mem::take(&mut self.deltas);
        self.check_sums(tx, report, &deltas.rollups)?;
        self.check_sums(tx, report, &deltas.products)?;
        self.check_sums(tx, report, &deltas.promotions)?;
        self.check_sums(tx, report, &deltas.campaigns)?;
        self.check_sums(tx, report, &deltas.flash_sales)?;
        self.check_buyers(tx, report)
    }

    fn check_sums<R: RollupRow>(
        &mut self,
        tx: &Tx<'_>,
        report: &mut Report,
        sums: &Changes<R>,
    ) -> Result<(), StoreError> {
        for (bucket, id, sum) in sums.iter() {
            let same = sum_of::<R>(tx, self.generation, bucket, id)? == *sum;
            let (level, start) = bucket;
            report.check(SUMS, same, || format!("{} of the {level} {start}: {id:?}", R::TABLE.name));
            self.expect_rows::<R>(1);
        }
        Ok(())
    }

    fn check_buyers(&mut self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        for ((bucket, chunk), offsets) in std::mem::take(&mut self.buyers) {
            let mut want = Members::default();
            offsets.iter().for_each(|offset| want.mark(*offset, true));
            let row = tx.get::<BuyerRollup>(&(self.generation, bucket.0, bucket.1, chunk))?;
            let same = row.is_some_and(|row| row.members == want);
            report.check("analytics: the buyers of a bucket = the buyers of its orders", same, || {
                format!("chunk {chunk} of the {} {}", bucket.0, bucket.1)
            });
            self.expect_rows::<BuyerRollup>(1);
        }
        Ok(())
    }

    /// Checks that the tables have no other rows.
    fn check_counts(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        self.check_count::<Rollup>(tx, report)?;
        self.check_count::<ProductRollup>(tx, report)?;
        self.check_count::<BuyerRollup>(tx, report)?;
        self.check_count::<PromotionRollup>(tx, report)?;
        self.check_count::<CampaignRollup>(tx, report)?;
        self.check_count::<FlashRollup>(tx, report)?;
        self.check_count::<Refunded>(tx, report)?;
        self.check_count::<First>(tx, report)
    }

    fn check_count<R: Record>(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        let rows = tx.scan::<R>().prefix(self.generation).rows();
        let found = rows.into_iter().try_fold(0_usize, |count, row| row.map(|_| count + 1))?;
        let (table, want) = (R::TABLE.name, self.rows.get(R::TABLE.name).copied().unwrap_or(0));
        report.check("analytics: no other roll-ups exist", found == want, || {
            format!("{found} rows of {table}, {want} expected")
        });
        Ok(())
    }
}

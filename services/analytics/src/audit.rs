//! The invariants of analytics: every roll-up is the sum of its entries, and the entries agree with orders, credit
//! notes and payments, as far as the events were followed.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::analytics::{COUNTED, CREDITED, FLASH_SALES, REFUNDED, counted};
use promox_contract::promotion::shares;
use promox_kernel::{Amount, Timestamp};
use promox_storage::{Database, Event, Record, Report, StoreError, Tx};

use crate::commands::deltas::{Attributed, Bucket, Deltas, Sign};
use crate::commands::generations;
use crate::events::{Change, change_of};
use crate::records::{
    BuyerRollup, CampaignRollup, Entry, EntryByBuyer, EntryKind, First, FlashRollup, Generation, ProductRollup,
    PromotionRollup, Refunded, Rollup,
};
use crate::rules::cover::Level;
use crate::rules::measures::Measures;
use crate::rules::members::{Members, place};
use crate::rules::sold::{Products, Sold};

const SUMS: &str = "analytics: every roll-up is the sum of its entries";
const ENTERED: &str = "analytics: every refund is entered at its time";
const FIRSTS: &str = "analytics: a customer has one first order";

/// Checks every row of this service, and states what other services must agree with.
pub(crate) fn audit(tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    let current = generations::current(tx)?;
    note_open(tx, report, current.as_ref())?;
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
        state(report, &entry);
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

/// Orders in events that were not followed yet may differ.
fn note_open(tx: &Tx<'_>, report: &mut Report, current: Option<&Generation>) -> Result<(), StoreError> {
    let place = current.map_or(0, |row| row.shop_position);
    let log = tx.scan::<Event>().prefix(Event::log_of(Database::Ecommerce)).from(place.saturating_add(1));
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

/// States the facts that orders and credit notes state too.
fn state(report: &mut Report, entry: &Entry) {
    match entry.kind {
        EntryKind::Order => {
            report.right(COUNTED, entry.subject, counted(entry.measures.revenue, entry.measures.returned));
            let sales = shares(entry.campaign_sales.0.iter().map(|it| (it.campaign, it.cost)));
            if !sales.is_empty() {
                report.right(FLASH_SALES, entry.subject, sales);
            }
        }
        EntryKind::CreditNote => report.right(CREDITED, entry.subject, (-entry.measures.refunds).0.normalize()),
        _ => {}
    }
}

/// The first order of its customer is marked, and no other.
fn check_first(tx: &Tx<'_>, report: &mut Report, entry: &Entry) -> Result<(), StoreError> {
    let Some(buyer) = entry.buyer else {
        report.check(FIRSTS, entry.measures.new_customers == 0, || format!("entry {} has no customer", entry.subject));
        return Ok(());
    };
    let first = tx.scan_by::<EntryByBuyer>().prefix((Some(buyer), entry.generation)).first()?;
    let is_first = first.is_some_and(|first| (first.at, first.subject) == (entry.at, entry.subject));
    report.check(FIRSTS, entry.measures.new_customers == i64::from(is_first), || format!("order {}", entry.subject));
    if is_first {
        let known = tx.get::<First>(&(entry.generation, buyer))?;
        let same = known.is_some_and(|row| (row.at, row.order_id) == (entry.at, entry.subject));
        report.check(FIRSTS, same, || format!("customer {buyer}"));
    }
    Ok(())
}

/// How many rows of each table the entries require.
#[derive(Debug, Default, Clone, Copy)]
struct Rows {
    rollups: usize,
    products: usize,
    buyers: usize,
    promotions: usize,
    campaigns: usize,
    flash_sales: usize,
    firsts: usize,
    refunds: usize,
}

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
        Self { generation, start: Timestamp(i64::MIN), deltas, buyers, rows: Rows::default() }
    }

    fn add(&mut self, entry: &Entry) {
        self.deltas.count(entry, Sign::Plus);
        self.rows.firsts += usize::from(entry.measures.new_customers == 1);
        self.rows.refunds += usize::from(entry.kind == EntryKind::Refund);
        let Some((chunk, place)) = entry.buyer.map(place) else { return };
        for level in Level::ALL {
            self.buyers.entry(((*level, level.floor(entry.at)), chunk)).or_default().insert(place);
        }
    }

    /// Every row that the entries require exists with the right sums.
    fn check(&mut self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        let (deltas, generation) = (std::mem::take(&mut self.deltas), self.generation);
        let tag = |what: &str, (level, start): Bucket| format!("{what} of the {level} {start}");
        for (bucket, sum) in deltas.rollups.iter().filter(|(_, sum)| !sum.is_empty()) {
            let row = tx.get::<Rollup>(&(generation, bucket.0, bucket.1))?;
            let says = row.map_or_else(Measures::default, |row| row.measures);
            report.check(SUMS, says == *sum, || tag("the sums", *bucket));
            self.rows.rollups += 1;
        }
        for ((bucket, chunk), sums) in &deltas.products {
            let want =
                Products(sums.iter().filter(|(_, it)| **it != Sold::default()).map(|(id, it)| (*id, *it)).collect());
            let row = tx.get::<ProductRollup>(&(generation, bucket.0, bucket.1, *chunk))?;
            report.check(SUMS, row.as_ref().is_some_and(|row| row.sold == want), || tag("products", *bucket));
            self.rows.products += 1;
        }
        for ((bucket, id), sum) in &deltas.promotions {
            let row = tx.get::<PromotionRollup>(&(generation, bucket.0, bucket.1, *id))?;
            let same = row.as_ref().is_some_and(|row| Attributed::from(row) == *sum);
            report.check(SUMS, same, || tag(&format!("promotion {id}"), *bucket));
            self.rows.promotions += 1;
        }
        for ((bucket, id), sum) in &deltas.campaigns {
            let row = tx.get::<CampaignRollup>(&(generation, bucket.0, bucket.1, *id))?;
            let same = row.as_ref().is_some_and(|row| Attributed::from(row) == *sum);
            report.check(SUMS, same, || tag(&format!("campaign {id}"), *bucket));
            self.rows.campaigns += 1;
        }
        for ((bucket, id), sum) in &deltas.flash_sales {
            let row = tx.get::<FlashRollup>(&(generation, bucket.0, bucket.1, *id))?;
            report.check(SUMS, row.as_ref().is_some_and(|row| Sold::from(row) == *sum), || tag("flash sales", *bucket));
            self.rows.flash_sales += 1;
        }
        self.check_buyers(tx, report)
    }

    fn check_buyers(&mut self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        for ((bucket, chunk), places) in std::mem::take(&mut self.buyers) {
            let mut want = Members::default();
            places.iter().for_each(|place| want.mark(*place, true));
            let row = tx.get::<BuyerRollup>(&(self.generation, bucket.0, bucket.1, chunk))?;
            let same = row.is_some_and(|row| row.members == want);
            report.check("analytics: the buyers of a bucket = the buyers of its orders", same, || {
                format!("chunk {chunk} of the {} {}", bucket.0, bucket.1)
            });
            self.rows.buyers += 1;
        }
        Ok(())
    }

    /// There are no other rows.
    fn check_counts(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        let generation = self.generation;
        let counts = [
            ("sums", count::<Rollup>(tx, generation)?, self.rows.rollups),
            ("products", count::<ProductRollup>(tx, generation)?, self.rows.products),
            ("buyers", count::<BuyerRollup>(tx, generation)?, self.rows.buyers),
            ("promotions", count::<PromotionRollup>(tx, generation)?, self.rows.promotions),
            ("campaigns", count::<CampaignRollup>(tx, generation)?, self.rows.campaigns),
            ("flash sales", count::<FlashRollup>(tx, generation)?, self.rows.flash_sales),
            ("refunds", count::<Refunded>(tx, generation)?, self.rows.refunds),
            ("first orders", count::<First>(tx, generation)?, self.rows.firsts),
        ];
        for (what, found, want) in counts {
            report.check("analytics: no other roll-ups exist", found == want, || {
                format!("{found} rows of {what}, {want} expected")
            });
        }
        Ok(())
    }
}

fn count<R: Record>(tx: &Tx<'_>, generation: u32) -> Result<usize, StoreError> {
    tx.scan::<R>().prefix(generation).rows().try_fold(0, |count, row| row.map(|_| count + 1))
}

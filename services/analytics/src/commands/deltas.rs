//! What a batch changes in the roll-ups, merged in memory, so that each row is read and written once.

use std::collections::BTreeMap;

use promox_kernel::{Amount, Timestamp};
use promox_storage::{StoreError, Tx};

use crate::records::{CampaignRollup, Entry, FlashRollup, ProductRollup, PromotionRollup, Rollup};
use crate::rules::counting;
use crate::rules::cover::Level;
use crate::rules::measures::{Measures, plain};
use crate::rules::sold::{self, Sold};

/// A bucket.
pub(crate) type Bucket = (Level, Timestamp);

/// What a promotion or a campaign did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributed {
    pub(crate) orders: i64,
    pub(crate) redemptions: i64,
    pub(crate) new_customers: i64,
    pub(crate) revenue: Amount,
    pub(crate) cost: Amount,
}

impl Attributed {
    /// Adds `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.orders += other.orders;
        self.redemptions += other.redemptions;
        self.new_customers += other.new_customers;
        self.revenue += other.revenue;
        self.cost += other.cost;
    }

    fn negated(&self) -> Self {
        Self {
            orders: -self.orders,
            redemptions: -self.redemptions,
            new_customers: -self.new_customers,
            revenue: -self.revenue,
            cost: -self.cost,
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What the promotions of an entry did.
pub(crate) fn promotions(entry: &Entry) -> impl Iterator<Item = (i64, Attributed)> {
    entry.uses.0.iter().map(|it| (it.promotion, attributed(entry, 1, it.cost)))
}

/// What its campaigns did, by their promotions and by their flash sales.
pub(crate) fn campaigns(entry: &Entry) -> impl Iterator<Item = (i64, Attributed)> {
    counting::campaigns(&entry.uses, &entry.campaign_sales)
        .into_iter()
        .map(|(campaign, (uses, cost))| (campaign, attributed(entry, uses, cost)))
}

fn attributed(entry: &Entry, redemptions: i64, cost: Amount) -> Attributed {
    let Measures { orders, new_customers, revenue, .. } = entry.measures;
    Attributed { orders, redemptions, new_customers, revenue, cost }
}

/// What its flash sales sold.
pub(crate) fn flash_sales(entry: &Entry) -> impl Iterator<Item = (i64, Sold)> {
    let sold = |it: &crate::rules::counting::FlashPart| Sold { orders: 1, units: it.units, revenue: it.revenue };
    entry.flash.0.iter().map(move |it| (it.sale, sold(it)))
}

/// Whether an entry is added or taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

/// Changes to roll-ups.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    pub(crate) rollups: BTreeMap<Bucket, Measures>,
    pub(crate) products: BTreeMap<(Bucket, i64), BTreeMap<i64, Sold>>,
    pub(crate) promotions: BTreeMap<(Bucket, i64), Attributed>,
    pub(crate) campaigns: BTreeMap<(Bucket, i64), Attributed>,
    pub(crate) flash_sales: BTreeMap<(Bucket, i64), Sold>,
}

impl Deltas {
    /// Counts an entry at every level.
    pub(crate) fn count(&mut self, entry: &Entry, sign: Sign) {
        for level in Level::ALL {
            self.count_in((*level, level.floor(entry.at)), entry, sign);
        }
    }

    /// Counts an entry in one bucket.
    pub(crate) fn count_in(&mut self, bucket: Bucket, entry: &Entry, sign: Sign) {
        let plus = sign == Sign::Plus;
        let sums = self.rollups.entry(bucket).or_default();
        if plus {
            sums.add(&entry.measures);
        } else {
            sums.take(&entry.measures);
        }
        for (product, sold) in &entry.sold.0 {
            let chunk = self.products.entry((bucket, sold::chunk(*product))).or_default();
            chunk.entry(*product).or_default().add(&if plus { *sold } else { sold.negated() });
        }
        let signed = |part: Attributed| if plus { part } else { part.negated() };
        for (promotion, part) in promotions(entry) {
            self.promotions.entry((bucket, promotion)).or_default().add(&signed(part));
        }
        for (campaign, part) in campaigns(entry) {
            self.campaigns.entry((bucket, campaign)).or_default().add(&signed(part));
        }
        for (sale, sold) in flash_sales(entry) {
            let sold = if plus { sold } else { sold.negated() };
            self.flash_sales.entry((bucket, sale)).or_default().add(&sold);
        }
    }

    /// Adds everything to the rows of a generation; rows of which nothing is left go.
    pub(crate) fn flush(self, tx: &mut Tx<'_>, generation: u32) -> Result<(), StoreError> {
        for ((level, start), delta) in self.rollups {
            flush_rollup(tx, (generation, level, start), &delta)?;
        }
        for (((level, start), chunk), delta) in self.products {
            flush_products(tx, (generation, level, start, chunk), &delta)?;
        }
        for (((level, start), id), delta) in self.promotions {
            flush_promotion(tx, (generation, level, start, id), &delta)?;
        }
        for (((level, start), id), delta) in self.campaigns {
            flush_campaign(tx, (generation, level, start, id), &delta)?;
        }
        for (((level, start), id), delta) in self.flash_sales {
            flush_flash_sale(tx, (generation, level, start, id), &delta)?;
        }
        Ok(())
    }
}

fn flush_rollup(tx: &mut Tx<'_>, key: (u32, Level, Timestamp), delta: &Measures) -> Result<(), StoreError> {
    if delta.is_empty() {
        return Ok(());
    }
    let mut measures = tx.get::<Rollup>(&key)?.map_or_else(Measures::default, |row| row.measures);
    measures.add(delta);
    if measures.is_empty() {
        return tx.delete::<Rollup>(&key).map(drop);
    }
    tx.put(&Rollup { generation: key.0, level: key.1, start: key.2, measures })
}

type Key = (u32, Level, Timestamp, i64);

fn flush_products(tx: &mut Tx<'_>, key: Key, delta: &BTreeMap<i64, Sold>) -> Result<(), StoreError> {
    let old = tx.get::<ProductRollup>(&key)?;
    let mut sold = old.as_ref().map_or_else(Default::default, |row| row.sold.clone());
    delta.iter().filter(|(_, it)| **it != Sold::default()).for_each(|(product, it)| sold.add(*product, it));
    if old.as_ref().map_or(sold.0.is_empty(), |row| row.sold == sold) {
        return Ok(());
    }
    if sold.0.is_empty() {
        return tx.delete::<ProductRollup>(&key).map(drop);
    }
    tx.put(&ProductRollup { generation: key.0, level: key.1, start: key.2, chunk: key.3, sold })
}

/// Promotions and campaigns are added up alike, each in its own table.
macro_rules! flush_attributed {
    ($name:ident, $row:ident, $id:ident) => {
        fn $name(tx: &mut Tx<'_>, key: Key, delta: &Attributed) -> Result<(), StoreError> {
            if delta.is_empty() {
                return Ok(());
            }
            let mut sum = tx.get::<$row>(&key)?.map_or_else(Attributed::default, |row| Attributed::from(&row));
            sum.add(delta);
            if sum.is_empty() {
                return tx.delete::<$row>(&key).map(drop);
            }
            let Attributed { orders, redemptions, new_customers, revenue, cost } = sum;
            let (revenue, cost) = (plain(revenue), plain(cost));
            let (generation, level, start, $id) = key;
            tx.put(&$row { generation, level, start, $id, orders, redemptions, new_customers, revenue, cost })
        }

        impl From<&$row> for Attributed {
            fn from(row: &$row) -> Self {
                let $row { orders, redemptions, new_customers, revenue, cost, .. } = *row;
                Self { orders, redemptions, new_customers, revenue, cost }
            }
        }
    };
}
flush_attributed!(flush_promotion, PromotionRollup, promotion_id);
flush_attributed!(flush_campaign, CampaignRollup, campaign_id);

fn flush_flash_sale(tx: &mut Tx<'_>, key: Key, delta: &Sold) -> Result<(), StoreError> {
    if *delta == Sold::default() {
        return Ok(());
    }
    let mut sum = tx.get::<FlashRollup>(&key)?.map_or_else(Sold::default, |row| Sold::from(&row));
    sum.add(delta);
    if sum == Sold::default() {
        return tx.delete::<FlashRollup>(&key).map(drop);
    }
    let (generation, level, start, flash_sale_id) = key;
    let Sold { orders, units, revenue } = sum;
    tx.put(&FlashRollup { generation, level, start, flash_sale_id, orders, units, revenue: plain(revenue) })
}

impl From<&FlashRollup> for Sold {
    fn from(row: &FlashRollup) -> Self {
        Self { orders: row.orders, units: row.units, revenue: row.revenue }
    }
}

//! The changes that entries cause in the roll-ups.

use promox_kernel::Amount;
use promox_storage::{StoreError, Tx};

use super::rollups::{Bucket, Changes};
use crate::records::{CampaignRollup, Entry, FlashRollup, ProductRollup, PromotionRollup, Rollup};
use crate::rules::attributed::Attributed;
use crate::rules::counting;
use crate::rules::cover::Level;
use crate::rules::measures::Measures;
use crate::rules::sold::{self, Sold};
use crate::rules::sum::{Sign, Sum as _};

/// The figures that an entry contributes to each of its promotions.
pub(crate) fn promotions(entry: &Entry) -> impl Iterator<Item = (i64, Attributed)> {
    entry.uses.0.iter().map(|applied| (applied.promotion, attributed(entry, 1, applied.cost)))
}

/// The figures that an entry contributes to each of its campaigns, through their promotions and flash sales.
pub(crate) fn campaigns(entry: &Entry) -> impl Iterator<Item = (i64, Attributed)> {
    counting::campaigns(&entry.uses, &entry.campaign_sales)
        .into_iter()
        .map(|(campaign, (uses, cost))| (campaign, attributed(entry, uses, cost)))
}

fn attributed(entry: &Entry, redemptions: i64, cost: Amount) -> Attributed {
    let Measures { orders, new_customers, revenue, .. } = entry.measures;
    Attributed { orders, redemptions, new_customers, revenue, cost }
}

/// The sales that an entry contributes to each of its flash sales.
pub(crate) fn flash_sales(entry: &Entry) -> impl Iterator<Item = (i64, Sold)> {
    let sold = |it: &crate::rules::counting::FlashPart| Sold { orders: 1, units: it.units, revenue: it.revenue };
    entry.flash.0.iter().map(move |flash| (flash.sale, sold(flash)))
}

/// The changes to all roll-ups.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    pub(crate) rollups: Changes<Rollup>,
    pub(crate) products: Changes<ProductRollup>,
    pub(crate) promotions: Changes<PromotionRollup>,
    pub(crate) campaigns: Changes<CampaignRollup>,
    pub(crate) flash_sales: Changes<FlashRollup>,
}

impl Deltas {
    /// Counts an entry at every level.
    pub(crate) fn count(&mut self, entry: &Entry, sign: Sign) {
        for level in Level::ALL {
            self.count_in((*level, level.floor(entry.at)), entry, sign);
        }
    }

    /// Counts an entry in one bucket.
    fn count_in(&mut self, bucket: Bucket, entry: &Entry, sign: Sign) {
        self.rollups.row(bucket, ()).add(&sign.apply(&entry.measures));
        for (product, sold) in &entry.sold.0 {
            self.products.row(bucket, sold::chunk(bucket.0, *product)).add_product(*product, &sign.apply(sold));
        }
        for (promotion, part) in promotions(entry) {
            self.promotions.row(bucket, promotion).add(&sign.apply(&part));
        }
        for (campaign, part) in campaigns(entry) {
            self.campaigns.row(bucket, campaign).add(&sign.apply(&part));
        }
        for (sale, sold) in flash_sales(entry) {
            self.flash_sales.row(bucket, sale).add(&sign.apply(&sold));
        }
    }

    /// Applies the changes to the roll-ups of a generation.
    pub(crate) fn flush(&self, tx: &mut Tx<'_>, generation: u32) -> Result<(), StoreError> {
        self.rollups.flush(tx, generation)?;
        self.products.flush(tx, generation)?;
        self.promotions.flush(tx, generation)?;
        self.campaigns.flush(tx, generation)?;
        self.flash_sales.flush(tx, generation)
    }
}

//! Roll-ups: tables with the sums of a bucket, one row for each subject such as a promotion, and changes to them.

use std::collections::BTreeMap;
use std::fmt::Debug;

use promox_kernel::Timestamp;
use promox_storage::{Record, StoreError, Tx};

use crate::records::{CampaignRollup, FlashRollup, ProductRollup, PromotionRollup, Rollup};
use crate::rules::attributed::Attributed;
use crate::rules::cover::Level;
use crate::rules::measures::{Measures, plain};
use crate::rules::packed::Packed;
use crate::rules::sold::{Products, Sold};
use crate::rules::sum::Sum;

/// A bucket, by its level and start.
pub(crate) type Bucket = (Level, Timestamp);

/// A row of a roll-up.
pub(crate) trait RollupRow: Record {
    /// Identifies a row in its bucket.
    type Id: Copy + Ord + Debug;
    /// The sum that a row contains.
    type Sum: Sum + Debug;

    /// Builds a row.
    fn new(generation: u32, bucket: Bucket, id: Self::Id, sum: Self::Sum) -> Self;

    /// The id and the sum of the row.
    fn into_parts(self) -> (Self::Id, Self::Sum);
}

impl RollupRow for Rollup {
    type Id = ();
    type Sum = Measures;

    fn new(generation: u32, (level, start): Bucket, (): (), measures: Measures) -> Self {
        Self { generation, level, start, measures }
    }

    fn into_parts(self) -> ((), Measures) {
        ((), self.measures)
    }
}

impl RollupRow for ProductRollup {
    type Id = i64;
    type Sum = Products;

    fn new(generation: u32, (level, start): Bucket, chunk: i64, sold: Products) -> Self {
        Self { generation, level, start, chunk, sold: Packed::new(&sold) }
    }

    fn into_parts(self) -> (i64, Products) {
        (self.chunk, self.sold.unpack())
    }
}

/// Implements [`RollupRow`] for rows with one column for each member of the sum: first counts, then amounts.
macro_rules! rollup_row {
    ($row:ident by $id:ident, $sum:ident { $($count:ident),+; $($amount:ident),+ }) => {
        impl RollupRow for $row {
            type Id = i64;
            type Sum = $sum;

            fn new(generation: u32, (level, start): Bucket, $id: i64, sum: $sum) -> Self {
                Self { generation, level, start, $id, $($count: sum.$count,)+ $($amount: plain(sum.$amount),)+ }
            }

            fn into_parts(self) -> (i64, $sum) {
                (self.$id, $sum { $($count: self.$count,)+ $($amount: self.$amount,)+ })
            }
        }
    };
}
rollup_row!(PromotionRollup by promotion_id, Attributed { orders, redemptions, new_customers; revenue, cost });
rollup_row!(CampaignRollup by campaign_id, Attributed { orders, redemptions, new_customers; revenue, cost });
rollup_row!(FlashRollup by flash_sale_id, Sold { orders, units; revenue });

/// Changes to the rows of a roll-up, merged in memory so that each row is read and written once.
#[derive(Debug)]
pub(crate) struct Changes<R: RollupRow>(BTreeMap<(Bucket, R::Id), R::Sum>);

impl<R: RollupRow> Default for Changes<R> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<R: RollupRow> Changes<R> {
    /// The change to a row.
    pub(crate) fn row(&mut self, bucket: Bucket, id: R::Id) -> &mut R::Sum {
        self.0.entry((bucket, id)).or_default()
    }

    /// The changes that are not empty.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Bucket, R::Id, &R::Sum)> {
        self.0.iter().filter(|(_, sum)| !sum.is_empty()).map(|((bucket, id), sum)| (*bucket, *id, sum))
    }

    /// Applies the changes to the rows of a generation. Rows whose sum becomes empty are removed.
    pub(crate) fn flush(&self, tx: &mut Tx<'_>, generation: u32) -> Result<(), StoreError> {
        for (bucket, id, change) in self.iter() {
            let mut sum = sum_of::<R>(tx, generation, bucket, id)?;
            sum.add(change);
            let is_empty = sum.is_empty();
            let row = R::new(generation, bucket, id, sum);
            if is_empty {
                tx.delete::<R>(&row.key())?;
            } else {
                tx.put(&row)?;
            }
        }
        Ok(())
    }
}

/// The sum of a row, which is empty if there is no row.
pub(crate) fn sum_of<R: RollupRow>(
    tx: &Tx<'_>,
    generation: u32,
    bucket: Bucket,
    id: R::Id,
) -> Result<R::Sum, StoreError> {
    let key = R::new(generation, bucket, id, R::Sum::default()).key();
    Ok(tx.get::<R>(&key)?.map(R::into_parts).map_or_else(R::Sum::default, |(_, sum)| sum))
}

//! RFM: each customer's rank by recency, frequency and monetary value in fifths, and the resulting segment.

use promox_kernel::{Amount, Timestamp, text_enum};

/// The number of ranks.
const RANKS: usize = 5;

text_enum! {
    /// A customer segment.
    Segment {
        /// Bought recently and often.
        Champion = "CHAMPION",
        /// Buys often.
        Loyal = "LOYAL",
        /// Bought recently, not often yet.
        Promising = "PROMISING",
        /// Bought often, but not for a while.
        AtRisk = "AT_RISK",
        /// Neither recently nor often.
        Hibernating = "HIBERNATING",
    }
}

/// A customer's purchases in a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buyer {
    pub(crate) number: i64,
    pub(crate) orders: i64,
    pub(crate) revenue: Amount,
    pub(crate) last: Timestamp,
}

/// A customer's ranks, 1 to 5, where 5 is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scores {
    pub(crate) recency: u32,
    pub(crate) frequency: u32,
    pub(crate) monetary: u32,
}

impl Scores {
    /// The segment that the ranks lead to.
    pub(crate) fn segment(self) -> Segment {
        match (self.recency >= 4, self.frequency >= 4) {
            (true, true) => Segment::Champion,
            (false, true) if self.recency >= 3 => Segment::Loyal,
            (false, true) => Segment::AtRisk,
            (true, false) => Segment::Promising,
            (false, false) => Segment::Hibernating,
        }
    }
}

/// The rank of each value, in the order given. The rank is the fifth in which the value lies, so equal values rank the
/// same.
fn ranks<T: Ord>(values: &[T]) -> Vec<u32> {
    let mut sorted: Vec<&T> = values.iter().collect();
    sorted.sort_unstable();
    let rank = |value: &T| {
        let below = sorted.partition_point(|other| *other < value);
        u32::try_from(1 + below * RANKS / sorted.len().max(1)).unwrap_or(1)
    };
    values.iter().map(rank).collect()
}

/// The ranks of customers, in the order given.
pub(crate) fn score(buyers: &[Buyer]) -> Vec<Scores> {
    let recency = ranks(&buyers.iter().map(|buyer| buyer.last).collect::<Vec<_>>());
    let frequency = ranks(&buyers.iter().map(|buyer| buyer.orders).collect::<Vec<_>>());
    let monetary = ranks(&buyers.iter().map(|buyer| buyer.revenue).collect::<Vec<_>>());
    let scores = recency.into_iter().zip(frequency).zip(monetary);
    scores.map(|((recency, frequency), monetary)| Scores { recency, frequency, monetary }).collect()
}

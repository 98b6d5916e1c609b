//! An index of price ranges, which finds the ranges that contain a price in logarithmic time.

/// Ranges, each with the position of its promotion.
#[derive(Debug, Default)]
pub(crate) struct Bands {
    /// The lowest price, highest price and position of each range, sorted by the lowest price.
    bands: Vec<(i64, i64, u32)>,
    /// A tree over the highest prices: each node is the maximum of its two children, and the leaves are the ranges in
    /// order.
    highest: Vec<i64>,
}

impl Bands {
    /// Adds a range, bounds included.
    pub(crate) fn add(&mut self, (lowest, highest): (i64, i64), place: u32) {
        self.bands.push((lowest, highest, place));
    }

    /// Builds the tree. It must be called before a lookup.
    pub(crate) fn finish(&mut self) {
        self.bands.sort_unstable();
        let leaves = self.bands.len().next_power_of_two();
        let mut level: Vec<i64> = self.bands.iter().map(|(_, highest, _)| *highest).collect();
        level.resize(leaves, i64::MIN);
        let mut levels = vec![level];
        while let Some(above) = levels.last().filter(|level| level.len() > 1) {
            levels.push(above.chunks(2).map(|pair| pair.iter().copied().max().unwrap_or(i64::MIN)).collect());
        }
        self.highest = levels.into_iter().rev().flatten().collect();
    }

    /// Whether there are no ranges.
    pub(crate) fn is_empty(&self) -> bool {
        self.bands.is_empty()
    }

    /// Adds the positions of all ranges that contain a price.
    pub(crate) fn at(&self, price: i64, found: &mut Vec<u32>) {
        let candidates = self.bands.partition_point(|(lowest, ..)| *lowest <= price);
        if candidates == 0 {
            return;
        }
        let leaves = self.bands.len().next_power_of_two();
        // Nodes are numbered from 1, level by level. The children of node n are 2n and 2n + 1.
        let mut open = vec![(1_usize, 0_usize, leaves)];
        while let Some((node, first, width)) = open.pop() {
            let reaches = self.highest.get(node - 1).is_some_and(|highest| *highest >= price);
            if first >= candidates || !reaches {
                continue;
            }
            if width == 1 {
                found.extend(self.bands.get(first).map(|(.., place)| *place));
            } else {
                open.push((2 * node, first, width / 2));
                open.push((2 * node + 1, first + width / 2, width / 2));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_price_finds_the_ranges_that_contain_it(ranges in prop::collection::vec((0_i64..50, 0_i64..50), 0..40), price in 0_i64..60) {
            let mut bands = Bands::default();
            for (place, (lowest, more)) in (0..).zip(&ranges) {
                bands.add((*lowest, lowest + more), place);
            }
            bands.finish();
            let mut found = Vec::new();
            bands.at(price, &mut found);
            found.sort_unstable();
            let within = |(_, (lowest, more)): &(u32, &(i64, i64))| (*lowest..=lowest + more).contains(&price);
            let wanted: Vec<u32> = (0..).zip(&ranges).filter(within).map(|(place, _)| place).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}

//! Bundles: units that fill all parts of the bundle, at one price for the whole bundle.

use crate::rules::actions::stacks::Stack;
use crate::rules::actions::turn::{Rounding, Turn};
use crate::rules::language::filter::Filter;

impl Turn<'_, '_> {
    /// Forms as many bundles as possible, each of the most expensive units that fill it, and discounts them.
    pub(super) fn bundle(&mut self, parts: &[(Filter, u32)], price: i64) {
        let wanted: Vec<u32> = parts.iter().map(|(_, quantity)| *quantity).collect();
        let mut goods = self.goods_for(parts);
        let mut portions = Vec::new();
        while let Some(units) = Bundling::new(&goods, &wanted).fill() {
            let found = units.iter().filter_map(|(place, units)| goods.get(*place).map(|good| (good.stack, *units)));
            let set: Vec<(Stack, u32)> = found.collect();
            let times = set.iter().map(|(stack, units)| stack.free / units).min().unwrap_or(0);
            let Some(cheaper) = self.at_price(&set, price, times).filter(|_| times > 0) else { break };
            portions.extend(cheaper);
            for (place, units) in units {
                goods.get_mut(place).into_iter().for_each(|good| good.stack.free -= units * times);
            }
            goods.retain(|good| good.stack.free > 0);
        }
        self.serve(portions, Rounding::Once(None));
    }

    /// The units that have not served and fit some part of a bundle, the most expensive first.
    fn goods_for(&self, parts: &[(Filter, u32)]) -> Vec<Bundled> {
        let mut goods: Vec<Bundled> = Vec::new();
        for (part, (filter, _)) in (0..).zip(parts) {
            goods.extend(self.stacks(filter).into_iter().map(|stack| Bundled { stack, fits: 1_u32 << part }));
        }
        goods.sort_by_key(|good| (good.stack.line, good.stack.run));
        goods.dedup_by(|later, kept| {
            let same = later.stack.is(&kept.stack);
            kept.fits |= if same { later.fits } else { 0 };
            same
        });
        goods.sort_by(|a, b| {
            let by_price = b.stack.price.cmp(&a.stack.price);
            by_price.then(a.stack.rank.cmp(&b.stack.rank)).then(a.stack.line.cmp(&b.stack.line))
        });
        goods
    }
}

/// Units that have not served, and the parts of a bundle that they fit, one bit per part.
#[derive(Clone, Copy, Debug)]
struct Bundled {
    stack: Stack,
    fits: u32,
}

/// Units in a bundle, with the number assigned to each part.
struct Member {
    place: usize,
    fits: u32,
    parts: Vec<u32>,
}

/// Assigns units to the parts of a bundle. The most expensive units are added first, and are accepted as long as those
/// assigned before can be rearranged around them. This yields the most expensive possible bundle.
struct Bundling<'a> {
    goods: &'a [Bundled],
    wanted: &'a [u32],
    filled: Vec<u32>,
    members: Vec<Member>,
}

impl<'a> Bundling<'a> {
    fn new(goods: &'a [Bundled], wanted: &'a [u32]) -> Self {
        Self { goods, wanted, filled: vec![0; wanted.len()], members: Vec::new() }
    }

    /// The units that fill a bundle, as positions among the goods and numbers of units; `None` if there are not enough.
    fn fill(mut self) -> Option<Vec<(usize, u32)>> {
        let mut missing: u32 = self.wanted.iter().sum();
        // If no more units of some goods fit, no units that fit the same parts do.
        let mut full: Vec<u32> = Vec::new();
        for (place, it) in self.goods.iter().enumerate() {
            if missing == 0 {
                break;
            }
            if full.contains(&it.fits) {
                continue;
            }
            let taken = self.join(place, it, missing);
            missing -= taken;
            if taken < it.stack.free {
                full.push(it.fits);
            }
        }
        let units = |it: Member| (it.place, it.parts.iter().sum());
        (missing == 0).then(|| self.members.into_iter().map(units).filter(|(_, units)| *units > 0).collect())
    }

    /// Adds as many units of some goods as fit. Returns the number added.
    fn join(&mut self, place: usize, goods: &Bundled, missing: u32) -> u32 {
        let member = self.members.len();
        self.members.push(Member { place, fits: goods.fits, parts: vec![0; self.wanted.len()] });
        let most = goods.stack.free.min(missing);
        let mut taken = 0;
        for part in 0..self.wanted.len() {
            if goods.fits & (1 << part) != 0 {
                let units = self.room(part).min(most - taken);
                self.change(member, part, |held| *held += units);
                taken += units;
            }
        }
        while taken < most && self.admit(member, &mut 0) {
            taken += 1;
        }
        taken
    }

    /// The number of units that a part still lacks.
    fn room(&self, part: usize) -> u32 {
        self.wanted.get(part).copied().unwrap_or(0) - self.filled.get(part).copied().unwrap_or(0)
    }

    /// Adds one more unit of a member to a part, moving others if that part is full.
    fn admit(&mut self, member: usize, tried: &mut u32) -> bool {
        let fits = self.members.get(member).map_or(0, |member| member.fits);
        for part in 0..self.wanted.len() {
            let bit = 1_u32 << part;
            if fits & bit == 0 || *tried & bit != 0 {
                continue;
            }
            *tried |= bit;
            if self.room(part) > 0 {
                self.change(member, part, |held| *held += 1);
                return true;
            }
            for other in 0..self.members.len() {
                if self.holds(other, part) && self.admit(other, tried) {
                    self.change(other, part, |held| *held -= 1);
                    self.change(member, part, |held| *held += 1);
                    return true;
                }
            }
        }
        false
    }

    fn holds(&self, member: usize, part: usize) -> bool {
        self.members.get(member).and_then(|member| member.parts.get(part)).is_some_and(|units| *units > 0)
    }

    fn change(&mut self, member: usize, part: usize, change: impl Fn(&mut u32)) {
        let held = self.members.get_mut(member).and_then(|member| member.parts.get_mut(part));
        held.into_iter().chain(self.filled.get_mut(part)).for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::evaluate::exact::Exact;

    fn goods(lines: &[(u32, i64, u32)]) -> Vec<Bundled> {
        let stack = |(line, (free, price, fits)): (usize, &(u32, i64, u32))| Bundled {
            stack: Stack { line, run: 0, free: *free, price: Exact::whole(*price), rank: (line, false) },
            fits: *fits,
        };
        lines.iter().enumerate().map(stack).collect()
    }

    #[test]
    fn the_most_expensive_units_that_fit_make_a_bundle() {
        for (lines, wanted, units) in [
            (&[(1, 9, 0b1), (1, 5, 0b10)][..], &[1, 1][..], Some(vec![(0, 1), (1, 1)])),
            (&[(1, 9, 0b11), (1, 5, 0b1)], &[1, 1], Some(vec![(0, 1), (1, 1)])),
            (&[(3, 9, 0b11), (1, 5, 0b1)], &[1, 1], Some(vec![(0, 2)])),
            (&[(3, 9, 0b01), (9, 8, 0b01), (2, 5, 0b11)], &[2, 1], Some(vec![(0, 2), (2, 1)])),
            (&[(1, 9, 0b110), (1, 8, 0b011), (1, 7, 0b001)], &[1, 1, 1], Some(vec![(0, 1), (1, 1), (2, 1)])),
            (&[(9, 9, 0b1)], &[1, 1], None),
            (&[(1, 9, 0b1)], &[2], None),
        ] {
            assert_eq!(Bundling::new(&goods(lines), wanted).fill(), units, "{lines:?} in {wanted:?}");
        }
    }
}

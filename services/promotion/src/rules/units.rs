//! Actions that count units: buy and get, every nth, packs, bundles. A unit serves one application across all of them.
//!
//! Units are never listed one by one: a line's free units are a stack at one price, which is what is left of the line ÷
//! its units, compared exactly.

use std::cmp::Ordering;

use super::apply::{Turn, price_of};
use super::deeds::Cut;
use super::filter::Filter;
use super::numbers::{FINE, Percent, fine_units, from_fine, proportion, weights};

/// The free units of a line.
#[derive(Clone, Copy, Debug)]
struct Stack {
    line: usize,
    free: u32,
    left: i64,
    quantity: u32,
}

impl Stack {
    /// Compares what a unit costs.
    fn by_price(&self, other: &Self) -> Ordering {
        let product = |left: i64, units: u32| i128::from(left) * i128::from(units);
        product(self.left, other.quantity).cmp(&product(other.left, self.quantity))
    }

    /// What so many of them cost, in fine parts.
    fn cost(&self, units: u32) -> i128 {
        fine_units(self.left, units, self.quantity)
    }
}

/// Dearest first, ties to the earlier line.
fn dearest_first(stacks: &mut [Stack]) {
    stacks.sort_by(|a, b| b.by_price(a).then(a.line.cmp(&b.line)));
}

fn total(stacks: impl Iterator<Item = u32>) -> u64 {
    stacks.map(u64::from).sum()
}

/// As many as fit 32 bits: no line has more units.
fn few(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// Discounts of packs or bundles, gathered exactly and rounded once.
#[derive(Default)]
struct Savings {
    whole: i128,
    lines: Vec<(usize, i128, u32)>,
}

impl Savings {
    /// Adds `times` sets of units that cost together `price` instead; whether that saves anything.
    fn add(&mut self, units: &[(Stack, u32)], price: i64, times: u32) -> bool {
        let used: Vec<(Stack, u32)> =
            units.iter().map(|(stack, units)| (*stack, units.saturating_mul(times))).collect();
        let cost: i128 = used.iter().map(|(stack, used)| stack.cost(*used)).sum();
        let saving = cost - i128::from(price) * i128::from(times) * FINE;
        if saving <= 0 {
            return false;
        }
        self.whole += saving;
        let mut rest =
            saving - used.iter().map(|(stack, used)| proportion(saving, stack.cost(*used), cost)).sum::<i128>();
        for (stack, used) in used {
            // What the divisions left over goes to the first, so that the parts are the whole and ties stay ties.
            let part = proportion(saving, stack.cost(used), cost) + std::mem::take(&mut rest);
            match self.lines.iter_mut().find(|(line, ..)| *line == stack.line) {
                Some((_, saved, all)) => {
                    *saved += part;
                    *all += used;
                }
                None => self.lines.push((stack.line, part, used)),
            }
        }
        true
    }
}

impl Turn<'_, '_> {
    /// The free units of the lines that a filter means, in line order.
    fn stacks(&self, filter: &Filter) -> Vec<Stack> {
        let meant = self.state.matching(self.rule, filter).map(|(line, it)| Stack {
            line,
            free: self.state.free_of(line),
            left: self.left(line),
            quantity: it.quantity,
        });
        meant.filter(|stack| stack.free > 0).collect()
    }

    /// The dearest units are bought, the cheapest become cheaper, as often as units last.
    pub(crate) fn buy_get(&mut self, buy: &(Filter, u32), get: &(Filter, u32), percent: Percent, most: u32) {
        let (bought, got) = (self.stacks(&buy.0), self.stacks(&get.0));
        let both = |stack: &Stack, others: &[Stack]| others.iter().any(|other| other.line == stack.line);
        let only_buy = total(bought.iter().filter(|it| !both(it, &got)).map(|it| it.free));
        let only_get = total(got.iter().filter(|it| !both(it, &bought)).map(|it| it.free));
        let shared = total(got.iter().filter(|it| both(it, &bought)).map(|it| it.free));
        let sizes = (u64::from(buy.1), u64::from(get.1));
        let times = applications(sizes, only_buy, only_get, shared, u64::from(most));
        if times == 0 {
            return;
        }
        let reserved = (times * sizes.0).saturating_sub(only_buy);
        let given = cheapest(got, times * sizes.1, |stack| both(stack, &bought), shared - reserved);
        let paid = dearest(bought, times * sizes.0, &given);
        let lines: Vec<usize> = given.iter().map(|(stack, _)| stack.line).collect();
        let wanted = given.iter().map(|(stack, units)| percent.of_units(stack.left, *units, stack.quantity)).collect();
        if self.give_each(&lines, wanted, i64::MAX) > 0 {
            given.iter().chain(&paid).for_each(|(stack, units)| self.use_units(stack.line, *units));
        }
    }

    /// Dearest first, in full groups, the last of each.
    pub(crate) fn every_nth(&mut self, items: &Filter, every: u32, percent: Percent) {
        let mut stacks = self.stacks(items);
        dearest_first(&mut stacks);
        let every = u64::from(every);
        let served = total(stacks.iter().map(|it| it.free)) / every * every;
        let (mut lines, mut wanted, mut used) = (Vec::new(), Vec::new(), Vec::new());
        let mut start = 0;
        for stack in stacks {
            let end = served.min(start + u64::from(stack.free));
            let nths = few(end / every - start / every);
            lines.push(stack.line);
            wanted.push(percent.of_units(stack.left, nths, stack.quantity));
            used.push((stack.line, few(end - start)));
            start = end;
        }
        if self.give_each(&lines, wanted, i64::MAX) > 0 {
            used.into_iter().for_each(|(line, units)| self.use_units(line, units));
        }
    }

    /// Full packs in line order, cheaper by a percentage, by an amount a unit, or at a price a pack.
    pub(crate) fn pack(&mut self, items: &Filter, size: u32, cut: Cut) {
        let stacks = self.stacks(items);
        let mut rest = total(stacks.iter().map(|it| it.free)) / u64::from(size) * u64::from(size);
        let mut packed = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let units = few(rest.min(u64::from(stack.free)));
            rest -= u64::from(units);
            packed.push((stack, units));
        }
        packed.retain(|(_, units)| *units > 0);
        let each = |(stack, units): &(Stack, u32)| match cut {
            Cut::Percent(percent) => percent.of_units(stack.left, *units, stack.quantity),
            Cut::Amount(amount) => {
                amount.saturating_mul(i64::from(*units)).min(price_of(stack.left, *units, stack.quantity))
            }
            Cut::Price(_) => 0,
        };
        if let Cut::Price(price) = cut {
            return self.save(priced_packs(&packed, size, price));
        }
        let lines: Vec<usize> = packed.iter().map(|(stack, _)| stack.line).collect();
        let wanted = packed.iter().map(each).collect();
        if self.give_each(&lines, wanted, i64::MAX) > 0 {
            packed.iter().for_each(|(stack, units)| self.use_units(stack.line, *units));
        }
    }

    /// The dearest units that make up a bundle, as often as there are some, at one price a bundle.
    pub(crate) fn bundle(&mut self, parts: &[(Filter, u32)], price: i64) {
        let wanted: Vec<u32> = parts.iter().map(|(_, quantity)| *quantity).collect();
        let mut goods = self.goods_for(parts);
        let mut savings = Savings::default();
        while let Some(units) = Bundling::new(&goods, &wanted).fill() {
            let found = units.iter().filter_map(|(place, units)| goods.get(*place).map(|it| (it.stack, *units)));
            let set: Vec<(Stack, u32)> = found.collect();
            let times = set.iter().map(|(stack, units)| stack.free / units).min().unwrap_or(0);
            if times == 0 || !savings.add(&set, price, times) {
                break;
            }
            for (place, units) in units {
                goods.get_mut(place).into_iter().for_each(|it| it.stack.free -= units * times);
            }
            goods.retain(|it| it.stack.free > 0);
        }
        self.save(savings);
    }

    /// The free units that are good for some part of a bundle, dearest first.
    fn goods_for(&self, parts: &[(Filter, u32)]) -> Vec<Bundled> {
        let mut goods: Vec<Bundled> = Vec::new();
        for (part, (filter, _)) in (0..).zip(parts) {
            goods.extend(self.stacks(filter).into_iter().map(|stack| Bundled { stack, fits: 1_u32 << part }));
        }
        goods.sort_by_key(|it| it.stack.line);
        goods.dedup_by(|later, kept| {
            let same = later.stack.line == kept.stack.line;
            kept.fits |= if same { later.fits } else { 0 };
            same
        });
        goods.sort_by(|a, b| b.stack.by_price(&a.stack).then(a.stack.line.cmp(&b.stack.line)));
        goods
    }

    /// Gives what packs or bundles save, rounded once and shared over their lines.
    fn save(&mut self, savings: Savings) {
        let mut parts = savings.lines;
        parts.sort_by_key(|(line, ..)| *line);
        let lines: Vec<usize> = parts.iter().map(|(line, ..)| *line).collect();
        let fine: Vec<i128> = parts.iter().map(|(_, saved, _)| *saved).collect();
        if self.give_weighted(&lines, from_fine(savings.whole), &weights(&fine)) > 0 {
            parts.into_iter().for_each(|(line, _, units)| self.use_units(line, units));
        }
    }
}

/// How often buying and getting can be served by units that are good for the one, the other, or both.
fn applications(sizes: (u64, u64), only_buy: u64, only_get: u64, shared: u64, most: u64) -> u64 {
    let fits = |n: u64| (n * sizes.0).saturating_sub(only_buy) + (n * sizes.1).saturating_sub(only_get) <= shared;
    let (mut low, mut high) = (0, most.min((only_buy + shared) / sizes.0.max(1)));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The cheapest units, ties to the earlier line; of those that buying could use too, at most `quota`.
fn cheapest(
    mut stacks: Vec<Stack>,
    mut wanted: u64,
    shared: impl Fn(&Stack) -> bool,
    mut quota: u64,
) -> Vec<(Stack, u32)> {
    stacks.sort_by(|a, b| a.by_price(b).then(a.line.cmp(&b.line)));
    let mut taken = Vec::new();
    for stack in stacks {
        let is_shared = shared(&stack);
        let most = if is_shared { quota.min(wanted) } else { wanted };
        let units = most.min(u64::from(stack.free));
        wanted -= units;
        if is_shared {
            quota -= units;
        }
        if units > 0 {
            taken.push((stack, few(units)));
        }
    }
    taken.sort_by_key(|(stack, _)| stack.line);
    taken
}

/// The dearest units that are not taken already.
fn dearest(mut stacks: Vec<Stack>, mut wanted: u64, taken: &[(Stack, u32)]) -> Vec<(Stack, u32)> {
    dearest_first(&mut stacks);
    let mut bought = Vec::new();
    for stack in stacks {
        let gone = taken.iter().find(|(it, _)| it.line == stack.line).map_or(0, |(_, units)| *units);
        let units = wanted.min(u64::from(stack.free - gone));
        wanted -= units;
        if units > 0 {
            bought.push((stack, few(units)));
        }
    }
    bought
}

/// Packs of units that follow each other, each at a price. Packs within one line are counted, not walked.
fn priced_packs(packed: &[(Stack, u32)], size: u32, price: i64) -> Savings {
    let mut savings = Savings::default();
    let mut open: Vec<(Stack, u32)> = Vec::new();
    let mut missing = size;
    for (stack, units) in packed {
        let mut units = *units;
        while units > 0 {
            if missing == size && units >= size {
                savings.add(&[(*stack, size)], price, units / size);
                units %= size;
                continue;
            }
            let part = units.min(missing);
            open.push((*stack, part));
            units -= part;
            missing -= part;
            if missing == 0 {
                savings.add(&open, price, 1);
                open.clear();
                missing = size;
            }
        }
    }
    savings
}

/// Free units, and the parts of a bundle that they are good for, one bit a part.
#[derive(Clone, Copy, Debug)]
struct Bundled {
    stack: Stack,
    fits: u32,
}

/// Goods of which some units are in a bundle: how many in each part.
struct Member {
    place: usize,
    fits: u32,
    parts: Vec<u32>,
}

/// Units matched to the parts of a bundle. Goods come dearest first and take part as long as what is matched can be
/// rearranged around them, which makes the dearest bundle there is.
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

    /// The units that make up a bundle, by their places among the goods; `None` when there are not enough.
    fn fill(mut self) -> Option<Vec<(usize, u32)>> {
        let mut missing: u32 = self.wanted.iter().sum();
        // What is full for some goods is full for all that are good for the same.
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

    /// Takes as many units of some goods in as there is room for. Answers how many.
    fn join(&mut self, place: usize, it: &Bundled, missing: u32) -> u32 {
        let member = self.members.len();
        self.members.push(Member { place, fits: it.fits, parts: vec![0; self.wanted.len()] });
        let most = it.stack.free.min(missing);
        let mut taken = 0;
        for part in 0..self.wanted.len() {
            if it.fits & (1 << part) != 0 {
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

    fn room(&self, part: usize) -> u32 {
        self.wanted.get(part).copied().unwrap_or(0) - self.filled.get(part).copied().unwrap_or(0)
    }

    /// Puts one more unit of a member into some part, moving others on where that is full.
    fn admit(&mut self, member: usize, tried: &mut u32) -> bool {
        let fits = self.members.get(member).map_or(0, |it| it.fits);
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
        self.members.get(member).and_then(|it| it.parts.get(part)).is_some_and(|units| *units > 0)
    }

    fn change(&mut self, member: usize, part: usize, change: impl Fn(&mut u32)) {
        let held = self.members.get_mut(member).and_then(|it| it.parts.get_mut(part));
        held.into_iter().chain(self.filled.get_mut(part)).for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goods(lines: &[(u32, i64, u32)]) -> Vec<Bundled> {
        let stack = |(line, (free, price, fits)): (usize, &(u32, i64, u32))| Bundled {
            stack: Stack { line, free: *free, left: price * i64::from(*free), quantity: *free },
            fits: *fits,
        };
        lines.iter().enumerate().map(stack).collect()
    }

    #[test]
    fn the_dearest_units_that_fit_together_make_a_bundle() {
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

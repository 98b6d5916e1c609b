//! Actions that count units: buy and get, every nth, packs, bundles. A unit serves one application across all of them.
//!
//! Units are never listed one by one: units of a line at one exact price that served nothing yet are a stack.

use super::apply::{Rounding, Turn};
use super::deeds::Cut;
use super::exact::Exact;
use super::filter::Filter;
use super::numbers::Percent;
use super::runs::{Portion, Runs, share_out};

/// Units of a line at one price that served nothing yet.
#[derive(Clone, Copy, Debug)]
struct Stack {
    line: usize,
    /// The place of the run in its line.
    run: usize,
    free: u32,
    price: Exact,
    /// Where they stand among equals: with the first line of their SKU.
    rank: (usize, bool),
}

impl Stack {
    /// Some of the units, nothing off them yet.
    fn portion(&self, units: u32) -> Portion {
        Portion::of(self.line, self.run, units, self.price)
    }

    /// Some of the units, which serve and stay as dear as they are.
    fn serving(&self, units: u32) -> Portion {
        Portion { only_serves: true, ..self.portion(units) }
    }

    fn is(&self, other: &Self) -> bool {
        (self.line, self.run) == (other.line, other.run)
    }
}

/// Dearest first, ties to the earlier line.
fn dearest_first(stacks: &mut [Stack]) {
    stacks.sort_by(|a, b| b.price.cmp(&a.price).then(a.rank.cmp(&b.rank)).then(a.line.cmp(&b.line)));
}

fn total(stacks: impl Iterator<Item = u32>) -> u64 {
    stacks.map(u64::from).sum()
}

/// As many as fit 32 bits: no line has more units.
fn few(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

impl Turn<'_, '_> {
    /// The free units of the lines that a filter means, in line order.
    fn stacks(&self, filter: &Filter) -> Vec<Stack> {
        let mut found = Vec::new();
        for (line, _) in self.state.matching(self.rule, filter) {
            let runs = self.state.units_of(line).map(Runs::as_slice).unwrap_or_default();
            for (run, it) in runs.iter().enumerate().filter(|(_, it)| !it.served) {
                found.push(Stack { line, run, free: it.units, price: it.price, rank: self.state.rank_of(line) });
            }
        }
        found
    }

    /// The dearest units are bought, the cheapest become cheaper, as often as units last.
    pub(crate) fn buy_get(&mut self, buy: &(Filter, u32), get: &(Filter, u32), percent: Percent, most: u32) {
        let (bought, got) = (self.stacks(&buy.0), self.stacks(&get.0));
        // Both come in the order of lines.
        let among = |stack: &Stack, others: &[Stack]| others.binary_search_by_key(&stack.line, |it| it.line).is_ok();
        let only_buy = total(bought.iter().filter(|it| !among(it, &got)).map(|it| it.free));
        let only_get = total(got.iter().filter(|it| !among(it, &bought)).map(|it| it.free));
        let shared = total(got.iter().filter(|it| among(it, &bought)).map(|it| it.free));
        let sizes = (u64::from(buy.1), u64::from(get.1));
        let times = applications(sizes, only_buy, only_get, shared, u64::from(most));
        if times == 0 {
            return;
        }
        let reserved = (times * sizes.0).saturating_sub(only_buy);
        let given = cheapest(got, times * sizes.1, |stack| among(stack, &bought), shared - reserved);
        let paid = dearest(bought.clone(), times * sizes.0, &given);
        let mut portions: Vec<Portion> = given.iter().map(|(stack, units)| stack.portion(*units)).collect();
        self.cut_each(&mut portions, |portion| percent.of_exact(portion.price));
        portions.extend(paid.iter().map(|(stack, units)| stack.serving(*units)));
        self.serve(portions, Rounding::Line(None));
    }

    /// Dearest first, in full groups, the last of each.
    pub(crate) fn every_nth(&mut self, items: &Filter, every: u32, percent: Percent) {
        let mut stacks = self.stacks(items);
        dearest_first(&mut stacks);
        let every = u64::from(every);
        let served = total(stacks.iter().map(|it| it.free)) / every * every;
        let (mut nths, mut others) = (Vec::new(), Vec::new());
        let mut start = 0;
        for stack in stacks {
            let end = served.min(start + u64::from(stack.free));
            let cheaper = end / every - start / every;
            nths.push(stack.portion(few(cheaper)));
            others.push(stack.serving(few(end - start - cheaper)));
            start = end;
        }
        self.cut_each(&mut nths, |portion| percent.of_exact(portion.price));
        nths.append(&mut others);
        self.serve(nths, Rounding::Line(None));
    }

    /// Full packs in line order, cheaper by a percentage, by an amount a unit, or at a price a pack.
    pub(crate) fn pack(&mut self, items: &Filter, size: u32, cut: Cut) {
        let mut stacks = self.stacks(items);
        // Units of a SKU stand together, the dearest first, in whichever lines they are.
        stacks.sort_by(|a, b| {
            let by_price = a.rank.0.cmp(&b.rank.0).then(b.price.cmp(&a.price));
            by_price.then(a.rank.1.cmp(&b.rank.1)).then(a.line.cmp(&b.line))
        });
        let mut rest = total(stacks.iter().map(|it| it.free)) / u64::from(size) * u64::from(size);
        let mut packed = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let units = few(rest.min(u64::from(stack.free)));
            rest -= u64::from(units);
            packed.push((stack, units));
        }
        if let Cut::Price(price) = cut {
            let portions = self.priced_packs(&packed, size, price);
            return self.serve(portions, Rounding::Once(None));
        }
        let mut portions: Vec<Portion> = packed.iter().map(|(stack, units)| stack.portion(*units)).collect();
        self.cut_each(&mut portions, |portion| Self::cut_of(cut, portion.price));
        self.serve(portions, Rounding::Line(None));
    }

    /// Packs of units that follow each other, each at a price. Packs within one stack are counted, not walked.
    fn priced_packs(&self, packed: &[(Stack, u32)], size: u32, price: i64) -> Vec<Portion> {
        let mut portions = Vec::new();
        let mut open: Vec<(Stack, u32)> = Vec::new();
        let mut missing = size;
        for (stack, units) in packed {
            let mut units = *units;
            while units > 0 {
                if missing == size && units >= size {
                    portions.extend(self.at_price(&[(*stack, size)], price, units / size).into_iter().flatten());
                    units %= size;
                    continue;
                }
                let part = units.min(missing);
                open.push((*stack, part));
                units -= part;
                missing -= part;
                if missing == 0 {
                    portions.extend(self.at_price(&open, price, 1).into_iter().flatten());
                    open.clear();
                    missing = size;
                }
            }
        }
        portions
    }

    /// `times` sets of units that cost together `price` instead, shared by what they cost; `None` when that saves nothing.
    fn at_price(&self, set: &[(Stack, u32)], price: i64, times: u32) -> Option<Vec<Portion>> {
        let mut portions: Vec<Portion> = set.iter().map(|(stack, units)| stack.portion(*units)).collect();
        let cost: Exact = portions.iter().map(Portion::cost).sum();
        let saving = cost.less(Exact::whole(price));
        if saving.is_zero() {
            return None;
        }
        self.cut_each(&mut portions, |portion| portion.price);
        share_out(&mut portions, saving);
        portions.iter_mut().for_each(|portion| portion.units = portion.units.saturating_mul(times));
        Some(portions)
    }

    /// The dearest units that make up a bundle, as often as there are some, at one price a bundle.
    pub(crate) fn bundle(&mut self, parts: &[(Filter, u32)], price: i64) {
        let wanted: Vec<u32> = parts.iter().map(|(_, quantity)| *quantity).collect();
        let mut goods = self.goods_for(parts);
        let mut portions = Vec::new();
        while let Some(units) = Bundling::new(&goods, &wanted).fill() {
            let found = units.iter().filter_map(|(place, units)| goods.get(*place).map(|it| (it.stack, *units)));
            let set: Vec<(Stack, u32)> = found.collect();
            let times = set.iter().map(|(stack, units)| stack.free / units).min().unwrap_or(0);
            let Some(cheaper) = self.at_price(&set, price, times).filter(|_| times > 0) else { break };
            portions.extend(cheaper);
            for (place, units) in units {
                goods.get_mut(place).into_iter().for_each(|it| it.stack.free -= units * times);
            }
            goods.retain(|it| it.stack.free > 0);
        }
        self.serve(portions, Rounding::Once(None));
    }

    /// The free units that are good for some part of a bundle, dearest first.
    fn goods_for(&self, parts: &[(Filter, u32)]) -> Vec<Bundled> {
        let mut goods: Vec<Bundled> = Vec::new();
        for (part, (filter, _)) in (0..).zip(parts) {
            goods.extend(self.stacks(filter).into_iter().map(|stack| Bundled { stack, fits: 1_u32 << part }));
        }
        goods.sort_by_key(|it| (it.stack.line, it.stack.run));
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

    /// Takes off units what they give, and lets all of them serve an application, if it is anything.
    fn serve(&mut self, mut portions: Vec<Portion>, rounding: Rounding) {
        portions.retain(|portion| portion.units > 0);
        portions.sort_by_key(|portion| (portion.line, portion.run));
        self.give(portions, rounding, true);
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
    stacks.sort_by(|a, b| a.price.cmp(&b.price).then(a.rank.cmp(&b.rank)).then(a.line.cmp(&b.line)));
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
    taken
}

/// The dearest units that are not taken already.
fn dearest(mut stacks: Vec<Stack>, mut wanted: u64, taken: &[(Stack, u32)]) -> Vec<(Stack, u32)> {
    dearest_first(&mut stacks);
    let mut bought = Vec::new();
    for stack in stacks {
        let gone = taken.iter().find(|(it, _)| it.is(&stack)).map_or(0, |(_, units)| *units);
        let units = wanted.min(u64::from(stack.free - gone));
        wanted -= units;
        if units > 0 {
            bought.push((stack, few(units)));
        }
    }
    bought
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
            stack: Stack { line, run: 0, free: *free, price: Exact::whole(*price), rank: (line, false) },
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

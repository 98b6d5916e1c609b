//! Actions that count units: buy-and-get, every n-th unit, and packs.

use crate::rules::actions::action::Discount;
use crate::rules::actions::stacks::{Stack, most_expensive_first, to_u32, total};
use crate::rules::actions::turn::{Rounding, Turn};
use crate::rules::evaluate::runs::Portion;
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::Percent;

impl Turn<'_, '_> {
    /// Discounts the cheapest units and counts the most expensive ones as bought, as often as there are enough units.
    pub(super) fn buy_get(&mut self, buy: &(Filter, u32), get: &(Filter, u32), percent: Percent, most: u32) {
        let (bought, got) = (self.stacks(&buy.0), self.stacks(&get.0));
        // Both lists are in line order.
        let among =
            |stack: &Stack, others: &[Stack]| others.binary_search_by_key(&stack.line, |other| other.line).is_ok();
        let only_buy = total(bought.iter().filter(|stack| !among(stack, &got)).map(|stack| stack.free));
        let only_get = total(got.iter().filter(|stack| !among(stack, &bought)).map(|stack| stack.free));
        let shared = total(got.iter().filter(|stack| among(stack, &bought)).map(|stack| stack.free));
        let sizes = (u64::from(buy.1), u64::from(get.1));
        let times = applications(sizes, only_buy, only_get, shared, u64::from(most));
        if times == 0 {
            return;
        }
        let reserved = (times * sizes.0).saturating_sub(only_buy);
        let given = cheapest(got, times * sizes.1, |stack| among(stack, &bought), shared - reserved);
        let paid = most_expensive(bought.clone(), times * sizes.0, &given);
        let mut portions: Vec<Portion> = given.iter().map(|(stack, units)| stack.portion(*units)).collect();
        self.discount_each(&mut portions, |portion| percent.of_exact(portion.price));
        portions.extend(paid.iter().map(|(stack, units)| stack.serving(*units)));
        self.serve(portions, Rounding::Line(None));
    }

    /// Discounts the last unit of each full group of `every` units, ordered from the most expensive.
    pub(super) fn every_nth(&mut self, items: &Filter, every: u32, percent: Percent) {
        let mut stacks = self.stacks(items);
        most_expensive_first(&mut stacks);
        let every = u64::from(every);
        let served = total(stacks.iter().map(|stack| stack.free)) / every * every;
        let (mut nths, mut others) = (Vec::new(), Vec::new());
        let mut start = 0;
        for stack in stacks {
            let end = served.min(start + u64::from(stack.free));
            let cheaper = end / every - start / every;
            nths.push(stack.portion(to_u32(cheaper)));
            others.push(stack.serving(to_u32(end - start - cheaper)));
            start = end;
        }
        self.discount_each(&mut nths, |portion| percent.of_exact(portion.price));
        nths.append(&mut others);
        self.serve(nths, Rounding::Line(None));
    }

    /// Discounts full packs in line order, by a percentage, by an amount per unit, or to a price per pack.
    pub(super) fn pack(&mut self, items: &Filter, size: u32, discount: Discount) {
        let mut stacks = self.stacks(items);
        // Units of a SKU are packed together, the most expensive first, even if they are in different lines.
        stacks.sort_by(|a, b| {
            let by_price = a.rank.0.cmp(&b.rank.0).then(b.price.cmp(&a.price));
            by_price.then(a.rank.1.cmp(&b.rank.1)).then(a.line.cmp(&b.line))
        });
        let mut rest = total(stacks.iter().map(|stack| stack.free)) / u64::from(size) * u64::from(size);
        let mut packed = Vec::with_capacity(stacks.len());
        for stack in stacks {
            let units = to_u32(rest.min(u64::from(stack.free)));
            rest -= u64::from(units);
            packed.push((stack, units));
        }
        if let Discount::Price(price) = discount {
            let portions = self.priced_packs(&packed, size, price);
            return self.serve(portions, Rounding::Once(None));
        }
        let mut portions: Vec<Portion> = packed.iter().map(|(stack, units)| stack.portion(*units)).collect();
        self.discount_each(&mut portions, |portion| Self::discount_on(discount, portion.price));
        self.serve(portions, Rounding::Line(None));
    }

    /// The discounts on packs of consecutive units, each at a price. Packs within one stack are computed together.
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
}

/// The number of times that an action applies, given the units that can only be bought, only be got, or both.
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

/// The cheapest units, with ties to the earlier line. At most `quota` of them are units that could also be bought.
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
            taken.push((stack, to_u32(units)));
        }
    }
    taken
}

/// The most expensive units that are not taken yet.
fn most_expensive(mut stacks: Vec<Stack>, mut wanted: u64, taken: &[(Stack, u32)]) -> Vec<(Stack, u32)> {
    most_expensive_first(&mut stacks);
    let mut bought = Vec::new();
    for stack in stacks {
        let used = taken.iter().find(|(it, _)| it.is(&stack)).map_or(0, |(_, units)| *units);
        let units = wanted.min(u64::from(stack.free - used));
        wanted -= units;
        if units > 0 {
            bought.push((stack, to_u32(units)));
        }
    }
    bought
}

//! Units for the actions that count units. A unit can serve only one application of such an action.
//!
//! Units are not listed one by one: units of a line that have the same price and have not served yet form a stack.

use crate::rules::actions::turn::{Rounding, Turn};
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::runs::{Portion, Runs, share_out};
use crate::rules::language::filter::Filter;

/// Units of a line with the same price that have not served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    pub(super) line: usize,
    /// The index of the run in its line.
    pub(super) run: usize,
    pub(super) free: u32,
    pub(super) price: Exact,
    /// Their sort key among units of equal price.
    pub(super) rank: (usize, bool),
}

impl Stack {
    /// Some of the units, without a discount.
    pub(super) fn portion(&self, units: u32) -> Portion {
        Portion::of(self.line, self.run, units, self.price)
    }

    /// Some of the units, which only serve and get no discount.
    pub(super) fn serving(&self, units: u32) -> Portion {
        Portion { only_serves: true, ..self.portion(units) }
    }

    /// Whether both are the same run of the same line.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.line, self.run) == (other.line, other.run)
    }
}

/// Sorts the most expensive first, with ties to the earlier line.
pub(super) fn most_expensive_first(stacks: &mut [Stack]) {
    stacks.sort_by(|a, b| b.price.cmp(&a.price).then(a.rank.cmp(&b.rank)).then(a.line.cmp(&b.line)));
}

/// The sum of numbers of units.
pub(super) fn total(stacks: impl Iterator<Item = u32>) -> u64 {
    stacks.map(u64::from).sum()
}

/// Narrows to 32 bits, which can hold the units of any line.
pub(super) fn to_u32(units: u64) -> u32 {
    u32::try_from(units).unwrap_or(u32::MAX)
}

impl Turn<'_, '_> {
    /// The units that have not served, of the lines that a filter matches, in line order.
    pub(super) fn stacks(&self, filter: &Filter) -> Vec<Stack> {
        let mut found = Vec::new();
        for (line, _) in self.state.matching(self.rule, filter) {
            let runs = self.state.units_of(line).map(Runs::as_slice).unwrap_or_default();
            for (run, it) in runs.iter().enumerate().filter(|(_, it)| !it.served) {
                found.push(Stack { line, run, free: it.units, price: it.price, rank: self.state.rank_of(line) });
            }
        }
        found
    }

    /// The discounts that make `times` sets of units cost `price` each, shared in proportion to unit prices. Returns
    /// `None` if that saves nothing.
    pub(super) fn at_price(&self, set: &[(Stack, u32)], price: i64, times: u32) -> Option<Vec<Portion>> {
        let mut portions: Vec<Portion> = set.iter().map(|(stack, units)| stack.portion(*units)).collect();
        let cost: Exact = portions.iter().map(Portion::cost).sum();
        let saving = cost.less(Exact::whole(price));
        if saving.is_zero() {
            return None;
        }
        self.discount_each(&mut portions, |portion| portion.price);
        share_out(&mut portions, saving);
        portions.iter_mut().for_each(|portion| portion.units = portion.units.saturating_mul(times));
        Some(portions)
    }

    /// Applies the discounts of units and marks all of them as served, unless there is no discount.
    pub(super) fn serve(&mut self, mut portions: Vec<Portion>, rounding: Rounding) {
        portions.retain(|portion| portion.units > 0);
        portions.sort_by_key(|portion| (portion.line, portion.run));
        self.apply(portions, rounding, true);
    }
}

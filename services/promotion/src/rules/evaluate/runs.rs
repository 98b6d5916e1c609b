//! Units and their prices. Units of a line with equal prices form a run, so that thousands of them are counted instead
//! of listed.

use crate::rules::evaluate::cart::Line;
use crate::rules::evaluate::exact::{Exact, Ratio};

/// Units of a line at one price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) units: u32,
    pub(crate) price: Exact,
    /// Whether they served an application of an action that counts units.
    pub(crate) served: bool,
}

/// All units of a line. In most lines they have the same price.
#[derive(Clone, Debug)]
pub(crate) enum Runs {
    One(Run),
    Several(Vec<Run>),
}

/// Units of a run, and the discount on each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    pub(crate) line: usize,
    /// The index of the run in its line.
    pub(crate) run: usize,
    pub(crate) units: u32,
    pub(crate) price: Exact,
    pub(crate) off: Exact,
    /// Whether these units only serve an application and get no discount, like the units to buy in buy-and-get.
    pub(crate) only_serves: bool,
}

impl Portion {
    /// Units without a discount.
    pub(crate) fn of(line: usize, run: usize, units: u32, price: Exact) -> Self {
        Self { line, run, units, price, off: Exact::ZERO, only_serves: false }
    }

    /// The discount on all of the units.
    pub(crate) fn amount(&self) -> Exact {
        self.off.times(self.units)
    }

    /// The cost of all of the units.
    pub(crate) fn cost(&self) -> Exact {
        self.price.times(self.units)
    }
}

impl Runs {
    /// The units of a line before promotions.
    pub(crate) fn of(line: &Line) -> Self {
        let at_unit_price = line.unit.checked_mul(i64::from(line.quantity)) == Some(line.subtotal);
        let price = if at_unit_price { Exact::whole(line.unit) } else { Exact::divided(line.subtotal, line.quantity) };
        Self::One(Run { units: line.quantity, price, served: false })
    }

    pub(crate) fn as_slice(&self) -> &[Run] {
        match self {
            Self::One(run) => std::slice::from_ref(run),
            Self::Several(runs) => runs,
        }
    }

    /// The cost of all units of the line.
    pub(crate) fn cost(&self) -> Exact {
        match self {
            Self::One(run) => run.price.times(run.units),
            Self::Several(runs) => runs.iter().map(|run| run.price.times(run.units)).sum(),
        }
    }

    /// Adds all units to a list, without a discount. The most expensive come first; among units of equal price, those
    /// that have not served come first.
    pub(crate) fn most_expensive_first(&self, line: usize, found: &mut Vec<Portion>) {
        let portion = |(run, it): (usize, &Run)| Portion::of(line, run, it.units, it.price);
        match self {
            Self::One(run) => found.push(portion((0, run))),
            Self::Several(runs) => {
                let mut order: Vec<(usize, &Run)> = runs.iter().enumerate().collect();
                order.sort_by(|(_, a), (_, b)| b.price.cmp(&a.price).then(a.served.cmp(&b.served)));
                found.extend(order.into_iter().map(portion));
            }
        }
    }

    /// Applies the discounts of portions, and marks their units as served if `serve` is true. Returns the units as they
    /// were before.
    pub(crate) fn discount(&mut self, portions: &[Portion], serve: bool) -> Self {
        if let (Self::One(run), [portion]) = (&mut *self, portions)
            && portion.units == run.units
        {
            let before = Self::One(*run);
            run.price = run.price.less(portion.off);
            run.served |= serve;
            return before;
        }
        let mut after: Vec<Run> = Vec::with_capacity(portions.len() + 1);
        for (place, run) in self.as_slice().iter().enumerate() {
            let mut rest = *run;
            for portion in portions.iter().filter(|portion| portion.run == place) {
                rest.units -= portion.units.min(rest.units);
                let (price, served) = (run.price.less(portion.off), run.served || serve);
                join(&mut after, Run { units: portion.units, price, served });
            }
            join(&mut after, rest);
        }
        let after = match after.as_slice() {
            [run] => Self::One(*run),
            _ => Self::Several(after),
        };
        std::mem::replace(self, after)
    }
}

/// Adds units to the run with the same price and service, or as a new run.
fn join(runs: &mut Vec<Run>, more: Run) {
    if more.units == 0 {
        return;
    }
    match runs.iter_mut().find(|run| run.served == more.served && run.price == more.price) {
        Some(run) => run.units += more.units,
        None => runs.push(more),
    }
}

/// Shares an amount over units in proportion to their cost. On entry, `off` is the maximum discount of each unit; what
/// a unit cannot take goes to the others. On return, `off` is its share.
pub(crate) fn share_out(portions: &mut [Portion], amount: Exact) {
    let mut open: Vec<&mut Portion> = portions.iter_mut().collect();
    let mut left = amount;
    loop {
        let cost: Exact = open.iter().map(|portion| portion.cost()).sum();
        if left >= cost {
            return; // All remaining units get their maximum.
        }
        let (ratio, before) = (Ratio::of(left, cost), open.len());
        open.retain(|portion| {
            let is_full = portion.price.scaled(ratio) > portion.off;
            left = if is_full { left.less(portion.amount()) } else { left };
            !is_full
        });
        if open.len() == before {
            return open.into_iter().for_each(|portion| portion.off = portion.price.scaled(ratio));
        }
    }
}

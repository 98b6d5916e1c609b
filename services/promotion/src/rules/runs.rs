//! Units and their prices. Units of a line that cost the same are a run, so that thousands of them are counted and not listed.

use super::cart::Line;
use super::exact::{Exact, Ratio};

/// Units of a line at one price.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) units: u32,
    pub(crate) price: Exact,
    /// Whether they served an application of a promotion that counts units.
    pub(crate) served: bool,
}

/// All units of a line; of most lines they cost the same.
#[derive(Clone, Debug)]
pub(crate) enum Runs {
    One(Run),
    Several(Vec<Run>),
}

/// Units of a run, and what comes off each of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Portion {
    pub(crate) line: usize,
    /// The place of the run in its line.
    pub(crate) run: usize,
    pub(crate) units: u32,
    pub(crate) price: Exact,
    pub(crate) off: Exact,
}

impl Portion {
    /// What comes off all of them.
    pub(crate) fn amount(&self) -> Exact {
        self.off.times(self.units)
    }

    /// What all of them cost.
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

    /// What all of them cost.
    pub(crate) fn cost(&self) -> Exact {
        match self {
            Self::One(run) => run.price.times(run.units),
            Self::Several(runs) => runs.iter().map(|run| run.price.times(run.units)).sum(),
        }
    }

    /// Adds at most so many units to a list, those that cost most, nothing off them yet; of equals those that served nothing
    /// first.
    pub(crate) fn dearest(&self, line: usize, most: u32, found: &mut Vec<Portion>) {
        let mut left = most;
        let mut add = |run: usize, it: &Run| {
            let units = it.units.min(left);
            left -= units;
            if units > 0 {
                found.push(Portion { line, run, units, price: it.price, off: Exact::ZERO });
            }
        };
        match self {
            Self::One(run) => add(0, run),
            Self::Several(runs) => {
                let mut order: Vec<(usize, &Run)> = runs.iter().enumerate().collect();
                order.sort_by(|(_, a), (_, b)| b.price.cmp(&a.price).then(a.served.cmp(&b.served)));
                order.into_iter().for_each(|(run, it)| add(run, it));
            }
        }
    }

    /// Takes off what portions say; they serve an application if told.
    pub(crate) fn cut(&mut self, portions: &[Portion], serve: bool) {
        if let (Self::One(run), [portion]) = (&mut *self, portions)
            && portion.units == run.units
        {
            run.price = run.price.less(portion.off).narrowed();
            run.served |= serve;
            return;
        }
        let mut after: Vec<Run> = Vec::with_capacity(portions.len() + 1);
        for (place, run) in self.as_slice().iter().enumerate() {
            let mut rest = *run;
            for portion in portions.iter().filter(|portion| portion.run == place) {
                rest.units -= portion.units.min(rest.units);
                let (price, served) = (run.price.less(portion.off).narrowed(), run.served || serve);
                join(&mut after, Run { units: portion.units, price, served });
            }
            join(&mut after, rest);
        }
        *self = match after.as_slice() {
            [run] => Self::One(*run),
            _ => Self::Several(after),
        };
    }
}

/// Adds units to those of the same price.
fn join(runs: &mut Vec<Run>, more: Run) {
    if more.units == 0 {
        return;
    }
    match runs.iter_mut().find(|run| run.served == more.served && run.price == more.price) {
        Some(run) => run.units += more.units,
        None => runs.push(more),
    }
}

/// Shares an amount over units in proportion to what they cost. No unit gives more than stands in its `off`: what it cannot
/// give moves on to the others.
pub(crate) fn share_out(portions: &mut [Portion], amount: Exact) {
    let mut open: Vec<usize> = (0..portions.len()).collect();
    let mut left = amount;
    loop {
        let cost: Exact = open.iter().filter_map(|i| portions.get(*i)).map(Portion::cost).sum();
        let Some(ratio) = Ratio::between(left, cost) else { break };
        let shares: Vec<(usize, Exact)> =
            open.iter().filter_map(|i| portions.get(*i).map(|it| (*i, it.price.scaled(ratio)))).collect();
        let before = open.len();
        open.clear();
        for (i, share) in &shares {
            let Some(portion) = portions.get(*i) else { continue };
            if *share > portion.off {
                left = left.less(portion.amount());
            } else {
                open.push(*i);
            }
        }
        if open.len() == before {
            for (i, share) in shares {
                portions.get_mut(i).into_iter().for_each(|portion| portion.off = share);
            }
            break;
        }
    }
}

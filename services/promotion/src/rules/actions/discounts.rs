//! Percentages, amounts and prices of units and of the goods together.

use crate::rules::actions::action::Discount;
use crate::rules::actions::turn::{Rounding, Turn, by_line, cost_of, cost_of_dearest, dearest_of_lines, same_line};
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::runs::{Portion, share_out};
use crate::rules::language::action::{Per, Scope};
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::Percent;

impl Turn<'_, '_> {
    /// Discounts the dearest units of each line by a percentage, at most by an amount in all.
    pub(super) fn percent_off_items(&mut self, percent: Percent, items: &Filter, most: i64, units: u32) {
        let mut portions = dearest_of_lines(self.units(items), units);
        self.discount_each(&mut portions, |portion| percent.of_exact(portion.price));
        let money = self.in_money(&portions, Rounding::Line(None));
        if money.iter().sum::<i64>() <= most {
            return self.give_money(portions, money, false);
        }
        share_out(&mut portions, Exact::whole(most));
        self.give(portions, Rounding::Once(None), false);
    }

    pub(super) fn amount_off(&mut self, value: i64, scope: Scope, items: &Filter, per: Per, units: u32) {
        let mut portions = self.units(items);
        let off_unit = |portion: &Portion| Self::discount_on(Discount::Amount(value), portion.price);
        match (scope, per) {
            (_, Per::Order) => {
                let most = cost_of_dearest(&portions, units).half_up();
                self.give_shared(portions, value.min(most));
            }
            (Scope::Items, Per::Unit) => {
                let mut counted = dearest_of_lines(portions, units);
                self.discount_each(&mut counted, off_unit);
                self.give(counted, Rounding::Line(None), false);
            }
            (Scope::Items, Per::Line) => {
                for own in portions.chunk_by_mut(same_line) {
                    let amount = cost_of_dearest(own, units).min(Exact::whole(value));
                    self.share(own, amount);
                }
                self.give(portions, Rounding::Line(None), false);
            }
            (_, Per::Unit) => {
                let counted = dearest_of_lines(portions.clone(), units);
                let total: Exact = counted.iter().map(|portion| off_unit(portion).times(portion.units)).sum();
                self.give_shared(portions, total.half_up());
            }
            (_, Per::Line) => {
                let of_line = |own: &[Portion]| cost_of_dearest(own, units).min(Exact::whole(value));
                let total: Exact = by_line(&portions).map(of_line).sum();
                self.give_shared(portions, total.half_up());
            }
        }
    }

    pub(super) fn fixed_price(&mut self, value: i64, whole: bool, items: &Filter) {
        let mut portions = self.units(items);
        if whole {
            let excess = cost_of(&portions).less(Exact::whole(value));
            self.share(&mut portions, excess);
            self.give(portions, Rounding::Once(Some(value)), false);
        } else {
            self.discount_each(&mut portions, |portion| Self::discount_on(Discount::Price(value), portion.price));
            self.give(portions, Rounding::Line(Some(value)), false);
        }
    }

    /// Discounts one unit of the lowest price, even if that is zero; of equal ones that of the earlier line.
    pub(super) fn cheapest(&mut self, items: &Filter, discount: Discount) {
        let units = self.units(items);
        let place = |portion: &Portion| {
            let served = self
                .state
                .units_of(portion.line)
                .and_then(|runs| runs.as_slice().get(portion.run))
                .map(|run| run.served);
            (self.state.rank_of(portion.line), served, portion.line)
        };
        let cheapest = units.into_iter().min_by(|a, b| a.price.cmp(&b.price).then_with(|| place(a).cmp(&place(b))));
        let Some(unit) = cheapest else { return };
        let mut portions = vec![Portion { units: 1, ..unit }];
        self.discount_each(&mut portions, |portion| Self::discount_on(discount, portion.price));
        self.give(portions, Rounding::Line(None), false);
    }
}

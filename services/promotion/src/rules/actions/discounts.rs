//! Percentages, amounts and fixed prices, on units or on the goods together.

use crate::rules::actions::action::Discount;
use crate::rules::actions::turn::{
    Rounding, Turn, by_line, cost_of, cost_of_most_expensive, most_expensive_per_line, same_line,
};
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::runs::{Portion, share_out};
use crate::rules::language::action::{Per, Scope};
use crate::rules::language::filter::Filter;
use crate::rules::minor_units::Percent;

impl Turn<'_, '_> {
    /// Discounts the most expensive units of each line by a percentage, by at most an amount in total.
    pub(super) fn percent_off_items(&mut self, percent: Percent, items: &Filter, most: i64, units: u32) {
        let mut portions = most_expensive_per_line(self.units(items), units);
        self.discount_each(&mut portions, |portion| percent.of_exact(portion.price));
        let money = self.rounded_money(&portions, Rounding::Line(None));
        if money.iter().sum::<i64>() <= most {
            return self.apply_money(portions, money, false);
        }
        share_out(&mut portions, Exact::whole(most));
        self.apply(portions, Rounding::Once(None), false);
    }

    /// Discounts by an amount per unit, per line or per order. With another scope than items, the sum is shared over
    /// all units.
    pub(super) fn amount_off(&mut self, value: i64, scope: Scope, items: &Filter, per: Per, units: u32) {
        let mut portions = self.units(items);
        let off_unit = |portion: &Portion| Self::discount_on(Discount::Amount(value), portion.price);
        match (scope, per) {
            (_, Per::Order) => {
                let most = cost_of_most_expensive(&portions, units).half_up();
                self.apply_shared(portions, value.min(most));
            }
            (Scope::Items, Per::Unit) => {
                let mut counted = most_expensive_per_line(portions, units);
                self.discount_each(&mut counted, off_unit);
                self.apply(counted, Rounding::Line(None), false);
            }
            (Scope::Items, Per::Line) => {
                for own in portions.chunk_by_mut(same_line) {
                    let amount = cost_of_most_expensive(own, units).min(Exact::whole(value));
                    self.share(own, amount);
                }
                self.apply(portions, Rounding::Line(None), false);
            }
            (_, Per::Unit) => {
                let counted = most_expensive_per_line(portions.clone(), units);
                let total: Exact = counted.iter().map(|portion| off_unit(portion).times(portion.units)).sum();
                self.apply_shared(portions, total.half_up());
            }
            (_, Per::Line) => {
                let of_line = |own: &[Portion]| cost_of_most_expensive(own, units).min(Exact::whole(value));
                let total: Exact = by_line(&portions).map(of_line).sum();
                self.apply_shared(portions, total.half_up());
            }
        }
    }

    /// Reduces the goods together, if `whole` is true, or else each unit, to a price.
    pub(super) fn fixed_price(&mut self, value: i64, whole: bool, items: &Filter) {
        let mut portions = self.units(items);
        if whole {
            let excess = cost_of(&portions).less(Exact::whole(value));
            self.share(&mut portions, excess);
            self.apply(portions, Rounding::Once(Some(value)), false);
        } else {
            self.discount_each(&mut portions, |portion| Self::discount_on(Discount::Price(value), portion.price));
            self.apply(portions, Rounding::Line(Some(value)), false);
        }
    }

    /// Discounts one unit with the lowest price, even if that is zero. Ties go to the earlier line.
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
        self.apply(portions, Rounding::Line(None), false);
    }
}

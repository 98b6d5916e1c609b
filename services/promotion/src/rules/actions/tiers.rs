//! Tiers: the discount grows with the quantity or the amount bought.

use crate::rules::actions::action::Discount;
use crate::rules::actions::turn::{Rounding, Turn, by_line, cost_of, same_line};
use crate::rules::evaluate::exact::Exact;
use crate::rules::evaluate::runs::Portion;
use crate::rules::language::action::Basis;
use crate::rules::language::filter::Filter;

impl Turn<'_, '_> {
    pub(super) fn tiered(&mut self, basis: Basis, items: &Filter, once: bool, tiers: &[(i64, Discount)]) {
        let portions = self.units(items);
        let measure = |own: &[Portion]| match basis {
            Basis::Subtotal | Basis::LineSubtotal => cost_of(own).half_down(),
            Basis::Quantity | Basis::LineQuantity => own.iter().map(|portion| i64::from(portion.units)).sum(),
        };
        let reached = |own: &[Portion]| {
            let measure = measure(own);
            tiers.iter().rposition(|(from, _)| *from <= measure)
        };
        if matches!(basis, Basis::Subtotal | Basis::Quantity) {
            let Some((_, discount)) = reached(&portions).and_then(|tier| tiers.get(tier)) else { return };
            let (portions, rounding) = self.tier(portions, *discount, once);
            return self.apply(portions, rounding, false);
        }
        // Lines may reach different tiers. Each tier is shared and rounded by itself, then all discounts are applied at
        // once.
        let tier_of: Vec<Option<usize>> = by_line(&portions).map(reached).collect();
        let mut given: Vec<(Vec<Portion>, i64)> = Vec::with_capacity(tier_of.len());
        for (tier, (_, discount)) in tiers.iter().enumerate() {
            let here = by_line(&portions).zip(&tier_of).filter(|(_, reached)| **reached == Some(tier));
            let own: Vec<Portion> = here.flat_map(|(own, _)| own).copied().collect();
            let (own, rounding) = self.tier(own, *discount, once);
            if own.iter().all(|portion| portion.off.is_zero()) {
                continue;
            }
            let money = self.rounded_money(&own, rounding);
            given.extend(by_line(&own).map(<[Portion]>::to_vec).zip(money));
        }
        given.sort_by_key(|(own, _)| own.first().map(|portion| portion.line));
        let (portions, money): (Vec<Vec<Portion>>, Vec<i64>) = given.into_iter().unzip();
        self.apply_money(portions.concat(), money, false);
    }

    /// The discounts of a tier on its lines, either once for all lines together or for each line.
    fn tier(&self, mut portions: Vec<Portion>, discount: Discount, once: bool) -> (Vec<Portion>, Rounding) {
        let rounding = match (discount, once) {
            (Discount::Percent(percent), true) => {
                let amount = percent.of_exact(cost_of(&portions)).half_up();
                self.share(&mut portions, Exact::whole(amount));
                Rounding::Once(None)
            }
            (Discount::Amount(amount), true) => {
                self.share(&mut portions, Exact::whole(amount));
                Rounding::Once(None)
            }
            (Discount::Amount(amount), false) => {
                portions.chunk_by_mut(same_line).for_each(|own| self.share(own, Exact::whole(amount)));
                Rounding::Line(None)
            }
            (Discount::Percent(_), false) => {
                self.discount_each(&mut portions, |portion| Self::discount_on(discount, portion.price));
                Rounding::Line(None)
            }
            (Discount::Price(price), _) => {
                self.discount_each(&mut portions, |portion| Self::discount_on(discount, portion.price));
                Rounding::Line(Some(price))
            }
        };
        (portions, rounding)
    }
}

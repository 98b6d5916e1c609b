//! Reads the actions of a promotion, noting every fault with its pointer.

use promox_contract::condition::ItemFilter;
use promox_kernel::Amount;
use rust_decimal::Decimal;

use crate::rules::actions::action::{Action, Discount};
use crate::rules::language::action::{
    ActionSpec, ActionType, AmountOff, Basis, BundlePrice, BuyXGetY, Effect, FixedPrice, Part, Per, Scope, Stage,
    Tiered,
};
use crate::rules::language::faults::DocumentFaults;
use crate::rules::language::filter::Filter;

/// The most parts of a bundle, and the most tiers.
const MAX_PARTS: usize = 20;

/// The most units of all parts of a bundle.
const MAX_BUNDLED: u32 = 200;

/// The largest factor of points.
const MAX_POINTS: i64 = 1_000;

/// Reads the action at a pointer. Faults are noted; `None` when nothing can stand in for what is wrong.
pub(crate) fn read_action(
    spec: &ActionSpec,
    stage: Stage,
    pointer: &str,
    faults: &mut DocumentFaults,
) -> Option<Action> {
    let (mut reader, kind) = (Reader { stage, pointer, faults }, spec.effect.kind());
    for name in &spec.foreign {
        reader.note(name, format!("{kind} has no member {name}"));
    }
    if stage == Stage::Catalog
        && !matches!(kind, ActionType::PercentOff | ActionType::AmountOff | ActionType::FixedPrice)
    {
        reader.note("type", "stage CATALOG allows PERCENT_OFF, AMOUNT_OFF and FIXED_PRICE only");
    }
    reader.action(&spec.effect)
}

struct Reader<'a> {
    stage: Stage,
    pointer: &'a str,
    faults: &'a mut DocumentFaults,
}

impl Reader<'_> {
    fn at(&self, member: &str) -> String {
        format!("{}/{member}", self.pointer)
    }

    fn note(&mut self, member: &str, detail: impl Into<String>) {
        self.faults.note(&self.at(member), detail);
    }

    fn action(&mut self, effect: &Effect) -> Option<Action> {
        Some(match effect {
            Effect::PercentOff(spec) => Action::Percent {
                percent: self.faults.percent(&self.at("value"), spec.value),
                scope: self.scope(spec.scope, spec.items.as_ref(), spec.max_units_per_line),
                items: self.items(spec.items.as_ref()),
                most: self.most(spec.max_discount),
                units: self.units_per_line(spec.max_units_per_line),
            },
            Effect::AmountOff(spec) => self.amount_off(spec),
            Effect::FixedPrice(spec) => self.fixed_price(spec),
            Effect::BuyXGetY(spec) => self.buy_get(spec)?,
            Effect::EveryNth(spec) => Action::EveryNth {
                items: self.items(spec.items.as_ref()),
                every: self.faults.units(&self.at("every"), spec.every, 2),
                percent: self.faults.percent(&self.at("percentOff"), spec.percent_off),
            },
            Effect::Pack(spec) => {
                let members = [("percentOff", spec.percent_off), ("amountOff", spec.amount_off), ("price", spec.price)];
                let size = self.faults.units(&self.at("size"), spec.size, 1);
                Action::Pack { items: self.items(spec.items.as_ref()), size, discount: self.discount(&members)? }
            }
            Effect::BundlePrice(spec) => self.bundle(spec),
            Effect::Tiered(spec) => self.tiered(spec)?,
            Effect::Cheapest(spec) => {
                let members = [("percentOff", spec.percent_off), ("amountOff", spec.amount_off)];
                Action::Cheapest { items: self.items(spec.items.as_ref()), discount: self.discount(&members)? }
            }
            Effect::FreeShipping(spec) => Action::FreeShipping { most: self.most(spec.max_discount) },
            Effect::Gift(spec) => {
                let quantity = self.faults.units(&self.at("quantity"), spec.quantity, 1);
                if spec.sku.is_none() {
                    self.faults.missing(&self.at("sku"), "the SKU of the gift");
                }
                Action::Gift { sku: spec.sku.clone()?, quantity }
            }
            Effect::PointsMultiplier(spec) => self.points(spec.value)?,
        })
    }

    /// Reads what is discounted. Shipping has no lines; stage CATALOG has unit prices and nothing else.
    fn scope(&mut self, scope: Option<Scope>, items: Option<&ItemFilter>, units: Option<u32>) -> Scope {
        if scope == Some(Scope::Shipping) {
            for (name, given) in [("items", items.is_some()), ("maxUnitsPerLine", units.is_some())] {
                if given {
                    self.note(name, "a shipping discount has no lines");
                }
            }
        }
        if self.stage == Stage::Catalog {
            if scope.is_some_and(|scope| scope != Scope::Items) {
                self.note("scope", "must be ITEMS in stage CATALOG");
            }
            if units.is_some() {
                self.note("maxUnitsPerLine", "stage CATALOG has no lines");
            }
        }
        scope.unwrap_or(self.stage.default_scope())
    }

    fn items(&mut self, items: Option<&ItemFilter>) -> Filter {
        Filter::read(items, &self.at("items"), self.faults)
    }

    fn most(&mut self, discount: Option<Amount>) -> i64 {
        discount.map_or(i64::MAX, |_| self.faults.amount(&self.at("maxDiscount"), discount))
    }

    fn units_per_line(&mut self, units: Option<u32>) -> u32 {
        units.map_or(u32::MAX, |_| self.faults.units(&self.at("maxUnitsPerLine"), units, 1))
    }

    fn amount_off(&mut self, spec: &AmountOff) -> Action {
        let scope = self.scope(spec.scope, spec.items.as_ref(), spec.max_units_per_line);
        let per = spec.per_in(self.stage);
        if self.stage == Stage::Catalog && spec.per.is_some_and(|per| per != Per::Unit) {
            self.note("per", "must be UNIT in stage CATALOG");
        }
        if scope == Scope::Shipping && per != Per::Order {
            self.note("per", "must be ORDER for an amount off shipping");
        }
        let value = self.faults.amount(&self.at("value"), spec.value);
        let units = self.units_per_line(spec.max_units_per_line);
        Action::Amount { value, scope, items: self.items(spec.items.as_ref()), per, units }
    }

    fn fixed_price(&mut self, spec: &FixedPrice) -> Action {
        let scope = self.scope(spec.scope, spec.items.as_ref(), None);
        if scope == Scope::Shipping {
            self.note("scope", "must be ITEMS, for each unit, or ORDER, for the order as a whole");
        }
        let value = self.faults.price(&self.at("value"), spec.value);
        Action::FixedPrice { value, whole: scope == Scope::Order, items: self.items(spec.items.as_ref()) }
    }

    fn buy_get(&mut self, spec: &BuyXGetY) -> Option<Action> {
        for (name, part) in [("buy", &spec.buy), ("get", &spec.get)] {
            if part.is_none() {
                self.faults.missing(&self.at(name), "which units, and how many");
            }
        }
        let (buy, get) = (spec.buy.as_ref()?, spec.get.as_ref()?);
        if buy.percent_off.is_some() {
            self.note("buy/percentOff", "bought units have no discount; set it on get");
        }
        let percent = self.faults.percent(&self.at("get/percentOff"), get.percent_off);
        let most = match spec.max_applications {
            None => u32::MAX,
            most => self.faults.units(&self.at("maxApplications"), most, 1),
        };
        Some(Action::BuyGet { buy: self.part(buy, "buy"), get: self.part(get, "get"), percent, most })
    }

    fn part(&mut self, part: &Part, member: &str) -> (Filter, u32) {
        let pointer = self.at(member);
        let items = Filter::read(Some(&part.items), &format!("{pointer}/items"), self.faults);
        (items, self.faults.units(&format!("{pointer}/quantity"), Some(part.quantity), 1))
    }

    fn bundle(&mut self, spec: &BundlePrice) -> Action {
        let parts = spec.parts.as_deref().unwrap_or_default();
        let pointer = self.at("parts");
        if !(1..=MAX_PARTS).contains(&parts.len()) {
            self.faults.note(&pointer, format!("must have 1 to {MAX_PARTS} parts"));
        }
        let mut read = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            if part.percent_off.is_some() {
                self.faults.note(&format!("{pointer}/{i}/percentOff"), "a bundle has a single price");
            }
            read.push(self.part(part, &format!("parts/{i}")));
        }
        if read.iter().map(|(_, quantity)| *quantity).fold(0, u32::saturating_add) > MAX_BUNDLED {
            self.faults.note(&pointer, format!("must have at most {MAX_BUNDLED} units"));
        }
        Action::Bundle { parts: read, price: self.faults.price(&self.at("price"), spec.price) }
    }

    fn points(&mut self, value: Option<Amount>) -> Option<Action> {
        let good = value.filter(|value| {
            value.0 > Decimal::ZERO && value.0 <= Decimal::from(MAX_POINTS) && value.0.normalize().scale() <= 4
        });
        if good.is_none() {
            self.faults
                .note(&self.at("value"), format!("must be above 0 and at most {MAX_POINTS}, with at most 4 decimals"));
        }
        Some(Action::Points { factor: good?.0 })
    }

    fn discount(&mut self, members: &[(&str, Option<Amount>)]) -> Option<Discount> {
        one_discount(members, self.pointer, self.faults)
    }

    fn tiered(&mut self, spec: &Tiered) -> Option<Action> {
        let scope = self.scope(spec.scope, spec.items.as_ref(), None);
        if scope == Scope::Shipping {
            self.note("scope", "must be ORDER or ITEMS for tiers");
        }
        if spec.basis.is_none() {
            self.faults.missing(&self.at("basis"), "the measure of the tiers");
        }
        let (basis, tiers) = (spec.basis?, spec.tiers.as_deref().unwrap_or_default());
        let pointer = self.at("tiers");
        if !(1..=MAX_PARTS).contains(&tiers.len()) {
            self.faults.note(&pointer, format!("must have 1 to {MAX_PARTS} tiers"));
        }
        let mut read: Vec<(i64, Discount)> = Vec::with_capacity(tiers.len());
        for (i, tier) in tiers.iter().enumerate() {
            let at = format!("{pointer}/{i}");
            let from = self.from(tier.from, basis, &at);
            let members =
                [("percentOff", tier.percent_off), ("amountOff", tier.amount_off), ("unitPrice", tier.unit_price)];
            let Some(discount) = one_discount(&members, &at, self.faults) else { continue };
            if let Some((below, lower)) = read.last() {
                if from <= *below {
                    self.faults.note(
                        &format!("{at}/from"),
                        "tiers must ascend: this one starts at or below the one before it",
                    );
                } else if crosses(*lower, discount) {
                    self.faults.note(&at, "a higher tier must not grant less than the one below it");
                }
            }
            read.push((from, discount));
        }
        Some(Action::Tiered { basis, items: self.items(spec.items.as_ref()), once: scope == Scope::Order, tiers: read })
    }

    fn from(&mut self, from: Amount, basis: Basis, at: &str) -> i64 {
        if matches!(basis, Basis::Subtotal | Basis::LineSubtotal) {
            return self.faults.price(&format!("{at}/from"), Some(from));
        }
        let whole = from.0.is_integer().then(|| i64::try_from(from.0).ok()).flatten().filter(|from| *from >= 0);
        if whole.is_none() {
            self.faults.note(&format!("{at}/from"), "must be a whole number");
        }
        whole.unwrap_or(0)
    }
}

/// Whether the higher of two tiers of the same kind grants less.
fn crosses(lower: Discount, higher: Discount) -> bool {
    match (lower, higher) {
        (Discount::Percent(lower), Discount::Percent(higher)) => higher.is_below(lower),
        (Discount::Amount(lower), Discount::Amount(higher)) => higher < lower,
        (Discount::Price(lower), Discount::Price(higher)) => higher > lower,
        _ => false,
    }
}

/// Reads exactly one of a percentage, an amount and a price.
fn one_discount(members: &[(&str, Option<Amount>)], pointer: &str, faults: &mut DocumentFaults) -> Option<Discount> {
    let given: Vec<(&str, Amount)> = members.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let [(name, value)] = given.as_slice() else {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        faults.note(pointer, format!("exactly one of {}", names.join(", ")));
        return None;
    };
    let at = format!("{pointer}/{name}");
    Some(match *name {
        "percentOff" => Discount::Percent(faults.percent(&at, Some(*value))),
        "amountOff" => Discount::Amount(faults.amount(&at, Some(*value))),
        _ => Discount::Price(faults.price(&at, Some(*value))),
    })
}

impl DocumentFaults {
    /// Reads an optional amount above zero.
    pub(crate) fn optional_amount(&mut self, pointer: &str, value: Option<Amount>) -> Option<i64> {
        value?;
        let minor = self.amount(pointer, value);
        value.and_then(|value| self.currency.minor_units(value)).map(|_| minor)
    }
}

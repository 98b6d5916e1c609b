//! Reads the actions of a promotion, noting every fault with its pointer.

use promox_kernel::Amount;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::rules::actions::action::{Action, Discount};
use crate::rules::language::action::{ActionSpec, ActionType, Basis, Part, Per, Scope, Stage, Tier};
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
    let mut reader = Reader { spec, stage, pointer, faults };
    reader.refuse_strangers();
    reader.refuse_in_catalogue();
    reader.action()
}

struct Reader<'a> {
    spec: &'a ActionSpec,
    stage: Stage,
    pointer: &'a str,
    faults: &'a mut DocumentFaults,
}

impl Reader<'_> {
    fn at(&self, member: &str) -> String {
        format!("{}/{member}", self.pointer)
    }

    /// Notes members that the type does not have.
    fn refuse_strangers(&mut self) {
        let spec = self.spec;
        let known = members_of(spec.kind);
        // Members that are not given are not serialised.
        if let Ok(Value::Object(given)) = serde_json::to_value(spec) {
            for name in given.keys().filter(|name| *name != "type" && !known.contains(&name.as_str())) {
                self.faults.note(&self.at(name), format!("{} has no member {name}", spec.kind));
            }
        }
        if spec.scope == Some(Scope::Shipping) {
            for (name, there) in
                [("items", spec.items.is_some()), ("maxUnitsPerLine", spec.max_units_per_line.is_some())]
            {
                if there {
                    self.faults.note(&self.at(name), "a shipping discount has no lines");
                }
            }
        }
    }

    /// Notes what stage CATALOG does not allow: it has unit prices and nothing else.
    fn refuse_in_catalogue(&mut self) {
        if self.stage == Stage::Cart {
            return;
        }
        let spec = self.spec;
        if !matches!(spec.kind, ActionType::PercentOff | ActionType::AmountOff | ActionType::FixedPrice) {
            self.faults.note(&self.at("type"), "stage CATALOG allows PERCENT_OFF, AMOUNT_OFF and FIXED_PRICE only");
        }
        if spec.scope.is_some_and(|scope| scope != Scope::Items) {
            self.faults.note(&self.at("scope"), "must be ITEMS in stage CATALOG");
        }
        if spec.per.is_some_and(|per| per != Per::Unit) {
            self.faults.note(&self.at("per"), "must be UNIT in stage CATALOG");
        }
        if spec.max_units_per_line.is_some() {
            self.faults.note(&self.at("maxUnitsPerLine"), "stage CATALOG has no lines");
        }
    }

    fn action(&mut self) -> Option<Action> {
        let spec = self.spec;
        let scope = spec.scope_in(self.stage).unwrap_or(Scope::Order);
        Some(match spec.kind {
            ActionType::PercentOff => Action::Percent {
                percent: self.faults.percent(&self.at("value"), spec.value),
                scope,
                items: self.items(),
                most: self.most(),
                units: self.units_per_line(),
            },
            ActionType::AmountOff => self.amount_off(scope),
            ActionType::FixedPrice => self.fixed_price(scope),
            ActionType::BuyXGetY => self.buy_get()?,
            ActionType::EveryNth => Action::EveryNth {
                items: self.items(),
                every: self.faults.units(&self.at("every"), spec.every, 2),
                percent: self.faults.percent(&self.at("percentOff"), spec.percent_off),
            },
            ActionType::Pack => Action::Pack {
                items: self.items(),
                size: self.faults.units(&self.at("size"), spec.size, 1),
                discount: self.discount()?,
            },
            ActionType::BundlePrice => self.bundle(),
            ActionType::Tiered => self.tiered(scope)?,
            ActionType::Cheapest => Action::Cheapest { items: self.items(), discount: self.discount()? },
            ActionType::FreeShipping => Action::FreeShipping { most: self.most() },
            ActionType::Gift => {
                let quantity = self.faults.units(&self.at("quantity"), spec.quantity, 1);
                if spec.sku.is_none() {
                    self.faults.missing(&self.at("sku"), "the SKU of the gift");
                }
                Action::Gift { sku: spec.sku.clone()?, quantity }
            }
            ActionType::PointsMultiplier => self.points()?,
        })
    }

    fn items(&mut self) -> Filter {
        Filter::read(self.spec.items.as_ref(), &self.at("items"), self.faults)
    }

    fn most(&mut self) -> i64 {
        match self.spec.max_discount {
            None => i64::MAX,
            most => self.faults.amount(&self.at("maxDiscount"), most),
        }
    }

    fn units_per_line(&mut self) -> u32 {
        match self.spec.max_units_per_line {
            None => u32::MAX,
            units => self.faults.units(&self.at("maxUnitsPerLine"), units, 1),
        }
    }

    fn amount_off(&mut self, scope: Scope) -> Action {
        let per = self.spec.per_in(self.stage).unwrap_or(Per::Order);
        if scope == Scope::Shipping && per != Per::Order {
            self.faults.note(&self.at("per"), "must be ORDER for an amount off shipping");
        }
        let value = self.faults.amount(&self.at("value"), self.spec.value);
        Action::Amount { value, scope, items: self.items(), per, units: self.units_per_line() }
    }

    fn fixed_price(&mut self, scope: Scope) -> Action {
        if scope == Scope::Shipping {
            self.faults.note(&self.at("scope"), "must be ITEMS, for each unit, or ORDER, for the order as a whole");
        }
        let value = self.faults.price(&self.at("value"), self.spec.value);
        Action::FixedPrice { value, whole: scope == Scope::Order, items: self.items() }
    }

    fn buy_get(&mut self) -> Option<Action> {
        let spec = self.spec;
        for (name, part) in [("buy", &spec.buy), ("get", &spec.get)] {
            if part.is_none() {
                self.faults.missing(&self.at(name), "which units, and how many");
            }
        }
        let (buy, get) = (spec.buy.as_ref()?, spec.get.as_ref()?);
        if buy.percent_off.is_some() {
            self.faults.note(&self.at("buy/percentOff"), "bought units have no discount; set it on get");
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

    fn bundle(&mut self) -> Action {
        let spec = self.spec;
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

    fn points(&mut self) -> Option<Action> {
        let value = self.spec.value;
        let good = value.filter(|value| {
            value.0 > Decimal::ZERO && value.0 <= Decimal::from(MAX_POINTS) && value.0.normalize().scale() <= 4
        });
        if good.is_none() {
            self.faults
                .note(&self.at("value"), format!("must be above 0 and at most {MAX_POINTS}, with at most 4 decimals"));
        }
        Some(Action::Points { factor: good?.0 })
    }

    /// Reads the one of percentOff, amountOff and, for packs, price.
    fn discount(&mut self) -> Option<Discount> {
        let spec = self.spec;
        let price = ("price", spec.price, self.spec.kind == ActionType::Pack);
        let pointer = self.pointer.to_owned();
        one_discount(
            [("percentOff", spec.percent_off, true), ("amountOff", spec.amount_off, true), price],
            &pointer,
            self.faults,
        )
    }

    fn tiered(&mut self, scope: Scope) -> Option<Action> {
        let spec = self.spec;
        if scope == Scope::Shipping {
            self.faults.note(&self.at("scope"), "must be ORDER or ITEMS for tiers");
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
            let Some(discount) = tier_discount(tier, &at, self.faults) else { continue };
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
        Some(Action::Tiered { basis, items: self.items(), once: scope == Scope::Order, tiers: read })
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

fn tier_discount(tier: &Tier, at: &str, faults: &mut DocumentFaults) -> Option<Discount> {
    let members = [
        ("percentOff", tier.percent_off, true),
        ("amountOff", tier.amount_off, true),
        ("unitPrice", tier.unit_price, true),
    ];
    one_discount(members, at, faults)
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

/// Reads exactly one of a percentage, an amount and, where allowed, a price.
fn one_discount(
    members: [(&str, Option<Amount>, bool); 3],
    pointer: &str,
    faults: &mut DocumentFaults,
) -> Option<Discount> {
    let names: Vec<&str> = members.iter().filter(|(_, _, allowed)| *allowed).map(|(name, ..)| *name).collect();
    let there: Vec<(usize, &str, Amount)> = members
        .iter()
        .enumerate()
        .filter_map(|(i, (name, value, allowed))| value.filter(|_| *allowed).map(|value| (i, *name, value)))
        .collect();
    let [(kind, name, value)] = there.as_slice() else {
        faults.note(pointer, format!("exactly one of {}", names.join(", ")));
        return None;
    };
    let at = format!("{pointer}/{name}");
    Some(match kind {
        0 => Discount::Percent(faults.percent(&at, Some(*value))),
        1 => Discount::Amount(faults.amount(&at, Some(*value))),
        _ => Discount::Price(faults.price(&at, Some(*value))),
    })
}

/// The members that a type of action has.
fn members_of(kind: ActionType) -> &'static [&'static str] {
    match kind {
        ActionType::PercentOff => &["value", "scope", "items", "maxDiscount", "maxUnitsPerLine"],
        ActionType::AmountOff => &["value", "scope", "items", "per", "maxUnitsPerLine"],
        ActionType::FixedPrice => &["value", "scope", "items"],
        ActionType::BuyXGetY => &["buy", "get", "maxApplications"],
        ActionType::EveryNth => &["items", "every", "percentOff"],
        ActionType::Pack => &["items", "size", "percentOff", "amountOff", "price"],
        ActionType::BundlePrice => &["parts", "price"],
        ActionType::Tiered => &["basis", "items", "scope", "tiers"],
        ActionType::Cheapest => &["items", "percentOff", "amountOff"],
        ActionType::FreeShipping => &["maxDiscount"],
        ActionType::Gift => &["sku", "quantity"],
        ActionType::PointsMultiplier => &["value"],
    }
}

impl DocumentFaults {
    /// Reads an optional amount above zero.
    pub(crate) fn optional_amount(&mut self, pointer: &str, value: Option<Amount>) -> Option<i64> {
        value?;
        let minor = self.amount(pointer, value);
        value.and_then(|value| self.currency.minor_units(value)).map(|_| minor)
    }
}

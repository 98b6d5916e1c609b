//! Reads the actions of a promotion, noting every fault with its pointer.

use promox_kernel::Amount;
use rust_decimal::Decimal;

use crate::rules::actions::action::{Cut, Deed};
use crate::rules::language::action::{Action, ActionType, Basis, Part, Per, Scope, Stage, Tier};
use crate::rules::language::faults::Faults;
use crate::rules::language::filter::Filter;

/// Parts of a bundle and tiers of a ladder at most.
const MOST_PARTS: usize = 20;

/// Units of all parts of a bundle at most.
const MOST_BUNDLED: u32 = 200;

/// The largest factor of points.
const MOST_POINTS: i64 = 1_000;

/// Reads the action at a pointer; `None` when it has no meaning.
pub(crate) fn read_action(action: &Action, stage: Stage, pointer: &str, faults: &mut Faults) -> Option<Deed> {
    let mut reader = Reader { action, stage, pointer, faults };
    reader.refuse_strangers();
    reader.refuse_on_the_shelf();
    reader.deed()
}

struct Reader<'a> {
    action: &'a Action,
    stage: Stage,
    pointer: &'a str,
    faults: &'a mut Faults,
}

impl Reader<'_> {
    fn at(&self, member: &str) -> String {
        format!("{}/{member}", self.pointer)
    }

    /// Members that are there and do not belong to the type.
    fn refuse_strangers(&mut self) {
        let it = self.action;
        let members: [(&str, bool); 18] = [
            ("value", it.value.is_some()),
            ("scope", it.scope.is_some()),
            ("items", it.items.is_some()),
            ("maxDiscount", it.max_discount.is_some()),
            ("maxUnitsPerLine", it.max_units_per_line.is_some()),
            ("per", it.per.is_some()),
            ("buy", it.buy.is_some()),
            ("get", it.get.is_some()),
            ("maxApplications", it.max_applications.is_some()),
            ("every", it.every.is_some()),
            ("size", it.size.is_some()),
            ("parts", it.parts.is_some()),
            ("price", it.price.is_some()),
            ("percentOff", it.percent_off.is_some()),
            ("amountOff", it.amount_off.is_some()),
            ("basis", it.basis.is_some()),
            ("tiers", it.tiers.is_some()),
            ("sku", it.sku.is_some()),
        ];
        let mut there: Vec<&str> = members.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
        if it.quantity.is_some() {
            there.push("quantity");
        }
        let known = members_of(it.kind);
        for name in there.into_iter().filter(|name| !known.contains(name)) {
            self.faults.at(&self.at(name), format!("{} has no {name}", it.kind));
        }
        if it.scope == Some(Scope::Shipping) {
            for (name, there) in [("items", it.items.is_some()), ("maxUnitsPerLine", it.max_units_per_line.is_some())] {
                if there {
                    self.faults.at(&self.at(name), "shipping has no lines");
                }
            }
        }
    }

    /// On the shelf there are units with their prices, and nothing else.
    fn refuse_on_the_shelf(&mut self) {
        if self.stage == Stage::Cart {
            return;
        }
        let it = self.action;
        if !matches!(it.kind, ActionType::PercentOff | ActionType::AmountOff | ActionType::FixedPrice) {
            self.faults.at(&self.at("type"), "on the shelf there are PERCENT_OFF, AMOUNT_OFF and FIXED_PRICE only");
        }
        if it.scope.is_some_and(|scope| scope != Scope::Items) {
            self.faults.at(&self.at("scope"), "on the shelf an action gives off ITEMS");
        }
        if it.per.is_some_and(|per| per != Per::Unit) {
            self.faults.at(&self.at("per"), "on the shelf an amount is off a UNIT");
        }
        if it.max_units_per_line.is_some() {
            self.faults.at(&self.at("maxUnitsPerLine"), "on the shelf there are no lines");
        }
    }

    fn deed(&mut self) -> Option<Deed> {
        let it = self.action;
        let scope = it.scope_in(self.stage).unwrap_or(Scope::Order);
        Some(match it.kind {
            ActionType::PercentOff => Deed::Percent {
                percent: self.faults.percent(&self.at("value"), it.value),
                scope,
                items: self.items(),
                most: self.most(),
                units: self.units_per_line(),
            },
            ActionType::AmountOff => self.amount_off(scope),
            ActionType::FixedPrice => self.fixed_price(scope),
            ActionType::BuyXGetY => self.buy_get()?,
            ActionType::EveryNth => Deed::EveryNth {
                items: self.items(),
                every: self.faults.units(&self.at("every"), it.every, 2),
                percent: self.faults.percent(&self.at("percentOff"), it.percent_off),
            },
            ActionType::Pack => Deed::Pack {
                items: self.items(),
                size: self.faults.units(&self.at("size"), it.size, 1),
                cut: self.cut()?,
            },
            ActionType::BundlePrice => self.bundle(),
            ActionType::Tiered => self.tiered(scope)?,
            ActionType::Cheapest => Deed::Cheapest { items: self.items(), cut: self.cut()? },
            ActionType::FreeShipping => Deed::FreeShipping { most: self.most() },
            ActionType::Gift => {
                let quantity = self.faults.units(&self.at("quantity"), it.quantity, 1);
                if it.sku.is_none() {
                    self.faults.missing(&self.at("sku"), "what comes free");
                }
                Deed::Gift { sku: it.sku.clone()?, quantity }
            }
            ActionType::PointsMultiplier => self.points()?,
        })
    }

    fn items(&mut self) -> Filter {
        Filter::read(self.action.items.as_ref(), &self.at("items"), self.faults)
    }

    fn most(&mut self) -> i64 {
        match self.action.max_discount {
            None => i64::MAX,
            most => self.faults.amount(&self.at("maxDiscount"), most),
        }
    }

    fn units_per_line(&mut self) -> u32 {
        match self.action.max_units_per_line {
            None => u32::MAX,
            units => self.faults.units(&self.at("maxUnitsPerLine"), units, 1),
        }
    }

    fn amount_off(&mut self, scope: Scope) -> Deed {
        let per = self.action.per_in(self.stage).unwrap_or(Per::Order);
        if scope == Scope::Shipping && per != Per::Order {
            self.faults.at(&self.at("per"), "an amount off shipping is per ORDER");
        }
        let value = self.faults.amount(&self.at("value"), self.action.value);
        Deed::Amount { value, scope, items: self.items(), per, units: self.units_per_line() }
    }

    fn fixed_price(&mut self, scope: Scope) -> Deed {
        if scope == Scope::Shipping {
            self.faults.at(&self.at("scope"), "FIXED_PRICE is for ITEMS, a unit, or for the ORDER as a whole");
        }
        let value = self.faults.price(&self.at("value"), self.action.value);
        Deed::FixedPrice { value, whole: scope == Scope::Order, items: self.items() }
    }

    fn buy_get(&mut self) -> Option<Deed> {
        let it = self.action;
        for (name, part) in [("buy", &it.buy), ("get", &it.get)] {
            if part.is_none() {
                self.faults.missing(&self.at(name), "which units, and how many");
            }
        }
        let (buy, get) = (it.buy.as_ref()?, it.get.as_ref()?);
        if buy.percent_off.is_some() {
            self.faults.at(&self.at("buy/percentOff"), "what is bought costs what it costs");
        }
        let percent = self.faults.percent(&self.at("get/percentOff"), get.percent_off);
        let most = match it.max_applications {
            None => u32::MAX,
            most => self.faults.units(&self.at("maxApplications"), most, 1),
        };
        Some(Deed::BuyGet { buy: self.part(buy, "buy"), get: self.part(get, "get"), percent, most })
    }

    fn part(&mut self, part: &Part, member: &str) -> (Filter, u32) {
        let pointer = self.at(member);
        let items = Filter::read(Some(&part.items), &format!("{pointer}/items"), self.faults);
        (items, self.faults.units(&format!("{pointer}/quantity"), Some(part.quantity), 1))
    }

    fn bundle(&mut self) -> Deed {
        let it = self.action;
        let parts = it.parts.as_deref().unwrap_or_default();
        let pointer = self.at("parts");
        if !(1..=MOST_PARTS).contains(&parts.len()) {
            self.faults.at(&pointer, format!("a bundle has 1 to {MOST_PARTS} parts"));
        }
        let mut read = Vec::with_capacity(parts.len());
        for (i, part) in parts.iter().enumerate() {
            if part.percent_off.is_some() {
                self.faults.at(&format!("{pointer}/{i}/percentOff"), "a bundle has one price");
            }
            read.push(self.part(part, &format!("parts/{i}")));
        }
        if read.iter().map(|(_, quantity)| *quantity).fold(0, u32::saturating_add) > MOST_BUNDLED {
            self.faults.at(&pointer, format!("a bundle has {MOST_BUNDLED} units at most"));
        }
        Deed::Bundle { parts: read, price: self.faults.price(&self.at("price"), it.price) }
    }

    fn points(&mut self) -> Option<Deed> {
        let value = self.action.value;
        let good = value.filter(|value| {
            value.0 > Decimal::ZERO && value.0 <= Decimal::from(MOST_POINTS) && value.0.normalize().scale() <= 4
        });
        if good.is_none() {
            self.faults.at(
                &self.at("value"),
                format!("a factor is above 0 and at most {MOST_POINTS}, with at most 4 decimals"),
            );
        }
        Some(Deed::Points { factor: good?.0 })
    }

    /// The one of percentOff, amountOff and, for packs, price.
    fn cut(&mut self) -> Option<Cut> {
        let it = self.action;
        let price = ("price", it.price, self.action.kind == ActionType::Pack);
        let pointer = self.pointer.to_owned();
        one_cut(
            [("percentOff", it.percent_off, true), ("amountOff", it.amount_off, true), price],
            &pointer,
            self.faults,
        )
    }

    fn tiered(&mut self, scope: Scope) -> Option<Deed> {
        let it = self.action;
        if scope == Scope::Shipping {
            self.faults.at(&self.at("scope"), "a ladder is for ORDER or ITEMS");
        }
        if it.basis.is_none() {
            self.faults.missing(&self.at("basis"), "what the tiers are measured on");
        }
        let (basis, tiers) = (it.basis?, it.tiers.as_deref().unwrap_or_default());
        let pointer = self.at("tiers");
        if !(1..=MOST_PARTS).contains(&tiers.len()) {
            self.faults.at(&pointer, format!("a ladder has 1 to {MOST_PARTS} tiers"));
        }
        let mut read: Vec<(i64, Cut)> = Vec::with_capacity(tiers.len());
        for (i, tier) in tiers.iter().enumerate() {
            let at = format!("{pointer}/{i}");
            let from = self.from(tier.from, basis, &at);
            let Some(cut) = tier_cut(tier, &at, self.faults) else { continue };
            if let Some((below, lower)) = read.last() {
                if from <= *below {
                    self.faults.at(&format!("{at}/from"), "tiers rise: this one begins at or below the one before it");
                } else if crosses(*lower, cut) {
                    self.faults.at(&at, "a higher tier gives no less than the one below it");
                }
            }
            read.push((from, cut));
        }
        Some(Deed::Tiered { basis, items: self.items(), once: scope == Scope::Order, tiers: read })
    }

    fn from(&mut self, from: Amount, basis: Basis, at: &str) -> i64 {
        if matches!(basis, Basis::Subtotal | Basis::LineSubtotal) {
            return self.faults.price(&format!("{at}/from"), Some(from));
        }
        let whole = from.0.is_integer().then(|| i64::try_from(from.0).ok()).flatten().filter(|from| *from >= 0);
        if whole.is_none() {
            self.faults.at(&format!("{at}/from"), "a quantity is a whole number");
        }
        whole.unwrap_or(0)
    }
}

fn tier_cut(tier: &Tier, at: &str, faults: &mut Faults) -> Option<Cut> {
    let members = [
        ("percentOff", tier.percent_off, true),
        ("amountOff", tier.amount_off, true),
        ("unitPrice", tier.unit_price, true),
    ];
    one_cut(members, at, faults)
}

/// Whether of two tiers of a kind the higher gives less.
fn crosses(lower: Cut, higher: Cut) -> bool {
    match (lower, higher) {
        (Cut::Percent(lower), Cut::Percent(higher)) => higher.is_below(lower),
        (Cut::Amount(lower), Cut::Amount(higher)) => higher < lower,
        (Cut::Price(lower), Cut::Price(higher)) => higher > lower,
        _ => false,
    }
}

/// Exactly one of a percentage, an amount and, where allowed, a price.
fn one_cut(members: [(&str, Option<Amount>, bool); 3], pointer: &str, faults: &mut Faults) -> Option<Cut> {
    let names: Vec<&str> = members.iter().filter(|(_, _, allowed)| *allowed).map(|(name, ..)| *name).collect();
    let there: Vec<(usize, &str, Amount)> = members
        .iter()
        .enumerate()
        .filter_map(|(i, (name, value, allowed))| value.filter(|_| *allowed).map(|value| (i, *name, value)))
        .collect();
    let [(kind, name, value)] = there.as_slice() else {
        faults.at(pointer, format!("exactly one of {}", names.join(", ")));
        return None;
    };
    let at = format!("{pointer}/{name}");
    Some(match kind {
        0 => Cut::Percent(faults.percent(&at, Some(*value))),
        1 => Cut::Amount(faults.amount(&at, Some(*value))),
        _ => Cut::Price(faults.price(&at, Some(*value))),
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

impl Faults {
    /// An optional amount above zero that is no part of an action.
    pub(crate) fn optional_amount(&mut self, pointer: &str, value: Option<Amount>) -> Option<i64> {
        value?;
        let minor = self.amount(pointer, value);
        value.and_then(|value| self.currency.minor_units(value)).map(|_| minor)
    }
}

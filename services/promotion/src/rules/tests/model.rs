//! A simple model of the CART stage, compared with the engine. Every unit is listed by itself, with a fraction of any
//! size as its price, and each action does to the units what section 5 of the contract says. It is slow, but short
//! enough to be read.

use std::cmp::Ordering;

use num_bigint::BigInt;
use serde_json::Value;

use crate::rules::{Cart, to_minor};
use promox_kernel::{Amount, Currency};

/// A fraction, never reduced.
#[derive(Clone, Debug)]
pub(super) struct Frac(BigInt, BigInt);

impl Frac {
    fn new(numerator: i64, denominator: i64) -> Self {
        Self(numerator.into(), denominator.into())
    }

    fn plus(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1 + &other.0 * &self.1, &self.1 * &other.1)
    }

    fn minus(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1 - &other.0 * &self.1, &self.1 * &other.1)
    }

    fn times(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0, &self.1 * &other.1)
    }

    fn over(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1, &self.1 * &other.0)
    }

    fn is_positive(&self) -> bool {
        self.0 > BigInt::ZERO
    }

    /// The number, or zero if it is negative.
    fn or_zero(self) -> Self {
        if self.is_positive() { self } else { Self::new(0, 1) }
    }

    fn at_most(&self, most: &Self) -> Self {
        if self.cmp(most).is_le() { self.clone() } else { most.clone() }
    }

    fn cmp(&self, other: &Self) -> Ordering {
        (&self.0 * &other.1).cmp(&(&other.0 * &self.1))
    }

    fn whole(&self) -> i64 {
        i64::try_from(&self.0 / &self.1).unwrap()
    }

    fn half_up(&self) -> i64 {
        self.plus(&Self::new(1, 2)).whole()
    }

    fn half_down(&self) -> i64 {
        let whole = self.whole();
        let rest = self.minus(&Self::new(whole, 1));
        whole + i64::from(rest.cmp(&Self::new(1, 2)).is_gt())
    }
}

fn sum<'f>(parts: impl Iterator<Item = &'f Frac>) -> Frac {
    parts.fold(Frac::new(0, 1), |sum, part| sum.plus(part))
}

#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) line: usize,
    rank: (usize, bool),
    pub(super) price: Frac,
    floor: i64,
    served: bool,
}

/// How discounts on units are rounded to money.
#[derive(Clone, Copy)]
enum Rounding {
    Line(Option<i64>),
    Once(Option<i64>),
}

/// A cart as a list of units.
pub(super) struct Model<'a> {
    cart: &'a Cart,
    pub(super) units: Vec<Unit>,
    /// What is paid for each line.
    pub(super) left: Vec<i64>,
}

type Offs = Vec<(usize, Frac)>;

impl<'a> Model<'a> {
    pub(super) fn new(cart: &'a Cart) -> Self {
        let mut units = Vec::new();
        for (line, it) in cart.lines.iter().enumerate() {
            let rank = (cart.lines.iter().position(|other| other.sku == it.sku).unwrap(), it.flash);
            let unit = Unit { line, rank, price: Frac::new(it.unit, 1), floor: it.floor, served: false };
            units.extend(vec![unit; usize::try_from(it.quantity).unwrap()]);
        }
        Self { cart, units, left: cart.lines.iter().map(|line| line.subtotal).collect() }
    }

    /// Applies a promotion if its condition holds.
    pub(super) fn apply(&mut self, document: &Value) {
        let when = &document["when"];
        if when["field"] == "cart.subtotal" {
            let goods = sum(self.units.iter().map(|unit| &unit.price)).half_down();
            if goods < minor(&when["value"]) {
                return;
            }
        } else if when["field"] == "items.quantity" {
            let count = self.matching(&when["items"], document).len();
            if i64::try_from(count).unwrap() < when["value"].as_i64().unwrap() {
                return;
            }
        }
        for action in document["actions"].as_array().unwrap() {
            self.run_action(action, document);
        }
    }

    fn run_action(&mut self, action: &Value, document: &Value) {
        let items = self.matching(&action["items"], document);
        let order = action["scope"] != "ITEMS";
        let counted = self.most_expensive_per_line(&items, &action["maxUnitsPerLine"]);
        match action["type"].as_str().unwrap() {
            "PERCENT_OFF" if order => {
                let total = self.cost(&counted).times(&percent(&action["value"])).half_up();
                self.share(&items, &Frac::new(total.min(most(action)), 1), Rounding::Once(None));
            }
            "PERCENT_OFF" => {
                let offs = self.each(&counted, |unit| unit.price.times(&percent(&action["value"])));
                let money: i64 = self.rounded_money(&offs, Rounding::Line(None)).iter().map(|(_, money)| money).sum();
                if money <= most(action) {
                    return self.apply_discounts(&offs, Rounding::Line(None), &[]);
                }
                let bounds: Vec<Frac> = offs.iter().map(|(_, off)| off.clone()).collect();
                let offs = self.shares(&counted, &bounds, Frac::new(most(action), 1));
                self.apply_discounts(&offs, Rounding::Once(None), &[]);
            }
            "AMOUNT_OFF" => self.amount_off(action, &items, &counted, order),
            "FIXED_PRICE" if order => {
                let excess = self.cost(&items).minus(&Frac::new(minor(&action["value"]), 1)).or_zero();
                self.share(&items, &excess, Rounding::Once(Some(minor(&action["value"]))));
            }
            "FIXED_PRICE" => self.unit_price(&items, minor(&action["value"])),
            "TIERED" => self.tiered(action, &items, order),
            "CHEAPEST" => {
                let key = |i: &usize| (self.units[*i].rank, self.units[*i].served, self.units[*i].line);
                let cheapest = items
                    .into_iter()
                    .min_by(|a, b| self.units[*a].price.cmp(&self.units[*b].price).then_with(|| key(a).cmp(&key(b))));
                let offs = self.each(&Vec::from_iter(cheapest), |unit| discount_on(action, &unit.price));
                self.apply_discounts(&offs, Rounding::Line(None), &[]);
            }
            "BUY_X_GET_Y" => self.buy_get(action, document),
            "EVERY_NTH" => {
                let every = usize::try_from(action["every"].as_i64().unwrap()).unwrap();
                let free = self.most_expensive_first(self.free(&items));
                let groups: Vec<&[usize]> = free.chunks_exact(every).collect();
                let nths: Vec<usize> = groups.iter().map(|group| group[every - 1]).collect();
                let offs = self.each(&nths, |unit| discount_on(action, &unit.price));
                self.apply_discounts(&offs, Rounding::Line(None), &groups.concat());
            }
            "PACK" => self.pack(action, &items),
            "BUNDLE_PRICE" => self.bundle(action, document),
            other => panic!("{other}"),
        }
    }

    fn amount_off(&mut self, action: &Value, items: &[usize], counted: &[usize], order: bool) {
        let value = Frac::new(minor(&action["value"]), 1);
        let per = action["per"].as_str().unwrap_or(if order { "ORDER" } else { "UNIT" });
        if per == "ORDER" {
            let most = Frac::new(self.cost(counted).half_up(), 1);
            return self.share(items, &value.at_most(&most), Rounding::Once(None));
        }
        let amount = |model: &Self, line: &[usize]| match per {
            "UNIT" => sum(line.iter().map(|i| model.units[*i].price.at_most(&value)).collect::<Vec<_>>().iter()),
            _ => model.cost(line).at_most(&value),
        };
        if order {
            let amounts: Vec<Frac> = self.by_line(counted).iter().map(|line| amount(self, line)).collect();
            let total = Frac::new(sum(amounts.iter()).half_up(), 1);
            return self.share(items, &total, Rounding::Once(None));
        }
        if per == "UNIT" {
            let offs = self.each(counted, |unit| unit.price.at_most(&value));
            return self.apply_discounts(&offs, Rounding::Line(None), &[]);
        }
        let mut offs = Vec::new();
        for (line, counted) in self.by_line(items).iter().zip(self.by_line(counted)) {
            offs.extend(self.shares(line, &self.rooms(line), amount(self, &counted)));
        }
        self.apply_discounts(&offs, Rounding::Line(None), &[]);
    }

    fn unit_price(&mut self, items: &[usize], price: i64) {
        let offs = self.each(items, |unit| unit.price.minus(&Frac::new(price, 1)).or_zero());
        self.apply_discounts(&offs, Rounding::Line(Some(price)), &[]);
    }

    fn tiered(&mut self, action: &Value, items: &[usize], order: bool) {
        let basis = action["basis"].as_str().unwrap();
        let measure = |units: &[usize]| {
            if basis.ends_with("SUBTOTAL") { self.cost(units).half_down() } else { i64::try_from(units.len()).unwrap() }
        };
        let tiers = action["tiers"].as_array().unwrap();
        let reached = |units: &[usize]| {
            let from = |tier: &Value| {
                if basis.ends_with("SUBTOTAL") { minor(&tier["from"]) } else { tier["from"].as_i64().unwrap() }
            };
            tiers.iter().rposition(|tier| from(tier) <= measure(units))
        };
        let lines = self.by_line(items);
        let whole = basis == "SUBTOTAL" || basis == "QUANTITY";
        let of: Vec<Option<usize>> =
            lines.iter().map(|line| if whole { reached(items) } else { reached(line) }).collect();
        // No two tiers have units in common.
        for (place, tier) in tiers.iter().enumerate() {
            let mine = lines.iter().zip(&of).filter(|(_, of)| **of == Some(place));
            let units: Vec<usize> = mine.flat_map(|(line, _)| line.clone()).collect();
            if let Some(price) = tier.get("unitPrice") {
                self.unit_price(&units, minor(price));
            } else if order && tier.get("percentOff").is_some() {
                let total = self.cost(&units).times(&percent(&tier["percentOff"])).half_up();
                self.share(&units, &Frac::new(total, 1), Rounding::Once(None));
            } else if order {
                self.share(&units, &Frac::new(minor(&tier["amountOff"]), 1), Rounding::Once(None));
            } else if tier.get("percentOff").is_some() {
                let offs = self.each(&units, |unit| discount_on(tier, &unit.price));
                self.apply_discounts(&offs, Rounding::Line(None), &[]);
            } else {
                let amount = Frac::new(minor(&tier["amountOff"]), 1);
                let shares = |line: &Vec<usize>| self.shares(line, &self.rooms(line), amount.clone());
                let offs: Offs = self.by_line(&units).iter().flat_map(shares).collect();
                self.apply_discounts(&offs, Rounding::Line(None), &[]);
            }
        }
    }

    fn buy_get(&mut self, action: &Value, document: &Value) {
        let side = |name: &str| {
            let free = self.free(&self.matching(&action[name]["items"], document));
            (free, usize::try_from(action[name]["quantity"].as_i64().unwrap()).unwrap())
        };
        let ((buy, b), (get, g)) = (side("buy"), side("get"));
        // Apply as often as there are enough units. Units that fit both sides fill whichever side lacks units.
        let both = buy.iter().filter(|i| get.contains(i)).count();
        let missing =
            |n: usize| (n * b).saturating_sub(buy.len() - both) + (n * g).saturating_sub(get.len() - both) <= both;
        let times = (1..=self.units.len()).take_while(|n| missing(*n)).last().unwrap_or(0);
        let times = times.min(action["maxApplications"].as_u64().map_or(usize::MAX, |most| most.try_into().unwrap()));
        // The cheapest units are got, but no more of those that fit both sides than buying can spare.
        let mut spare = both.saturating_sub((times * b).saturating_sub(buy.len() - both));
        let mut got = Vec::new();
        let mut cheapest = get.clone();
        cheapest.sort_by(|a, b| self.units[*a].price.cmp(&self.units[*b].price).then_with(|| self.ties(*a, *b)));
        for i in cheapest {
            let shared = buy.contains(&i);
            if got.len() < times * g && (!shared || spare > 0) {
                spare -= usize::from(shared);
                got.push(i);
            }
        }
        let rest = buy.into_iter().filter(|i| !got.contains(i)).collect();
        let bought: Vec<usize> = self.most_expensive_first(rest).into_iter().take(times * b).collect();
        let offs = self.each(&got, |unit| discount_on(&action["get"], &unit.price));
        self.apply_discounts(&offs, Rounding::Line(None), &[bought, got].concat());
    }

    fn pack(&mut self, action: &Value, items: &[usize]) {
        let size = usize::try_from(action["size"].as_i64().unwrap()).unwrap();
        let mut free = self.free(items);
        let (sku, flash) = (|i: usize| self.units[i].rank.0, |i: usize| self.units[i].rank.1);
        free.sort_by(|a, b| {
            let by_price = sku(*a).cmp(&sku(*b)).then_with(|| self.units[*b].price.cmp(&self.units[*a].price));
            by_price.then(flash(*a).cmp(&flash(*b))).then(a.cmp(b))
        });
        let packs: Vec<Vec<usize>> = free.chunks_exact(size).map(<[usize]>::to_vec).collect();
        if action.get("price").is_none() {
            let packed = packs.concat();
            let offs = self.each(&packed, |unit| discount_on(action, &unit.price));
            return self.apply_discounts(&offs, Rounding::Line(None), &packed);
        }
        let saving = packs.into_iter().filter_map(|pack| self.at_price(&pack, minor(&action["price"])));
        let offs: Offs = saving.flatten().collect();
        let packed: Vec<usize> = offs.iter().map(|(i, _)| *i).collect();
        self.apply_discounts(&offs, Rounding::Once(None), &packed);
    }

    /// The discounts that bring units to one price together, in proportion to their cost; `None` if that saves nothing.
    fn at_price(&self, units: &[usize], price: i64) -> Option<Offs> {
        let saving = self.cost(units).minus(&Frac::new(price, 1));
        saving.is_positive().then(|| self.shares(units, &self.rooms(units), saving))
    }

    fn bundle(&mut self, action: &Value, document: &Value) {
        let parts: Vec<(Vec<usize>, usize)> = action["parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| {
                let quantity = usize::try_from(part["quantity"].as_i64().unwrap()).unwrap();
                (self.free(&self.matching(&part["items"], document)), quantity)
            })
            .collect();
        let places: Vec<&Vec<usize>> = parts.iter().flat_map(|(units, quantity)| vec![units; *quantity]).collect();
        let mut left: Vec<usize> = parts.iter().flat_map(|(units, _)| units.clone()).collect();
        left.sort_unstable();
        left.dedup();
        let (mut offs, mut served) = (Vec::new(), Vec::new());
        loop {
            // The most expensive units that fit together: a unit is accepted if all units so far still find a place.
            let mut bundle: Vec<usize> = Vec::new();
            for i in self.most_expensive_first(left.clone()) {
                bundle.push(i);
                if !fits(&bundle, &places) {
                    bundle.pop();
                }
            }
            if bundle.len() < places.len() {
                break;
            }
            let Some(saving) = self.at_price(&bundle, minor(&action["price"])) else { break };
            offs.extend(saving);
            left.retain(|i| !bundle.contains(i));
            served.extend(bundle);
        }
        self.apply_discounts(&offs, Rounding::Once(None), &served);
    }

    /// The units that a filter matches.
    fn matching(&self, items: &Value, document: &Value) -> Vec<usize> {
        let matching = |unit: &Unit| {
            let line = &self.cart.lines[unit.line];
            line.discountable
                && (!line.flash || document["includeFlash"] == true)
                && items["skus"].as_array().is_none_or(|skus| skus.iter().any(|sku| sku == line.sku.as_str()))
                && items["categories"]
                    .as_array()
                    .is_none_or(|ids| ids.iter().any(|id| line.categories.contains(&id.as_i64().unwrap())))
        };
        (0..self.units.len()).filter(|i| matching(&self.units[*i])).collect()
    }

    fn free(&self, units: &[usize]) -> Vec<usize> {
        units.iter().copied().filter(|i| !self.units[*i].served).collect()
    }

    fn cost(&self, units: &[usize]) -> Frac {
        sum(units.iter().map(|i| &self.units[*i].price))
    }

    fn by_line(&self, units: &[usize]) -> Vec<Vec<usize>> {
        units.chunk_by(|a, b| self.units[*a].line == self.units[*b].line).map(<[usize]>::to_vec).collect()
    }

    fn ties(&self, a: usize, b: usize) -> Ordering {
        let key = |i: usize| (self.units[i].rank, self.units[i].line, i);
        key(a).cmp(&key(b))
    }

    fn most_expensive_first(&self, mut units: Vec<usize>) -> Vec<usize> {
        units.sort_by(|a, b| self.units[*b].price.cmp(&self.units[*a].price).then_with(|| self.ties(*a, *b)));
        units
    }

    /// The most expensive units of each line; among equals, those that have not served come first.
    fn most_expensive_per_line(&self, units: &[usize], most: &Value) -> Vec<usize> {
        let most = most.as_u64().map_or(usize::MAX, |most| most.try_into().unwrap());
        let most_expensive = |mut line: Vec<usize>| {
            let served = |i: usize| self.units[i].served;
            line.sort_by(|a, b| {
                self.units[*b].price.cmp(&self.units[*a].price).then_with(|| served(*a).cmp(&served(*b)))
            });
            line.truncate(most);
            line
        };
        self.by_line(units).into_iter().flat_map(most_expensive).collect()
    }

    fn rooms(&self, units: &[usize]) -> Vec<Frac> {
        let room = |unit: &Unit| unit.price.minus(&Frac::new(unit.floor, 1)).or_zero();
        units.iter().map(|i| room(&self.units[*i])).collect()
    }

    fn each(&self, units: &[usize], off: impl Fn(&Unit) -> Frac) -> Offs {
        let rooms = self.rooms(units);
        units.iter().zip(rooms).map(|(i, room)| (*i, off(&self.units[*i]).at_most(&room))).collect()
    }

    /// Shares an amount over units in proportion to their cost. No unit exceeds its bound; the rest goes to the others.
    fn shares(&self, units: &[usize], bounds: &[Frac], mut amount: Frac) -> Offs {
        let mut offs: Vec<Option<Frac>> = vec![None; units.len()];
        loop {
            let open: Vec<usize> = (0..units.len()).filter(|place| offs[*place].is_none()).collect();
            let cost = sum(open.iter().map(|place| &self.units[units[*place]].price));
            if !cost.is_positive() {
                break;
            }
            let share = |place: usize| self.units[units[place]].price.times(&amount).over(&cost);
            let full: Vec<usize> = open.iter().copied().filter(|i| share(*i).cmp(&bounds[*i]).is_gt()).collect();
            if full.is_empty() {
                let shares: Vec<Frac> = open.iter().map(|place| share(*place)).collect();
                open.into_iter().zip(shares).for_each(|(place, share)| offs[place] = Some(share));
                break;
            }
            for place in full {
                offs[place] = Some(bounds[place].clone());
                amount = amount.minus(&bounds[place]).or_zero();
            }
        }
        units.iter().zip(offs).map(|(i, off)| (*i, off.unwrap_or(Frac::new(0, 1)))).collect()
    }

    fn share(&mut self, units: &[usize], amount: &Frac, rounding: Rounding) {
        let offs = self.shares(units, &self.rooms(units), amount.clone());
        self.apply_discounts(&offs, rounding, &[]);
    }

    /// Applies discounts. If there is any discount, the units in `serving` are marked as served.
    fn apply_discounts(&mut self, offs: &Offs, rounding: Rounding, serving: &[usize]) {
        if !sum(offs.iter().map(|(_, off)| off)).is_positive() {
            return;
        }
        for (line, money) in self.rounded_money(offs, rounding) {
            self.left[line] -= money;
        }
        for (i, off) in offs {
            self.units[*i].price = self.units[*i].price.minus(off);
        }
        serving.iter().for_each(|i| self.units[*i].served = true);
    }

    /// The discount on each line, rounded to money.
    fn rounded_money(&self, offs: &Offs, rounding: Rounding) -> Vec<(usize, i64)> {
        let lines: Vec<usize> =
            (0..self.left.len()).filter(|line| offs.iter().any(|(i, _)| self.units[*i].line == *line)).collect();
        let part = |line: usize| {
            let own: Vec<Frac> =
                offs.iter().filter(|(i, _)| self.units[*i].line == line).map(|(_, off)| off.clone()).collect();
            sum(own.iter())
        };
        let room = |line: usize| self.cart.lines[line].room(self.left[line]);
        // A line whose units all reach the same whole price is paid at exactly that price.
        let exact_discount = |line: usize, price: i64| {
            let least = price * i64::from(self.cart.lines[line].quantity);
            let units: Vec<usize> = (0..self.units.len()).filter(|i| self.units[*i].line == line).collect();
            let after = self.cost(&units).minus(&part(line));
            after.cmp(&Frac::new(least, 1)).is_eq().then(|| (self.left[line] - least).clamp(0, room(line)))
        };
        let floor = |line: usize| self.cart.lines[line].floor;
        match rounding {
            Rounding::Line(price) => {
                let of = |line: usize| {
                    let exact = exact_discount(line, floor(line)).or_else(|| exact_discount(line, price?));
                    exact.unwrap_or(part(line).half_up().clamp(0, room(line)))
                };
                lines.into_iter().map(|line| (line, of(line))).collect()
            }
            Rounding::Once(price) => {
                if lines.iter().all(|line| exact_discount(*line, floor(*line)).is_some()) {
                    return lines.into_iter().map(|line| (line, room(line))).collect();
                }
                let whole = sum(lines.iter().map(|line| part(*line)).collect::<Vec<_>>().iter());
                let units: Vec<usize> =
                    (0..self.units.len()).filter(|i| lines.contains(&self.units[*i].line)).collect();
                let after = self.cost(&units).minus(&whole);
                let exact = price.filter(|price| after.cmp(&Frac::new(*price, 1)).is_eq());
                let paid: i64 = lines.iter().map(|line| self.left[*line]).sum();
                let total = exact.map_or_else(|| whole.half_up(), |price| (paid - price).max(0));
                largest_remainders(total, lines.into_iter().map(|line| (line, part(line), room(line))).collect())
            }
        }
    }
}

fn largest_remainders(total: i64, lines: Vec<(usize, Frac, i64)>) -> Vec<(usize, i64)> {
    let mut left = total;
    let mut shares: Vec<(usize, i64)> = Vec::new();
    for (line, part, room) in &lines {
        let share = part.whole().min(*room).min(left);
        left -= share;
        shares.push((*line, share));
    }
    let rest = |place: usize| lines[place].1.minus(&Frac::new(lines[place].1.whole(), 1));
    let mut order: Vec<usize> = (0..lines.len()).filter(|place| lines[*place].1.is_positive()).collect();
    order.sort_by(|a, b| rest(*b).cmp(&rest(*a)).then(a.cmp(b)));
    for place in order.into_iter().filter(|place| shares[*place].1 < lines[*place].2).collect::<Vec<_>>() {
        let more = left.clamp(0, 1);
        shares[place].1 += more;
        left -= more;
    }
    for (share, (_, _, room)) in shares.iter_mut().zip(&lines) {
        let more = left.clamp(0, room - share.1);
        share.1 += more;
        left -= more;
    }
    shares
}

/// Whether each of the units can have a place of its own.
fn fits(units: &[usize], places: &[&Vec<usize>]) -> bool {
    fn seat(i: usize, places: &[&Vec<usize>], tried: &mut Vec<bool>, taken: &mut Vec<Option<usize>>) -> bool {
        for place in 0..places.len() {
            if !places[place].contains(&i) || std::mem::replace(&mut tried[place], true) {
                continue;
            }
            if taken[place].is_none_or(|other| seat(other, places, tried, taken)) {
                taken[place] = Some(i);
                return true;
            }
        }
        false
    }
    let mut taken = vec![None; places.len()];
    units.iter().all(|i| seat(*i, places, &mut vec![false; places.len()], &mut taken))
}

fn minor(value: &Value) -> i64 {
    let amount: Amount = value.as_str().unwrap().parse().unwrap();
    to_minor(amount, Currency::GBP).unwrap()
}

fn percent(value: &Value) -> Frac {
    Frac::new(to_minor(value.as_str().unwrap().parse().unwrap(), Currency::GBP).unwrap(), 10_000)
}

fn most(action: &Value) -> i64 {
    action.get("maxDiscount").map_or(i64::MAX, minor)
}

/// The discount of `percentOff` or `amountOff` on a price.
fn discount_on(of: &Value, price: &Frac) -> Frac {
    match of.get("percentOff") {
        Some(value) => price.times(&percent(value)),
        None => price.at_most(&Frac::new(minor(&of["amountOff"]), 1)),
    }
}

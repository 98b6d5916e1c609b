//! Stock rules: how many units can be sold, which locations a hold takes them from, and where they are returned to. No
//! storage, no clock.

use promox_contract::inventory::VariantQuantity;
use promox_contract::product::VariantRef;
use promox_contract::refusal::Short;
use promox_kernel::{Error, Faults, bounded};

use crate::records::{HeldLine, Location, Stock, Taken};
use crate::reject;

/// The default location. Holds take units from it first.
pub(crate) const MAIN: &str = "MAIN";
/// The maximum number of locations of one SKU.
pub(crate) const MAX_LOCATIONS: usize = 50;
/// The maximum number of units of a SKU at one location, and in one movement.
pub(crate) const MAX_UNITS: i64 = 1_000_000_000;
/// The maximum number of units of a SKU in one line.
const MAX_QUANTITY: u32 = 1_000_000;

impl Stock {
    /// Returns the row of a variant without stock.
    pub(crate) fn empty(of: &VariantRef) -> Self {
        Self {
            variant_id: of.variant_id,
            product_id: of.product_id,
            sku: of.sku.clone(),
            on_hand: 0,
            reserved: 0,
            threshold: 0,
            backorder: false,
            elsewhere: promox_kernel::Json(Vec::new()),
            low: None,
            movements: 0,
            version: 0,
            updated_at: promox_kernel::Timestamp::EPOCH,
        }
    }

    /// Returns the units on hand minus those reserved. Negative only with backorder.
    pub(crate) fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Returns the units that can be sold; `u32::MAX` with backorder.
    pub(crate) fn sellable(&self) -> u32 {
        if self.backorder {
            return u32::MAX;
        }
        u32::try_from(self.available().max(0)).unwrap_or(u32::MAX)
    }

    /// Returns whether the available stock is at or below the threshold.
    pub(crate) fn is_low(&self) -> bool {
        self.available() <= self.threshold
    }

    /// Returns the units on hand and the units reserved at a location.
    pub(crate) fn at(&self, name: &str) -> (i64, i64) {
        if name == MAIN {
            let main = (self.on_hand, self.reserved);
            return self.elsewhere.iter().fold(main, |(a, b), place| (a - place.on_hand, b - place.reserved));
        }
        let place = self.elsewhere.iter().find(|place| place.name == name);
        place.map_or((0, 0), |place| (place.on_hand, place.reserved))
    }

    /// Returns the locations in the order in which holds take units from them: `MAIN` first, then by name. `MAIN` is
    /// omitted if it has no units, unless it is the only location.
    pub(crate) fn locations(&self) -> Vec<Location> {
        let (on_hand, reserved) = self.at(MAIN);
        let has_main = (on_hand, reserved) != (0, 0) || self.elsewhere.is_empty();
        let main = has_main.then(|| Location { name: MAIN.to_owned(), on_hand, reserved });
        main.into_iter().chain(self.elsewhere.iter().cloned()).collect()
    }

    /// Adds to the units on hand and reserved at a location, and to the totals. Nothing else changes them.
    pub(crate) fn change(&mut self, name: &str, on_hand: i64, reserved: i64) {
        self.on_hand += on_hand;
        self.reserved += reserved;
        if name == MAIN {
            return;
        }
        if let Some(place) = self.elsewhere.iter_mut().find(|place| place.name == name) {
            place.on_hand += on_hand;
            place.reserved += reserved;
            return;
        }
        self.elsewhere.push(Location { name: name.to_owned(), on_hand, reserved });
        self.elsewhere.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Reserves units: from `MAIN` first, then from the other locations by name. Units on backorder are reserved at
    /// `MAIN`. Returns the line of the hold, or `None` if there are too few units.
    pub(crate) fn take(&mut self, quantity: u32) -> Option<HeldLine> {
        if self.sellable() < quantity {
            return None;
        }
        let requested = i64::from(quantity);
        let (on_hand, reserved) = self.at(MAIN);
        let mut left = requested - (on_hand - reserved).clamp(0, requested);
        let mut elsewhere = Vec::new();
        for place in self.elsewhere.iter() {
            let free = (place.on_hand - place.reserved).clamp(0, left);
            left -= free;
            elsewhere.extend(Taken::nonzero(&place.name, free));
        }
        let line = HeldLine { variant_id: self.variant_id, quantity, elsewhere, restocked: 0 };
        for taken in line.taken() {
            self.change(&taken.location, 0, i64::from(taken.quantity));
        }
        Some(line)
    }

    /// Checks a movement: it must not leave fewer units than are reserved, at the location or in total. Incoming units
    /// are accepted up to the maximum of a location.
    pub(crate) fn check_movement(&self, name: &str, delta: i64) -> Result<(), Error> {
        let (on_hand, reserved) = self.at(name);
        if delta < 0 && on_hand + delta < reserved {
            return Err(reject::stock_reserved(self.sku.clone(), name.to_owned(), reserved));
        }
        if delta < 0 && self.available() + delta < 0 {
            let location = "all locations".to_owned();
            return Err(reject::stock_reserved(self.sku.clone(), location, self.reserved));
        }
        if on_hand.saturating_add(delta) > MAX_UNITS {
            return Err(Error::field("/delta", format!("a location can have at most {MAX_UNITS} units")));
        }
        let known = name == MAIN || self.elsewhere.iter().any(|place| place.name == name);
        if !known && self.elsewhere.len() + 1 >= MAX_LOCATIONS {
            return Err(reject::too_many_locations(MAX_LOCATIONS));
        }
        Ok(())
    }

    /// Checks that no units are owed, unless backorder is on.
    pub(crate) fn check_backorder(&self) -> Result<(), Error> {
        if self.backorder || self.available() >= 0 {
            return Ok(());
        }
        Err(reject::stock_owed(self.sku.clone(), -self.available()))
    }
}

impl Taken {
    /// Returns units of a location; `None` if there are none.
    fn nonzero(location: &str, quantity: i64) -> Option<Self> {
        let quantity = u32::try_from(quantity).ok().filter(|quantity| *quantity > 0)?;
        Some(Self { location: location.to_owned(), quantity })
    }
}

impl HeldLine {
    /// Returns the units that were taken from each location, in the order in which they are returned.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        let elsewhere: u32 = self.elsewhere.iter().map(|taken| taken.quantity).sum();
        let main = Taken::nonzero(MAIN, i64::from(self.quantity) - i64::from(elsewhere));
        main.into_iter().chain(self.elsewhere.iter().cloned()).collect()
    }

    /// Returns the units that were not returned.
    pub(crate) fn out(&self) -> u32 {
        self.quantity.saturating_sub(self.restocked)
    }

    /// Records the return of up to `quantity` units. Returns the locations that they were taken from, without those of
    /// earlier returns.
    pub(crate) fn restock(&mut self, quantity: u32) -> Vec<Taken> {
        let (mut skip, mut left) = (self.restocked, quantity.min(self.out()));
        self.restocked += left;
        let mut returned = Vec::new();
        for taken in self.taken() {
            let here = taken.quantity.saturating_sub(skip).min(left);
            skip = skip.saturating_sub(taken.quantity);
            left -= here;
            returned.extend(Taken::nonzero(&taken.location, here.into()));
        }
        returned
    }

    /// Splits units off the line, those from `MAIN` first. Returns `None` if the line has fewer.
    pub(crate) fn split(&mut self, quantity: u32) -> Option<Self> {
        let main = self.quantity.saturating_sub(self.elsewhere.iter().map(|taken| taken.quantity).sum());
        self.quantity = self.quantity.checked_sub(quantity)?;
        let mut left = quantity - main.min(quantity);
        let mut elsewhere = Vec::new();
        for place in &mut self.elsewhere {
            let here = place.quantity.min(left);
            left -= here;
            place.quantity -= here;
            elsewhere.extend(Taken::nonzero(&place.location, here.into()));
        }
        self.elsewhere.retain(|taken| taken.quantity > 0);
        Some(Self { variant_id: self.variant_id, quantity, elsewhere, restocked: 0 })
    }

    /// Adds units that were taken from a location to the line.
    pub(crate) fn join(&mut self, taken: Taken) {
        self.quantity = self.quantity.saturating_add(taken.quantity);
        if taken.location == MAIN {
            return;
        }
        match self.elsewhere.iter_mut().find(|known| known.location == taken.location) {
            Some(known) => known.quantity = known.quantity.saturating_add(taken.quantity),
            None => self.elsewhere.push(taken),
        }
    }
}

/// Returns whether the lines of a hold are exactly these items.
pub(crate) fn same_items(lines: &[HeldLine], items: &[VariantQuantity]) -> bool {
    let same =
        |line: &HeldLine, item: &VariantQuantity| line.variant_id == item.variant_id && line.quantity == item.quantity;
    lines.len() == items.len() && items.iter().all(|item| lines.iter().any(|line| same(line, item)))
}

/// Returns the entry of a refusal for an item of which there are too few units.
pub(crate) fn shortage(item: &VariantQuantity, available: u32) -> Short {
    Short { sku: item.sku.clone(), asked: item.quantity, available }
}

/// Checks the items of a hold: 1 to `most` items, each variant once, quantities in range.
pub(crate) fn check_items(items: &[VariantQuantity], most: usize) -> Result<(), Error> {
    if items.is_empty() || items.len() > most {
        return Err(Error::field("/items", format!("must have 1 to {most} items; got {}", items.len())));
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut faults = Faults::default();
    for (at, item) in items.iter().enumerate() {
        if !(1..=MAX_QUANTITY).contains(&item.quantity) {
            let detail = format!("must be 1 to {MAX_QUANTITY} units");
            faults.note(format!("/items/{at}/quantity"), detail);
        }
        if !seen.insert(item.variant_id) {
            faults.note(format!("/items/{at}/sku"), "duplicate SKU: add the quantities");
        }
    }
    faults.finish()
}

/// Validates the name of a location and converts it to upper case; `MAIN` by default.
pub(crate) fn location(name: Option<&str>) -> Result<String, Error> {
    let Some(name) = name else { return Ok(MAIN.to_owned()) };
    let name = bounded(name, 1, 32).map_err(|fault| Error::field("/location", fault))?.to_uppercase();
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Ok(name);
    }
    Err(Error::field("/location", "must contain only letters, digits, - and _"))
}

#[cfg(test)]
mod tests {
    use promox_contract::ids::{ProductId, VariantId};

    use super::*;

    fn stock(locations: &[(&str, i64, i64)], backorder: bool) -> Stock {
        let (variant_id, product_id, sku) = (VariantId(1), ProductId(1), "A".parse().unwrap());
        let mut stock = Stock::empty(&VariantRef { variant_id, product_id, sku });
        stock.backorder = backorder;
        for (name, on_hand, reserved) in locations {
            stock.change(name, *on_hand, *reserved);
        }
        stock
    }

    fn pairs(taken: &[Taken]) -> Vec<(&str, u32)> {
        taken.iter().map(|taken| (taken.location.as_str(), taken.quantity)).collect()
    }

    #[test]
    fn a_hold_takes_from_main_first_then_by_name() {
        let cases: [(&[(&str, i64, i64)], bool, u32, Option<&[(&str, u32)]>); 8] = [
            (&[("B", 5, 0), ("MAIN", 3, 0), ("A", 2, 0)], false, 6, Some(&[("MAIN", 3), ("A", 2), ("B", 1)])),
            (&[("MAIN", 3, 3), ("A", 2, 0)], false, 2, Some(&[("A", 2)])),
            (&[("MAIN", 3, 1)], false, 3, None),
            (&[], false, 1, None),
            (&[], true, 2, Some(&[("MAIN", 2)])),
            (&[("MAIN", 1, 0), ("A", 1, 0)], true, 5, Some(&[("MAIN", 4), ("A", 1)])),
            (&[("A", 1, 0)], true, 3, Some(&[("MAIN", 2), ("A", 1)])),
            (&[("A", -2, 0), ("B", 5, 0)], false, 3, Some(&[("B", 3)])),
        ];
        for (locations, backorder, quantity, want) in cases {
            let mut stock = stock(locations, backorder);
            let available = stock.available();
            let taken = stock.take(quantity).map(|line| line.taken());
            assert_eq!(taken.as_deref().map(pairs).as_deref(), want, "{locations:?}");
            let left = available - if want.is_some() { i64::from(quantity) } else { 0 };
            assert_eq!(stock.available(), left);
            assert_eq!(stock.locations().iter().map(|place| place.reserved).sum::<i64>(), stock.reserved);
        }
    }

    #[test]
    fn returned_units_go_to_the_locations_they_came_from() {
        let elsewhere = vec![Taken { location: "B".into(), quantity: 2 }];
        let mut line = HeldLine { variant_id: VariantId(1), quantity: 5, elsewhere, restocked: 0 };
        assert_eq!(pairs(&line.restock(2)), [("MAIN", 2)]);
        assert_eq!(pairs(&line.restock(2)), [("MAIN", 1), ("B", 1)]);
        assert_eq!(line.out(), 1);
        assert_eq!(pairs(&line.restock(9)), [("B", 1)]);
        assert!(line.restock(1).is_empty());
    }

    #[test]
    fn a_line_is_split_and_joined_by_location() {
        let elsewhere = vec![Taken { location: "B".into(), quantity: 2 }];
        let mut line = HeldLine { variant_id: VariantId(1), quantity: 5, elsewhere, restocked: 0 };
        let part = line.split(4).unwrap();
        assert_eq!((pairs(&part.taken()), pairs(&line.taken())), (vec![("MAIN", 3), ("B", 1)], vec![("B", 1)]));
        assert!(line.split(2).is_none());
        part.taken().into_iter().for_each(|taken| line.join(taken));
        assert_eq!(pairs(&line.taken()), [("MAIN", 3), ("B", 2)]);
        assert!(line.split(0).unwrap().taken().is_empty());
    }

    #[test]
    fn a_movement_cannot_leave_less_than_is_reserved() {
        for (locations, name, delta, accepted) in [
            (&[("MAIN", 5, 3)][..], "MAIN", -2, true),
            (&[("MAIN", 5, 3)][..], "MAIN", -3, false),
            (&[("MAIN", 5, 3)][..], "B", -1, false),
            (&[("MAIN", -2, 1)][..], "MAIN", 1, true),
            (&[("MAIN", 0, 2), ("B", 5, 0)][..], "B", -4, false),
            (&[("MAIN", 0, 0)][..], "MAIN", MAX_UNITS + 1, false),
        ] {
            assert_eq!(
                stock(locations, true).check_movement(name, delta).is_ok(),
                accepted,
                "{locations:?} {name} {delta}"
            );
        }
        assert!(stock(&[("MAIN", 1, 2)], false).check_backorder().is_err());
    }

    #[test]
    fn locations_and_items_are_validated() {
        assert_eq!(location(None).unwrap(), "MAIN");
        assert_eq!(location(Some("shop-1")).unwrap(), "SHOP-1");
        assert!(location(Some("")).is_err() && location(Some("a b")).is_err() && location(Some("ü")).is_err());
        let item = |id, quantity| VariantQuantity { variant_id: VariantId(id), sku: "a".parse().unwrap(), quantity };
        for (items, pointers) in [
            (vec![item(1, 1), item(1, 2)], vec!["/items/1/sku"]),
            (vec![item(1, 0), item(2, u32::MAX)], vec!["/items/0/quantity", "/items/1/quantity"]),
            (vec![], vec!["/items"]),
        ] {
            let error = check_items(&items, 2).unwrap_err();
            assert_eq!(error.errors().iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(), pointers);
        }
    }
}

//! What a cart must have for a promotion to be a candidate, which is what it is indexed by.

use promox_contract::condition::{CustomerField, Field, Leaf, Operator, Test, Wanted};

use crate::rules::actions::action::Action;
use crate::rules::language::filter::Filter;

/// What a cart must have for a promotion to be a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// The promotion's code, or a coupon for it.
    Named,
    /// A buyer in one of these segments.
    Segments(Vec<String>),
    /// A line with one of these keys.
    Lines(Keys),
    /// Nothing in particular.
    Anything,
}

/// Keys of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) skus: Vec<u64>,
    pub(crate) products: Vec<i64>,
    pub(crate) categories: Vec<i64>,
    /// Names and values.
    pub(crate) attributes: Vec<(String, String)>,
    /// Lowest and highest prices of a unit.
    pub(crate) bands: Vec<(i64, i64)>,
}

/// The narrowest requirement on a cart that conditions and actions imply.
pub(super) fn anchor(when: Option<&Test<Filter>>, actions: &[Action]) -> Anchor {
    let mut found = Anchor::Anything;
    let mut look = |leaf: &Leaf<Filter>| {
        if let (Field::Customer(CustomerField::Segments), Operator::In | Operator::Contains) = (&leaf.field, leaf.op) {
            found = match &leaf.wanted {
                Wanted::Texts(names) => Anchor::Segments(names.clone()),
                Wanted::Text(name) => Anchor::Segments(vec![name.clone()]),
                _ => return,
            };
        } else if found == Anchor::Anything && asks_for_some(leaf) {
            found = lines(&[&leaf.items]).unwrap_or(Anchor::Anything);
        }
    };
    if let Some(when) = when {
        when.necessary(&mut look);
    }
    if found != Anchor::Anything {
        return found;
    }
    let needed: Option<Vec<Vec<&Filter>>> = actions.iter().map(Action::needs).collect();
    needed.and_then(|filters| lines(&filters.concat())).unwrap_or(Anchor::Anything)
}

/// Whether a comparison can hold only if the cart has some of its items.
fn asks_for_some(leaf: &Leaf<Filter>) -> bool {
    let at_least = match (leaf.op, &leaf.wanted) {
        (Operator::Gte | Operator::Eq, Wanted::Number(wanted)) => *wanted,
        (Operator::Gt, Wanted::Number(wanted)) => wanted.saturating_add(1),
        _ => 0,
    };
    leaf.field.is_of_items() && at_least > 0
}

/// The keys of lines that these filters can match; `None` when one of them has no key.
fn lines(filters: &[&Filter]) -> Option<Anchor> {
    let mut keys = Keys::default();
    for filter in filters {
        if !filter.skus.is_empty() {
            keys.skus.extend(filter.skus.iter().map(|sku| sku.hash));
        } else if !filter.products.is_empty() {
            keys.products.extend(&filter.products);
        } else if !filter.categories.is_empty() {
            keys.categories.extend(&filter.categories);
        } else if let Some((name, values)) = filter.attribute() {
            keys.attributes.extend(values.iter().map(|value| (name.clone(), value.clone())));
        } else if let Some(band) = filter.band() {
            keys.bands.push(band);
        } else {
            return None;
        }
    }
    (!filters.is_empty()).then_some(Anchor::Lines(keys))
}

pub(super) fn least_subtotal(when: Option<&Test<Filter>>) -> i64 {
    let mut least = 0;
    if let Some(when) = when {
        when.necessary(&mut |leaf| {
            if let (Field::CartSubtotal, Operator::Gte | Operator::Gt, Wanted::Number(wanted)) =
                (&leaf.field, leaf.op, &leaf.wanted)
            {
                least = least.max(*wanted);
            }
        });
    }
    least
}

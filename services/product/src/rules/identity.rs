//! Matches the variants of a change to those of a product, so that references to a variant stay with it when its SKU
//! changes.
//!
//! A variant is matched by the id that is given; else by a current or former SKU; else by name and options, if exactly
//! one unmatched variant before and after has them. Unmatched variants are new.

use std::collections::BTreeMap;

use promox_contract::codes;
use promox_contract::ids::VariantId;
use promox_kernel::{Error, Faults, Sku};

use crate::records::Variant;
use crate::reject;

/// Maximum former SKUs of a variant.
const MAX_FORMER: usize = 50;

/// A variant that is not matched yet, or new: ids count from 1.
pub(crate) const NEW: VariantId = VariantId(0);

/// Gives the variants in `after` the ids of their matches in `before`; new ones keep [`NEW`]. An id already in `after`
/// is kept unless a SKU contradicts it; one in `given`, by position, is a claim that is refused if it is wrong. `owner`
/// knows which variant of the product has or had a SKU, including removed ones.
pub(crate) fn identify(
    before: &[Variant],
    after: &mut [Variant],
    given: &[Option<VariantId>],
    owner: impl Fn(&Sku) -> Option<VariantId>,
) -> Result<(), Error> {
    let mut faults = Faults::default();
    let mut places: BTreeMap<VariantId, usize> = BTreeMap::new();
    for (place, variant) in after.iter_mut().enumerate() {
        let id = given.get(place).copied().flatten();
        let known = |id: VariantId| before.iter().any(|variant| variant.id == id);
        variant.id = match (id, owner(&variant.sku)) {
            (Some(id), Some(by)) if id == by => id,
            (Some(id), Some(by)) if known(id) => return Err(reject::sku_of_sibling(&variant.sku, by)),
            (Some(id), None) if known(id) => id,
            (Some(_), _) => {
                faults.note(format!("/variants/{place}/id"), "this product has no such variant");
                NEW
            }
            (None, Some(by)) => by,
            (None, None) => variant.id,
        };
        if variant.id == NEW {
            continue;
        }
        if let Some(first) = places.insert(variant.id, place) {
            let detail = format!("this is the variant of /variants/{first}, by another of its skus");
            faults.code(format!("/variants/{place}/sku"), codes::DUPLICATE, detail);
        }
    }
    faults.finish()?;
    for (place, id) in alike(before, after, &places) {
        if let Some(variant) = after.get_mut(place) {
            variant.id = id;
        }
    }
    Ok(())
}

/// Variants that only name and options match: their positions and ids.
fn alike(before: &[Variant], after: &[Variant], places: &BTreeMap<VariantId, usize>) -> Vec<(usize, VariantId)> {
    let left: Vec<&Variant> = before.iter().filter(|variant| !places.contains_key(&variant.id)).collect();
    let fresh: Vec<(usize, &Variant)> = after.iter().enumerate().filter(|(_, variant)| variant.id == NEW).collect();
    let only = before.len() == 1 && after.len() == 1;
    let mut found = Vec::new();
    for (place, variant) in &fresh {
        let same = |other: &Variant| other.name == variant.name && other.options == variant.options;
        let has_traits = !variant.name.is_empty() || !variant.options.is_empty();
        let mut candidates = left.iter().filter(|other| same(other));
        let rivals = fresh.iter().filter(|(_, other)| same(other)).count();
        if let (Some(candidate), None) = (candidates.next(), candidates.next())
            && rivals == 1
            && (has_traits || only)
        {
            found.push((*place, candidate.id));
        }
    }
    found
}

/// A variant's former SKUs when its current one is `now`: those known so far and the last one.
pub(crate) fn former(known: &[Sku], last: &Sku, now: &Sku) -> Result<Vec<Sku>, Error> {
    let mut all: Vec<Sku> = known.iter().filter(|sku| *sku != now).cloned().collect();
    if last != now && !all.contains(last) {
        all.push(last.clone());
    }
    if all.len() > MAX_FORMER {
        return Err(reject::too_many_former_skus(now, MAX_FORMER));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use promox_kernel::Amount;

    use super::*;

    fn variant(id: i64, sku: &str, size: &str) -> Variant {
        let options = if size.is_empty() { BTreeMap::new() } else { BTreeMap::from([("size".into(), size.into())]) };
        Variant {
            id: VariantId(id),
            sku: sku.parse().unwrap(),
            former: Vec::new(),
            name: String::new(),
            options,
            price: Amount::ZERO,
            compare_at_price: None,
            barcode: None,
            cost: None,
        }
    }

    /// A variant of a change: the id given or 0, SKU, size.
    type Asked<'a> = (i64, &'a str, &'a str);

    /// The product's variants 1 and 2 are S and L, formerly SM and LG; its variant 3, XL, was removed.
    fn ids(asked: &[Asked<'_>]) -> Result<Vec<i64>, String> {
        let before = [variant(1, "S", "S"), variant(2, "L", "L")];
        let mut after: Vec<Variant> = asked.iter().map(|(_, sku, size)| variant(0, sku, size)).collect();
        let given: Vec<Option<VariantId>> =
            asked.iter().map(|(id, ..)| Some(VariantId(*id)).filter(|id| *id != NEW)).collect();
        let names = [("S", 1), ("SM", 1), ("L", 2), ("LG", 2), ("XL", 3)];
        let owner = |sku: &Sku| names.iter().find(|(name, _)| sku.as_str() == *name).map(|(_, id)| VariantId(*id));
        identify(&before, &mut after, &given, owner).map_err(|error| {
            error.errors().first().map_or_else(|| error.code().to_owned(), |fault| fault.pointer.clone())
        })?;
        Ok(after.iter().map(|variant| variant.id.0).collect())
    }

    #[test]
    fn variants_are_recognised_by_id_then_sku_then_what_tells_them_apart() {
        let cases: [(&[Asked<'_>], Result<Vec<i64>, &str>); 15] = [
            (&[(0, "S", "S"), (0, "L", "L")], Ok(vec![1, 2])),
            (&[(0, "L", ""), (0, "S", "")], Ok(vec![2, 1])),
            (&[(0, "SM", "S"), (0, "L", "L")], Ok(vec![1, 2])),
            (&[(1, "S-NEW", "S"), (0, "L", "L")], Ok(vec![1, 2])),
            (&[(2, "S-NEW", "S")], Ok(vec![2])),
            (&[(0, "S-NEW", "S"), (0, "L", "L")], Ok(vec![1, 2])),
            (&[(0, "S-NEW", "M"), (0, "L", "L")], Ok(vec![0, 2])),
            (&[(0, "S-NEW", ""), (0, "L", "L")], Ok(vec![0, 2])),
            (&[(0, "S-NEW", "S"), (0, "S-OTHER", "S")], Ok(vec![0, 0])),
            (&[(0, "S", "L"), (0, "L", "S")], Ok(vec![1, 2])),
            (&[(0, "XL", "XL"), (0, "S", "S")], Ok(vec![3, 1])),
            (&[(3, "XL", "XL")], Ok(vec![3])),
            (&[(2, "S", "S"), (1, "L", "L")], Err("SKU_TAKEN")),
            (&[(9, "NEW", "")], Err("/variants/0/id")),
            (&[(0, "S", "S"), (0, "SM", "L")], Err("/variants/1/sku")),
        ];
        for (asked, expected) in cases {
            assert_eq!(ids(asked), expected.map_err(str::to_owned), "{asked:?}");
        }
    }

    #[test]
    fn the_one_variant_stays_itself_under_any_sku() {
        let mut after = [variant(0, "B", "")];
        identify(&[variant(1, "A", "")], &mut after, &[], |_| None).unwrap();
        assert_eq!(after[0].id, VariantId(1));
        let mut after = [variant(0, "B", ""), variant(0, "C", "")];
        identify(&[variant(1, "A", "")], &mut after, &[], |_| None).unwrap();
        assert_eq!(after.map(|variant| variant.id), [NEW, NEW]);
    }

    #[test]
    fn a_former_sku_that_comes_back_leaves_the_list() {
        let sku = |text: &str| text.parse::<Sku>().unwrap();
        let list = |known: &[&str], last: &str, now: &str| {
            let known: Vec<Sku> = known.iter().map(|text| sku(text)).collect();
            former(&known, &sku(last), &sku(now)).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(list(&[], "A", "A").unwrap(), Vec::<String>::new());
        assert_eq!(list(&[], "A", "B").unwrap(), ["A"]);
        assert_eq!(list(&["A"], "B", "C").unwrap(), ["A", "B"]);
        assert_eq!(list(&["A", "B"], "C", "a").unwrap(), ["B", "C"]);
        let many: Vec<String> = (0..MAX_FORMER).map(|number| format!("S{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(list(&many, "X", "Y").is_err() && list(&many, "X", "S0").is_ok());
    }
}

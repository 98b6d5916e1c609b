//! Matches the variants of a change to those of a product, so that a variant keeps its id when its SKU changes.
//!
//! A variant is matched by the id in the request; otherwise by a current or former SKU; otherwise by name and
//! options, if exactly one unmatched variant before and after the change has them. Unmatched variants are new.

use std::collections::BTreeMap;

use promox_contract::codes;
use promox_contract::ids::VariantId;
use promox_kernel::{Error, Faults, Sku};

use crate::records::Variant;
use crate::reject;

/// Maximum former SKUs of a variant.
const MAX_FORMER_SKUS: usize = 50;

/// The id of a variant that is new or not matched yet. Real ids count from 1.
pub(crate) const NEW_VARIANT: VariantId = VariantId(0);

/// Sets the ids of the variants in `after` to those of their matches in `before`; new ones keep [`NEW_VARIANT`]. An id
/// already in `after` is kept unless a SKU contradicts it. The ids in `given`, by position, are those of the request: a
/// wrong one is refused. `owner` returns the variant of the product that has or had a SKU, including removed variants.
pub(crate) fn identify(
    before: &[Variant],
    after: &mut [Variant],
    given: &[Option<VariantId>],
    owner: impl Fn(&Sku) -> Option<VariantId>,
) -> Result<(), Error> {
    let mut faults = Faults::default();
    let mut positions: BTreeMap<VariantId, usize> = BTreeMap::new();
    for (position, variant) in after.iter_mut().enumerate() {
        let id = given.get(position).copied().flatten();
        let known = |id: VariantId| before.iter().any(|variant| variant.id == id);
        variant.id = match (id, owner(&variant.sku)) {
            (Some(id), Some(by)) if id == by => id,
            (Some(id), Some(by)) if known(id) => return Err(reject::sku_of_sibling(&variant.sku, by)),
            (Some(id), None) if known(id) => id,
            (Some(_), _) => {
                faults.note(format!("/variants/{position}/id"), "this product has no such variant");
                NEW_VARIANT
            }
            (None, Some(by)) => by,
            (None, None) => variant.id,
        };
        if variant.id == NEW_VARIANT {
            continue;
        }
        if let Some(first) = positions.insert(variant.id, position) {
            let detail = format!("this SKU belongs to the same variant as the SKU in /variants/{first}");
            faults.code(format!("/variants/{position}/sku"), codes::DUPLICATE, detail);
        }
    }
    faults.finish()?;
    for (position, id) in match_by_traits(before, after, &positions) {
        if let Some(variant) = after.get_mut(position) {
            variant.id = id;
        }
    }
    Ok(())
}

/// The new variants in `after` that name and options match to an unmatched one in `before`: their positions and ids.
/// `positions` are those of the matched variants.
fn match_by_traits(
    before: &[Variant],
    after: &[Variant],
    positions: &BTreeMap<VariantId, usize>,
) -> Vec<(usize, VariantId)> {
    let unmatched: Vec<&Variant> = before.iter().filter(|variant| !positions.contains_key(&variant.id)).collect();
    let new_variants: Vec<(usize, &Variant)> =
        after.iter().enumerate().filter(|(_, variant)| variant.id == NEW_VARIANT).collect();
    let is_only_variant = before.len() == 1 && after.len() == 1;
    let mut found = Vec::new();
    for (position, variant) in &new_variants {
        let has_same_traits = |other: &Variant| other.name == variant.name && other.options == variant.options;
        let has_traits = !variant.name.is_empty() || !variant.options.is_empty();
        let mut candidates = unmatched.iter().filter(|other| has_same_traits(other));
        let rivals = new_variants.iter().filter(|(_, other)| has_same_traits(other)).count();
        if let (Some(candidate), None) = (candidates.next(), candidates.next())
            && rivals == 1
            && (has_traits || is_only_variant)
        {
            found.push((*position, candidate.id));
        }
    }
    found
}

/// The former SKUs of a variant whose SKU changes from `last` to `current`: the known ones and `last`, without
/// `current`. Refuses more than [`MAX_FORMER_SKUS`].
pub(crate) fn former_skus(known: &[Sku], last: &Sku, current: &Sku) -> Result<Vec<Sku>, Error> {
    let mut all: Vec<Sku> = known.iter().filter(|sku| *sku != current).cloned().collect();
    if last != current && !all.contains(last) {
        all.push(last.clone());
    }
    if all.len() > MAX_FORMER_SKUS {
        return Err(reject::too_many_former_skus(current, MAX_FORMER_SKUS));
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

    /// A variant of a change: its id or 0 for none, its SKU, its size.
    type Requested<'a> = (i64, &'a str, &'a str);

    /// The resulting ids for a product whose variants 1 and 2 are S and L, formerly SM and LG, and whose variant 3, XL,
    /// was removed.
    fn ids(requested: &[Requested<'_>]) -> Result<Vec<i64>, String> {
        let before = [variant(1, "S", "S"), variant(2, "L", "L")];
        let mut after: Vec<Variant> = requested.iter().map(|(_, sku, size)| variant(0, sku, size)).collect();
        let given: Vec<Option<VariantId>> =
            requested.iter().map(|(id, ..)| Some(VariantId(*id)).filter(|id| *id != NEW_VARIANT)).collect();
        let names = [("S", 1), ("SM", 1), ("L", 2), ("LG", 2), ("XL", 3)];
        let owner = |sku: &Sku| names.iter().find(|(name, _)| sku.as_str() == *name).map(|(_, id)| VariantId(*id));
        identify(&before, &mut after, &given, owner).map_err(|error| {
            error.errors().first().map_or_else(|| error.code().to_owned(), |fault| fault.pointer.clone())
        })?;
        Ok(after.iter().map(|variant| variant.id.0).collect())
    }

    #[test]
    fn variants_are_matched_by_id_then_sku_then_name_and_options() {
        let cases: [(&[Requested<'_>], Result<Vec<i64>, &str>); 15] = [
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
        for (requested, expected) in cases {
            assert_eq!(ids(requested), expected.map_err(str::to_owned), "{requested:?}");
        }
    }

    #[test]
    fn a_sole_variant_keeps_its_id_under_any_sku() {
        let mut after = [variant(0, "B", "")];
        identify(&[variant(1, "A", "")], &mut after, &[], |_| None).unwrap();
        assert_eq!(after[0].id, VariantId(1));
        let mut after = [variant(0, "B", ""), variant(0, "C", "")];
        identify(&[variant(1, "A", "")], &mut after, &[], |_| None).unwrap();
        assert_eq!(after.map(|variant| variant.id), [NEW_VARIANT, NEW_VARIANT]);
    }

    #[test]
    fn a_former_sku_that_becomes_current_again_leaves_the_list() {
        let sku = |text: &str| text.parse::<Sku>().unwrap();
        let list = |known: &[&str], last: &str, current: &str| {
            let known: Vec<Sku> = known.iter().map(|text| sku(text)).collect();
            former_skus(&known, &sku(last), &sku(current))
                .map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(list(&[], "A", "A").unwrap(), Vec::<String>::new());
        assert_eq!(list(&[], "A", "B").unwrap(), ["A"]);
        assert_eq!(list(&["A"], "B", "C").unwrap(), ["A", "B"]);
        assert_eq!(list(&["A", "B"], "C", "a").unwrap(), ["B", "C"]);
        let many: Vec<String> = (0..MAX_FORMER_SKUS).map(|number| format!("S{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(list(&many, "X", "Y").is_err() && list(&many, "X", "S0").is_ok());
    }
}

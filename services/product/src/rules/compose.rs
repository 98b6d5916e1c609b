//! Applies a change to a product: every member is validated, all faults are reported at once.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::codes;
use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Currency, Error, Faults, Json, Patch, Sku, Timestamp};

use super::members::{ReadMembers as _, escaped, replace_or};
use super::{NEW, Ruled, Tree, check_slug};
use crate::api::{Image, ProductChange, VariantInput};
use crate::records::{Product, ProductStatus, Variant};

const MAX_CATEGORIES_OF_A_PRODUCT: usize = 20;
const MAX_ATTRIBUTES: usize = 50;
const MAX_OPTIONS: usize = 10;
const MAX_IMAGES: usize = 20;
const MAX_VARIANTS: usize = 100;
const LONGEST_DESCRIPTION: usize = 20_000;

/// The context for validating a change.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// The store's currency.
    pub(crate) currency: Currency,
    /// The store's tax classes.
    pub(crate) tax_classes: &'a [String],
    pub(crate) tree: &'a Tree,
    pub(crate) now: Timestamp,
}

/// What to do about the slug, which depends on other rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlugChoice {
    Keep,
    Derive,
    Given(String),
}

/// The resulting product.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) product: Product,
    pub(crate) slug: SlugChoice,
    /// The ids given for its variants, by position.
    pub(crate) given: Vec<Option<VariantId>>,
}

/// Applies a change to a product, or creates one; id, slug, version and times are set by the command.
pub(crate) fn compose(base: Option<&Product>, change: ProductChange, terms: &Terms<'_>) -> Result<Composed, Error> {
    let mut faults = Faults::default();
    let mut product = match base {
        Some(base) => base.clone(),
        None => blank(&change, terms)?,
    };
    let slug = slug_choice(base.is_none(), change.slug.clone(), &mut faults);
    if base.is_none() && change.name == Patch::Keep {
        faults.missing("/name", "a product must have a name");
    }
    let reprices = !matches!(change.price, Patch::Keep) || !matches!(change.variants, Patch::Keep);
    if reprices {
        product.currency = terms.currency;
    }
    let given = match &change.variants {
        Patch::Set(list) => list.iter().map(|input| input.id).collect(),
        _ => Vec::new(),
    };
    let change = describe(&mut product, change, terms, &mut faults);
    product.variants = Json(vary(base, &mut product, change, &mut faults));
    check_money(&mut product, &mut faults);
    faults.finish()?;
    Ok(Composed { product, slug, given })
}

fn blank(change: &ProductChange, terms: &Terms<'_>) -> Result<Product, Error> {
    let first = match (&change.sku, &change.variants) {
        (Patch::Set(sku), _) => Some(sku.clone()),
        (_, Patch::Set(variants)) => variants.first().map(|variant| variant.sku.clone()),
        _ => None,
    };
    let Some(sku) = first else {
        let mut faults = Faults::default();
        faults.missing("/sku", "a product must have a sku, or variants with skus");
        if change.name == Patch::Keep {
            faults.missing("/name", "a product must have a name");
        }
        if change.price == Patch::Keep {
            faults.missing("/price", "a product must have a price");
        }
        return Err(Error::invalid(faults.into_list()));
    };
    Ok(Product {
        id: ProductId(0),
        sku,
        name: String::new(),
        slug: String::new(),
        description: String::new(),
        status: ProductStatus::Active,
        currency: terms.currency,
        category_ids: Json(Vec::new()),
        attributes: Json(BTreeMap::new()),
        images: Json(Vec::new()),
        tax_class: DEFAULT_TAX_CLASS.to_owned(),
        weight_grams: None,
        discountable: true,
        floor_price: None,
        variants: Json(Vec::new()),
        version: 0,
        epoch: 0,
        created_at: terms.now,
        updated_at: terms.now,
    })
}

const DEFAULT_TAX_CLASS: &str = "STANDARD";

fn slug_choice(new: bool, slug: Patch<String>, faults: &mut Faults) -> SlugChoice {
    match slug {
        Patch::Keep if !new => SlugChoice::Keep,
        Patch::Keep | Patch::Clear => SlugChoice::Derive,
        Patch::Set(slug) => faults.take("/slug", check_slug(slug.trim())).map_or(SlugChoice::Keep, SlugChoice::Given),
    }
}

/// Applies the product's own members; returns the rest, about its variants.
fn describe(product: &mut Product, change: ProductChange, terms: &Terms<'_>, faults: &mut Faults) -> VariantChange {
    faults.member("/name", change.name, &mut product.name, 1, 200);
    faults.member("/description", change.description, &mut product.description, 0, LONGEST_DESCRIPTION);
    replace_or(change.status, &mut product.status, ProductStatus::Active);
    match change.tax_class {
        Patch::Keep => {}
        Patch::Clear => DEFAULT_TAX_CLASS.clone_into(&mut product.tax_class),
        Patch::Set(class) if terms.tax_classes.iter().any(|known| *known == class.trim()) => {
            class.trim().clone_into(&mut product.tax_class);
        }
        Patch::Set(_) => {
            let detail = format!("must be one of the store's tax classes: {}", terms.tax_classes.join(", "));
            faults.code("/taxClass", codes::UNKNOWN_TAX_CLASS, detail);
        }
    }
    change.weight_grams.apply(&mut product.weight_grams);
    replace_or(change.discountable, &mut product.discountable, true);
    change.floor_price.apply(&mut product.floor_price);
    categorise(&mut product.category_ids, change.category_ids, terms.tree, faults);
    attribute(&mut product.attributes, change.attributes, faults);
    illustrate(&mut product.images, change.images, faults);
    VariantChange {
        sku: change.sku,
        price: change.price,
        compare_at_price: change.compare_at_price,
        cost: change.cost,
        barcode: change.barcode,
        variants: change.variants,
    }
}

/// The part of a change that is about variants.
#[derive(Default)]
struct VariantChange {
    sku: Patch<Sku>,
    price: Patch<Amount>,
    compare_at_price: Patch<Amount>,
    cost: Patch<Amount>,
    barcode: Patch<String>,
    variants: Patch<Vec<VariantInput>>,
}

fn categorise(ids: &mut Vec<CategoryId>, change: Patch<Vec<CategoryId>>, tree: &Tree, faults: &mut Faults) {
    let Some(wanted) = change.or_default() else { return };
    if wanted.len() > MAX_CATEGORIES_OF_A_PRODUCT {
        return faults.note("/categoryIds", format!("must have at most {MAX_CATEGORIES_OF_A_PRODUCT} entries"));
    }
    ids.clear();
    for (index, id) in wanted.into_iter().enumerate() {
        if tree.get(id).is_none() {
            faults.note(format!("/categoryIds/{index}"), "this category does not exist");
        } else if !ids.contains(&id) {
            ids.push(id);
        }
    }
}

fn attribute(
    attributes: &mut BTreeMap<String, String>,
    change: Patch<BTreeMap<String, Option<String>>>,
    faults: &mut Faults,
) {
    let members = match change {
        Patch::Keep => return,
        Patch::Clear => return attributes.clear(),
        Patch::Set(members) => members,
    };
    for (name, value) in members {
        match value {
            None => drop(attributes.remove(&name)),
            Some(value) => name_value("/attributes", attributes, &name, &value, faults),
        }
    }
    if attributes.len() > MAX_ATTRIBUTES {
        faults.note("/attributes", format!("must have at most {MAX_ATTRIBUTES} entries"));
    }
}

fn name_value(pointer: &str, members: &mut BTreeMap<String, String>, name: &str, value: &str, faults: &mut Faults) {
    let pointer = format!("{pointer}/{}", escaped(name));
    let name = faults.text(&pointer, name, 1, 64);
    let value = faults.text(&pointer, value, 1, 255);
    if let (Some(name), Some(value)) = (name, value) {
        members.insert(name, value);
    }
}

fn illustrate(images: &mut Vec<Image>, change: Patch<Vec<Image>>, faults: &mut Faults) {
    let Some(wanted) = change.or_default() else { return };
    if wanted.len() > MAX_IMAGES {
        return faults.note("/images", format!("must have at most {MAX_IMAGES} entries"));
    }
    images.clear();
    for (index, mut image) in wanted.into_iter().enumerate() {
        let web = ["https://", "http://", "/"].iter().any(|start| image.url.starts_with(start));
        if !web || image.url.chars().any(|c| c.is_control() || c.is_whitespace()) || image.url.len() > 2048 {
            faults.note(
                format!("/images/{index}/url"),
                "must be https://…, http://… or /…, at most 2048 characters long",
            );
        }
        if let Some(alt) = image.alt {
            image.alt = faults.text(&format!("/images/{index}/alt"), &alt, 0, 200);
        }
        images.push(image);
    }
}

/// The variants: the list given, or the product itself as its only one.
fn vary(
    base: Option<&Product>,
    product: &mut Product,
    variant_change: VariantChange,
    faults: &mut Faults,
) -> Vec<Variant> {
    match &variant_change.sku {
        Patch::Set(sku) => product.sku = sku.clone(),
        Patch::Clear => faults.note("/sku", "must not be null"),
        Patch::Keep => {}
    }
    let simple = base.is_none_or(Product::is_simple);
    match &variant_change.variants {
        Patch::Set(list) if !list.is_empty() => listed(list, &variant_change, faults),
        Patch::Keep if !simple => {
            several(&variant_change, faults);
            base.map(|base| base.variants.0.clone()).unwrap_or_default()
        }
        _ => vec![itself(base, product, variant_change, faults)],
    }
}

/// A product with several variants has no price of its own.
fn several(variant_change: &VariantChange, faults: &mut Faults) {
    let said = [
        ("/price", variant_change.price != Patch::Keep),
        ("/compareAtPrice", variant_change.compare_at_price != Patch::Keep),
        ("/cost", variant_change.cost != Patch::Keep),
        ("/barcode", variant_change.barcode != Patch::Keep),
    ];
    for (pointer, _) in said.into_iter().filter(|(_, said)| *said) {
        faults.note(pointer, "this product has several variants: set it on each of them");
    }
}

fn itself(base: Option<&Product>, product: &Product, variant_change: VariantChange, faults: &mut Faults) -> Variant {
    let before = base.and_then(|base| Ruled::default().cheapest(&base.variants)).map(|(variant, _)| variant);
    let mut variant = before.cloned().unwrap_or_else(|| Variant {
        id: NEW,
        sku: product.sku.clone(),
        former: Vec::new(),
        name: String::new(),
        options: BTreeMap::new(),
        price: Amount::ZERO,
        compare_at_price: None,
        barcode: None,
        cost: None,
    });
    variant.sku = product.sku.clone();
    if base.is_some_and(|base| base.variants.len() > 1) {
        variant.id = NEW;
    }
    match variant_change.price {
        Patch::Set(price) => variant.price = price,
        Patch::Clear => faults.note("/price", "must not be null"),
        Patch::Keep if before.is_none() => faults.missing("/price", "a product must have a price"),
        Patch::Keep => {}
    }
    variant_change.compare_at_price.apply(&mut variant.compare_at_price);
    variant_change.cost.apply(&mut variant.cost);
    if let Patch::Set(barcode) = &variant_change.barcode {
        variant.barcode = faults.text("/barcode", barcode, 1, 64);
    } else {
        variant_change.barcode.apply(&mut variant.barcode);
    }
    variant
}

/// The listed variants; price, former price and cost of the product are their defaults.
fn listed(list: &[VariantInput], variant_change: &VariantChange, faults: &mut Faults) -> Vec<Variant> {
    if list.len() > MAX_VARIANTS {
        faults.note("/variants", format!("must have at most {MAX_VARIANTS} entries"));
        return Vec::new();
    }
    if variant_change.barcode != Patch::Keep {
        faults.note("/barcode", "a product with variants must have its barcodes on them");
    }
    let mut seen = BTreeSet::new();
    list.iter()
        .enumerate()
        .map(|(position, input)| {
            let at = format!("/variants/{position}");
            if !seen.insert(input.sku.fold()) {
                faults.code(format!("{at}/sku"), codes::DUPLICATE, "duplicate sku");
            }
            variant(&at, input, variant_change, faults)
        })
        .collect()
}

fn variant(at: &str, input: &VariantInput, variant_change: &VariantChange, faults: &mut Faults) -> Variant {
    let otherwise = |patch: &Patch<Amount>| if let Patch::Set(amount) = patch { Some(*amount) } else { None };
    let price = input.price.or_else(|| otherwise(&variant_change.price));
    if price.is_none() {
        faults.missing(format!("{at}/price"), "a variant must have a price, or its product one for all");
    }
    let name = input.name.as_deref().unwrap_or_default();
    let barcode = input.barcode.as_deref();
    let mut options = BTreeMap::new();
    for (name, value) in &input.options {
        name_value(&format!("{at}/options"), &mut options, name, value, faults);
    }
    if options.len() > MAX_OPTIONS {
        faults.note(format!("{at}/options"), format!("must have at most {MAX_OPTIONS} entries"));
    }
    Variant {
        id: NEW,
        sku: input.sku.clone(),
        former: Vec::new(),
        name: faults.text(&format!("{at}/name"), name, 0, 100).unwrap_or_default(),
        options,
        price: price.unwrap_or_default(),
        compare_at_price: input.compare_at_price.or_else(|| otherwise(&variant_change.compare_at_price)),
        barcode: barcode.and_then(|barcode| faults.text(&format!("{at}/barcode"), barcode, 1, 64)),
        cost: input.cost.or_else(|| otherwise(&variant_change.cost)),
    }
}

fn check_money(product: &mut Product, faults: &mut Faults) {
    let currency = product.currency;
    faults.money_if_any("/floorPrice", &mut product.floor_price, currency);
    let itself = product.is_simple();
    for (index, variant) in product.variants.iter_mut().enumerate() {
        let at = if itself { String::new() } else { format!("/variants/{index}") };
        faults.money(&format!("{at}/price"), &mut variant.price, currency);
        faults.money_if_any(&format!("{at}/compareAtPrice"), &mut variant.compare_at_price, currency);
        faults.money_if_any(&format!("{at}/cost"), &mut variant.cost, currency);
    }
}

/// The list of variants with one added or replaced, as an import gives it row by row. A former SKU finds its variant
/// and leaves it the current one.
pub(crate) fn merge_variant(base: Option<&Product>, row: VariantInput) -> Vec<VariantInput> {
    let mut list = base.map(written).unwrap_or_default();
    let place = base.and_then(|base| base.variants.iter().position(|known| known.has_or_had(&row.sku)));
    match place.and_then(|place| list.get_mut(place)) {
        Some(known) => {
            let before = known.clone();
            *known = VariantInput {
                id: before.id,
                name: row.name.or(before.name),
                options: if row.options.is_empty() { before.options } else { row.options },
                price: row.price.or(before.price),
                compare_at_price: row.compare_at_price.or(before.compare_at_price),
                barcode: row.barcode.or(before.barcode),
                cost: row.cost.or(before.cost),
                sku: before.sku,
            };
        }
        None => list.push(row),
    }
    list
}

/// A product's variants in request form.
pub(crate) fn written(product: &Product) -> Vec<VariantInput> {
    let input = |variant: &Variant| VariantInput {
        id: None,
        sku: variant.sku.clone(),
        name: Some(variant.name.clone()).filter(|name| !name.is_empty()),
        options: variant.options.clone(),
        price: Some(variant.price),
        compare_at_price: variant.compare_at_price,
        barcode: variant.barcode.clone(),
        cost: variant.cost,
    };
    product.variants.iter().map(input).collect()
}

impl Variant {
    /// Whether this is its current or a former SKU.
    pub(crate) fn has_or_had(&self, sku: &Sku) -> bool {
        self.sku == *sku || self.former.contains(sku)
    }
}

/// Replaces SKUs in an import's list of variants by the current ones, as they are written.
pub(crate) fn by_present_skus(base: &Product, list: &mut [VariantInput]) {
    for input in list {
        if let Some(known) = base.variants.iter().find(|known| known.has_or_had(&input.sku)) {
            input.sku = known.sku.clone();
        }
    }
}

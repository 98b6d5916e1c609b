//! Applies a change to a product. Every member is validated, and all faults are reported at once.

use std::collections::{BTreeMap, BTreeSet};

use promox_contract::codes;
use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::pointer::escaped;
use promox_kernel::{Amount, Currency, Error, Faults, Json, Patch, Sku, Timestamp};

use super::members::ValidateMembers as _;
use super::{NEW_VARIANT, Tree, VariantPrices, check_slug};
use crate::api::{Image, ProductChange, VariantInput};
use crate::records::{Product, ProductStatus, Variant};

const MAX_CATEGORIES_OF_A_PRODUCT: usize = 20;
const MAX_ATTRIBUTES: usize = 50;
const MAX_OPTIONS: usize = 10;
const MAX_IMAGES: usize = 20;
const MAX_VARIANTS: usize = 100;
const MAX_DESCRIPTION_LEN: usize = 20_000;

/// What a change is validated against.
#[derive(Debug)]
pub(crate) struct ChangeContext<'a> {
    /// The store's currency.
    pub(crate) currency: Currency,
    /// The store's tax classes.
    pub(crate) tax_classes: &'a [String],
    pub(crate) tree: &'a Tree,
    pub(crate) now: Timestamp,
}

/// How to determine the slug. The command does so, because the slug must differ from those of other rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlugChoice {
    /// Keep the current one.
    Keep,
    /// Derive it from the name.
    Derive,
    /// Use the one in the request.
    Given(String),
}

/// The product that results from a change, before the command assigns ids and the slug.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) product: Product,
    pub(crate) slug: SlugChoice,
    /// The ids of variants in the request, by position.
    pub(crate) given_ids: Vec<Option<VariantId>>,
}

/// Applies a change to a product, or makes a new one. The command sets id, slug, version and times.
pub(crate) fn compose(
    base: Option<&Product>,
    change: ProductChange,
    context: &ChangeContext<'_>,
) -> Result<Composed, Error> {
    let mut faults = Faults::default();
    let mut product = match base {
        Some(base) => base.clone(),
        None => new_product(&change, context)?,
    };
    let slug = slug_choice(base.is_none(), change.slug.clone(), &mut faults);
    if base.is_none() && change.name == Patch::Keep {
        faults.missing("/name", "a product must have a name");
    }
    let sets_prices = !matches!(change.price, Patch::Keep) || !matches!(change.variants, Patch::Keep);
    if sets_prices {
        product.currency = context.currency;
    }
    let given_ids = match &change.variants {
        Patch::Set(list) => list.iter().map(|input| input.id).collect(),
        _ => Vec::new(),
    };
    let change = apply_product_members(&mut product, change, (context, base.is_none()), &mut faults);
    product.variants = Json(compose_variants(base, &mut product, change, &mut faults));
    check_money(&mut product, &mut faults);
    faults.finish()?;
    Ok(Composed { product, slug, given_ids })
}

/// A new product with only its SKU set, which must be in the change.
fn new_product(change: &ProductChange, context: &ChangeContext<'_>) -> Result<Product, Error> {
    let given_sku = match (&change.sku, &change.variants) {
        (Patch::Set(sku), _) => Some(sku.clone()),
        (_, Patch::Set(variants)) => variants.first().map(|variant| variant.sku.clone()),
        _ => None,
    };
    let Some(sku) = given_sku else {
        let mut faults = Faults::default();
        faults.missing_beside("/sku", &["/variants"], "a product must have a SKU, or variants with SKUs");
        if change.name == Patch::Keep {
            faults.missing("/name", "a product must have a name");
        }
        if change.price == Patch::Keep {
            faults.missing_beside("/price", &["/variants"], "a product must have a price");
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
        currency: context.currency,
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
        created_at: context.now,
        updated_at: context.now,
    })
}

/// The tax class of a product whose class is not given.
const DEFAULT_TAX_CLASS: &str = "STANDARD";

/// How to determine the slug of a product, which is derived from the name unless the request has one.
fn slug_choice(is_new: bool, slug: Patch<String>, faults: &mut Faults) -> SlugChoice {
    match slug {
        Patch::Keep if !is_new => SlugChoice::Keep,
        Patch::Keep | Patch::Clear => SlugChoice::Derive,
        Patch::Set(slug) => faults.take("/slug", check_slug(slug.trim())).map_or(SlugChoice::Keep, SlugChoice::Given),
    }
}

/// Applies the members of the product as a whole. Returns the rest of the change, which is about its variants.
fn apply_product_members(
    product: &mut Product,
    change: ProductChange,
    (context, is_new): (&ChangeContext<'_>, bool),
    faults: &mut Faults,
) -> VariantChange {
    faults.member("/name", change.name, &mut product.name, 1, 200);
    faults.member("/description", change.description, &mut product.description, 0, MAX_DESCRIPTION_LEN);
    faults.replace("/status", change.status, &mut product.status, is_new);
    match change.tax_class {
        Patch::Keep => {}
        Patch::Clear if is_new => {}
        Patch::Clear => faults.note("/taxClass", "must not be null"),
        Patch::Set(class) if context.tax_classes.iter().any(|known| *known == class.trim()) => {
            class.trim().clone_into(&mut product.tax_class);
        }
        Patch::Set(_) => {
            let detail = format!("must be one of the store's tax classes: {}", context.tax_classes.join(", "));
            faults.code("/taxClass", codes::UNKNOWN_TAX_CLASS, detail);
        }
    }
    change.weight_grams.apply(&mut product.weight_grams);
    faults.replace("/discountable", change.discountable, &mut product.discountable, is_new);
    change.floor_price.apply(&mut product.floor_price);
    set_categories(&mut product.category_ids, change.category_ids, context.tree, faults);
    merge_attributes(&mut product.attributes, change.attributes, faults);
    set_images(&mut product.images, change.images, faults);
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

fn set_categories(ids: &mut Vec<CategoryId>, change: Patch<Vec<CategoryId>>, tree: &Tree, faults: &mut Faults) {
    let Some(requested) = change.or_default() else { return };
    if requested.len() > MAX_CATEGORIES_OF_A_PRODUCT {
        return faults.note("/categoryIds", format!("must have at most {MAX_CATEGORIES_OF_A_PRODUCT} entries"));
    }
    ids.clear();
    for (index, id) in requested.into_iter().enumerate() {
        if tree.get(id).is_none() {
            faults.note(format!("/categoryIds/{index}"), "this category does not exist");
        } else if !ids.contains(&id) {
            ids.push(id);
        }
    }
}

/// Applies a merge patch to the attributes. Null removes an attribute.
fn merge_attributes(
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
            Some(value) => set_name_value("/attributes", attributes, &name, &value, faults),
        }
    }
    if attributes.len() > MAX_ATTRIBUTES {
        faults.note("/attributes", format!("must have at most {MAX_ATTRIBUTES} entries"));
    }
}

/// Validates an attribute or option and sets it.
fn set_name_value(pointer: &str, members: &mut BTreeMap<String, String>, name: &str, value: &str, faults: &mut Faults) {
    let pointer = format!("{pointer}/{}", escaped(name));
    let name = faults.text(&pointer, name, 1, 64);
    let value = faults.text(&pointer, value, 1, 255);
    if let (Some(name), Some(value)) = (name, value) {
        members.insert(name, value);
    }
}

fn set_images(images: &mut Vec<Image>, change: Patch<Vec<Image>>, faults: &mut Faults) {
    let Some(requested) = change.or_default() else { return };
    if requested.len() > MAX_IMAGES {
        return faults.note("/images", format!("must have at most {MAX_IMAGES} entries"));
    }
    images.clear();
    for (index, mut image) in requested.into_iter().enumerate() {
        let has_valid_start = ["https://", "http://", "/"].iter().any(|prefix| image.url.starts_with(prefix));
        if !has_valid_start || image.url.chars().any(|c| c.is_control() || c.is_whitespace()) || image.url.len() > 2048
        {
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

/// The variants after a change: those in its list, or the product itself as its only variant.
fn compose_variants(
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
    let was_simple = base.is_none_or(Product::is_simple);
    match &variant_change.variants {
        Patch::Set(list) if !list.is_empty() => listed_variants(list, &variant_change, faults),
        Patch::Keep if !was_simple => {
            refuse_variant_members(&variant_change, faults);
            base.map(|base| base.variants.0.clone()).unwrap_or_default()
        }
        _ => vec![sole_variant(base, product, variant_change, faults)],
    }
}

/// Refuses members that a product with several variants has on its variants only, such as the price.
fn refuse_variant_members(variant_change: &VariantChange, faults: &mut Faults) {
    let members = [
        ("/price", variant_change.price != Patch::Keep),
        ("/compareAtPrice", variant_change.compare_at_price != Patch::Keep),
        ("/cost", variant_change.cost != Patch::Keep),
        ("/barcode", variant_change.barcode != Patch::Keep),
    ];
    for (pointer, _) in members.into_iter().filter(|(_, is_given)| *is_given) {
        faults.compared(pointer, &["/variants"], "this product has several variants: set it on each of them");
    }
}

/// The only variant of a product without a list of variants.
fn sole_variant(
    base: Option<&Product>,
    product: &Product,
    variant_change: VariantChange,
    faults: &mut Faults,
) -> Variant {
    let before = base.and_then(|base| VariantPrices::default().cheapest(&base.variants)).map(|(variant, _)| variant);
    let mut variant = before.cloned().unwrap_or_else(|| Variant {
        id: NEW_VARIANT,
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
        variant.id = NEW_VARIANT;
    }
    match variant_change.price {
        Patch::Set(price) => variant.price = price,
        Patch::Clear => faults.note("/price", "must not be null"),
        Patch::Keep if before.is_none() => {
            faults.missing_beside("/price", &["/variants"], "a product must have a price");
        }
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

/// The variants in a list. Price, price for comparison and cost of the product are their defaults.
fn listed_variants(list: &[VariantInput], variant_change: &VariantChange, faults: &mut Faults) -> Vec<Variant> {
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
            let pointer = format!("/variants/{position}");
            if !seen.insert(input.sku.fold()) {
                faults.code(format!("{pointer}/sku"), codes::DUPLICATE, "duplicate SKU");
            }
            listed_variant(&pointer, input, variant_change, faults)
        })
        .collect()
}

/// A variant in a list. `pointer` locates it.
fn listed_variant(pointer: &str, input: &VariantInput, variant_change: &VariantChange, faults: &mut Faults) -> Variant {
    let default = |patch: &Patch<Amount>| if let Patch::Set(amount) = patch { Some(*amount) } else { None };
    let price = input.price.or_else(|| default(&variant_change.price));
    if price.is_none() {
        faults.missing(
            format!("{pointer}/price"),
            "a variant must have a price, or its product a price for all variants",
        );
    }
    let name = input.name.as_deref().unwrap_or_default();
    let barcode = input.barcode.as_deref();
    let mut options = BTreeMap::new();
    for (name, value) in &input.options {
        set_name_value(&format!("{pointer}/options"), &mut options, name, value, faults);
    }
    if options.len() > MAX_OPTIONS {
        faults.note(format!("{pointer}/options"), format!("must have at most {MAX_OPTIONS} entries"));
    }
    Variant {
        id: NEW_VARIANT,
        sku: input.sku.clone(),
        former: Vec::new(),
        name: faults.text(&format!("{pointer}/name"), name, 0, 100).unwrap_or_default(),
        options,
        price: price.unwrap_or_default(),
        compare_at_price: input.compare_at_price.or_else(|| default(&variant_change.compare_at_price)),
        barcode: barcode.and_then(|barcode| faults.text(&format!("{pointer}/barcode"), barcode, 1, 64)),
        cost: input.cost.or_else(|| default(&variant_change.cost)),
    }
}

/// Checks all amounts of a product, and brings them into the scale of its currency.
fn check_money(product: &mut Product, faults: &mut Faults) {
    let currency = product.currency;
    faults.money_if_any("/floorPrice", &mut product.floor_price, currency);
    let is_simple = product.is_simple();
    for (index, variant) in product.variants.iter_mut().enumerate() {
        let pointer = if is_simple { String::new() } else { format!("/variants/{index}") };
        faults.money(&format!("{pointer}/price"), &mut variant.price, currency);
        faults.money_if_any(&format!("{pointer}/compareAtPrice"), &mut variant.compare_at_price, currency);
        faults.money_if_any(&format!("{pointer}/cost"), &mut variant.cost, currency);
    }
}

/// The list of a product's variants with one added or changed by a row of an import. A former SKU finds its variant,
/// which keeps its current SKU.
pub(crate) fn merge_variant(base: Option<&Product>, row: VariantInput) -> Vec<VariantInput> {
    let mut list = base.map(variant_inputs).unwrap_or_default();
    let position = base.and_then(|base| base.variants.iter().position(|known| known.has_or_had(&row.sku)));
    match position.and_then(|position| list.get_mut(position)) {
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

/// A product's variants in the form of a request.
pub(crate) fn variant_inputs(product: &Product) -> Vec<VariantInput> {
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
    /// Whether `sku` is its current SKU or a former one.
    pub(crate) fn has_or_had(&self, sku: &Sku) -> bool {
        self.sku == *sku || self.former.contains(sku)
    }
}

/// Replaces the SKUs in an import's list of variants by the current SKUs of these variants, in their stored spelling.
pub(crate) fn use_current_skus(base: &Product, list: &mut [VariantInput]) {
    for input in list {
        if let Some(known) = base.variants.iter().find(|known| known.has_or_had(&input.sku)) {
            input.sku = known.sku.clone();
        }
    }
}

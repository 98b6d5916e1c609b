//! The columns of a catalog in CSV, for both directions.

/// Every fixed column, in the order of an export.
pub(super) const COLUMNS: &[&str] = &[
    "sku",
    "productSku",
    "name",
    "slug",
    "description",
    "status",
    "price",
    "compareAtPrice",
    "cost",
    "barcode",
    "variantName",
    "categories",
    "images",
    "taxClass",
    "weightGrams",
    "discountable",
    "floorPrice",
];
/// A column of an attribute: `attr.color`.
pub(super) const ATTRIBUTE: &str = "attr.";
/// A column of a variant's option: `option.size`.
pub(super) const OPTION: &str = "option.";
/// Separates the elements of a list.
pub(super) const SEPARATOR: char = '|';

//! The columns of a catalog in CSV, for import and export.

/// The fixed columns, in the order of an export.
pub(super) const COLUMNS: &[&str] = &[
    "sku",
    "productSku",
    "name",
    "slug",
    "description",
    "status",
    "price",
    "currency",
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
/// The prefix of an attribute's column: `attr.color`.
pub(super) const ATTRIBUTE_PREFIX: &str = "attr.";
/// The prefix of a variant option's column: `option.size`.
pub(super) const OPTION_PREFIX: &str = "option.";
/// Separates the elements of a list.
pub(super) const LIST_SEPARATOR: char = '|';

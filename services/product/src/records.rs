//! The tables of the catalog, numbers 100 to 149.

use std::collections::BTreeMap;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Currency, Json, Sku, Timestamp, text_enum};
use promox_storage::record;
use serde::{Deserialize, Serialize};

use crate::api::Image;

text_enum! {
    /// The status of a product.
    ProductStatus {
        /// On sale.
        Active = "ACTIVE",
        /// In preparation: only staff sees it.
        Draft = "DRAFT",
        /// No longer on sale: only staff sees it; past orders keep their data.
        Archived = "ARCHIVED",
    }
}

record! {
    /// A product: the common data of its variants. Never deleted.
    pub(crate) struct Product in Ecommerce.products = 100, key(id: ProductId) {
        /// Its own SKU; the only variant of a simple product has the same.
        sku: Sku,
        name: String,
        slug: String,
        description: String,
        status: ProductStatus,
        /// The currency of its prices.
        currency: Currency,
        category_ids: Json<Vec<CategoryId>>,
        attributes: Json<BTreeMap<String, String>>,
        images: Json<Vec<Image>>,
        tax_class: String,
        weight_grams: Option<u32>,
        discountable: bool,
        floor_price: Option<Amount>,
        /// Its variants, in order; never empty.
        variants: Json<Vec<Variant>>,
        version: i64,
        /// The catalog's epoch of its last change, which memory must catch up with.
        epoch: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique ProductBySlug = 102 (slug);
    index ProductByEpoch = 103 (epoch);
    index ProductByTaxClass = 104 (tax_class);
}

/// A variant, the unit that is sold. Stock, carts and sales refer to its id, which never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variant {
    pub(crate) id: VariantId,
    pub(crate) sku: Sku,
    /// Its former SKUs, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) former: Vec<Sku>,
    /// What distinguishes it from its siblings; empty for a simple product.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) price: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compare_at_price: Option<Amount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) barcode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Amount>,
}

record! {
    /// The permanent owner of a SKU: a product, and the variant of it that has or had the SKU. The variant's data is in
    /// its product, with which it is read, checked and written. The SKUs of a removed variant stay assigned to it.
    pub(crate) struct VariantSku in Ecommerce.variants = 110, key(sku: Sku) {
        product_id: ProductId,
        /// Null for the SKU of a product whose variants all have others.
        variant_id: Option<VariantId>,
        /// Whether it has been replaced by another one: an alias.
        former: bool,
    }
    index SkuByProduct = 111 (product_id);
    index SkuByVariant = 112 (variant_id);
}

record! {
    /// A category, below another or at the top.
    pub(crate) struct Category in Ecommerce.categories = 120, key(id: CategoryId) {
        name: String,
        slug: String,
        parent_id: Option<CategoryId>,
        position: u32,
        version: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique CategoryBySlug = 121 (slug);
}

record! {
    /// A product in a category: the inverse of `Product::category_ids`.
    pub(crate) struct CategoryMembership in Ecommerce.product_categories = 130, key(category_id: CategoryId, product_id: ProductId) {
    }
}

record! {
    /// Counters of catalog changes: one row, read before anything in memory is used.
    pub(crate) struct Epochs in Ecommerce.catalogue_epochs = 140, key(id: i64) {
        /// Counts transactions that changed products or categories.
        catalogue: i64,
        /// The value of `catalogue` when categories last changed.
        categories: i64,
    }
}

impl Epochs {
    /// The key of the only row.
    pub(crate) const KEY: i64 = 1;
}

impl Product {
    /// Whether its only variant is the product itself.
    pub(crate) fn is_simple(&self) -> bool {
        matches!(self.variants.as_slice(), [only] if only.sku == self.sku)
    }

    /// Its variants' ids.
    pub(crate) fn variant_ids(&self) -> Vec<VariantId> {
        self.variants.iter().map(|variant| variant.id).collect()
    }

    /// Its variant with this id.
    pub(crate) fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// Whether every SKU is written as in `other`; comparing SKUs ignores case.
    pub(crate) fn writes_skus_as(&self, other: &Self) -> bool {
        let pairs = self.variants.iter().zip(other.variants.iter());
        self.sku.as_str() == other.sku.as_str() && pairs.into_iter().all(|(a, b)| a.sku.as_str() == b.sku.as_str())
    }
}

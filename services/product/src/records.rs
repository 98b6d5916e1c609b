//! The tables of the catalogue. Numbers 100 to 149 are theirs.

use std::collections::BTreeMap;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Currency, Json, Sku, Timestamp, text_enum};
use promox_storage::record;
use serde::{Deserialize, Serialize};

use crate::api::Image;

text_enum! {
    /// Where a product stands.
    ProductStatus {
        /// On the shelf.
        Active = "ACTIVE",
        /// Being written: only staff sees it.
        Draft = "DRAFT",
        /// Taken off the shelf: only staff sees it, past orders keep what they sold.
        Archived = "ARCHIVED",
    }
}

record! {
    /// A product: what its variants have in common. Never deleted.
    pub(crate) struct Product in Ecommerce.products = 100, key(id: ProductId) {
        /// Its own SKU; a simple product's one variant has the same.
        sku: Sku,
        name: String,
        slug: String,
        description: String,
        status: ProductStatus,
        /// The currency that its prices were given in.
        currency: Currency,
        category_ids: Json<Vec<CategoryId>>,
        attributes: Json<BTreeMap<String, String>>,
        images: Json<Vec<Image>>,
        tax_class: String,
        weight_grams: Option<u32>,
        discountable: bool,
        floor_price: Option<Amount>,
        /// What is sold, in order; never empty.
        variants: Json<Vec<Variant>>,
        version: i64,
        /// The catalogue's epoch of its last change: what memory must read again.
        epoch: i64,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
    unique ProductBySlug = 102 (slug);
    index ProductByEpoch = 103 (epoch);
    index ProductByTaxClass = 104 (tax_class);
}

/// What is sold: a variant of a product. Stock, carts and sales hang on its id, which is given once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Variant {
    pub(crate) id: VariantId,
    pub(crate) sku: Sku,
    /// The SKUs that it had before, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) former: Vec<Sku>,
    /// What tells it from its siblings; empty for a simple product.
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
    /// What a SKU is given to, for good: a product, and the variant of it that has or had the SKU. What the variant is stands
    /// in its product, with which it is read, checked and written. The SKUs of a variant that was removed stay its own.
    pub(crate) struct VariantSku in Ecommerce.variants = 110, key(sku: Sku) {
        product_id: ProductId,
        /// Null for the SKU of a product whose variants all have others.
        variant_id: Option<VariantId>,
        /// Whether it was changed for another one since: an alias.
        former: bool,
    }
    index SkuByProduct = 111 (product_id);
    index SkuByVariant = 112 (variant_id);
}

record! {
    /// A shelf of the shop, below another or at the top.
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
    /// A product stands in a category: `Product::category_ids` the other way round.
    pub(crate) struct Shelving in Ecommerce.product_categories = 130, key(category_id: CategoryId, product_id: ProductId) {
    }
}

record! {
    /// How often the catalogue changed: one row, read before anything that memory holds is relied on.
    pub(crate) struct Epochs in Ecommerce.catalogue_epochs = 140, key(id: i64) {
        /// Counts transactions that changed products or categories.
        catalogue: i64,
        /// The value of `catalogue` when categories changed last.
        categories: i64,
    }
}

impl Epochs {
    /// The key of the one row.
    pub(crate) const KEY: i64 = 1;
}

impl Product {
    /// Whether its one variant is the product itself.
    pub(crate) fn is_simple(&self) -> bool {
        matches!(self.variants.as_slice(), [only] if only.sku == self.sku)
    }

    /// Its variants' ids.
    pub(crate) fn variant_ids(&self) -> Vec<VariantId> {
        self.variants.iter().map(|variant| variant.id).collect()
    }

    /// Its variant of this id.
    pub(crate) fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// Whether every SKU is written as in `other`; comparing SKUs themselves looks past the case.
    pub(crate) fn writes_skus_as(&self, other: &Self) -> bool {
        let pairs = self.variants.iter().zip(other.variants.iter());
        self.sku.as_str() == other.sku.as_str() && pairs.into_iter().all(|(a, b)| a.sku.as_str() == b.sku.as_str())
    }
}

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
        /// In preparation and visible to staff only.
        Draft = "DRAFT",
        /// No longer on sale and visible to staff only. Past orders keep their data.
        Archived = "ARCHIVED",
    }
}

record! {
    /// A product: the common data of its variants. Never deleted.
    pub(crate) struct Product in Ecommerce.products = 100, key(id: ProductId) {
        /// Its own SKU, which is also that of the only variant of a simple product.
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
        /// Its variants, in order. There is at least one.
        variants: Json<Vec<Variant>>,
        version: i64,
        /// The catalog epoch of its last change, by which lists find the products that they must read again.
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
    /// Its former SKUs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) former: Vec<Sku>,
    /// What distinguishes it from the other variants, such as "Large". Empty for a simple product.
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
    /// The permanent owner of a SKU: a product, and its variant that has or had the SKU. The data of the variant is in
    /// its product's row. The SKUs of a removed variant stay assigned to it.
    pub(crate) struct VariantSku in Ecommerce.variants = 110, key(sku: Sku) {
        product_id: ProductId,
        /// The variant, or null if the SKU is the product's own and no variant has or had it.
        variant_id: Option<VariantId>,
        /// Whether another SKU has replaced it, so that it is an alias.
        former: bool,
    }
    index SkuByProduct = 111 (product_id);
    index SkuByVariant = 112 (variant_id);
}

record! {
    /// A category, below another one or at the top level.
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
    /// The membership of a product in a category: the inverse of `Product::category_ids`.
    pub(crate) struct CategoryMembership in Ecommerce.product_categories = 130, key(category_id: CategoryId, product_id: ProductId) {
    }
}

record! {
    /// Counters of catalog changes, in a single row that is read before anything cached in memory is used.
    pub(crate) struct Epochs in Ecommerce.catalogue_epochs = 140, key(id: i64) {
        /// The number of transactions that changed products or categories.
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
    /// Whether the product is its own only variant.
    pub(crate) fn is_simple(&self) -> bool {
        matches!(self.variants.as_slice(), [only] if only.sku == self.sku)
    }

    /// The ids of its variants.
    pub(crate) fn variant_ids(&self) -> Vec<VariantId> {
        self.variants.iter().map(|variant| variant.id).collect()
    }

    /// The variant with this id.
    pub(crate) fn variant(&self, id: VariantId) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.id == id)
    }

    /// Whether every SKU is spelled as in `other`. `==` ignores the case of SKUs, so it cannot tell.
    pub(crate) fn has_same_sku_spelling(&self, other: &Self) -> bool {
        let pairs = self.variants.iter().zip(other.variants.iter());
        self.sku.as_str() == other.sku.as_str() && pairs.into_iter().all(|(a, b)| a.sku.as_str() == b.sku.as_str())
    }
}

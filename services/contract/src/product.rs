//! Operations of the product service for other services: data and prices of SKUs. Also its events.

use std::collections::{BTreeMap, HashMap};

use promox_kernel::{Amount, Currency, Sku, Timestamp, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CategoryId, ProductId, VariantId};

/// Gets the data and current prices of SKUs for the caller. A former SKU finds the variant that had it. SKUs that are
/// unknown or not ACTIVE are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeSkus {
    /// The SKUs, each once.
    pub skus: Vec<Sku>,
}
operation! { DescribeSkus => SkuDescriptions, "product.describe_skus", internal, "Names and prices of SKUs." }

/// Gets the data and current prices of SKUs for a sale in a channel, as an order or a quote charges them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeForSale {
    /// The SKUs, each once.
    pub skus: Vec<Sku>,
    /// The sales channel, `WEB` by default.
    pub channel: Option<String>,
}
operation! {
    DescribeForSale => SkuDescriptions, "product.describe_for_sale", internal,
    "Names and prices of SKUs in a channel."
}

/// The data of the SKUs that were found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuDescriptions {
    /// The SKUs in the order of the request, each variant once.
    pub items: Vec<SkuDescription>,
}
json_reply!(SkuDescriptions);

impl SkuDescriptions {
    /// The data by SKU, both the current and the former SKUs of each variant.
    pub fn by_sku(self) -> HashMap<Sku, SkuDescription> {
        let mut found = HashMap::with_capacity(self.items.len());
        for item in self.items {
            for former in &item.former_skus {
                found.insert(former.clone(), item.clone());
            }
            found.insert(item.sku.clone(), item);
        }
        found
    }
}

/// The data and prices of a SKU.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuDescription {
    /// The variant.
    pub variant_id: VariantId,
    /// The SKU, as the catalog spells it.
    pub sku: Sku,
    /// The variant's former SKUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_skus: Vec<Sku>,
    /// The variant's product.
    pub product_id: ProductId,
    /// The product's name, followed by the variant's.
    pub name: String,
    /// The unit price for the caller, after price rules.
    pub price: Amount,
    /// The unit price before price rules.
    pub list_price: Amount,
    /// The currency of both prices.
    pub currency: Currency,
    /// The product's categories, with all their ancestors.
    pub category_ids: Vec<CategoryId>,
    /// The attributes of the product and the options of the variant.
    pub attributes: BTreeMap<String, String>,
    /// The tax class.
    pub tax_class: String,
    /// The weight of a unit in grams.
    pub weight_grams: Option<u32>,
    /// Whether promotions may discount the SKU.
    pub discountable: bool,
    /// The lowest unit price to which discounts may reduce it.
    pub floor_price: Option<Amount>,
    /// The merchant's unit cost.
    pub cost: Option<Amount>,
}

/// Finds the variants that these SKUs belong or belonged to, in any status of their products. A SKU that only names a
/// product with several variants has no variant.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolveSkus {
    /// The SKUs.
    pub skus: Vec<Sku>,
}
operation! { ResolveSkus => ResolvedSkus, "product.resolve_skus", internal, "The variants that SKUs belong to." }

/// The answer to [`ResolveSkus`].
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedSkus {
    /// For each SKU, in the order of the request, its variant; null if there is none.
    pub variants: Vec<Option<VariantRef>>,
}
json_reply!(ResolvedSkus);

/// A variant and its SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantRef {
    /// The variant.
    pub variant_id: VariantId,
    /// The variant's product.
    pub product_id: ProductId,
    /// The variant's current SKU, or the last one of a removed variant.
    pub sku: Sku,
}

/// A product was created.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductCreated {
    /// The product.
    pub product_id: ProductId,
}

/// A product, its price or its categories changed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductUpdated {
    /// The product.
    pub product_id: ProductId,
}

/// The SKU of a variant changed. References to the variant are unaffected.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuChanged {
    /// The variant's product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
    /// The previous SKU.
    pub former: Sku,
    /// The current SKU.
    pub sku: Sku,
}

/// A shopper viewed a product.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductViewed {
    /// The product.
    pub product_id: ProductId,
    /// When the product was viewed.
    pub at: Timestamp,
}
fact! {
    ProductCreated = "PRODUCT_CREATED" in "product" kept 30,
    ProductUpdated = "PRODUCT_UPDATED" in "product" kept 30,
    SkuChanged = "SKU_CHANGED" in "product" kept 30,
    ProductViewed = "PRODUCT_VIEWED" in "product",
}

/// Finds out which of these tax classes products use.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindUsedTaxClasses {
    /// The classes.
    pub classes: Vec<String>,
}
operation! {
    FindUsedTaxClasses => TaxClassUses, "product.used_tax_classes", internal,
    "The tax classes in use by products."
}

/// The answer to [`FindUsedTaxClasses`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxClassUses {
    /// Each class in use, with a product that uses it.
    pub uses: Vec<TaxClassUse>,
}
json_reply!(TaxClassUses);

/// A tax class that a product uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxClassUse {
    /// The class.
    pub tax_class: String,
    /// A product that uses it.
    pub sku: promox_kernel::Sku,
}

/// The audit's name for the check that every variant a row refers to exists or existed in the catalog. Both sides name
/// variants with [`variant_named`].
pub const VARIANTS: &str = "references: a variant that a row refers to exists and belongs to its product";

/// Names a variant in the audit, alone or as a variant of its product.
pub fn variant_named(id: VariantId, product: Option<ProductId>) -> String {
    product.map_or_else(|| id.to_string(), |product| format!("{id} of product {product}"))
}

//! Operations of the product service for other services: data and prices of SKUs.

use std::collections::{BTreeMap, HashMap};

use promox_kernel::{Amount, Currency, Sku, Timestamp, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CategoryId, ProductId, VariantId};

/// Gets the data and current prices of SKUs for the caller. A former SKU finds the variant that had it; SKUs that are
/// unknown or not ACTIVE are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeSkus {
    /// The SKUs, each once.
    pub skus: Vec<Sku>,
}
operation! { DescribeSkus => SkuDescriptions, "product.describe_skus", internal, "Names and prices of SKUs." }

/// Gets the data and current prices of SKUs for a sale in some channel: as an order or a quote charges.
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

/// The SKUs found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuDescriptions {
    /// In the order of the request, each variant once.
    pub items: Vec<SkuDescription>,
}
json_reply!(SkuDescriptions);

impl SkuDescriptions {
    /// The results by every SKU that the variant has or had.
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
    /// Its SKU, as the catalog writes it.
    pub sku: Sku,
    /// Its former SKUs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_skus: Vec<Sku>,
    /// Its product.
    pub product_id: ProductId,
    /// The product's name, followed by the variant's.
    pub name: String,
    /// The unit price for the caller, after price rules.
    pub price: Amount,
    /// The unit price before price rules.
    pub list_price: Amount,
    /// The currency of both prices.
    pub currency: Currency,
    /// Its categories with all their ancestors.
    pub category_ids: Vec<CategoryId>,
    /// Attributes of the product and options of the variant.
    pub attributes: BTreeMap<String, String>,
    /// The tax class.
    pub tax_class: String,
    /// Unit weight, in grams.
    pub weight_grams: Option<u32>,
    /// Whether promotions may discount it.
    pub discountable: bool,
    /// The lowest unit price after discounts.
    pub floor_price: Option<Amount>,
    /// The merchant's unit cost.
    pub cost: Option<Amount>,
}

/// Finds the variants that these SKUs belong or belonged to, whatever the status of their products. A SKU that only
/// names a product with several variants has none.
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
    /// For each SKU, in the order of the request.
    pub variants: Vec<Option<VariantRef>>,
}
json_reply!(ResolvedSkus);

/// A variant and its SKU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantRef {
    /// The variant.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its current SKU; for a removed variant, its last one.
    pub sku: Sku,
}

/// A product was created.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductCreated {
    /// The product.
    pub product_id: ProductId,
}

/// A product, its price or its categories changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductUpdated {
    /// The product.
    pub product_id: ProductId,
}

/// A variant got another SKU; references to the variant are unaffected.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuChanged {
    /// Its product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
    /// Its previous SKU.
    pub former: Sku,
    /// Its current SKU.
    pub sku: Sku,
}

/// A shopper viewed a product.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductViewed {
    /// The product.
    pub product_id: ProductId,
    /// The time.
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

/// Rows that refer to a variant must name one of the catalog, by [`variant_named`]; the catalog states which variants
/// exist or existed.
pub const VARIANTS: &str = "references: a variant that a row refers to exists and belongs to its product";

/// The auditor's name of a variant, by itself or as a variant of its product.
pub fn variant_named(id: VariantId, of: Option<ProductId>) -> String {
    of.map_or_else(|| id.to_string(), |product| format!("{id} of product {product}"))
}

//! What others ask of the product service: what a SKU is and costs.

use std::collections::{BTreeMap, HashMap};

use promox_kernel::{Amount, Currency, Sku, Timestamp, fact, json_reply, operation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{CategoryId, ProductId, VariantId};

/// Asks what these SKUs are and cost now, for the caller. A former SKU finds the variant that had it; SKUs that are unknown
/// or not ACTIVE are left out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeSkus {
    /// The SKUs, each once.
    pub skus: Vec<Sku>,
}
operation! { DescribeSkus => SkuDescriptions, "product.describe_skus", internal, "Names and prices of SKUs." }

/// The same for a sale in some channel: what an order or a quote charges.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DescribeForSale {
    /// The SKUs, each once.
    pub skus: Vec<Sku>,
    /// Where it is sold: `WEB` unless said.
    pub channel: Option<String>,
}
operation! { DescribeForSale => SkuDescriptions, "product.describe_for_sale", internal, "Names and prices of \
SKUs in a channel." }

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuDescriptions {
    /// In the order asked, each variant once.
    pub items: Vec<SkuDescription>,
}
json_reply!(SkuDescriptions);

impl SkuDescriptions {
    /// What was found, by every SKU that it has or had.
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

/// What a SKU is and costs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SkuDescription {
    /// The variant.
    pub variant_id: VariantId,
    /// Its SKU, as the catalogue writes it.
    pub sku: Sku,
    /// The SKUs that it had before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_skus: Vec<Sku>,
    /// The product it is a variant of.
    pub product_id: ProductId,
    /// The product's name, with the variant's.
    pub name: String,
    /// What the caller pays for one now, price rules of the catalogue applied.
    pub price: Amount,
    /// What one costs without price rules.
    pub list_price: Amount,
    /// The currency of both.
    pub currency: Currency,
    /// Its categories and all above them.
    pub category_ids: Vec<CategoryId>,
    /// Attributes of the product and options of the variant.
    pub attributes: BTreeMap<String, String>,
    /// Which tax rate applies.
    pub tax_class: String,
    /// Weight of one, in grams.
    pub weight_grams: Option<u32>,
    /// Whether promotions may touch it.
    pub discountable: bool,
    /// The least a unit may cost.
    pub floor_price: Option<Amount>,
    /// What one cost the merchant.
    pub cost: Option<Amount>,
}

/// Asks which variants these SKUs belong to, now or formerly, whatever the state of their products. A SKU that names only a
/// product of several variants leads to none.
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
    /// For each SKU asked, in order.
    pub variants: Vec<Option<VariantRef>>,
}
json_reply!(ResolvedSkus);

/// A variant and what it is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantRef {
    /// Which.
    pub variant_id: VariantId,
    /// Its product.
    pub product_id: ProductId,
    /// Its SKU now; of a variant that was removed, its last.
    pub sku: Sku,
}

/// A product came to be.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductCreated {
    /// Which.
    pub product_id: ProductId,
}

/// A product, its price or its place in the catalogue changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductUpdated {
    /// Which.
    pub product_id: ProductId,
}

/// A variant has another SKU; what hangs on the variant stays where it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuChanged {
    /// Its product.
    pub product_id: ProductId,
    /// Which.
    pub variant_id: VariantId,
    /// Its SKU before.
    pub former: Sku,
    /// Its SKU now.
    pub sku: Sku,
}

/// A shopper looked at a product.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductViewed {
    /// Which.
    pub product_id: ProductId,
    /// When.
    pub at: Timestamp,
}
fact! {
    ProductCreated = "PRODUCT_CREATED" in "product" kept 30,
    ProductUpdated = "PRODUCT_UPDATED" in "product" kept 30,
    SkuChanged = "SKU_CHANGED" in "product" kept 30,
    ProductViewed = "PRODUCT_VIEWED" in "product",
}

/// Asks which of these tax classes products have.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindUsedTaxClasses {
    /// The classes.
    pub classes: Vec<String>,
}
operation! { FindUsedTaxClasses => TaxClassUses, "product.used_tax_classes", internal, "The tax classes in use by \
products." }

/// The answer to [`FindUsedTaxClasses`].
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxClassUses {
    /// Each class that is used, with a product that has it.
    pub uses: Vec<TaxClassUse>,
}
json_reply!(TaxClassUses);

/// A tax class that a product has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaxClassUse {
    /// The class.
    pub tax_class: String,
    /// A product that has it.
    pub sku: promox_kernel::Sku,
}

/// What hangs on a variant names one of the catalogue, by [`variant_named`]; the catalogue says which it has or had.
pub const VARIANTS: &str = "references: a variant that a row refers to exists and belongs to its product";

/// How the auditor names a variant, by itself or as one of its product.
pub fn variant_named(id: VariantId, of: Option<ProductId>) -> String {
    of.map_or_else(|| id.to_string(), |product| format!("{id} of product {product}"))
}

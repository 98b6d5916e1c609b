//! The list of products: search, filters, facets, suggestions.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use promox_contract::ids::{CategoryId, ProductId};
use promox_kernel::{
    Amount, Content, Currency, Cursor, Error, Limit, Reply, Response, Sku, Warnings, json_reply, operation, text_enum,
    to_json,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::{ProductStatus, ProductView};

text_enum! {
    /// The order of a list of products.
    Sort {
        /// Best match first; only with `q`.
        Relevance = "relevance",
        /// By name.
        Name = "name",
        /// Cheapest first.
        Price = "price",
        /// Most expensive first.
        PriceDescending = "-price",
        /// Newest first.
        Newest = "newest",
    }
}

/// Products, searched, filtered, in order, with facets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListProducts {
    /// Search words; small typos are tolerated.
    pub q: Option<String>,
    /// A category's id or slug; includes products in its descendants.
    pub category: Option<String>,
    /// The lowest price.
    pub min_price: Option<Amount>,
    /// The highest price.
    pub max_price: Option<Amount>,
    /// Only products that can be sold now, or only those that cannot.
    pub in_stock: Option<bool>,
    /// `attr.color=red`: an attribute or a variant's option, ignoring case.
    pub attr: BTreeMap<String, String>,
    /// The status; all but ACTIVE require `product:read`.
    pub status: Option<ProductStatus>,
    /// The order: by default `relevance` with `q`, else `newest`.
    pub sort: Option<Sort>,
    /// The sales channel, which may affect prices: `WEB` by default.
    pub channel: Option<String>,
    /// Page size.
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListProducts => ProductList, "product.list", Get "/api/products", Anyone, 200,
    "Searches and lists products."
}

/// A page of products.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductListView {
    /// The products.
    pub items: Vec<ProductView>,
    /// The `cursor` of the next page; null on the last.
    pub next_cursor: Option<Cursor>,
    /// The total number of products.
    pub total: u64,
    /// The facets of the whole result.
    pub facets: Facets,
    /// What was left out because its stored data is damaged; absent when nothing was. A `Warning` header says the same.
    #[serde(default, skip_serializing_if = "Warnings::is_empty")]
    pub warnings: Warnings,
}

/// The composition of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    /// Categories, including ancestors; the 100 largest.
    pub categories: Vec<CategoryCount>,
    /// The range of prices; null without products.
    pub price: Option<PriceSpan>,
    /// Attributes and options by name, with their most frequent values.
    pub attributes: BTreeMap<String, Vec<ValueCount>>,
}

/// The number of products of a result in a category or below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryCount {
    /// The category.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// The number.
    pub count: u64,
}

/// The lowest and the highest price of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceSpan {
    /// The lowest price.
    pub min: Amount,
    /// The highest price.
    pub max: Amount,
}

/// The number of products of a result with a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// The number.
    pub count: u64,
}

/// A page of products as parts that are already JSON text.
#[derive(Debug)]
pub struct ProductList {
    pub(crate) items: Vec<Bytes>,
    pub(crate) next_cursor: Option<Cursor>,
    pub(crate) total: usize,
    pub(crate) facets: Arc<str>,
    pub(crate) warnings: Warnings,
}

impl Reply for ProductList {
    fn respond(self, status: u16) -> Result<Response, Error> {
        let length: usize = self.items.iter().map(|item| item.len() + 1).sum();
        let mut json = Vec::with_capacity(length + self.facets.len() + 128);
        json.extend_from_slice(b"{\"items\":[");
        for (index, item) in self.items.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            json.extend_from_slice(item);
        }
        json.extend_from_slice(b"],\"nextCursor\":");
        json.extend_from_slice(&to_json(&self.next_cursor)?);
        json.extend_from_slice(b",\"total\":");
        json.extend_from_slice(self.total.to_string().as_bytes());
        json.extend_from_slice(b",\"facets\":");
        json.extend_from_slice(self.facets.as_bytes());
        if !self.warnings.is_empty() {
            json.extend_from_slice(b",\"warnings\":");
            json.extend_from_slice(&to_json(&self.warnings)?);
        }
        json.push(b'}');
        Ok(Response { status, headers: self.warnings.headers(), content: Content::Json(json.into()) })
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<ProductListView>())
    }
    fn kept(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// Completions of a partial input.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuggestProducts {
    /// The input so far.
    #[serde(default)]
    pub q: String,
}
operation! {
    SuggestProducts => Suggestions, "product.suggest", Get "/api/products/suggest", Anyone, 200,
    "Up to ten completions."
}

/// Up to ten, best first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestions {
    /// The completions.
    pub items: Vec<Suggestion>,
}
json_reply!(Suggestions);

/// A completion.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// The product's name.
    pub text: String,
    /// The product.
    pub product_id: ProductId,
    /// Its own SKU.
    pub sku: Sku,
    /// Its URL slug.
    pub slug: String,
    /// The caller's current price of its cheapest variant.
    pub price: Amount,
    /// `price` before price rules.
    pub list_price: Amount,
    /// The currency of both.
    pub currency: Currency,
}

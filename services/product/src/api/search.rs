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
        /// Dearest first.
        PriceDescending = "-price",
        /// Newest first.
        Newest = "newest",
    }
}

/// Products, searched, filtered, in order, with facets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListProducts {
    /// Words to look for; small typos are forgiven.
    pub q: Option<String>,
    /// A category's id or slug; products below it count too.
    pub category: Option<String>,
    /// The least price.
    pub min_price: Option<Amount>,
    /// The most.
    pub max_price: Option<Amount>,
    /// Only what can be sold now, or only what cannot.
    pub in_stock: Option<bool>,
    /// `attr.color=red`: an attribute or an option of a variant, in any case of letters.
    pub attr: BTreeMap<String, String>,
    /// Where the product stands; all but ACTIVE ask for `product:read`.
    pub status: Option<ProductStatus>,
    /// By default `relevance` with `q`, else `newest`.
    pub sort: Option<Sort>,
    /// Where they would be sold, for their prices: `WEB` unless said.
    pub channel: Option<String>,
    /// Items of a page.
    pub limit: Limit,
    /// From the page before.
    pub cursor: Option<Cursor>,
}
operation! { ListProducts => ProductList, "product.list", Get "/api/products", Anyone, 200, "Searches and lists products." }

/// A page of products.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductListView {
    /// The products.
    pub items: Vec<ProductView>,
    /// Send it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<Cursor>,
    /// How many there are in all.
    pub total: u64,
    /// What the whole result is made of.
    pub facets: Facets,
    /// What is left out because its stored data is damaged; not there when nothing is. The same is said by a `Warning` header.
    #[serde(default, skip_serializing_if = "Warnings::is_empty")]
    pub warnings: Warnings,
}

/// What a result is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    /// Categories, those above counted too; the fullest 100.
    pub categories: Vec<CategoryCount>,
    /// The span of prices; null without products.
    pub price: Option<PriceSpan>,
    /// Attributes and options by name, with their most frequent values.
    pub attributes: BTreeMap<String, Vec<ValueCount>>,
}

/// How many products of a result stand in a category or below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryCount {
    /// The category.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// The least and the greatest price of a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceSpan {
    /// The least.
    pub min: Amount,
    /// The greatest.
    pub max: Amount,
}

/// How many products of a result have a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// How many.
    pub count: u64,
}

/// A page of products as parts that are JSON text already.
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

/// Completions of what somebody is typing.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuggestProducts {
    /// What is typed so far.
    #[serde(default)]
    pub q: String,
}
operation! { SuggestProducts => Suggestions, "product.suggest", Get "/api/products/suggest", Anyone, 200, "Up \
to ten completions." }

/// At most ten, best first.
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
    /// Its place in addresses.
    pub slug: String,
    /// What the caller pays now for its cheapest variant.
    pub price: Amount,
    /// What `price` is without price rules.
    pub list_price: Amount,
    /// The currency of both.
    pub currency: Currency,
}

//! Requests and replies about lists of products: search, filters, facets and suggestions.

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
        /// The best match first. Requires `q`.
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

/// Lists products, with search words, filters, an order and facets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ListProducts {
    /// Search words. Small typos are tolerated.
    pub q: Option<String>,
    /// The id or slug of a category. Products in its descendants are included.
    pub category: Option<String>,
    /// The lowest price.
    pub min_price: Option<Amount>,
    /// The highest price.
    pub max_price: Option<Amount>,
    /// Only products that can be sold now, or only those that cannot.
    pub in_stock: Option<bool>,
    /// Values of attributes or of a variant's options, such as `attr.color=red`, ignoring case.
    pub attr: BTreeMap<String, String>,
    /// The status. Any other than ACTIVE requires the permission `product:read`.
    pub status: Option<ProductStatus>,
    /// The order. The default is `relevance` with `q`, otherwise `newest`.
    pub sort: Option<Sort>,
    /// The sales channel, which may affect prices. `WEB` by default.
    pub channel: Option<String>,
    /// Page size.
    pub limit: Limit,
    /// `nextCursor` of the previous page.
    pub cursor: Option<Cursor>,
}
operation! {
    ListProducts => ProductList, "product.list", Get "/api/products", Anyone, 200,
    "Searches and lists products.", refuses [403]
}

/// A page of products.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductListView {
    /// The products.
    pub items: Vec<ProductView>,
    /// The `cursor` of the next page, or null on the last page.
    pub next_cursor: Option<Cursor>,
    /// The number of products on all pages together.
    pub total: u64,
    /// The facets of the products on all pages together.
    pub facets: Facets,
    /// The products that were left out because their stored data is damaged, absent if there are none. A `Warning`
    /// header says the same.
    #[serde(default, skip_serializing_if = "Warnings::is_empty")]
    pub warnings: Warnings,
}

/// The composition of a list of products.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Facets {
    /// The 100 categories with the most products, counting ancestors too.
    pub categories: Vec<CategoryCount>,
    /// The range of prices, or null if there are no products.
    pub price: Option<PriceSpan>,
    /// Attributes and options by name, each with its most frequent values.
    pub attributes: BTreeMap<String, Vec<ValueCount>>,
}

/// The number of products of a list in a category or its descendants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryCount {
    /// The category's id.
    pub id: CategoryId,
    /// Its name.
    pub name: String,
    /// The number of products.
    pub count: u64,
}

/// The lowest and the highest price in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PriceSpan {
    /// The lowest price.
    pub min: Amount,
    /// The highest price.
    pub max: Amount,
}

/// The number of products of a list with a value of an attribute or option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValueCount {
    /// The value.
    pub value: String,
    /// The number of products.
    pub count: u64,
}

/// A page of products, whose parts are JSON text already.
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
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// Suggests products that complete a partial input.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SuggestProducts {
    /// The input so far.
    #[serde(default)]
    pub q: String,
}
operation! {
    SuggestProducts => Suggestions, "product.suggest", Get "/api/products/suggest", Anyone, 200,
    "Suggests up to ten products that complete the input."
}

/// Up to ten completions, best first.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestions {
    /// The completions.
    pub items: Vec<Suggestion>,
}
json_reply!(Suggestions);

/// A product that completes the input.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// The product's name.
    pub text: String,
    /// The product's id.
    pub product_id: ProductId,
    /// Its own SKU.
    pub sku: Sku,
    /// Its URL slug.
    pub slug: String,
    /// The current price of its cheapest variant for the caller.
    pub price: Amount,
    /// `price` before price rules.
    pub list_price: Amount,
    /// The currency of both prices.
    pub currency: Currency,
}

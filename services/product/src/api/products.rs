//! Requests and replies about products.

use std::collections::BTreeMap;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Currency, Error, Patch, Reply, Response, Sku, Timestamp, json_reply, operation};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::transfer::LineType;
pub use crate::records::ProductStatus;

/// An image. In a request, a string is short for an object with only its `url`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Its address: a URL, or a path of this server.
    pub url: String,
    /// The alternative text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, deny_unknown_fields)]
        enum ImageInput {
            Url(String),
            Object { url: String, alt: Option<String> },
        }
        Ok(match ImageInput::deserialize(d)? {
            ImageInput::Url(url) => Self { url, alt: None },
            ImageInput::Object { url, alt } => Self { url, alt },
        })
    }
}

impl JsonSchema for Image {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Image".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"oneOf": [
            {"type": "string", "maxLength": 2048},
            {
                "type": "object",
                "properties": {
                    "url": {"type": "string", "maxLength": 2048},
                    "alt": {"type": ["string", "null"], "maxLength": 200}
                },
                "required": ["url"]
            }
        ]})
    }
}

/// A variant in a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantInput {
    /// The id of an existing variant, to change its SKU. If omitted, the variant is matched by its current or a former
    /// SKU; otherwise, if exactly one other variant has the same `name` and `options`, that one gets the new SKU;
    /// otherwise it is a new variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<VariantId>,
    /// Its SKU, unique in the shop among current and former ones, ignoring case.
    pub sku: Sku,
    /// What distinguishes it from the other variants, such as `"Large"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its options, such as `{"size": "L"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The unit price, in the store's currency, by default the product's `price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// A former or recommended price for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Amount>,
    /// The GTIN or another number on the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// The merchant's unit cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// Declares a request that has the members of a product and some of its own. With `into`, it also gets a conversion
/// into [`ProductChange`], which has no others.
macro_rules! product_members {
    ($(#[$meta:meta])* $name:ident { $($(#[$extra_meta:meta])* $extra:ident: $extra_type:ty,)* } $into:ident) => {
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$extra_meta])* pub $extra: $extra_type,)*
            /// The product's own SKU, with several variants by default that of the first one. 409 `SKU_TAKEN` if
            /// another product has or had it.
            #[schemars(with = "Sku")]
            pub sku: Patch<Sku>,
            /// Its name, 1–200 characters.
            #[schemars(with = "String")]
            pub name: Patch<String>,
            /// Its URL slug, by default derived from the name.
            pub slug: Patch<String>,
            /// The description, up to 20,000 characters.
            pub description: Patch<String>,
            /// The status, ACTIVE by default.
            #[schemars(with = "Option<ProductStatus>")]
            pub status: Patch<ProductStatus>,
            /// The unit price, in the store's currency.
            #[schemars(with = "Amount")]
            pub price: Patch<Amount>,
            /// A former or recommended price for comparison.
            pub compare_at_price: Patch<Amount>,
            /// The merchant's unit cost.
            pub cost: Patch<Amount>,
            /// The GTIN or another number on the package.
            pub barcode: Patch<String>,
            /// The ids of its categories, up to 20.
            pub category_ids: Patch<Vec<CategoryId>>,
            /// Its attributes, such as `{"color": "red"}`, up to 50. In a patch, null removes an attribute.
            pub attributes: Patch<BTreeMap<String, Option<String>>>,
            /// Its images, up to 20.
            pub images: Patch<Vec<Image>>,
            /// One of the store's tax classes, STANDARD by default.
            #[schemars(with = "Option<String>")]
            pub tax_class: Patch<String>,
            /// The weight of a unit, in grams.
            pub weight_grams: Patch<u32>,
            /// Whether promotions may discount it, true by default.
            #[schemars(with = "Option<bool>")]
            pub discountable: Patch<bool>,
            /// The lowest unit price after discounts.
            pub floor_price: Patch<Amount>,
            /// The variants, up to 100. If omitted, the product is its own only variant.
            pub variants: Patch<Vec<VariantInput>>,
        }
        product_members!(@$into $name);
    };
    (@change $name:ident) => {};
    (@into $name:ident) => {
        impl From<$name> for ProductChange {
            fn from(it: $name) -> Self {
                Self {
                    sku: it.sku, name: it.name, slug: it.slug, description: it.description, status: it.status,
                    price: it.price, compare_at_price: it.compare_at_price, cost: it.cost, barcode: it.barcode,
                    category_ids: it.category_ids, attributes: it.attributes, images: it.images,
                    tax_class: it.tax_class, weight_grams: it.weight_grams, discountable: it.discountable,
                    floor_price: it.floor_price, variants: it.variants,
                }
            }
        }
    };
}

product_members! {
    /// A change to a product: a request to create or update it, or a row of an import.
    ProductChange {} change
}
product_members! {
    /// A product in an import of JSON lines.
    ProductLine {
        /// `PRODUCT`, or nothing.
        r#type: Option<LineType>,
        /// The currency of its amounts. It must be the store's.
        currency: Option<Currency>,
        /// The slugs of its categories, in place of `categoryIds`, which mean nothing in another shop.
        categories: Option<Vec<String>>,
    } into
}
product_members! {
    /// Creates a product.
    #[schemars(extend("required" = ["name"]))]
    CreateProduct {} into
}
product_members! {
    /// Updates members of a product (JSON Merge Patch). The list of `variants` is replaced as a whole. Stock, carts,
    /// sales and orders refer to a variant's id, so a variant keeps them when its SKU changes. Its former SKU still
    /// finds it and cannot be assigned to another variant.
    UpdateProduct {
        /// The product's id.
        id: ProductKey,
    } into
}
operation! {
    CreateProduct => ProductView, "product.create", Post "/api/products", Permission("product:write"), 201,
    "Creates a product.", keyed
}
operation! {
    UpdateProduct => ProductView, "product.update", Patch "/api/products/{id}", Permission("product:write"), 200,
    "Updates a product."
}

/// A product's id in a request whose members all have defaults. It always comes from the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProductKey(#[schemars(with = "ProductId")] Option<ProductId>);

impl ProductKey {
    /// The id, or 404 if it is absent.
    pub fn get(self) -> Result<ProductId, Error> {
        self.0.ok_or_else(|| Error::not_found("product"))
    }
}

impl From<ProductId> for ProductKey {
    fn from(id: ProductId) -> Self {
        Self(Some(id))
    }
}

/// Archives a product. Changing its `status` reactivates it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveProduct {
    /// The product's id.
    pub id: ProductId,
}
operation! {
    ArchiveProduct => (), "product.archive", Delete "/api/products/{id}", Permission("product:write"), 204,
    "Archives a product. Past orders keep their data."
}

/// Gets a product by id.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetProduct {
    /// The product's id.
    pub id: ProductId,
    /// The sales channel, which may affect prices. `WEB` by default.
    pub channel: Option<String>,
}
operation! { GetProduct => ProductPage, "product.get", Get "/api/products/{id}", Anyone, 200, "Gets a product by id." }

/// Gets a product by SKU.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetProductBySku {
    /// The product's or a variant's SKU, current or former, ignoring case.
    pub sku: Sku,
    /// The sales channel, which may affect prices. `WEB` by default.
    pub channel: Option<String>,
}
operation! {
    GetProductBySku => ProductPage, "product.get_by_sku", Get "/api/products/sku/{sku}", Anyone, 200,
    "Gets a product by its own SKU or that of a variant."
}

/// Gets a product by slug.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetProductBySlug {
    /// Its URL slug.
    pub slug: String,
    /// The sales channel, which may affect prices. `WEB` by default.
    pub channel: Option<String>,
}
operation! {
    GetProductBySlug => ProductPage, "product.get_by_slug", Get "/api/products/slug/{slug}", Anyone, 200,
    "Gets a product by slug."
}

/// A product.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductView {
    /// The product's id.
    pub id: ProductId,
    /// Its own SKU.
    pub sku: Sku,
    /// Its name.
    pub name: String,
    /// Its URL slug.
    pub slug: String,
    /// The description.
    pub description: String,
    /// The status.
    pub status: ProductStatus,
    /// The current price of its cheapest variant for the caller.
    pub price: Amount,
    /// A former or recommended price of that variant, for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Amount>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The ids of its categories.
    pub category_ids: Vec<CategoryId>,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Its images.
    pub images: Vec<Image>,
    /// Its tax class.
    pub tax_class: String,
    /// The weight of a unit, in grams.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_grams: Option<u32>,
    /// Whether promotions may discount it.
    pub discountable: bool,
    /// The lowest unit price after discounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_price: Option<Amount>,
    /// `price` before price rules.
    pub list_price: Amount,
    /// The variants. A simple product is its own only variant.
    pub variants: Vec<VariantView>,
    /// The version, which every change increments. It is the `ETag`.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// The units that can be sold now, over all variants, or null if there is no limit (`backorder`).
    // It comes last so that it can be appended to a rendered product.
    pub available: Option<u32>,
}
json_reply!(ProductView, etag version);

/// A variant.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantView {
    /// The variant's id, which stays the same when its SKU changes.
    pub id: VariantId,
    /// Its SKU.
    pub sku: Sku,
    /// Its former SKUs, which still find it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_skus: Vec<Sku>,
    /// What distinguishes it from the other variants. Empty for a simple product.
    pub name: String,
    /// Its options, such as `{"size": "L"}`.
    pub options: BTreeMap<String, String>,
    /// The current unit price for the caller.
    pub price: Amount,
    /// `price` before price rules.
    pub list_price: Amount,
    /// A former or recommended price, for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Amount>,
    /// The GTIN or another number on the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// The merchant's unit cost, which requires the permission `product:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// A product as JSON text, which is cached apart from its stock.
#[derive(Debug)]
pub struct ProductPage {
    pub(crate) version: i64,
    pub(crate) json: bytes::Bytes,
}

impl Reply for ProductPage {
    const VERSIONED: bool = true;

    fn respond(self, status: u16) -> Result<Response, Error> {
        let headers = vec![("etag", format!("\"{}\"", self.version))];
        Ok(Response { status, headers, content: promox_kernel::Content::Json(self.json) })
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<ProductView>())
    }
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

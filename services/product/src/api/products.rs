//! Products: their members in requests, and how they are shown.

use std::collections::BTreeMap;

use promox_contract::ids::{CategoryId, ProductId, VariantId};
use promox_kernel::{Amount, Currency, Error, Patch, Reply, Response, Sku, Timestamp, json_reply, operation};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

pub use crate::records::ProductStatus;

/// A picture: in requests also just its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Where it is: `https://…` or a path of this server.
    pub url: String,
    /// What it shows, for those who cannot see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, deny_unknown_fields)]
        enum Written {
            Address(String),
            Whole { url: String, alt: Option<String> },
        }
        Ok(match Written::deserialize(d)? {
            Written::Address(url) => Self { url, alt: None },
            Written::Whole { url, alt } => Self { url, alt },
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

/// A variant as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantInput {
    /// Which variant of the product it is, when it is to have another SKU. Left out, it is the one that has or had the SKU;
    /// else, if one variant only is left with the same `name` and `options`, that one under another SKU; else a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<VariantId>,
    /// Its SKU, unique in the shop without regard to case, also among former ones.
    pub sku: Sku,
    /// What tells it from its siblings, `"Large"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `{"size": "L"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// What one costs; left out, the product's `price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Amount>,
    /// A former or recommended price to show beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Amount>,
    /// GTIN or another number on the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// What one cost the merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// States a request with the members of a product; those of [`ProductChange`] are the list itself.
macro_rules! product_members {
    ($(#[$meta:meta])* $name:ident { $($(#[$extra_meta:meta])* $extra:ident: $extra_type:ty,)* } $into:ident) => {
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", default)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$extra_meta])* pub $extra: $extra_type,)*
            /// The product's own SKU; with several variants, by default the first one's. 409 `SKU_TAKEN` when another product
            /// has it or had it.
            pub sku: Patch<Sku>,
            /// Its name, 1–200 characters.
            pub name: Patch<String>,
            /// Its place in addresses; by default made from the name.
            pub slug: Patch<String>,
            /// What it is, at most 20,000 characters.
            pub description: Patch<String>,
            /// ACTIVE unless said.
            pub status: Patch<ProductStatus>,
            /// What one costs, in the store's currency.
            pub price: Patch<Amount>,
            /// A former or recommended price to show beside it.
            pub compare_at_price: Patch<Amount>,
            /// What one cost the merchant.
            pub cost: Patch<Amount>,
            /// GTIN or another number on the package.
            pub barcode: Patch<String>,
            /// The categories that it stands in, at most 20.
            pub category_ids: Patch<Vec<CategoryId>>,
            /// `{"color": "red"}`, at most 50; in a patch, null takes a member away.
            pub attributes: Patch<BTreeMap<String, Option<String>>>,
            /// Its pictures, at most 20.
            pub images: Patch<Vec<Image>>,
            /// Which tax rate applies: one of the store's tax classes, STANDARD unless said.
            pub tax_class: Patch<String>,
            /// Weight of one.
            pub weight_grams: Patch<u32>,
            /// Whether promotions may touch it; true unless said.
            pub discountable: Patch<bool>,
            /// The least a unit may cost after discounts.
            pub floor_price: Patch<Amount>,
            /// What is sold, at most 100; left out, the product is its own one variant.
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
    /// What is said about a product: a line of an import, or what a create or update asks.
    ProductChange {} change
}
product_members! {
    /// Puts a product into the catalogue.
    #[schemars(extend("required" = ["name"]))]
    CreateProduct {} into
}
product_members! {
    /// Changes members of a product (JSON Merge Patch); `variants` are replaced as a whole. Stock, carts, sales and orders hang
    /// on a variant's id: under another SKU it keeps them, and its former SKU goes on to find it and is given to no other.
    UpdateProduct {
        /// Which.
        id: ProductKey,
    } into
}
operation! { CreateProduct => ProductView, "product.create", Post "/api/products", Permission("product:write"), 201, "\
Creates a product.", keyed }
operation! { UpdateProduct => ProductView, "product.update", Patch "/api/products/{id}", Permission("product:write"), 200, "\
Updates a product." }

/// A product's id in a request whose other members all have defaults; the path always gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ProductKey(Option<ProductId>);

impl ProductKey {
    /// The id, or 404.
    pub fn get(self) -> Result<ProductId, Error> {
        self.0.ok_or_else(|| Error::not_found("product"))
    }
}

impl From<ProductId> for ProductKey {
    fn from(id: ProductId) -> Self {
        Self(Some(id))
    }
}

/// Takes a product off the shelf for good; it can be brought back by its `status`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveProduct {
    /// Which.
    pub id: ProductId,
}
operation! { ArchiveProduct => (), "product.archive", Delete "/api/products/{id}", Permission("product:write"), 204, "\
Archives a product; past orders keep their data." }

/// One product.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetProduct {
    /// Which.
    pub id: ProductId,
    /// Where it would be sold, for its price: `WEB` unless said.
    pub channel: Option<String>,
}
operation! { GetProduct => ProductPage, "product.get", Get "/api/products/{id}", Anyone, 200, "A product by id." }

/// One product by a SKU.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetProductBySku {
    /// The product's or a variant's, present or former, in any case of letters.
    pub sku: Sku,
    /// Where it would be sold, for its price: `WEB` unless said.
    pub channel: Option<String>,
}
operation! { GetProductBySku => ProductPage, "product.get_by_sku", Get "/api/products/sku/{sku}", Anyone, 200, "\
A product by its own SKU or a variant's." }

/// One product by its slug.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GetProductBySlug {
    /// Its place in addresses.
    pub slug: String,
    /// Where it would be sold, for its price: `WEB` unless said.
    pub channel: Option<String>,
}
operation! { GetProductBySlug => ProductPage, "product.get_by_slug", Get "/api/products/slug/{slug}", Anyone, 200, "\
A product by slug." }

/// A product as it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProductView {
    /// The product.
    pub id: ProductId,
    /// Its own SKU.
    pub sku: Sku,
    /// Its name.
    pub name: String,
    /// Its place in addresses.
    pub slug: String,
    /// What it is.
    pub description: String,
    /// Where it stands.
    pub status: ProductStatus,
    /// What the caller pays now for its cheapest variant.
    pub price: Amount,
    /// A former or recommended price of that variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Amount>,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The categories that it stands in.
    pub category_ids: Vec<CategoryId>,
    /// What it is like.
    pub attributes: BTreeMap<String, String>,
    /// Its pictures.
    pub images: Vec<Image>,
    /// Which tax rate applies.
    pub tax_class: String,
    /// Weight of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_grams: Option<u32>,
    /// Whether promotions may touch it.
    pub discountable: bool,
    /// The least a unit may cost after discounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_price: Option<Amount>,
    /// What `price` is without price rules.
    pub list_price: Amount,
    /// What is sold; a simple product is its own one variant.
    pub variants: Vec<VariantView>,
    /// Counts changes: the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// How many can be sold now, over all variants; null when there is no bound (`backorder`). Last, so that it can be
    /// added to a rendered product.
    pub available: Option<u32>,
}
json_reply!(ProductView, etag version);

/// A variant as it is shown.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariantView {
    /// The variant: it stays the same whatever its SKU becomes.
    pub id: VariantId,
    /// Its SKU.
    pub sku: Sku,
    /// The SKUs that it had before; they still find it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub former_skus: Vec<Sku>,
    /// What tells it from its siblings; empty for a simple product.
    pub name: String,
    /// `{"size": "L"}`.
    pub options: BTreeMap<String, String>,
    /// What the caller pays for one now.
    pub price: Amount,
    /// What `price` is without price rules.
    pub list_price: Amount,
    /// A former or recommended price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare_at_price: Option<Amount>,
    /// GTIN or another number on the package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub barcode: Option<String>,
    /// What one cost the merchant; only for `product:read`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
}

/// A product as JSON text: pages are made of rendered parts that memory keeps.
#[derive(Debug)]
pub struct ProductPage {
    pub(crate) version: i64,
    pub(crate) json: bytes::Bytes,
}

impl Reply for ProductPage {
    fn respond(self, status: u16) -> Result<Response, Error> {
        let headers = vec![("etag", format!("\"{}\"", self.version))];
        Ok(Response { status, headers, content: promox_kernel::Content::Json(self.json) })
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<ProductView>())
    }
    fn kept(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

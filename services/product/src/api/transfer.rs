//! Requests to import and export whole catalogs.

use promox_contract::import::ImportReport;
use promox_kernel::{Body, Download, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Creates or updates products by SKU. A faulty row is reported and does not affect the others. A row that states another
/// `currency` than the store's is refused.
///
/// Lines of JSON with `"type": "CATEGORY"` create or update categories by their slugs, with `name`, `parent` (the parent's
/// slug) and `position`; products name their categories by slugs in `categories`. So an export of JSON lines moves a catalog
/// with its categories to another shop. An export of CSV needs the categories there, because its rows only name them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportProducts {
    /// Whether the report says only what an import would do, and nothing is changed. Lines of categories are judged after
    /// all earlier ones, products after those of the same 200 rows.
    #[serde(default)]
    pub dry_run: bool,
    /// Rows of CSV with a header (`sku,name,price,…`, with `attr.NAME` and `option.NAME` for attributes and options,
    /// lists separated by `|`, and `productSku` for the product that a variant belongs to), or one product or category as
    /// JSON per line. CSV may be UTF-8 or UTF-16, with commas, semicolons or tabs between its columns; without commas there,
    /// amounts may have a decimal comma. A quote that is never closed costs only its own row.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! {
    ImportProducts => ImportReport, "product.import", Post "/api/products/import", Permission("product:write"), 200,
    "Creates and updates products by SKU.", stream ["text/csv", "application/x-ndjson"], body
}

text_enum! {
    /// The format of an export.
    ExportFormat {
        /// One row per variant.
        Csv = "csv",
        /// One category or product as JSON per line.
        Ndjson = "ndjson",
    }
}

text_enum! {
    /// What a line of an import describes.
    LineType {
        /// A category.
        Category = "CATEGORY",
        /// A product, as without a type.
        Product = "PRODUCT",
    }
}

/// A category in an import or export of JSON lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CategoryLine {
    /// `CATEGORY`.
    pub r#type: LineType,
    /// Its URL slug, by which an existing one is recognised.
    pub slug: String,
    /// Its name, 1–100 characters.
    pub name: String,
    /// The slug of its parent, which must exist or be in an earlier line; none at the top level.
    #[serde(default)]
    pub parent: Option<String>,
    /// Its position among the categories of the same parent.
    #[serde(default)]
    pub position: u32,
}

/// Exports the whole catalog in a format that can be imported. Every row states the currency of its prices. Lines of JSON
/// begin with the categories.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportProducts {
    /// The format. If omitted, the `Accept` header chooses between `text/csv` and `application/x-ndjson`; `csv` by
    /// default.
    pub format: Option<ExportFormat>,
}
operation! {
    ExportProducts => Download, "product.export", Get "/api/products/export", Permission("product:write"), 200,
    "Exports every product in a format that can be imported. A row whose stored data is damaged is left out; the \
    stream then ends with an error, so that the client can tell that it is incomplete, and the log names the row.",
    sends ["text/csv", "application/x-ndjson"]
}

//! Requests to import and export whole catalogs.

use promox_contract::import::ImportReport;
use promox_kernel::{Body, Download, operation, text_enum};
use schemars::JsonSchema;
use serde::Deserialize;

/// Creates or updates products by SKU. A faulty row is reported and does not affect the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportProducts {
    /// Rows of CSV with a header (`sku,name,price,…`, with `attr.NAME` and `option.NAME` for attributes and options,
    /// lists separated by `|`, and `productSku` for the product that a variant belongs to), or one product as JSON per
    /// line.
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
        /// One product as JSON per line.
        Ndjson = "ndjson",
    }
}

/// Exports the whole catalog in a format that can be imported.
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

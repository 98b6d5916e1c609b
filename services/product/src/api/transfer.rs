//! Import and export of whole catalogs.

use promox_contract::import::ImportReport;
use promox_kernel::{Body, Download, operation, text_enum};
use schemars::JsonSchema;
use serde::Deserialize;

/// Creates or updates products by SKU. A bad row does not affect the others.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportProducts {
    /// Rows of CSV with a header (`sku,name,price,…`, `attr.NAME` and `option.NAME` for attributes and options, lists
    /// separated by `|`, `productSku` for the product that a variant belongs to), or one product in JSON a line.
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

/// The whole catalog in a format of the import.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportProducts {
    /// If omitted, the `Accept` header chooses: `text/csv` or `application/x-ndjson`; otherwise `csv`.
    pub format: Option<ExportFormat>,
}
operation! {
    ExportProducts => Download, "product.export", Get "/api/products/export", Permission("product:write"), 200,
    "Exports every product in a format of the import. A row whose stored data is damaged is left out; the stream then \
    ends with an error, so that the client can tell that it is incomplete, and the log names the row."
}

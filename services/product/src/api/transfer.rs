//! Whole catalogues in and out.

use promox_kernel::{Body, Download, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Puts products into the catalogue or changes them, by SKU. One bad row harms no other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportProducts {
    /// Rows of CSV with a header (`sku,name,price,…`, `attr.NAME` and `option.NAME` for attributes and options, lists
    /// separated by `|`, `productSku` for the product that a variant belongs to), or one product in JSON a line.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! { ImportProducts => ImportReport, "product.import", Post "/api/products/import", Permission("product:write"), 200, "Creates and updates products by SKU.", stream ["text/csv", "application/x-ndjson"], body }

/// What became of the rows of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Rows that made a product.
    pub created: u64,
    /// Rows that changed one.
    pub updated: u64,
    /// Rows that said nothing new.
    pub skipped: u64,
    /// Rows that were refused.
    pub failed: u64,
    /// Why, for the first 1,000 of them.
    pub errors: Vec<RowError>,
}
json_reply!(ImportReport);

/// Why a row was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowError {
    /// Which row, from 1; a CSV's header is not counted.
    pub row: u64,
    /// Stable code, UPPER_SNAKE.
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl ImportReport {
    /// Errors that are listed at most; all are counted.
    const MOST_ERRORS: usize = 1_000;

    /// Notes a refused row.
    pub(crate) fn refuse(&mut self, row: u64, code: impl Into<String>, detail: impl Into<String>) {
        self.failed += 1;
        if self.errors.len() < Self::MOST_ERRORS {
            self.errors.push(RowError { row, code: code.into(), detail: detail.into() });
        }
    }
}

text_enum! {
    /// How an export is written.
    ExportFormat {
        /// A row a variant.
        Csv = "csv",
        /// A product in JSON a line.
        Ndjson = "ndjson",
    }
}

/// The whole catalogue in a form that the import takes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportProducts {
    /// Left out, the header `Accept` chooses: `text/csv` or `application/x-ndjson`; `csv` when it leaves that open.
    pub format: Option<ExportFormat>,
}
operation! { ExportProducts => Download, "product.export", Get "/api/products/export", Permission("product:write"), 200, "Every product, in a form that the import takes." }

//! Requests and replies of the import and export of past orders.

use promox_contract::import::ImportReport;
use promox_kernel::{Amount, Body, Download, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Imports past orders and credit notes. A document is imported as a whole or not at all; one that was imported before
/// is replaced as a whole.
///
/// NDJSON: one document per line,
/// `{type?,number,date,status?,userId?,customer?,email?,currency?,pricesIncludeTax?,lines:[{sku,
/// name?,quantity,unitPrice,listPrice?,discount?,tax?,…}],shipping?,points?,total?,payment?,refunds?,shippingAddress?,
/// billingAddress?,fulfilments?,returns?,appliedPromotions?,promotionUses?,channel?,note?,attributes?}`, as the export
/// writes it. CSV: one row per line of a document, with the columns `number` (or `InvoiceNo`), `sku` (`StockCode`),
/// `name` (`Description`), `quantity`, `date` (`InvoiceDate`), `unitPrice`, and optionally all others of the export;
/// rows of a document must be consecutive, and the document's own members are read from its first row.
///
/// `type` is `ORDER` or `CREDIT_NOTE`; by default, a number that begins with C with negative quantities is a credit
/// note. Gifts and free orders are accepted; in a file with the column `InvoiceNo`, as other systems write it, rows
/// without a price are stock write-offs and are left out. A date without a zone is in the store's time zone. Defaults
/// are those of a sale that was paid and delivered, with prices that include tax. Ids of accounts, products,
/// promotions, campaigns and flash sales are those of the original shop: figures use them, and no account here sees the
/// order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportOrders {
    /// The stream.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! {
    ImportOrders => OrderImportReport, "order.import", Post "/api/orders/import", Permission("order:import"), 200,
    "Imports past orders and credit notes from another system.",
    stream ["text/csv", "application/x-ndjson"], body
}

text_enum! {
    /// The format of an export of orders.
    HistoryFormat {
        /// One row per line of a document.
        Csv = "csv",
        /// One document as JSON per line.
        Ndjson = "ndjson",
    }
}

/// Exports all orders and credit notes in a format of the import, oldest first, the credit notes after the orders.
///
/// Includes lines (also gifts at zero), taxes, shipping, addresses, payment, refunds, points, promotions, parcels and
/// approved returns, whatever the order's status. Orders that are still being decided (PENDING) are left out, and so
/// are timelines and returns that were not approved. Imported into an empty shop it gives the same order figures, and
/// the same export. Visits, coupons and points have ledgers of their own, which are not included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportHistory {
    /// If omitted, the `Accept` header chooses: `application/x-ndjson` or `text/csv`; otherwise `ndjson`.
    #[serde(default)]
    pub format: Option<HistoryFormat>,
}
operation! {
    ExportHistory => Download, "order.export", Get "/api/orders/export", Permission("order:read"), 200,
    "Exports all orders and credit notes in the format of the import: NDJSON, or CSV by Accept or format."
}

/// The report of an import of orders. `created`, `updated` and `skipped` count documents, `failed` counts faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderImportReport {
    /// The report of the documents.
    #[serde(flatten)]
    pub report: ImportReport,
    /// Orders among the documents, with their rows and total.
    pub orders: Part,
    /// Credit notes among the documents, with their rows and total.
    pub credit_notes: Part,
}
json_reply!(OrderImportReport);

/// A part of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Documents.
    pub documents: u64,
    /// Their rows.
    pub rows: u64,
    /// Their total.
    pub total: Amount,
}

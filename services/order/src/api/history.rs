//! Requests and replies of the import and export of past orders.

use promox_contract::import::ImportReport;
use promox_kernel::{Amount, Body, Download, json_reply, operation, text_enum};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Imports past orders and credit notes. A document is imported as a whole or not at all. A document with the number of
/// one that was imported before replaces it.
///
/// NDJSON: one document per line,
/// `{type?,number,date,status?,userId?,customer?,email?,currency?,pricesIncludeTax?,lines:[{sku,
/// name?,quantity,unitPrice,listPrice?,discount?,tax?,…}],shipping?,points?,total?,payment?,refunds?,shippingAddress?,
/// billingAddress?,fulfilments?,returns?,appliedPromotions?,promotionUses?,channel?,note?,attributes?}`, which is what
/// the export writes. CSV: one row per line of a document, with the columns `number` (or `InvoiceNo`), `sku`
/// (`StockCode`), `name` (`Description`), `quantity`, `date` (`InvoiceDate`), `unitPrice`, and optionally all others of
/// the export. The rows of a document must be consecutive; the document's own members are read from its first row.
///
/// `type` is `ORDER` or `CREDIT_NOTE`; without it, a document whose number begins with C and whose quantities are
/// negative is a credit note. Gifts and free orders are accepted. In a file with the column `InvoiceNo`, which comes
/// from another system, rows without a price are stock write-offs and are left out. A date without a time zone is in
/// the store's. The defaults are those of a sale that was paid and delivered, with prices that include tax. Ids of
/// accounts, products, promotions, campaigns and flash sales are those of the original shop: only figures use them, and
/// no account of this shop sees the order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportOrders {
    /// The file, as a stream.
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

/// Exports all orders, oldest first, and then all credit notes, in a format that the import reads.
///
/// The export has lines (including gifts at a price of zero), taxes, shipping, addresses, payment, refunds, points,
/// promotions, parcels and approved returns of orders with any status but PENDING. Timelines and returns that were not
/// approved are left out. Imported into an empty shop, the file leads to the same order figures and the same export.
/// Visits, coupons and points have ledgers of their own, which are not included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportHistory {
    /// The format; by default the one that the `Accept` header prefers (`application/x-ndjson` or `text/csv`), or
    /// `ndjson`.
    #[serde(default)]
    pub format: Option<HistoryFormat>,
}
operation! {
    ExportHistory => Download, "order.export", Get "/api/orders/export", Permission("order:read"), 200,
    "Exports all orders and credit notes in a format that the import reads: NDJSON or CSV.",
    sends ["application/x-ndjson", "text/csv"]
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

/// The totals of one type of document in an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "HistoryPart")]
pub struct Part {
    /// The number of documents.
    pub documents: u64,
    /// The number of their lines.
    pub rows: u64,
    /// The sum of their goods' prices after discounts.
    pub total: Amount,
}

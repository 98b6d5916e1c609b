//! Import and export of past orders and credit notes, with their original prices and dates.
//!
//! Stock, payments and messages are not affected. A document is imported as a whole or not at all, and replaced as a
//! whole; a faulty one is reported and does not affect others. The import reads what the export writes, so that an
//! empty shop gets the same figures.

mod check;
mod document;
mod export;
mod read;
mod table;
mod write;

use std::sync::Arc;
use std::time::Duration;

use promox_contract::import::{ImportReport, RowError, RowOutcome};
use promox_contract::settings::Settings;
use promox_contract::store::write_amounts;
use promox_kernel::{Amount, Body, Cx, Download, Error, Handle, json_reply, operation, text_enum};
use promox_storage::{Lane, Tx};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Orders;

/// The approximate number of rows written in one transaction.
const CHUNK_ROWS: usize = 2_000;
/// The tolerated lead of another system's clock or time zone over ours.
const CLOCKS_APART: Duration = Duration::from_hours(24);
/// Maximum documents written in one transaction.
const CHUNK_DOCUMENTS: usize = 200;

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

impl OrderImportReport {
    fn count(&mut self, document: &check::Checked, outcome: RowOutcome) {
        self.report.count(Ok(outcome));
        let part = if document.is_credit() { &mut self.credit_notes } else { &mut self.orders };
        part.documents += 1;
        part.rows += document.rows as u64;
        part.total += document.goods();
    }
}

impl Handle<ImportOrders> for Orders {
    async fn handle(&self, cx: &Cx, op: ImportOrders) -> Result<OrderImportReport, Error> {
        let settings = self.settings.get(cx).await?;
        // An import that ended early may have left orders.
        let taken = |done: &Result<OrderImportReport, Error>| {
            let written = |report: &ImportReport| report.created + report.updated + report.skipped > 0;
            done.as_ref().map_or(true, |done| written(&done.report))
        };
        write_amounts(cx, settings.store.currency, self.import(cx, &settings, op), taken).await
    }
}

impl Orders {
    async fn import(&self, cx: &Cx, settings: &Settings, op: ImportOrders) -> Result<OrderImportReport, Error> {
        let zone = jiff::tz::TimeZone::get(&settings.store.timezone).map_err(Error::internal)?;
        let terms = check::Terms { currency: settings.store.currency, zone, latest: cx.now + CLOCKS_APART };
        // Two chunks in progress, so that reading and writing overlap.
        let (sender, chunks) = flume::bounded(2);
        let reading = tokio::task::spawn_blocking(move || read::read(op.body, terms, sender));
        let mut report = OrderImportReport::default();
        while let Ok(chunk) = chunks.recv_async().await {
            self.take_chunk(cx, chunk, &mut report).await?;
        }
        reading.await.map_err(Error::internal)??;
        report.report.errors.sort_by_key(|error| error.row);
        Ok(report)
    }
}

impl Handle<ExportHistory> for Orders {
    async fn handle(&self, cx: &Cx, op: ExportHistory) -> Result<Download, Error> {
        export::export(&self.db, export::format(cx, op.format)?)
    }
}

impl Orders {
    async fn take_chunk(&self, cx: &Cx, chunk: read::Chunk, report: &mut OrderImportReport) -> Result<(), Error> {
        chunk.errors.into_iter().for_each(|error| report.report.refuse(error));
        let documents = Arc::new(chunk.documents);
        let written = documents.clone();
        let take = move |tx: &mut Tx<'_>| {
            written.iter().map(|(_, document)| write::upsert(tx, document)).collect::<Result<Vec<_>, Error>>()
        };
        let outcomes = self.db.write_in(cx, Lane::Bulk, take).await?;
        for ((row, document), outcome) in documents.iter().zip(outcomes) {
            if let Some(outcome) = outcome {
                report.count(document, outcome);
            } else {
                let detail = format!("{} is the number of an order that was placed here", document.number);
                report.report.refuse(RowError::new(*row, "NUMBER_TAKEN", detail));
            }
        }
        Ok(())
    }
}

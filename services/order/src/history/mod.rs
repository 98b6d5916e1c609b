//! Past orders and credit notes, in from another system and out again, with the prices and dates they had.
//!
//! No stock, payment or message moves. A document is taken whole or not at all, and replaced whole; what is wrong with one is
//! reported and harms no other. What the export writes the import reads, so that an empty shop comes to the same figures by it.

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

/// Rows that one transaction writes, about.
const CHUNK_ROWS: usize = 2_000;
/// How far the other system's clock, or its idea of a time zone, may be ahead of ours.
const CLOCKS_APART: Duration = Duration::from_hours(24);
/// Documents that one transaction writes at most.
const CHUNK_DOCUMENTS: usize = 200;

/// Takes past orders and credit notes. A document is taken whole or not at all; one that was taken before is replaced whole.
///
/// NDJSON: a document a line, `{type?,number,date,status?,userId?,customer?,email?,currency?,pricesIncludeTax?,lines:[{sku,
/// name?,quantity,unitPrice,listPrice?,discount?,tax?,…}],shipping?,points?,total?,payment?,refunds?,shippingAddress?,
/// billingAddress?,fulfilments?,returns?,appliedPromotions?,promotionUses?,channel?,note?,attributes?}`, as the export writes
/// it. CSV: a line of a document a row, with the columns `number` (or `InvoiceNo`), `sku` (`StockCode`), `name`
/// (`Description`), `quantity`, `date` (`InvoiceDate`), `unitPrice`, and optionally all others of the export; rows of a document
/// stand together, and what is of the document as a whole is read from its first row.
///
/// `type` is `ORDER` or `CREDIT_NOTE`; where nothing says it, a number that begins with C with negative quantities is a credit
/// note. Gifts and free orders are taken; in a file with the column `InvoiceNo`, as other systems write it, rows without a
/// price are stock that was written down and are left out. A date without a zone is the store's time. What is left out is as in
/// a sale that was paid and delivered, with prices that include their tax. Ids of accounts, products, promotions, campaigns and
/// flash sales are those of the shop that the document comes from: figures go by them, and no account here sees the order.
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
    /// How an export of orders is written.
    HistoryFormat {
        /// A line of a document a row.
        Csv = "csv",
        /// A document in JSON a line.
        Ndjson = "ndjson",
    }
}

/// Every order and every credit note in the form that the import takes, oldest first, the credit notes behind the orders.
///
/// With lines (gifts at zero among them), taxes, shipping, addresses, payment, refunds, points, promotions, parcels and approved
/// returns, whatever became of the order. An order that is still being decided (PENDING) is left out, and so are the diary of
/// an order and returns that were not approved. Imported into an empty shop it gives the same figures of orders, and the same
/// export. Visits, coupons and points are counted from ledgers of their own, which are not in it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportHistory {
    /// Left out, the header `Accept` chooses: `application/x-ndjson` or `text/csv`; `ndjson` when it leaves that open.
    #[serde(default)]
    pub format: Option<HistoryFormat>,
}
operation! { ExportHistory => Download, "order.export", Get "/api/orders/export", Permission("order:read"), 200, "\
Exports all orders and credit notes in the format of the import: NDJSON, or CSV by Accept or format." }

/// What an import of orders did. `created`, `updated` and `skipped` count documents, `failed` the faults that were found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderImportReport {
    /// What became of the documents.
    #[serde(flatten)]
    pub report: ImportReport,
    /// Orders among the documents, and their rows and goods.
    pub orders: Part,
    /// Credit notes among them, and their rows and goods.
    pub credit_notes: Part,
}
json_reply!(OrderImportReport);

/// A part of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Documents.
    pub documents: u64,
    /// Rows in them.
    pub rows: u64,
    /// What they come to.
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
        // An import that ended half-way may have left orders.
        let taken = |done: &Result<OrderImportReport, Error>| {
            let written = |it: &ImportReport| it.created + it.updated + it.skipped > 0;
            done.as_ref().map_or(true, |done| written(&done.report))
        };
        write_amounts(cx, settings.store.currency, self.import(cx, &settings, op), taken).await
    }
}

impl Orders {
    async fn import(&self, cx: &Cx, settings: &Settings, op: ImportOrders) -> Result<OrderImportReport, Error> {
        let zone = jiff::tz::TimeZone::get(&settings.store.timezone).map_err(Error::internal)?;
        let terms = check::Terms { currency: settings.store.currency, zone, latest: cx.now + CLOCKS_APART };
        // Two chunks on their way, so that reading and writing overlap.
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

//! Past orders and credit notes, in from another system and out again, with the prices and dates they had.
//!
//! No stock, payment or message moves. A document is the rows that share its number; it is taken whole or replaced whole, and
//! a row that cannot be right is reported and left out, never a reason to stop.

mod export;
mod read;
mod write;

use std::time::Duration;

use promox_contract::import::RowError;
use promox_contract::store::write_amounts;
use promox_kernel::{Amount, Body, Cx, Download, Error, Handle, json_reply, operation};
use promox_storage::Lane;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Orders;
use crate::settings::Settings;

/// Row errors that a report lists; more are only counted.
const MOST_ERRORS: usize = 10_000;
/// Rows that one transaction writes, about.
const CHUNK_ROWS: usize = 2_000;
/// How far the other system's clock, or its idea of a time zone, may be ahead of ours.
const CLOCKS_APART: Duration = Duration::from_hours(24);
/// Documents that one transaction writes at most.
const CHUNK_DOCUMENTS: usize = 200;

/// Takes past orders and credit notes.
///
/// CSV: one line of a document a row, with the columns `number` (or `InvoiceNo`), `sku` (`StockCode`), `name` (`Description`),
/// `quantity`, `date` (`InvoiceDate`), `unitPrice`, and optionally `customer` (`CustomerID`) and `email`; rows of a document
/// stand together. NDJSON: a document a line, `{number,date,customer?,email?,lines:[{sku,name,quantity,unitPrice,discount?}]}`.
/// A number that begins with C is a credit note, its quantities are negative. A date without a zone is the store's time.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportOrders {
    /// The stream.
    #[serde(skip)]
    #[schemars(skip)]
    pub body: Body,
}
operation! {
    ImportOrders => ImportReport, "order.import", Post "/api/orders/import", Permission("order:import"), 200,
    "Takes past orders and credit notes from another system.",
    stream ["text/csv", "application/x-ndjson"], body
}

/// Every order that was sold and every credit note, in the form that the import takes: NDJSON, oldest first.
///
/// Goods only: shipping, tax on top and points are not in it, nor are units that came back. Orders that are not decided,
/// failed or were cancelled are left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExportHistory {}
operation! { ExportHistory => Download, "order.export", Get "/api/orders/export", Permission("order:read"), 200, "Every order sold and every credit note, in the form that the import takes." }

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Documents that are new.
    pub created: u64,
    /// Documents that were there and differed.
    pub updated: u64,
    /// Documents that were there and are the same.
    pub skipped: u64,
    /// Rows that were left out.
    pub failed: u64,
    /// Orders among the documents, and their rows and goods.
    pub orders: Part,
    /// Credit notes among them, and their rows and goods.
    pub credit_notes: Part,
    /// Why rows were left out; the first 10,000.
    pub errors: Vec<RowError>,
}
json_reply!(ImportReport);

/// A part of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Documents.
    pub documents: u64,
    /// Rows in them.
    pub rows: u64,
    /// What they come to.
    pub total: Amount,
}

impl ImportReport {
    fn fail(&mut self, error: RowError) {
        self.failed += 1;
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(error);
        }
    }

    fn count(&mut self, document: &read::Document) {
        let part = if document.is_credit { &mut self.credit_notes } else { &mut self.orders };
        part.documents += 1;
        part.rows += document.lines.len() as u64;
        part.total += document.total();
    }
}

impl Handle<ImportOrders> for Orders {
    async fn handle(&self, cx: &Cx, op: ImportOrders) -> Result<ImportReport, Error> {
        let settings = self.settings.get(&self.db).await?;
        // An import that ended half-way may have left orders.
        let taken = |done: &Result<ImportReport, Error>| {
            done.as_ref().map_or(true, |report| report.created + report.updated + report.skipped > 0)
        };
        write_amounts(cx, settings.store.currency, self.import(cx, &settings, op), taken).await
    }
}

impl Orders {
    async fn import(&self, cx: &Cx, settings: &Settings, op: ImportOrders) -> Result<ImportReport, Error> {
        let currency = settings.store.currency;
        let zone = jiff::tz::TimeZone::get(&settings.store.timezone).map_err(Error::internal)?;
        let (sender, documents) = flume_pair();
        let latest = cx.now + CLOCKS_APART;
        let reading = tokio::task::spawn_blocking(move || read::read(op.body, &zone, currency, latest, &sender));
        let mut report = ImportReport::default();
        while let Ok(chunk) = documents.recv_async().await {
            self.take_chunk(cx, chunk, currency, &mut report).await?;
        }
        reading.await.map_err(Error::internal)??;
        report.errors.sort_by_key(|error| error.row);
        Ok(report)
    }
}

impl Handle<ExportHistory> for Orders {
    async fn handle(&self, _: &Cx, _: ExportHistory) -> Result<Download, Error> {
        export::export(&self.db)
    }
}

/// Chunks on their way from the reader to the store: two, so that reading and writing overlap.
fn flume_pair() -> (flume::Sender<read::Chunk>, flume::Receiver<read::Chunk>) {
    flume::bounded(2)
}

impl Orders {
    async fn take_chunk(
        &self,
        cx: &Cx,
        chunk: read::Chunk,
        currency: promox_kernel::Currency,
        report: &mut ImportReport,
    ) -> Result<(), Error> {
        chunk.errors.into_iter().for_each(|error| report.fail(error));
        let documents = std::sync::Arc::new(chunk.documents);
        let written = documents.clone();
        let outcomes = self
            .db
            .write_in(cx, Lane::Bulk, move |tx| {
                written.iter().map(|document| write::upsert(tx, document, currency)).collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        for (document, outcome) in documents.iter().zip(outcomes) {
            match outcome {
                write::Outcome::Created => report.created += 1,
                write::Outcome::Updated => report.updated += 1,
                write::Outcome::Same => report.skipped += 1,
                write::Outcome::Taken => {
                    let detail = format!("{} is an order that was placed here", document.number);
                    report.fail(RowError::new(document.first_row, "NUMBER_TAKEN", detail));
                    continue;
                }
            }
            report.count(document);
        }
        Ok(())
    }
}

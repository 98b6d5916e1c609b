//! Import and export of past orders and credit notes, with their original prices and dates.
//!
//! An import does not affect stock and payments, and sends no messages. A document is imported, or replaces an earlier
//! import of itself, as a whole or not at all; a faulty document is reported and does not affect others. The import
//! reads what the export writes, so that an export leads to the same figures in an empty shop.

mod check;
mod document;
pub(crate) mod export;
mod read;
mod table;
mod write;

use std::sync::Arc;
use std::time::Duration;

use promox_contract::codes;
use promox_contract::import::{ImportReport, RowError, RowOutcome};
use promox_contract::settings::Settings;
use promox_contract::store::write_amounts;
use promox_kernel::{Cx, Error};
use promox_storage::{Lane, Tx};

use crate::Orders;
use crate::api::{ImportOrders, OrderImportReport};

/// Approximate maximum of rows written in one transaction.
const CHUNK_ROWS: usize = 2_000;
/// How far in the future a date may be, because another system's clock or time zone may be ahead of the server's.
const MAX_CLOCK_LEAD: Duration = Duration::from_hours(24);
/// Maximum documents written in one transaction.
const CHUNK_DOCUMENTS: usize = 200;

impl OrderImportReport {
    /// Counts an imported document.
    fn count(&mut self, document: &check::Checked, outcome: RowOutcome) {
        self.report.count(Ok(outcome));
        let part = if document.is_credit() { &mut self.credit_notes } else { &mut self.orders };
        part.documents += 1;
        part.rows += document.rows as u64;
        part.total += document.goods();
    }
}

impl Orders {
    /// Imports a file. It is read on a thread of its own and written in chunks.
    pub(crate) async fn import(&self, cx: &Cx, op: ImportOrders) -> Result<OrderImportReport, Error> {
        let settings = self.settings.get(cx).await?;
        // An import that failed may have written some orders before.
        let has_written = |result: &Result<OrderImportReport, Error>| {
            let has_documents = |report: &ImportReport| report.created + report.updated + report.skipped > 0;
            result.as_ref().map_or(true, |result| has_documents(&result.report))
        };
        write_amounts(cx, settings.store.currency, self.import_file(cx, &settings, op), has_written).await
    }

    /// Reads and writes a file chunk by chunk.
    async fn import_file(&self, cx: &Cx, settings: &Settings, op: ImportOrders) -> Result<OrderImportReport, Error> {
        let zone = jiff::tz::TimeZone::get(&settings.store.timezone).map_err(Error::internal)?;
        let terms = check::Terms { currency: settings.store.currency, zone, latest: cx.now + MAX_CLOCK_LEAD };
        // At most two chunks wait, so that reading and writing overlap in bounded memory.
        let (sender, chunks) = flume::bounded(2);
        let reading = tokio::task::spawn_blocking(move || read::read(op.body, terms, sender));
        let mut report = OrderImportReport::default();
        while let Ok(chunk) = chunks.recv_async().await {
            self.import_chunk(cx, chunk, &mut report).await?;
        }
        report.report.warnings = reading.await.map_err(Error::internal)??;
        report.report.errors.sort_by_key(|error| error.row);
        Ok(report)
    }

    /// Writes one chunk in one transaction, and reports its documents.
    async fn import_chunk(&self, cx: &Cx, chunk: read::Chunk, report: &mut OrderImportReport) -> Result<(), Error> {
        chunk.errors.into_iter().for_each(|error| report.report.refuse(error));
        let documents = Arc::new(chunk.documents);
        let to_write = documents.clone();
        let write = move |tx: &mut Tx<'_>| {
            to_write.iter().map(|(_, document)| write::upsert(tx, document)).collect::<Result<Vec<_>, Error>>()
        };
        let outcomes = self.db.write_in(cx, Lane::Bulk, write).await?;
        for ((row, document), outcome) in documents.iter().zip(outcomes) {
            if let Some(outcome) = outcome {
                report.count(document, outcome);
            } else {
                let detail = format!("{} is the number of an order that was placed in this store", document.number);
                report.report.refuse(RowError::new(*row, codes::NUMBER_TAKEN, detail));
            }
        }
        Ok(())
    }
}

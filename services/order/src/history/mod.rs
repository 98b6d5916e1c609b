//! Import and export of past orders and credit notes, with their original prices and dates.
//!
//! Stock, payments and messages are not affected. A document is imported as a whole or not at all, and replaced as a
//! whole; a faulty one is reported and does not affect others. The import reads what the export writes, so that an
//! empty shop gets the same figures.

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

/// The approximate number of rows written in one transaction.
const CHUNK_ROWS: usize = 2_000;
/// The tolerated lead of another system's clock or time zone over ours.
const CLOCKS_APART: Duration = Duration::from_hours(24);
/// Maximum documents written in one transaction.
const CHUNK_DOCUMENTS: usize = 200;

impl OrderImportReport {
    fn count(&mut self, document: &check::Checked, outcome: RowOutcome) {
        self.report.count(Ok(outcome));
        let part = if document.is_credit() { &mut self.credit_notes } else { &mut self.orders };
        part.documents += 1;
        part.rows += document.rows as u64;
        part.total += document.goods();
    }
}

impl Orders {
    /// Imports a file: reads it on a thread of its own, and writes what is read in chunks.
    pub(crate) async fn import(&self, cx: &Cx, op: ImportOrders) -> Result<OrderImportReport, Error> {
        let settings = self.settings.get(cx).await?;
        // An import that ended early may have left orders.
        let taken = |done: &Result<OrderImportReport, Error>| {
            let written = |report: &ImportReport| report.created + report.updated + report.skipped > 0;
            done.as_ref().map_or(true, |done| written(&done.report))
        };
        write_amounts(cx, settings.store.currency, self.take_file(cx, &settings, op), taken).await
    }

    async fn take_file(&self, cx: &Cx, settings: &Settings, op: ImportOrders) -> Result<OrderImportReport, Error> {
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
                report.report.refuse(RowError::new(*row, codes::NUMBER_TAKEN, detail));
            }
        }
        Ok(())
    }
}

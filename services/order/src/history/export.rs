//! The export: all orders, oldest first, then all credit notes, written while they are read.

use bytes::Bytes;
use promox_contract::order::OrderStatus;
use promox_kernel::{BodyReader, BodySender, Cx, Download, Error};
use promox_storage::{Db, Reader, StoreError, Tx};

use super::document::{self, Document};
use super::table;
use crate::api::HistoryFormat;
use crate::queries;
use crate::records::{CreditNoteByIssued, Fulfilment, FulfilmentByOrder, Order, OrderByCreated, Return, ReturnByOrder};

/// The approximate number of bytes sent at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The requested format, or else the one that the `Accept` header prefers. Refused if the header accepts none.
pub(crate) fn format(cx: &Cx, requested: Option<HistoryFormat>) -> Result<HistoryFormat, Error> {
    let formats = requested.map_or_else(|| vec![HistoryFormat::Ndjson, HistoryFormat::Csv], |format| vec![format]);
    let media_types: Vec<&str> = formats.iter().map(|format| media_type(*format)).collect();
    let chosen = cx.prefers(&media_types)?;
    Ok(formats.into_iter().find(|format| media_type(*format) == chosen).unwrap_or(HistoryFormat::Ndjson))
}

fn media_type(format: HistoryFormat) -> &'static str {
    match format {
        HistoryFormat::Csv => "text/csv",
        HistoryFormat::Ndjson => "application/x-ndjson",
    }
}

/// Starts an export of the current state on a blocking thread. Returns the stream that it writes.
pub(crate) fn export(db: &Db, format: HistoryFormat) -> Result<Download, Error> {
    let snapshot = db.long_read()?;
    let (sender, reader) = BodyReader::pair();
    let database = db.database();
    tokio::task::spawn_blocking(move || {
        let snapshot: &dyn Reader = &*snapshot;
        if let Err(error) = write(&Tx::unbounded(snapshot, database), format, &sender) {
            sender.send_blocking(Err(error));
        }
    });
    let file_name = Some(format!("orders.{format}"));
    Ok(Download { file_name, ..Download::stream(media_type(format), reader) })
}

/// Writes all documents, or stops when the client stops reading.
fn write(tx: &Tx<'_>, format: HistoryFormat, sender: &BodySender) -> Result<(), Error> {
    let mut out = Output { sender, format, buffer: Vec::with_capacity(CHUNK_BYTES), is_open: true };
    if format == HistoryFormat::Csv {
        out.record(table::header())?;
    }
    let mut orders = tx.scan_by::<OrderByCreated>().rows();
    while let Some(order) = orders.next().filter(|_| out.is_open) {
        let order = order?;
        if order.status != OrderStatus::Pending {
            out.document(&order_document(tx, &order)?)?;
        }
    }
    let mut notes = tx.scan_by::<CreditNoteByIssued>().rows();
    while let Some(note) = notes.next().filter(|_| out.is_open) {
        out.document(&document::of_note(&note?))?;
    }
    out.flush();
    Ok(())
}

/// The document of an order, with its parcels and returns in chronological order.
fn order_document(tx: &Tx<'_>, order: &Order) -> Result<Document, StoreError> {
    let items = queries::items(tx, order.id)?;
    let parcels = tx.scan_by::<FulfilmentByOrder>().prefix(order.id).rows();
    let mut parcels = parcels.collect::<Result<Vec<Fulfilment>, _>>()?;
    parcels.sort_by_key(|row| (row.shipped_at, row.id));
    let returns = tx.scan_by::<ReturnByOrder>().prefix(order.id).rows();
    let mut returns = returns.collect::<Result<Vec<Return>, _>>()?;
    returns.sort_by_key(|row| (row.decided_at, row.id));
    Ok(document::of_order(order, &items, &parcels, &returns))
}

/// The output, sent in chunks.
struct Output<'a> {
    sender: &'a BodySender,
    format: HistoryFormat,
    buffer: Vec<u8>,
    /// Whether the client is still reading.
    is_open: bool,
}

impl Output<'_> {
    /// Writes a document as a line of JSON or as rows of a CSV.
    fn document(&mut self, document: &Document) -> Result<(), Error> {
        match self.format {
            HistoryFormat::Ndjson => {
                serde_json::to_writer(&mut self.buffer, document).map_err(Error::internal)?;
                self.buffer.push(b'\n');
            }
            HistoryFormat::Csv => table::rows(document)?.iter().try_for_each(|row| self.record(row))?,
        }
        if self.buffer.len() >= CHUNK_BYTES {
            self.flush();
        }
        Ok(())
    }

    /// Writes one row of a CSV.
    fn record(&mut self, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
        let mut writer = csv::WriterBuilder::new().from_writer(&mut self.buffer);
        writer.write_record(cells).map_err(Error::internal)?;
        writer.flush().map_err(Error::internal)
    }

    fn flush(&mut self) {
        self.is_open = self.sender.send_blocking(Ok(Bytes::from(std::mem::take(&mut self.buffer))));
    }
}

//! The export, written as it is read: orders, oldest first, then credit notes.

use bytes::Bytes;
use promox_contract::order::OrderStatus;
use promox_kernel::{BodyReader, BodySender, Cx, Download, Error};
use promox_storage::{Db, Reader, StoreError, Tx};

use super::document::{self, Document};
use super::table;
use crate::api::HistoryFormat;
use crate::queries;
use crate::records::{CreditNoteByIssued, Fulfilment, FulfilmentByOrder, Order, OrderByCreated, Return, ReturnByOrder};

/// Bytes sent at a time.
const CHUNK: usize = 64 << 10;

/// The format requested by name, or else by `Accept`.
pub(crate) fn format(cx: &Cx, named: Option<HistoryFormat>) -> Result<HistoryFormat, Error> {
    let formats = named.map_or_else(|| vec![HistoryFormat::Ndjson, HistoryFormat::Csv], |named| vec![named]);
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

/// Starts an export of a snapshot on a blocking thread.
pub(crate) fn export(db: &Db, format: HistoryFormat) -> Result<Download, Error> {
    let state = db.long_read()?;
    let (sender, reader) = BodyReader::pair();
    let database = db.database();
    tokio::task::spawn_blocking(move || {
        let state: &dyn Reader = &*state;
        if let Err(error) = write(&Tx::unbounded(state, database), format, &sender) {
            sender.send_blocking(Err(error));
        }
    });
    let file_name = Some(format!("orders.{format}"));
    Ok(Download { file_name, ..Download::stream(media_type(format), reader) })
}

fn write(tx: &Tx<'_>, format: HistoryFormat, sender: &BodySender) -> Result<(), Error> {
    let mut out = Output { sender, format, buffer: Vec::with_capacity(CHUNK), wanted: true };
    if format == HistoryFormat::Csv {
        out.record(table::header())?;
    }
    let mut orders = tx.scan_by::<OrderByCreated>().rows();
    while let Some(order) = orders.next().filter(|_| out.wanted) {
        let order = order?;
        if order.status != OrderStatus::Pending {
            out.document(&sold(tx, &order)?)?;
        }
    }
    let mut notes = tx.scan_by::<CreditNoteByIssued>().rows();
    while let Some(note) = notes.next().filter(|_| out.wanted) {
        out.document(&document::of_note(&note?))?;
    }
    out.flush();
    Ok(())
}

/// An order with all its rows; parcels and returns in chronological order.
fn sold(tx: &Tx<'_>, order: &Order) -> Result<Document, StoreError> {
    let items = queries::items(tx, order.id)?;
    let parcels = tx.scan_by::<FulfilmentByOrder>().prefix(order.id).rows();
    let mut parcels = parcels.collect::<Result<Vec<Fulfilment>, _>>()?;
    parcels.sort_by_key(|row| (row.shipped_at, row.id));
    let returns = tx.scan_by::<ReturnByOrder>().prefix(order.id).rows();
    let mut returns = returns.collect::<Result<Vec<Return>, _>>()?;
    returns.sort_by_key(|row| (row.decided_at, row.id));
    Ok(document::of_order(order, &items, &parcels, &returns))
}

/// Output lines, sent a chunk at a time.
struct Output<'a> {
    sender: &'a BodySender,
    format: HistoryFormat,
    buffer: Vec<u8>,
    /// Whether the client is still reading.
    wanted: bool,
}

impl Output<'_> {
    fn document(&mut self, document: &Document) -> Result<(), Error> {
        match self.format {
            HistoryFormat::Ndjson => {
                serde_json::to_writer(&mut self.buffer, document).map_err(Error::internal)?;
                self.buffer.push(b'\n');
            }
            HistoryFormat::Csv => table::rows(document)?.iter().try_for_each(|row| self.record(row))?,
        }
        if self.buffer.len() >= CHUNK {
            self.flush();
        }
        Ok(())
    }

    fn record(&mut self, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
        let mut writer = csv::WriterBuilder::new().from_writer(&mut self.buffer);
        writer.write_record(cells).map_err(Error::internal)?;
        writer.flush().map_err(Error::internal)
    }

    fn flush(&mut self) {
        self.wanted = self.sender.send_blocking(Ok(Bytes::from(std::mem::take(&mut self.buffer))));
    }
}

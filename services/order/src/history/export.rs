//! The export: all orders, oldest first, then all credit notes, written while they are read.

use promox_contract::order::OrderStatus;
use promox_kernel::{Cx, Download, Error};
use promox_storage::{Db, ExportWriter, StoreError, Tx};

use super::document::{self, Document};
use super::table;
use crate::api::HistoryFormat;
use crate::queries;
use crate::records::{CreditNoteByIssued, Fulfilment, FulfilmentByOrder, Order, OrderByCreated, Return, ReturnByOrder};

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

/// Starts an export of the current state. Returns the stream.
pub(crate) async fn export(db: &Db, format: HistoryFormat) -> Result<Download, Error> {
    db.export(media_type(format), format!("orders.{format}"), move |tx, out| write(tx, format, out)).await
}

/// Writes all documents, or stops when the client stops reading.
fn write(tx: &Tx<'_>, format: HistoryFormat, out: &mut ExportWriter) -> Result<(), Error> {
    out.expect::<Order>(tx);
    if format == HistoryFormat::Csv {
        put_record(out.buffer(), table::header())?;
    }
    for order in tx.scan_by::<OrderByCreated>().rows() {
        let order = order?;
        if order.status != OrderStatus::Pending {
            put_document(out.buffer(), format, &order_document(tx, &order)?)?;
        }
        if !out.end_row() {
            return Ok(());
        }
    }
    for note in tx.scan_by::<CreditNoteByIssued>().rows() {
        put_document(out.buffer(), format, &document::of_note(&note?))?;
        if !out.end_row() {
            return Ok(());
        }
    }
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

/// Appends a document as a line of JSON or as rows of a CSV.
fn put_document(out: &mut Vec<u8>, format: HistoryFormat, document: &Document) -> Result<(), Error> {
    match format {
        HistoryFormat::Ndjson => {
            serde_json::to_writer(&mut *out, document).map_err(Error::internal)?;
            out.push(b'\n');
            Ok(())
        }
        HistoryFormat::Csv => table::rows(document)?.iter().try_for_each(|row| put_record(out, row)),
    }
}

/// Appends a row of a CSV.
fn put_record(out: &mut Vec<u8>, cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<(), Error> {
    let mut writer = csv::WriterBuilder::new().from_writer(out);
    writer.write_record(cells).map_err(Error::internal)?;
    writer.flush().map_err(Error::internal)
}

//! Writes what was sold, as it is read: orders in the order of their ids, then credit notes.

use bytes::Bytes;
use promox_contract::order::OrderStatus;
use promox_kernel::{Amount, BodyReader, BodySender, Download, Email, Error, Sku, Timestamp};
use promox_storage::{Db, Reader, Tx};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::queries;
use crate::records::{CreditLine, CreditNote, Order, OrderItem};

/// Bytes that are sent at once.
const CHUNK: usize = 64 << 10;

/// Starts an export of this moment on a blocking thread.
pub(crate) fn export(db: &Db) -> Result<Download, Error> {
    let state = db.long_read()?;
    let (sender, reader) = BodyReader::pair();
    let database = db.database();
    tokio::task::spawn_blocking(move || {
        let state: &dyn Reader = &*state;
        if let Err(error) = write(&Tx::unbounded(state, database), &sender) {
            sender.send_blocking(Err(error));
        }
    });
    let file_name = Some("orders.ndjson".to_owned());
    Ok(Download { file_name, ..Download::stream("application/x-ndjson", reader) })
}

/// A document as the import reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    number: &'a str,
    date: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a Email>,
    lines: Vec<Line<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    sku: &'a Sku,
    name: &'a str,
    quantity: i64,
    unit_price: Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<Amount>,
}

/// Whether an order counts as sold.
fn is_sold(order: &Order) -> bool {
    !matches!(order.status, OrderStatus::Pending | OrderStatus::Failed | OrderStatus::Cancelled)
}

fn write(tx: &Tx<'_>, sender: &BodySender) -> Result<(), Error> {
    let mut out = Out { sender, buffer: Vec::with_capacity(CHUNK), wanted: true };
    let mut orders = tx.scan::<Order>().rows();
    while let Some(order) = orders.next().filter(|_| out.wanted) {
        let order = order?;
        if is_sold(&order) {
            let items = queries::items(tx, order.id)?;
            out.document(&sold(&order, &items))?;
        }
    }
    let mut notes = tx.scan::<CreditNote>().rows();
    while let Some(note) = notes.next().filter(|_| out.wanted) {
        out.document(&given_back(&note?))?;
    }
    out.flush();
    Ok(())
}

/// Lines on their way out, a chunk at a time.
struct Out<'a> {
    sender: &'a BodySender,
    buffer: Vec<u8>,
    /// Whether somebody still reads.
    wanted: bool,
}

impl Out<'_> {
    fn document(&mut self, document: &Document<'_>) -> Result<(), Error> {
        if document.lines.is_empty() {
            return Ok(());
        }
        serde_json::to_writer(&mut self.buffer, document).map_err(Error::internal)?;
        self.buffer.push(b'\n');
        if self.buffer.len() >= CHUNK {
            self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.wanted = self.sender.send_blocking(Ok(Bytes::from(std::mem::take(&mut self.buffer))));
    }
}

fn sold<'a>(order: &'a Order, items: &'a [OrderItem]) -> Document<'a> {
    Document {
        number: &order.number,
        date: order.created_at,
        customer: order.details.attributes.get("customer").map(String::as_str),
        email: order.email.as_ref(),
        lines: items.iter().filter_map(|item| kept(order, item)).collect(),
    }
}

/// What of a line the buyer kept, with its share of the line's discount.
fn kept<'a>(order: &Order, item: &'a OrderItem) -> Option<Line<'a>> {
    let quantity = item.quantity.checked_sub(item.returned).filter(|left| *left > 0)?;
    let share = item.discount.0 * Decimal::from(quantity) / Decimal::from(item.quantity);
    Some(Line {
        sku: &item.sku,
        name: &item.name,
        quantity: i64::from(quantity),
        unit_price: item.unit_price,
        discount: Some(order.currency.round(share)).filter(|discount| !discount.is_zero()),
    })
}

fn given_back(note: &CreditNote) -> Document<'_> {
    Document {
        number: &note.number,
        date: note.issued_at,
        customer: None,
        email: None,
        lines: note.lines.iter().map(credited).collect(),
    }
}

fn credited(line: &CreditLine) -> Line<'_> {
    Line { sku: &line.sku, name: &line.name, quantity: line.quantity, unit_price: line.unit_price, discount: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Orders;
    use crate::history::{ExportHistory, ImportOrders};
    use crate::settings::StoreSettings;
    use promox_kernel::{Body, Clock, Cx, Entropy, Node, Registry};
    use promox_storage::{Cache, Database, MemoryEngine};
    use std::time::Duration;

    const HISTORY: &str = r#"{"number":"536365","date":"2010-12-01T08:26:00.000Z","customer":"17850","email":"a@example.com","lines":[{"sku":"85123A","name":"Holder","quantity":6,"unitPrice":"2.55"},{"sku":"71053","name":"Lantern","quantity":6,"unitPrice":"3.39","discount":"1.00"}]}
{"number":"536366","date":"2010-12-01T08:28:00.000Z","lines":[{"sku":"22633","name":"Hand warmer","quantity":6,"unitPrice":"1.85"}]}
{"number":"C536379","date":"2010-12-01T09:41:00.000Z","lines":[{"sku":"D","name":"Discount","quantity":-1,"unitPrice":"27.50"}]}
"#;

    fn shop() -> Cx {
        let node = Node::new(Clock::manual(Timestamp::from_seconds(2_000_000_000)), Entropy::seeded(1));
        let db = MemoryEngine::new().database(Database::Ecommerce);
        let mut registry = Registry::default();
        Orders::new(db, Cache::in_memory(), StoreSettings::default(), false).register(&mut registry);
        node.install(registry);
        Cx::system(&node, "test", Duration::from_secs(60))
    }

    async fn import(cx: &Cx, history: &str) -> crate::ImportReport {
        let (sender, reader) = BodyReader::pair();
        assert!(sender.send(Ok(Bytes::copy_from_slice(history.as_bytes()))).await);
        drop(sender);
        let body = Body { media_type: "application/x-ndjson".into(), reader: Some(reader), headers: Vec::new() };
        cx.call(ImportOrders { body }).await.unwrap()
    }

    async fn exported(cx: &Cx) -> String {
        let download = cx.call(ExportHistory {}).await.unwrap();
        let promox_kernel::Content::Stream(_, reader) = download.content else { panic!("not a stream") };
        String::from_utf8(reader.collect(1 << 20).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn what_is_exported_is_imported_as_it_was() {
        let (first, second) = (shop(), shop());
        let report = import(&first, HISTORY).await;
        assert_eq!((report.created, report.failed, report.orders.rows), (3, 0, 3), "{report:?}");
        assert_eq!(report.orders.total.to_string(), "45.74");
        let out = exported(&first).await;
        assert_eq!(out, HISTORY);
        assert_eq!(import(&second, &out).await.created, 3);
        assert_eq!(exported(&second).await, HISTORY);
        assert_eq!(import(&second, &out).await.skipped, 3);
    }

    #[tokio::test]
    async fn a_discount_is_at_most_its_line() {
        let line = |number: &str, rest: &str| {
            format!(
                r#"{{"number":"{number}","date":"2010-12-01T08:26:00Z","lines":[{{"sku":"A","name":"A",{rest}}}]}}"#
            )
        };
        let rows = [
            line("1", r#""quantity":2,"unitPrice":"1.00","discount":"2.01""#),
            line("2", r#""quantity":2,"unitPrice":"1.00","discount":"-0.01""#),
            line("3", r#""quantity":2,"unitPrice":"1.00","discount":"0.001""#),
            line("C4", r#""quantity":-2,"unitPrice":"1.00","discount":"1.00""#),
            line("5", r#""quantity":2,"unitPrice":"1.00","discount":"2.00""#),
        ];
        let report = import(&shop(), &rows.join("\n")).await;
        assert!(report.errors.iter().all(|error| error.code == "INVALID_DISCOUNT"), "{report:?}");
        assert_eq!((report.created, report.failed, report.orders.total), (1, 4, Amount::ZERO));
    }
}

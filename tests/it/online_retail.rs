//! A real month of trade: imported as history, and ordered again through the checkout, exact to the penny and the unit.
//!
//! The file is the one that `PROMOX_MONTH` names, or one next to the source tree. Where there is neither, it is the
//! month's first 150 invoices in `fixtures/`. Expected values are computed here from the file's rows by plain decimal
//! arithmetic.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use promox_product::online_retail::{ProductRow, catalog};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::client::Client;
use crate::process::promox;
use crate::shop::{Shop, order_of};

const CONNECTIONS: usize = 16;
/// Documents, rows and total of the sales of the whole month, as documented with the data.
const SALES: (usize, usize, &str) = (1_559, 41_480, "823746.14");
/// Documents, rows and total of the credit notes of the whole month.
const CREDIT_NOTES: (usize, usize, &str) = (326, 728, "-74789.12");
/// Rows of the whole month that are neither a sale nor a credit.
const BAD_ROWS: usize = 273;

/// A row of a sale or of a credit note.
pub(crate) struct Row {
    sku: String,
    pub(crate) quantity: i64,
    pub(crate) price: Decimal,
}

/// The file: its documents in order with their numbers and rows, and the numbers of its invalid rows.
pub(crate) struct Month {
    pub(crate) path: PathBuf,
    pub(crate) sales: Vec<(String, Vec<Row>)>,
    credit_notes: Vec<(String, Vec<Row>)>,
    bad: Vec<usize>,
    whole: bool,
}

impl Month {
    pub(crate) fn read() -> Self {
        let own = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
        let adjacent = own.join("../shared/data/online-retail/december-2010.csv");
        let named = std::env::var_os("PROMOX_MONTH").map(PathBuf::from);
        let path = named.unwrap_or(if adjacent.exists() { adjacent } else { own.join("fixtures/online-retail.csv") });
        let mut month = Self { path, sales: Vec::new(), credit_notes: Vec::new(), bad: Vec::new(), whole: false };
        let mut reader = csv::Reader::from_path(&month.path).unwrap();
        for (number, record) in reader.records().enumerate() {
            month.add_row(number + 1, &record.unwrap());
        }
        month.whole = month.sales.len() > 1_000;
        month
    }

    fn add_row(&mut self, number: usize, record: &csv::StringRecord) {
        let (document, sku) = (record[0].to_owned(), record[1].trim().to_owned());
        let (quantity, price): (i64, Decimal) = (record[3].parse().unwrap(), record[5].parse().unwrap());
        let is_credit = document.starts_with('C');
        if price <= Decimal::ZERO || quantity == 0 || (quantity < 0) != is_credit {
            return self.bad.push(number);
        }
        let part = if is_credit { &mut self.credit_notes } else { &mut self.sales };
        match part.last_mut() {
            Some((open, rows)) if *open == document => rows.push(Row { sku, quantity, price }),
            _ => part.push((document, vec![Row { sku, quantity, price }])),
        }
    }
}

/// The number of documents, the number of rows and the total of the goods.
fn sums(part: &[(String, Vec<Row>)]) -> (usize, usize, String) {
    let rows = part.iter().flat_map(|(_, rows)| rows);
    let total: Decimal = rows.clone().map(|row| row.price * Decimal::from(row.quantity)).sum();
    (part.len(), rows.count(), format!("{total:.2}"))
}

fn report_part(sums: &(usize, usize, String)) -> Value {
    json!({"documents": sums.0, "rows": sums.1, "total": sums.2})
}

#[test]
fn plain_arithmetic_matches_the_documented_totals() {
    let month = Month::read();
    let (sales, notes) = (sums(&month.sales), sums(&month.credit_notes));
    if month.whole {
        assert_eq!((sales.0, sales.1, sales.2.as_str()), SALES);
        assert_eq!((notes.0, notes.1, notes.2.as_str()), CREDIT_NOTES);
        assert_eq!(month.bad.len(), BAD_ROWS);
    } else {
        assert_eq!((sales.0, sales.1, sales.2.as_str()), (134, 3_119, "60072.07"));
        assert_eq!((notes.0, notes.1, notes.2.as_str()), (6, 26, "-325.23"));
        assert_eq!(month.bad.len(), 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_imported_as_history_over_the_api() {
    let month = Month::read();
    let (sales, notes) = (sums(&month.sales), sums(&month.credit_notes));
    let shop = Shop::start().await;
    let file = Bytes::from(std::fs::read(&month.path).unwrap());
    let import = || async {
        let sent = shop.admin.send("POST", "/api/orders/import", "text/csv", file.clone()).await;
        sent.unwrap().expect(200)
    };
    let report = import().await;
    assert_eq!((&report["orders"], &report["creditNotes"]), (&report_part(&sales), &report_part(&notes)));
    assert_eq!(report["created"], sales.0 + notes.0);
    let refused: Vec<usize> = report["errors"].as_array().unwrap().iter().map(row_of).collect();
    assert_eq!((report["failed"].as_u64(), refused), (Some(month.bad.len() as u64), month.bad.clone()));
    let again = import().await;
    assert_eq!((&again["created"], &again["skipped"]), (&json!(0), &json!(sales.0 + notes.0)), "{again}");
    check_history(&shop, &month).await;
    shop.close().await;
}

fn row_of(error: &Value) -> usize {
    usize::try_from(error["row"].as_u64().unwrap()).unwrap()
}

/// Checks that every past order is listed with its total and has changed neither stock nor payments.
async fn check_history(shop: &Shop, month: &Month) {
    let orders = shop.all("/api/orders").await;
    let found: BTreeMap<&str, &str> = orders
        .iter()
        .map(|order| (order["number"].as_str().unwrap(), order["totals"]["total"].as_str().unwrap()))
        .collect();
    for (number, rows) in &month.sales {
        let total: Decimal = rows.iter().map(|row| row.price * Decimal::from(row.quantity)).sum();
        assert_eq!(found.get(number.as_str()), Some(&format!("{total:.2}").as_str()), "{number}");
    }
    assert!(shop.all("/api/payments").await.is_empty() && shop.all("/api/inventory").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_imported_as_history_from_the_command_line() {
    let month = Month::read();
    let (sales, notes) = (sums(&month.sales), sums(&month.credit_notes));
    let dir = Shop::start().await.close_and_keep().await;
    let words = ["import", "history", month.path.to_str().unwrap()];
    let output = promox(dir.path(), &words);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(65), "rows were refused: {text}");
    assert!(text.contains(&format!("orders: {}, rows: {}, total {}", sales.0, sales.1, sales.2)), "{text}");
    assert!(text.contains(&format!("credit notes: {}, rows: {}, total {}", notes.0, notes.1, notes.2)), "{text}");
    assert!(text.contains(&format!("{} refused", month.bad.len())), "{text}");
    let again = promox(dir.path(), &[&words[..], &["--allow-refused"]].concat());
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    crate::process::verify(dir.path());
}

/// Imports the catalog of the month with five units more than are sold, and returns it and the prices by folded SKU.
async fn import_catalog(shop: &Shop, month: &Month) -> (Vec<ProductRow>, BTreeMap<String, Decimal>) {
    let (rows, report) = catalog(std::fs::File::open(&month.path).unwrap());
    assert_eq!(report.failed, 0, "{report:?}");
    let lines: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    let sent = shop.admin.send("POST", "/api/products/import", "application/x-ndjson", lines.join("\n").into()).await;
    let report = sent.unwrap().expect(200);
    assert_eq!((&report["created"], &report["failed"]), (&json!(rows.len()), &json!(0)), "{report}");
    let counts: Vec<(String, u32)> = rows.iter().map(|row| (path_part(row.sku.as_str()), row.stock)).collect();
    in_parallel(&shop.admin, counts, |admin, (sku, stock)| async move {
        admin.put(&format!("/api/inventory/{sku}"), &json!({"onHand": stock + 5})).await.expect(200);
    })
    .await;
    let prices = rows.iter().map(|row| (row.sku.fold(), row.price.0)).collect();
    (rows, prices)
}

/// A SKU, percent-encoded for a path.
fn path_part(sku: &str) -> String {
    sku.bytes().fold(String::new(), |path, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => path + &char::from(byte).to_string(),
        _ => path + &format!("%{byte:02X}"),
    })
}

/// Runs `work` for each item, on `CONNECTIONS` connections at once.
async fn in_parallel<T, W>(client: &Client, items: Vec<T>, work: impl Fn(Client, T) -> W)
where
    T: Clone + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let (items, next) = (Arc::new(items), Arc::new(AtomicUsize::new(0)));
    let work = Arc::new(work);
    let workers = (0..CONNECTIONS).map(|_| {
        let (client, items, next, work) = (client.clone(), items.clone(), next.clone(), work.clone());
        async move {
            while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                work(client.clone(), item.clone()).await;
            }
        }
    });
    futures_util::future::join_all(workers).await;
}

/// An invoice as an order: the body of the request and the expected total.
#[derive(Clone)]
struct Invoice {
    number: String,
    body: Value,
    total: Decimal,
}

impl Invoice {
    fn of(number: &str, rows: &[Row], prices: &BTreeMap<String, Decimal>) -> Self {
        let lines: Vec<(&str, u32)> =
            rows.iter().map(|row| (row.sku.as_str(), u32::try_from(row.quantity).unwrap())).collect();
        let total = rows.iter().map(|row| prices[&fold(&row.sku)] * Decimal::from(row.quantity)).sum();
        Self { number: number.to_owned(), body: order_of(&lines, "tok_visa"), total }
    }
}

fn fold(sku: &str) -> String {
    sku.parse::<promox_kernel::Sku>().unwrap().fold()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_invoice_of_a_month_can_be_ordered_again() {
    let month = Month::read();
    let shop = Shop::start().await;
    let (rows, prices) = import_catalog(&shop, &month).await;
    let invoices: Vec<Invoice> = month.sales.iter().map(|(number, rows)| Invoice::of(number, rows, &prices)).collect();
    let sum: Decimal = invoices.iter().map(|invoice| invoice.total).sum();
    in_parallel(&shop.anyone, invoices.clone(), |anyone, invoice| async move {
        let order = anyone.key(&invoice.number).post("/api/orders", &invoice.body).await.expect(201);
        assert_eq!(order["status"], "CONFIRMED", "{}", invoice.number);
        assert_eq!(order["totals"]["total"], format!("{:.2}", invoice.total), "{}", invoice.number);
        check_lines(&order);
    })
    .await;
    check_closing_stock(&shop, &rows).await;
    let orders = shop.all("/api/orders").await;
    let total: Decimal = orders.iter().map(|order| decimal(&order["totals"]["total"])).sum();
    assert_eq!((orders.len(), total), (invoices.len(), sum));
    let paid: Decimal = shop.all("/api/payments").await.iter().map(|payment| decimal(&payment["captured"])).sum();
    assert_eq!(paid, sum);
    shop.close().await;
}

/// Checks that the lines of an order add up to its total.
fn check_lines(order: &Value) {
    let mut sum = Decimal::ZERO;
    for line in order["lines"].as_array().unwrap() {
        let quantity = Decimal::from(line["quantity"].as_u64().unwrap());
        assert_eq!(decimal(&line["subtotal"]), decimal(&line["unitPrice"]) * quantity, "{line}");
        sum += decimal(&line["total"]);
    }
    assert_eq!(sum, decimal(&order["totals"]["total"]));
}

fn decimal(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// Checks that everything was sold and that only the five additional units of each SKU are left.
async fn check_closing_stock(shop: &Shop, rows: &[ProductRow]) {
    loop {
        let stock = shop.all("/api/inventory").await;
        assert_eq!(stock.len(), rows.len());
        if stock.iter().any(|row| row["reserved"] != 0) {
            tokio::task::yield_now().await;
            continue;
        }
        for row in stock {
            assert_eq!(row["onHand"], 5, "{row}");
        }
        return;
    }
}

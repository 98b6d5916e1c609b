//! The import and export of past orders: accepted and refused documents, and the exported text.

use std::ops::Deref;

use bytes::Bytes;
use promox_contract::order::{ListCreditFigures, ListOrderFigures, OrderFigure};
use promox_contract::store::IN_CURRENCY;
use promox_kernel::{Amount, Body, BodyReader, Content};
use promox_storage::Cache;
use promox_testkit::{Harness, Setup};

use crate::{ExportHistory, HistoryFormat, ImportOrders, OrderImportReport, Orders};

pub(super) struct Shop(Harness<Orders>);

impl Deref for Shop {
    type Target = Harness<Orders>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Shop {
    pub(super) fn open() -> Self {
        let setup = Setup::at("2033-05-18T03:33:20Z");
        Self(setup.start(|databases| Orders::new(databases.ecommerce.clone(), Cache::in_memory(), false)))
    }

    pub(super) async fn import(&self, format: HistoryFormat, text: &str) -> OrderImportReport {
        let (sender, reader) = BodyReader::pair();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let media_type = if format == HistoryFormat::Csv { "text/csv" } else { "application/x-ndjson" };
        let body = Body { media_type: media_type.into(), reader: Some(reader), headers: Vec::new() };
        let sending = async move { sender.send(Ok(bytes)).await };
        let (report, _) = tokio::join!(self.call(ImportOrders { body }), sending);
        report.unwrap()
    }

    pub(super) async fn export(&self, format: HistoryFormat) -> String {
        let download = self.call(ExportHistory { format: Some(format) }).await.unwrap();
        let Content::Stream(_, reader) = download.content else { panic!("not a stream") };
        String::from_utf8(reader.collect(64 << 20).await.unwrap()).unwrap()
    }

    /// The order figures that analytics uses.
    async fn figures(&self) -> Vec<OrderFigure> {
        let op = ListOrderFigures { ids: Vec::new(), from: None, to: None, after: None, limit: None };
        self.call(op).await.unwrap().items
    }

    /// Checks that the audit has no findings about orders.
    pub(super) fn verify(&self) {
        let is_own = |invariant: &str| !invariant.starts_with("analytics") && invariant.contains(':');
        let findings = self.findings_with(|report| report.knows(IN_CURRENCY, "GBP")).into_iter();
        let own: Vec<_> = findings.filter(|finding| is_own(finding.invariant)).collect();
        assert_eq!(own, []);
    }
}

const IMPORTED: &str = r#"{"number":"536365","date":"2010-12-01T08:26:00Z","customer":"17850","email":"a@example.com","lines":[{"sku":"85123A","name":"Holder","quantity":6,"unitPrice":"2.55"},{"sku":"71053","name":"Lantern","quantity":6,"unitPrice":"3.39","discount":"1.00"}]}
{"number":"536366","date":"2010-12-01T08:28:00Z","lines":[{"sku":"22633","name":"Hand warmer","quantity":6,"unitPrice":"1.85"}]}
{"number":"C536379","date":"2010-12-01T09:41:00Z","customer":"14527","lines":[{"sku":"D","name":"Discount","quantity":-1,"unitPrice":"27.50"}]}
"#;

const EXPORTED: &str = r#"{"type":"ORDER","number":"536365","date":"2010-12-01T08:26:00.000Z","status":"DELIVERED","customer":"17850","email":"a@example.com","currency":"GBP","pricesIncludeTax":true,"lines":[{"sku":"85123A","name":"Holder","quantity":6,"unitPrice":"2.55"},{"sku":"71053","name":"Lantern","quantity":6,"unitPrice":"3.39","discount":"1.00"}],"total":"34.64"}
{"type":"ORDER","number":"536366","date":"2010-12-01T08:28:00.000Z","status":"DELIVERED","currency":"GBP","pricesIncludeTax":true,"lines":[{"sku":"22633","name":"Hand warmer","quantity":6,"unitPrice":"1.85"}],"total":"11.10"}
{"type":"CREDIT_NOTE","number":"C536379","date":"2010-12-01T09:41:00.000Z","customer":"14527","currency":"GBP","lines":[{"sku":"D","name":"Discount","quantity":-1,"unitPrice":"27.50"}]}
"#;

#[tokio::test]
async fn an_export_is_imported_without_changes() {
    let (first, second) = (Shop::open(), Shop::open());
    let done = first.import(HistoryFormat::Ndjson, IMPORTED).await;
    assert_eq!((done.report.created, done.report.failed, done.orders.rows), (3, 0, 3), "{done:?}");
    assert_eq!((done.orders.total.to_string(), done.credit_notes.total.to_string()), ("45.74".into(), "-27.50".into()));
    assert_eq!(first.export(HistoryFormat::Ndjson).await, EXPORTED);
    assert_eq!(first.import(HistoryFormat::Ndjson, IMPORTED).await.report.skipped, 3);
    let table = first.export(HistoryFormat::Csv).await;
    assert_eq!(second.import(HistoryFormat::Csv, &table).await.report.created, 3);
    assert_eq!(second.export(HistoryFormat::Ndjson).await, EXPORTED);
    assert_eq!(second.export(HistoryFormat::Csv).await, table);
    assert_eq!(second.import(HistoryFormat::Ndjson, EXPORTED).await.report.skipped, 3);
    first.verify();
    second.verify();
}

/// An order with every member: 3 × 6.00 and a gift, with one unit returned and a manual refund.
const COMPLETE: &str = r#"{"type":"ORDER","number":"C7K2M-9QXYZ","date":"2024-03-01T10:00:00.000123Z","status":"PROCESSING","userId":7,"email":"ann@example.com","currency":"GBP","pricesIncludeTax":false,"lines":[{"sku":"A","productId":3,"name":"A \"tin\", blue","quantity":3,"unitPrice":"6.00","listPrice":"7.00","discount":"1.00","discounts":[{"promotionId":5,"couponCode":"TEN","amount":"1.00"}],"tax":"3.40","flashSaleId":4,"campaignId":9,"shipped":2,"delivered":1,"returned":1},{"sku":"GIFT","name":"Gift","quantity":1,"unitPrice":"0.00","listPrice":"2.50","shipped":0,"delivered":0}],"shipping":{"method":"STANDARD","amount":"4.96","discount":"0.96","tax":"0.80"},"points":{"redeemed":100,"value":"1.00","earned":16},"total":"24.20","payment":{"method":"CARD","status":"PARTIALLY_REFUNDED"},"refunds":[{"at":"2024-03-03T10:00:00.000007Z","amount":"2.00"},{"at":"2024-03-04T10:00:00.000Z","amount":"6.50","forReturn":true}],"shippingAddress":{"name":"Ann","line1":"1 High Street","city":"Leeds","postalCode":"LS1 1AA","country":"GB"},"fulfilments":[{"carrier":"Post","trackingNumber":"1","items":[{"sku":"A","quantity":2}],"shippedAt":"2024-03-02T10:00:00.000Z"}],"returns":[{"items":[{"sku":"A","quantity":1}],"reason":"too blue","refund":"6.50","points":30,"fee":"0.10","restock":true,"requestedAt":"2024-03-04T09:00:00.000Z","approvedAt":"2024-03-04T09:30:00.000Z"}],"goodsReturned":"7.02","appliedPromotions":[{"promotionId":5,"name":"Ten","couponCode":"TEN","amount":"1.00","shippingAmount":"0.96"}],"promotionUses":[{"promotionId":5,"campaignId":9,"cost":"4.46"}],"channel":"APP","note":"two\r\nlines, \"quoted\"","attributes":{"customer":"x","empty":""}}
"#;

#[tokio::test]
async fn an_order_with_every_member_is_imported_and_exported_without_loss() {
    let (first, second) = (Shop::open(), Shop::open());
    let done = first.import(HistoryFormat::Ndjson, COMPLETE).await;
    assert_eq!((done.report.created, done.report.errors.as_slice()), (1, [].as_slice()));
    assert_eq!(first.export(HistoryFormat::Ndjson).await, COMPLETE);
    let table = first.export(HistoryFormat::Csv).await;
    let done = second.import(HistoryFormat::Csv, &table).await;
    assert_eq!((done.report.created, done.report.errors.as_slice()), (1, [].as_slice()));
    assert_eq!(second.export(HistoryFormat::Ndjson).await, COMPLETE);
    assert_eq!(second.export(HistoryFormat::Csv).await, table);
    for shop in [&first, &second] {
        let figure = shop.figures().await.pop().unwrap();
        assert_eq!((figure.customer.as_str(), figure.user_id), ("user:7", None));
        // The refund of 2.00 of 25.20 takes 1.35 of the revenue of 17.00, the returned tin 5.67.
        assert_eq!(figure.returned.to_string(), "7.02");
        assert_eq!(figure.uses[0].cost.to_string(), "4.46");
        let refunded: Amount = figure.refunds.iter().map(|refund| refund.amount).sum();
        assert_eq!(refunded.to_string(), "8.50");
        shop.verify();
    }
}

#[tokio::test]
async fn a_document_with_a_fault_is_not_imported_at_all() {
    let shop = Shop::open();
    let table = "\
number,sku,name,quantity,date,unitPrice
1,A,A,2,2024-03-01,1.00
1,B,B,two,2024-03-01,1.00
2,A,A,2,2024-03-01,1.00
2,B,A free one,1,2024-03-01,0.00
C3,A,A,1,2024-03-01,1.00
C4,A,A,-1,2024-03-01,1.00
5,A,A,-1,2024-03-01,1.00
C6,A,A,-1,2024-03-01,1.00
C6,B,B,1,2024-03-01,1.00
2,C,C,1,2024-03-01,1.00
";
    let done = shop.import(HistoryFormat::Csv, table).await;
    let faults: Vec<(u64, &str)> = done.report.errors.iter().map(|error| (error.row, error.code.as_str())).collect();
    let wanted = [(2, "INVALID_QUANTITY"), (7, "INVALID_QUANTITY"), (9, "INVALID_QUANTITY"), (10, "NUMBER_TWICE")];
    assert_eq!(faults, wanted);
    assert_eq!((done.report.created, done.orders.documents, done.credit_notes.documents), (3, 2, 1));
    assert_eq!((done.orders.rows, done.orders.total.to_string()), (3, "3.00".into()));
    let notes = shop.call(ListCreditFigures { after: 0, limit: 10 }).await.unwrap().items;
    assert_eq!(notes.iter().map(|note| note.total.to_string()).collect::<Vec<_>>(), ["-1.00"]);
    shop.verify();
}

#[tokio::test]
async fn rows_without_a_price_are_left_out_of_another_systems_file() {
    let shop = Shop::open();
    let table = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID
536365,A,A,2,2010-12-01T08:26:00,1.00,17850
536365,B,damaged,1,2010-12-01T08:26:00,0,17850
536366,B,lost,-5,2010-12-01T08:26:00,0,
";
    let done = shop.import(HistoryFormat::Csv, table).await;
    assert_eq!((done.report.created, done.report.failed, done.orders.rows), (1, 2, 1), "{done:?}");
}

#[tokio::test]
async fn inconsistent_documents_are_refused() {
    let line = |rest: &str| {
        format!(r#"{{"number":"1","date":"2010-12-01T08:26:00Z","lines":[{{"sku":"A","name":"A",{rest}}}]}}"#)
    };
    let member = |rest: &str| {
        let lines = r#"[{"sku":"A","quantity":2,"unitPrice":"1.00"}]"#;
        format!(r#"{{"type":"ORDER","number":"1","date":"2010-12-01T08:26:00Z","lines":{lines},{rest}}}"#)
    };
    for (document, code) in [
        (line(r#""quantity":2,"unitPrice":"1.00","discount":"2.01""#), "INVALID_DISCOUNT"),
        (line(r#""quantity":2,"unitPrice":"1.00","discount":"-0.01""#), "INVALID_DISCOUNT"),
        (line(r#""quantity":2,"unitPrice":"1.00","discount":"0.001""#), "INVALID_DISCOUNT"),
        (line(r#""quantity":2,"unitPrice":"-1.00""#), "INVALID_PRICE"),
        (line(r#""quantity":0,"unitPrice":"1.00""#), "INVALID_QUANTITY"),
        (line(r#""quantity":-2,"unitPrice":"1.00""#), "INVALID_QUANTITY"),
        (line(r#""quantity":2,"unitPrice":"1.00","tax":"2.01""#), "INVALID_TAX"),
        (line(r#""quantity":2,"unitPrice":"1.00","delivered":2,"shipped":1"#), "INVALID_UNITS"),
        (line(r#""quantity":2,"unitPrice":"1.00","returned":1"#), "INVALID_RETURN"),
        (line(r#""quantity":2,"unitPrice":"1.00","colour":1"#), "UNREADABLE"),
        (member(r#""total":"2.01""#), "TOTAL_MISMATCH"),
        (member(r#""points":{"redeemed":1,"value":"2.01"}"#), "TOTAL_MISMATCH"),
        (member(r#""currency":"EUR""#), "CURRENCY_MISMATCH"),
        (member(r#""status":"PENDING""#), "INVALID_STATUS"),
        (member(r#""email":"nobody""#), "INVALID_EMAIL"),
        (member(r#""userId":1,"customer":"2""#), "INVALID_CUSTOMER"),
        (member(r#""refunds":[{"at":"2010-12-02T00:00:00Z","amount":"2.01"}]"#), "INVALID_REFUND"),
        (member(r#""shipping":{"amount":"1.00","discount":"1.01"}"#), "INVALID_SHIPPING"),
    ] {
        let shop = Shop::open();
        let report = shop.import(HistoryFormat::Ndjson, &document).await.report;
        let codes: Vec<&str> = report.errors.iter().map(|error| error.code.as_str()).collect();
        assert_eq!((report.created, codes), (0, vec![code]), "{document}");
        assert!(shop.figures().await.is_empty());
    }
    let note = r#"{"number":"C1","date":"2010-12-01T08:26:00Z","status":"DELIVERED","lines":[{"sku":"A","quantity":-2,"unitPrice":"1.00"}]}"#;
    let report = Shop::open().import(HistoryFormat::Ndjson, note).await.report;
    assert_eq!(report.errors[0].code, "INVALID_CREDIT_NOTE");
    let discounted = r#"{"number":"C1","date":"2010-12-01T08:26:00Z","lines":[{"sku":"A","quantity":-2,"unitPrice":"1.00","discount":"1.00"}]}"#;
    let report = Shop::open().import(HistoryFormat::Ndjson, discounted).await.report;
    assert_eq!(report.errors[0].code, "INVALID_DISCOUNT");
}

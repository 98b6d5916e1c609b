//! Imports of products, coupons and orders: what no row can be read of is answered alike, and no row is lost unnoticed.

use serde_json::{Value, json};

use crate::client::Client;
use crate::promotions::{activate, percent};
use crate::shop::Shop;

const PRODUCTS: &str = "/api/products/import";
const ORDERS: &str = "/api/orders/import";

async fn import(client: &Client, path: &str, media_type: &str, text: &str) -> Value {
    client.send("POST", path, media_type, text.to_owned().into()).await.unwrap().expect(200)
}

/// The row and the code of each error of a report.
fn errors(report: &Value) -> Vec<(u64, &str)> {
    let errors = report["errors"].as_array().unwrap().iter();
    errors.map(|error| (error["row"].as_u64().unwrap(), error["code"].as_str().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_used_are_answered_alike() {
    let shop = Shop::start().await;
    let promotion = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    let coupons = format!("/api/coupons/import?promotionId={promotion}");
    for path in [PRODUCTS, &coupons, ORDERS] {
        let empty = import(&shop.admin.with("content-type", "text/csv"), path, "text/csv", "").await;
        assert_eq!(errors(&empty), [(0, "BAD_HEADER")], "{path}: {empty}");
        let lines = "application/x-ndjson";
        let empty = import(&shop.admin, path, lines, "\n").await;
        assert_eq!((&empty["failed"], &empty["created"]), (&json!(0), &json!(0)), "{path}: {empty}");
        let report = import(&shop.admin, path, "text/csv", "colour,size\nred,4\n").await;
        assert_eq!(errors(&report), [(0, "BAD_HEADER")], "{path}: {report}");
        let report = import(&shop.admin, path, "application/x-ndjson", "{\"a\":1}{\"a\":2}").await;
        assert_eq!(errors(&report), [(1, "MALFORMED_JSON")], "{path}: {report}");
        let detail = report["errors"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("--data-binary"), "{detail}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_known_in_any_case_and_repeated_skus_are_noted() {
    let shop = Shop::start().await;
    let file = "SKU,NAME,Price,ATTR.Colour\nA,First,1.00,red\nB,Other,2.00,\na,Second,3.00,\n";
    let report = import(&shop.admin, PRODUCTS, "text/csv", file).await;
    assert_eq!(
        (&report["created"], &report["updated"], &report["failed"]),
        (&json!(2), &json!(1), &json!(0)),
        "{report}"
    );
    let warnings = report["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{report}");
    assert!(warnings[0]["detail"].as_str().unwrap().starts_with("rows 1 and 3 are both of the SKU \"a\""), "{report}");
    let exported = shop.admin.get("/api/products/export?format=ndjson").await;
    let exported = String::from_utf8_lossy(&exported.bytes).into_owned();
    assert!(exported.contains("\"Colour\":\"red\"") && exported.contains("Second"), "{exported}");
    let promotion = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    let path = format!("/api/coupons/import?promotionId={promotion}");
    let report = import(&shop.admin, &path, "text/csv", "Code,MAXREDEMPTIONS\nTEN,3\n").await;
    assert_eq!(report["created"], 1, "{report}");
    shop.close().await;
}

//! Rows with changed bytes: a damaged row is left out of lists, reported, and refused when requested itself.

use std::fs;
use std::path::Path;

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::process::{Process, promox};
use crate::shop::order_of;

/// Flips a bit at every occurrence of a text in the checkpoint and returns the number of occurrences.
fn flip_bits(dir: &Path, text: &str) -> usize {
    let path = dir.join("data.redb");
    let mut bytes = fs::read(&path).unwrap();
    let found: Vec<usize> =
        (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text.as_bytes())).collect();
    found.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&path, bytes).unwrap();
    found.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_left_out_of_its_list_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    let mut ids = Vec::new();
    for name in ["Spring", "Quokka", "Autumn"] {
        let body = json!({"name": name, "description": format!("the {name} campaign")});
        ids.push(admin.post("/api/campaigns", &body).await.expect(201)["id"].as_i64().unwrap());
    }
    process.stop().await;
    assert!(flip_bits(dir.path(), "the Quokka campaign") > 0);
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    let page = admin.get("/api/campaigns").await;
    let body = page.expect(200);
    let names: Vec<&str> =
        body["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Autumn", "Spring"]);
    let warning = &body["warnings"][0];
    assert_eq!((&warning["code"], &warning["rows"]), (&json!("DAMAGED_ROWS"), &json!(1)), "{body}");
    assert_eq!(warning["table"], "promox.campaigns");
    let header = page.headers["warning"].to_str().unwrap();
    assert!(header.starts_with("299 promox \"1 row is left out") && header.contains("promox.campaigns"), "{header}");
    let undamaged = admin.get("/api/segments").await.expect(200);
    assert_eq!(undamaged.get("warnings"), None, "an undamaged list has no warning");
    // Requests for the damaged row itself are refused.
    let one = format!("/api/campaigns/{}", ids[1]);
    let refusal = admin.get(&one).await.refused(500, "DATA_DAMAGED");
    assert_eq!(refusal["table"], "promox.campaigns");
    admin.patch(&one, &json!({"name": "Wombat"})).await.refused(500, "DATA_DAMAGED");
    admin.get(&format!("/api/campaigns/{}", ids[2])).await.expect(200);
    let verdict = admin.get("/api/ops/verify").await.expect(200);
    let mut findings = verdict["findings"].as_array().unwrap().iter();
    assert!(
        findings.any(|item| item["detail"].as_str().unwrap().contains("data.redb, table promox.campaigns")),
        "{verdict}"
    );
    process.stop().await;
    assert_verify_fails(dir.path());
}

#[track_caller]
fn assert_verify_fails(dir: &Path) {
    let output = promox(dir, &["verify"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(65), "{text}");
    assert!(text.contains("all stored data can be read: data.redb, table "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_product_is_neither_listed_nor_sold() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path()).await;
    let admin = process.admin().await;
    for sku in ["D-1", "D-2", "D-3"] {
        let body = json!({"sku": sku, "name": "Box", "price": "2.00", "description": format!("a box named {sku}")});
        admin.post("/api/products", &body).await.expect(201);
        admin.put(&format!("/api/inventory/{sku}"), &json!({"onHand": 9})).await.expect(200);
    }
    process.stop().await;
    assert!(flip_bits(dir.path(), "a box named D-2") > 0);
    let process = Process::start(dir.path()).await;
    let body = process.anyone.get("/api/products?sort=newest").await.expect(200);
    let skus: Vec<&str> = body["items"].as_array().unwrap().iter().map(|item| item["sku"].as_str().unwrap()).collect();
    assert_eq!(skus, ["D-3", "D-1"]);
    assert_eq!(body["warnings"][0]["table"], "ecommerce.products", "{body}");
    process.anyone.get("/api/products/sku/D-2").await.refused(500, "DATA_DAMAGED");
    // An export has the other rows, and ends with an error that names the damage.
    for format in ["csv", "ndjson"] {
        let mut body = process.admin().await.follow(&format!("/api/products/export?format={format}")).await;
        let (mut rows, mut failed) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => rows.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Err(_) => failed = true,
            }
        }
        let rows = String::from_utf8(rows).unwrap();
        assert!(rows.contains("D-1") && rows.contains("D-3") && !rows.contains("D-2"), "{format}: {rows}");
        assert!(failed, "{format}: the export looks complete");
    }
    process.anyone.post("/api/orders", &order_of(&[("D-2", 1)], "tok_visa")).await.refused(500, "DATA_DAMAGED");
    process.anyone.post("/api/orders", &order_of(&[("D-1", 1)], "tok_visa")).await.expect(201);
    process.stop().await;
    assert_verify_fails(dir.path());
}

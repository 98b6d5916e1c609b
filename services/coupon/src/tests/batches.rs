//! Batches are generated in key order, continue after a restart, and are disabled by one row.

use promox_kernel::{Claim, Cx};
use promox_testkit::pointers;
use serde_json::{Value, json};

use super::{Shop, open, refusal, service};
use crate::{CreateBatch, DisableBatch, ExportBatch, GetBatch, GetCoupon, ListBatches, ListCoupons, UpdateCoupon};
use promox_storage::Service as _;

/// The lines of a batch's export.
async fn exported(shop: &Shop, id: i64) -> Vec<String> {
    let op = ExportBatch { id: id.into() };
    let download = shop.call(op).await.unwrap();
    let promox_kernel::Content::Stream("text/csv", reader) = download.content else { panic!("no stream") };
    let bytes = reader.collect(1 << 24).await.unwrap();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

async fn batch(shop: &Shop, id: i64) -> (i64, String) {
    let view = shop.ask::<GetBatch>(json!({ "id": id })).await.unwrap();
    (view["generated"].as_i64().unwrap(), view["status"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn codes_are_unique_and_sorted_and_follow_their_pattern() {
    let shop = open();
    let body = json!({"count": 12_345, "promotionId": 1, "pattern": "save-####-####", "validDays": 30});
    let made = shop.ask::<CreateBatch>(body).await.unwrap();
    assert_eq!(
        (made["status"].as_str(), made["endsAt"].as_str()),
        (Some("GENERATING"), Some("2027-02-14T08:00:00.000Z"))
    );
    shop.work().await;
    assert_eq!(batch(&shop, 1).await, (12_345, "COMPLETED".into()));
    let lines = exported(&shop, 1).await;
    assert_eq!((lines.len(), lines[0].as_str()), (12_346, "code,status,redeemed,maxRedemptions,endsAt"));
    let codes = &lines[1..];
    assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    assert!(
        codes.iter().all(|line| line.starts_with("SAVE-") && line.ends_with(",ACTIVE,0,1,2027-02-14T08:00:00.000Z"))
    );
    let code = codes[77].split(',').next().unwrap().to_lowercase();
    let shown = shop.ask::<GetCoupon>(json!({ "code": code })).await.unwrap();
    assert_eq!((shown["code"].as_str().unwrap().to_lowercase(), shown["batchId"].as_i64()), (code, Some(1)));
    let page = shop.ask::<ListCoupons>(json!({"batchId": 1, "status": "EXHAUSTED"})).await.unwrap();
    assert!(
        page["items"].as_array().unwrap().is_empty() && !page["nextCursor"].is_null(),
        "a filtered page examines only some rows"
    );
    assert_eq!(shop.ask::<ListBatches>(json!({})).await.unwrap()["items"].as_array().unwrap().len(), 1);
    let issued: i64 = shop.events_of("COUPONS_ISSUED").await.iter().map(|item| item["count"].as_i64().unwrap()).sum();
    assert_eq!(issued, 12_345);
    shop.verify();
}

#[tokio::test]
async fn a_batch_continues_after_a_restart_and_smaller_ones_come_first() {
    let shop = open();
    shop.ask::<CreateBatch>(json!({"count": 20_000, "promotionId": 1, "prefix": "BIG-"})).await.unwrap();
    let job = shop.service.jobs().remove(0);
    assert!(job.run(shop.cx()).await.unwrap());
    assert_eq!(batch(&shop, 1).await, (8_000, "GENERATING".into()));
    shop.verify();
    let shop = shop.restart(service);
    shop.ask::<CreateBatch>(json!({"count": 10, "promotionId": 2, "length": 8})).await.unwrap();
    let job = shop.service.jobs().remove(0);
    assert!(job.run(shop.cx()).await.unwrap());
    assert_eq!((batch(&shop, 2).await, batch(&shop, 1).await.0), ((10, "COMPLETED".into()), 8_000));
    shop.work().await;
    assert_eq!(batch(&shop, 1).await, (20_000, "COMPLETED".into()));
    assert_eq!(exported(&shop, 2).await[1].split(',').next().unwrap().len(), 8);
    shop.verify();
}

#[tokio::test]
async fn codes_of_one_pattern_do_not_collide_between_batches() {
    let shop = open();
    for _ in 0..5 {
        shop.ask::<CreateBatch>(json!({"count": 900, "promotionId": 1, "pattern": "####"})).await.unwrap();
    }
    shop.work().await;
    for id in 1..=5 {
        assert_eq!(batch(&shop, id).await, (900, "COMPLETED".into()));
    }
    shop.verify();
}

#[tokio::test]
async fn one_row_disables_a_batch() {
    let shop = open();
    shop.ask::<CreateBatch>(json!({"count": 10_000, "promotionId": 1})).await.unwrap();
    shop.service.jobs().remove(0).run(shop.cx()).await.unwrap();
    for _ in 0..2 {
        assert_eq!(shop.ask::<DisableBatch>(json!({"id": 1})).await.unwrap()["status"], "DISABLED");
    }
    shop.work().await;
    assert_eq!(batch(&shop, 1).await.0, 8_000, "a disabled batch is not continued");
    let page = shop.ask::<ListCoupons>(json!({"batchId": 1, "limit": 1})).await.unwrap();
    let code = page["items"][0]["code"].clone();
    assert_eq!(page["items"][0]["status"], "DISABLED");
    let back = shop.ask::<UpdateCoupon>(json!({"code": code, "status": "ACTIVE"})).await;
    assert_eq!(refusal(back).0, "BATCH_DISABLED");
    shop.verify();
}

#[tokio::test]
async fn a_repeated_request_with_the_same_key_returns_its_batch() {
    let shop = open();
    let claim = Claim {
        caller: "user:1".into(),
        key: "k".into(),
        fingerprint: [7; 32],
        status: 202,
        recorded: std::sync::OnceLock::new(),
    };
    let cx = Cx { claim: Some(claim.into()), ..shop.cx() };
    let body = json!({"count": 10, "promotionId": 1});
    let first = shop.ask_as::<CreateBatch>(cx.clone(), body.clone()).await.unwrap();
    shop.work().await;
    let again = shop.ask_as::<CreateBatch>(cx, body).await.unwrap();
    assert_eq!((&again["id"], again["generated"].as_i64()), (&first["id"], Some(10)));
}

#[tokio::test]
async fn faults_of_a_batch_have_pointers() {
    let shop = open();
    let cases: [(Value, &[&str]); 8] = [
        (json!({"count": 0, "promotionId": 1}), &["/count"]),
        (json!({"count": 10_000_001, "promotionId": 1}), &["/count"]),
        (json!({"count": 5, "promotionId": 9}), &["/promotionId"]),
        (json!({"count": 1_000_000, "promotionId": 1, "pattern": "A-####"}), &["/pattern"]),
        (json!({"count": 5, "promotionId": 1, "pattern": "A!####"}), &["/pattern"]),
        (json!({"count": 5, "promotionId": 1, "pattern": "A-####", "prefix": "B"}), &["/pattern"]),
        (json!({"count": 5, "promotionId": 1, "length": 5}), &["/length"]),
        (
            json!({"count": 0, "promotionId": 1, "validDays": 0, "perUserLimit": 0}),
            &["/perUserLimit", "/count", "/validDays"],
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(pointers(shop.ask::<CreateBatch>(body.clone()).await), expected, "{body}");
    }
    shop.verify();
}

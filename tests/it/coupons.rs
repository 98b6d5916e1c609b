//! Coupons over HTTP: single coupons, batches, imports, personal coupons, and redemption by orders and by references.

use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::promotions::{activate, order, percent, reason, with};
use crate::shop::{Shop, order_of};

async fn coupon(shop: &Shop, code: &str, promotion: i64, more: Value) -> Value {
    let body = with(json!({"code": code, "promotionId": promotion}), more);
    shop.admin.post("/api/coupons", &body).await.expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coupon_unlocks_its_promotion_within_its_limits() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let (me, you) = (shop.customer("me@example.com").await, shop.customer("you@example.com").await);
    let my_id = me.get("/api/users/me").await.expect(200)["id"].clone();
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    let one =
        activate(&shop, json!({"name": "One", "couponOnly": true, "actions": [{"type": "AMOUNT_OFF", "value": "1"}]}))
            .await;
    let created = coupon(&shop, "Wel-Come 100", ten, json!({"maxRedemptions": 2})).await;
    assert_eq!(
        (&created["code"], &created["status"], &created["redeemed"]),
        (&json!("Wel-Come 100"), &json!("ACTIVE"), &json!(0))
    );
    coupon(&shop, "SECOND", ten, json!({})).await;
    coupon(&shop, "OTHER", one, json!({"perUserLimit": 1})).await;
    coupon(&shop, "MINE", one, json!({"userId": my_id})).await;
    let plain = order(&me, "A", 1, json!({})).await.expect(201);
    assert_eq!(plain["totals"]["total"], "10.00", "a coupon-only promotion does not apply without a coupon");
    let codes = json!({"couponCodes": ["WELCOME100", "second", "o-ther"]});
    let placed = order(&me, "A", 1, codes).await.expect(201);
    assert_eq!((&placed["totals"]["discount"], reason(&placed).0), (&json!("2.00"), "NOT_COMBINABLE"), "{placed}");
    assert_eq!(reason(&placed).1["code"], "second", "a promotion applies once per order");
    let discounts = placed["lines"][0]["discounts"].as_array().unwrap();
    assert_eq!((&discounts[0]["couponCode"], &discounts[0]["amount"]), (&json!("WELCOME100"), &json!("1.00")));
    let seen = shop.admin.get("/api/coupons/SECOND").await.expect(200);
    assert_eq!(seen["redeemed"], 0, "a coupon without effect is not redeemed");
    assert_eq!(
        order(&me, "A", 1, json!({"promotionCode": "OTHER"})).await.refused(422, "PROMOTION_INVALID")["reason"],
        "USER_LIMIT_REACHED"
    );
    order(&you, "A", 1, json!({"promotionCode": "OTHER", "email": "you@example.com"})).await.expect(201);
    assert_eq!(
        order(&you, "A", 1, json!({"couponCode": "MINE"})).await.refused(422, "COUPON_INVALID")["reason"],
        "NOT_ELIGIBLE"
    );
    assert_eq!(
        order(&shop.anyone, "A", 1, json!({"couponCode": "MINE"})).await.refused(422, "COUPON_INVALID")["reason"],
        "UNKNOWN"
    );
    order(&me, "A", 1, json!({"couponCode": "MINE"})).await.expect(201);
    order(&you, "A", 1, json!({"couponCode": "welcome 100"})).await.expect(201);
    assert_eq!(
        order(&you, "A", 1, json!({"couponCode": "WELCOME100"})).await.refused(422, "COUPON_INVALID")["reason"],
        "LIMIT_REACHED"
    );
    let path = "/api/coupons/WELCOME100";
    assert_eq!(shop.admin.get(path).await.expect(200)["status"], "EXHAUSTED");
    let redemptions = |status: &str| format!("{path}/redemptions{status}");
    assert_eq!(shop.all(&redemptions("")).await.len(), 2);
    me.post(&format!("/api/orders/{}/cancel", placed["id"]), &json!({"reason": "x"})).await.expect(200);
    assert_eq!(
        (shop.all(&redemptions("")).await.len(), shop.all(&redemptions("?status=RELEASED")).await.len()),
        (1, 1)
    );
    assert_eq!(shop.all(&redemptions("?status=ALL")).await.len(), 2);
    assert_eq!(shop.admin.get(path).await.expect(200)["status"], "ACTIVE");
    shop.admin.patch(path, &json!({"maxRedemptions": 0})).await.expect(422);
    shop.admin.patch(path, &json!({"status": "DISABLED"})).await.expect(200);
    let refused = order(&you, "A", 1, json!({"couponCode": "WELCOME100"})).await.refused(422, "COUPON_INVALID");
    assert_eq!(refused["reason"], "PAUSED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_hides_unusable_codes_from_anonymous_callers() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let me = shop.customer("me@example.com").await;
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    coupon(&shop, "SECOND", ten, json!({})).await;
    coupon(&shop, "WELCOME100", ten, json!({})).await;
    shop.admin.patch("/api/coupons/welcome_100", &json!({"status": "DISABLED"})).await.expect(200);
    let validate = |code: &'static str, client: &crate::client::Client| {
        let client = client.clone();
        async move {
            client
                .post("/api/coupons/validate", &json!({"code": code, "items": [{"sku": "A", "quantity": 3}]}))
                .await
                .expect(200)
        }
    };
    let good = validate("Second", &shop.anyone).await;
    assert_eq!((&good["valid"], &good["discount"]), (&json!(true), &json!("3.00")));
    assert_eq!(validate("WELCOME100", &shop.anyone).await["reason"], "UNKNOWN");
    assert_eq!(validate("WELCOME100", &me).await["reason"], "PAUSED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_ignores_spelling_and_respects_the_promotion() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let me = shop.customer("me@example.com").await;
    let named = activate(&shop, percent("10", json!({"code": "Promo-1"}))).await;
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    coupon(&shop, "Key-1", ten, json!({})).await;
    let bodies = |code: &str| {
        let with_items = json!({"code": code, "items": [{"sku": "A", "quantity": 1}]});
        [(with_items, "1.00"), (json!({"code": code}), "0.00")]
    };
    for code in ["Promo-1", "PROMO1", "pro mo_1", "Key-1", "key1"] {
        for (body, discount) in bodies(code) {
            let good = shop.anyone.post("/api/coupons/validate", &body).await.expect(200);
            assert_eq!((&good["valid"], &good["discount"]), (&json!(true), &json!(discount)), "{body}: {good}");
        }
    }
    let redeem =
        async |reference: &str| shop.admin.post("/api/coupons/key1/redeem", &json!({"reference": reference})).await;
    redeem("till:1").await.expect(200);
    for promotion in [named, ten] {
        shop.admin.post(&format!("/api/promotions/{promotion}/pause"), &json!({})).await.expect(200);
    }
    for code in ["promo1", "KEY-1"] {
        for (body, _) in bodies(code) {
            let refused = me.post("/api/coupons/validate", &body).await.expect(200);
            assert_eq!((&refused["valid"], &refused["reason"]), (&json!(false), &json!("PAUSED")), "{body}: {refused}");
        }
    }
    redeem("till:1").await.expect(200);
    assert_eq!(redeem("till:2").await.refused(422, "COUPON_INVALID")["reason"], "PAUSED", "the promotion is paused");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_personal_coupon_requires_an_existing_user() {
    let shop = Shop::start().await;
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    let of_unknown_user = json!({"code": "MINE", "promotionId": ten, "userId": 99});
    let refused = shop.admin.post("/api/coupons", &of_unknown_user).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(
        (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
        (&json!("/userId"), &json!("UNKNOWN_USER"))
    );
    coupon(&shop, "MINE", ten, json!({"userId": 1})).await;
    let refused = shop.admin.patch("/api/coupons/MINE", &json!({"userId": 99})).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(refused["errors"][0]["pointer"], "/userId");
    shop.admin.patch("/api/coupons/MINE", &json!({"userId": null})).await.expect(200);
    let csv = format!("code,promotionId,userId\nOLD1,{ten},99\nOLD2,{ten},1\n");
    let report = shop.admin.send("POST", "/api/coupons/import", "text/csv", csv.into()).await.unwrap().expect(200);
    assert_eq!((&report["created"], &report["errors"][0]["code"]), (&json!(1), &json!("UNKNOWN_USER")), "{report}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_redeems_and_releases_a_coupon_once() {
    let shop = Shop::start().await;
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    coupon(&shop, "TILL", ten, json!({"maxRedemptions": 1})).await;
    let redeem = |reference: &'static str| {
        let admin = shop.admin.clone();
        async move { admin.post("/api/coupons/till/redeem", &json!({"reference": reference})).await }
    };
    let first = redeem("till:1").await.expect(200);
    assert_eq!(redeem("till:1").await.expect(200)["id"], first["id"]);
    assert_eq!(redeem("till:2").await.refused(422, "COUPON_INVALID")["reason"], "LIMIT_REACHED");
    redeem("order:7").await.expect(422);
    let release = || async { shop.admin.post("/api/coupons/TILL/release", &json!({"reference": "till:1"})).await };
    assert_eq!(release().await.expect(200)["status"], "RELEASED");
    assert_eq!(release().await.expect(200)["status"], "RELEASED");
    redeem("till:1").await.refused(409, "REDEMPTION_RELEASED");
    redeem("till:2").await.expect(200);
    shop.customer("c@example.com")
        .await
        .post("/api/coupons/TILL/redeem", &json!({"reference": "x"}))
        .await
        .refused(403, "FORBIDDEN");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_generated_exported_and_disabled_and_codes_are_imported() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let ten = activate(&shop, percent("10", json!({"couponOnly": true}))).await;
    for (body, pointer) in [
        (json!({"count": 0, "promotionId": ten}), "/count"),
        (json!({"count": 10_000_001, "promotionId": ten}), "/count"),
        (json!({"count": 1, "promotionId": 99}), "/promotionId"),
        (json!({"count": 1, "promotionId": ten, "pattern": "NONE"}), "/pattern"),
        (json!({"count": 1000, "promotionId": ten, "pattern": "A-##"}), "/pattern"),
        (json!({"count": 1, "promotionId": ten, "validDays": 0}), "/validDays"),
        (json!({"count": 1, "promotionId": ten, "length": 3}), "/length"),
    ] {
        let problem = shop.admin.post("/api/coupons/bulk", &body).await.expect(422);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let problem = shop.admin.post("/api/coupons", &json!({"code": "X99", "promotionId": 99})).await.expect(422);
    assert_eq!(problem["errors"][0]["pointer"], "/promotionId");
    let body =
        json!({"count": 2_000, "promotionId": ten, "pattern": "SAVE-####-####", "validDays": 30, "perUserLimit": 1});
    let batch = shop.admin.post("/api/coupons/bulk", &body).await.expect(202);
    let path = format!("/api/coupons/batches/{}", batch["id"]);
    while shop.admin.get(&path).await.expect(200)["status"] != "COMPLETED" {
        tokio::task::yield_now().await;
    }
    let export = shop.admin.get(&format!("{path}/export")).await;
    assert_eq!(export.headers["content-type"], "text/csv");
    let text = String::from_utf8(export.bytes.to_vec()).unwrap();
    let codes: std::collections::BTreeSet<&str> =
        text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(codes.len(), 2_000, "all codes are different");
    let code = *codes.iter().nth(77).unwrap();
    assert!(code.starts_with("SAVE-") && code.len() == 14, "{code}");
    let placed =
        order(&shop.anyone, "A", 1, json!({"couponCode": code.replace('-', "").to_lowercase()})).await.expect(201);
    assert_eq!(placed["totals"]["total"], "9.00");
    shop.admin.post(&format!("{path}/disable"), &json!({})).await.expect(200);
    let other = *codes.iter().nth(78).unwrap();
    order(&shop.anyone, "A", 1, json!({"couponCode": other})).await.refused(422, "COUPON_INVALID");
    let csv =
        format!("code,promotionId,maxRedemptions\nOLD-1,{ten},1\nold1,{ten},1\n,{ten},1\nOLD-2,99,1\nOLD-3,{ten},x\n");
    let report = shop.admin.send("POST", "/api/coupons/import", "text/csv", csv.into()).await.unwrap().expect(200);
    assert_eq!(
        (&report["created"], &report["skipped"], &report["failed"]),
        (&json!(1), &json!(1), &json!(3)),
        "{report}"
    );
    order(&shop.anyone, "A", 1, json!({"couponCode": "OLD1"})).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_sale_streams_its_stock_and_status() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    let at = |seconds: i64| promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string();
    let body = json!({"name": "Flash", "startsAt": at(0), "endsAt": at(600), "items": [{"sku": "A", "salePrice": "4.00", "stock": 1}]});
    let sale = shop.admin.post("/api/flash-sales", &body).await.expect(201);
    let path = format!("/api/flash-sales/{}", sale["id"]);
    let mut stream = shop.anyone.follow(&format!("{path}/stream")).await;
    let mut received = String::new();
    let buyer = shop.customer("c@example.com").await;
    let held = buyer.post(&format!("{path}/reservations"), &json!({"sku": "A", "quantity": 1})).await.expect(201);
    let read_until = async |stream: &mut hyper::body::Incoming, received: &mut String, expected: &str| {
        while !received.contains(expected) {
            let frame = stream.frame().await.expect("the stream continues").unwrap();
            received.push_str(&String::from_utf8_lossy(frame.data_ref().expect("text")));
        }
    };
    read_until(&mut stream, &mut received, "\"remaining\":0").await;
    let mut bought = order_of(&[], "tok_visa");
    bought["items"] = json!([]);
    bought["flashSaleReservationIds"] = json!([held["reservationId"]]);
    assert_eq!(buyer.post("/api/orders", &bought).await.expect(201)["totals"]["total"], "4.00");
    shop.admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    read_until(&mut stream, &mut received, "CANCELLED").await;
    drop(stream);
    shop.close().await;
}

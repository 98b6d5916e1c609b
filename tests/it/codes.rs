//! Codes of promotions and coupons over HTTP: uniqueness, reasons for refusal, limits, budgets, and guessing.

use serde_json::{Value, json};

use crate::client::Client;
use crate::promotions::{activate, order, pause, percent, reason, with};
use crate::shop::{Shop, order_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_code_belongs_to_one_promotion_or_coupon_even_under_concurrency() {
    let shop = Shop::start().await;
    let key = activate(&shop, percent("5", json!({"couponOnly": true}))).await;
    let bulk = json!({"count": 30_000, "promotionId": key, "pattern": "RACE-######"});
    shop.admin.post("/api/coupons/bulk", &bulk).await.expect(202);
    for round in 0..40 {
        let code = format!("Same-{round}");
        let promotion = percent("10", json!({"code": code.to_lowercase()}));
        let coupon = json!({"code": code, "promotionId": key});
        let row = json!({"code": code, "promotionId": key}).to_string();
        let (promotion, coupon, imported) = tokio::join!(
            shop.admin.post("/api/promotions", &promotion),
            shop.admin.post("/api/coupons", &coupon),
            shop.admin.send("POST", "/api/coupons/import", "application/x-ndjson", row.into()),
        );
        let imported = imported.unwrap().expect(200)["created"].as_i64().unwrap();
        let created = [promotion.status == 201, coupon.status == 201, imported == 1];
        assert!(created.iter().filter(|created| **created).count() <= 1, "{code}: {created:?}");
        for refused in [promotion, coupon].iter().filter(|item| item.status != 201) {
            refused.refused(409, "CODE_TAKEN");
        }
        if !created.contains(&true) {
            shop.admin.post("/api/coupons", &json!({"code": code, "promotionId": key})).await.expect(201);
        }
    }
    for taken in ["same0", "SAME_1", "s a m e 2"] {
        shop.admin.post("/api/promotions", &percent("1", json!({"code": taken}))).await.refused(409, "CODE_TAKEN");
        shop.admin.post("/api/coupons", &json!({"code": taken, "promotionId": key})).await.refused(409, "CODE_TAKEN");
    }
    // A promotion may take a code that fits a batch's pattern, unless the batch has generated that code.
    activate(&shop, percent("1", json!({"code": "RACEZZZZZZ"}))).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_codes_give_a_reason_that_depends_on_the_caller() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let member = shop.customer("member@example.com").await;
    let at = |seconds: i64| promox_kernel::Timestamp::from_seconds(shop.seconds() + seconds).to_string();
    let big = json!({"field": "cart.subtotal", "op": "GTE", "value": "50.00"});
    let paused = activate(&shop, percent("10", json!({"code": "PAUSED"}))).await;
    pause(&shop, paused).await;
    shop.admin.post("/api/promotions", &percent("10", json!({"code": "DRAFT"}))).await.expect(201);
    activate(&shop, percent("10", json!({"code": "LATER", "startsAt": at(600)}))).await;
    activate(&shop, percent("10", json!({"code": "OVER", "startsAt": at(-60), "endsAt": at(-30)}))).await;
    activate(&shop, percent("10", json!({"code": "BIG", "when": big}))).await;
    let staff = json!({"field": "customer.id", "op": "EQ", "value": 99});
    activate(&shop, percent("10", json!({"code": "STAFF", "when": staff}))).await;
    let b = json!([{"type": "PERCENT_OFF", "value": "5", "scope": "ITEMS", "items": {"skus": ["B"]}}]);
    activate(&shop, percent("5", json!({"code": "ONLY-B", "actions": b}))).await;
    for (code, anonymous_reason, member_reason) in [
        ("NOPE", "UNKNOWN", "UNKNOWN"),
        ("DRAFT", "UNKNOWN", "UNKNOWN"),
        ("PAUSED", "UNKNOWN", "PAUSED"),
        ("later", "UNKNOWN", "NOT_STARTED"),
        ("OVER", "UNKNOWN", "EXPIRED"),
        ("STAFF", "UNKNOWN", "NOT_ELIGIBLE"),
        ("B I-G", "CONDITIONS_NOT_MET", "CONDITIONS_NOT_MET"),
        ("only_b", "NO_MATCHING_ITEMS", "NO_MATCHING_ITEMS"),
    ] {
        for (client, expected) in [(&shop.anyone, anonymous_reason), (&member, member_reason)] {
            for field in ["promotionCode", "couponCode"] {
                let mut body = order_of(&[("A", 1)], "tok_visa");
                body[field] = json!(code);
                let quote = client.post("/api/orders/quote", &body).await.expect(200);
                let (reason, rejected) = reason(&quote);
                assert_eq!((reason, &rejected["code"]), (expected, &json!(code)), "{quote}");
                assert!(expected != "UNKNOWN" || rejected.get("promotionId").is_none(), "{rejected}");
                let refused = client.post("/api/orders", &body).await.expect(422);
                assert_eq!(refused["reason"], expected, "{refused}");
                assert!(["PROMOTION_INVALID", "COUPON_INVALID"].contains(&refused["code"].as_str().unwrap()));
            }
        }
    }
    let mut body = order_of(&[("A", 4)], "tok_visa");
    body["promotionCode"] = json!("BIG");
    let quote = shop.anyone.post("/api/orders/quote", &body).await.expect(200);
    let details =
        json!([{"field": "cart.subtotal", "op": "GTE", "wanted": "50.00", "actual": "40.00", "missing": "10.00"}]);
    assert_eq!(quote["rejectedPromotions"][0]["details"], details);
    body["items"][0]["quantity"] = json!(5);
    let placed = shop.anyone.post("/api/orders", &body).await.expect(201);
    assert_eq!(placed["appliedPromotions"][0]["code"], "BIG");
    assert_eq!((&placed["totals"]["discount"], &placed["totals"]["total"]), (&json!("5.00"), &json!("45.00")));
    assert_eq!(shop.admin.get("/api/orders").await.expect(200)["items"].as_array().unwrap().len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_limits_count_orders_and_are_released_once() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let member = shop.customer("member@example.com").await;
    let coded = |code: &str, limits: Value| percent("10", json!({"code": code, "limits": limits}));
    let one = activate(&shop, coded("ONE", json!({"perUser": 1}))).await;
    let order_with_code = |client: Client, code: &'static str, more: Value| async move {
        order(&client, "A", 1, with(json!({"promotionCode": code}), more)).await
    };
    let first = order_with_code(member.clone(), "ONE", json!({"email": "member@example.com"})).await.expect(201);
    let again = order_with_code(member.clone(), "ONE", json!({})).await.refused(422, "PROMOTION_INVALID");
    assert_eq!(again["reason"], "USER_LIMIT_REACHED");
    for guest in ["member@example.com", "Member@Example.com"] {
        let refused = order_with_code(shop.anyone.clone(), "ONE", json!({"email": guest})).await;
        assert_eq!(
            refused.refused(422, "PROMOTION_INVALID")["reason"],
            "USER_LIMIT_REACHED",
            "a guest is identified by the email address"
        );
    }
    order_with_code(shop.anyone.clone(), "ONE", json!({"email": "other@example.com"})).await.expect(201);
    let mut quote = with(order_of(&[("A", 1)], "tok_visa"), json!({"promotionCode": "ONE"}));
    quote.as_object_mut().unwrap().remove("email");
    let quote = shop.anyone.post("/api/orders/quote", &quote).await.expect(200);
    assert_eq!(quote["totals"]["total"], "9.00");
    assert_eq!(
        quote["warnings"].as_array().unwrap().len(),
        1,
        "a warning says that limits per user were not checked: {quote}"
    );
    let cancel = format!("/api/orders/{}/cancel", first["id"]);
    for _ in 0..3 {
        member.post(&cancel, &json!({"reason": "changed my mind"})).await.expect(200);
    }
    assert_eq!(shop.admin.get(&format!("/api/promotions/{one}")).await.expect(200)["uses"], 1);
    order_with_code(member.clone(), "ONE", json!({})).await.expect(201);
    order_with_code(member.clone(), "ONE", json!({})).await.refused(422, "PROMOTION_INVALID");

    activate(&shop, coded("TWICE", json!({"total": 2}))).await;
    for status in [201, 201, 422, 422] {
        let answer = order_with_code(shop.anyone.clone(), "TWICE", json!({})).await;
        assert_eq!(answer.status, status);
        assert!(status == 201 || answer.json()["reason"] == "LIMIT_REACHED");
    }
    let monthly = json!({"periods": [{"per": "TOTAL", "period": "MONTH", "count": 1}]});
    activate(&shop, coded("MONTHLY", monthly)).await;
    order_with_code(shop.anyone.clone(), "MONTHLY", json!({})).await.expect(201);
    let full = order_with_code(member.clone(), "MONTHLY", json!({})).await.refused(422, "PROMOTION_INVALID");
    assert_eq!(full["reason"], "LIMIT_REACHED");
    let address = |line: &str| json!({"shippingAddress": {"name": "N", "line1": line, "city": "London", "postalCode": "N1", "country": "GB"}});
    activate(&shop, coded("HOUSE", json!({"periods": [{"per": "ADDRESS", "period": "DAY", "count": 1}]}))).await;
    order_with_code(shop.anyone.clone(), "HOUSE", address("1 High St.")).await.expect(201);
    order_with_code(member.clone(), "HOUSE", address("1  HIGH ST")).await.refused(422, "PROMOTION_INVALID");
    order_with_code(member.clone(), "HOUSE", address("2 High St.")).await.expect(201);
    let declined =
        with(order_of(&[("A", 1)], "tok_declined"), json!({"promotionCode": "ONE", "email": "third@example.com"}));
    shop.anyone.post("/api/orders", &declined).await.refused(402, "PAYMENT_DECLINED");
    order_with_code(shop.anyone.clone(), "ONE", json!({"email": "third@example.com"})).await.expect(201);
    // A promotion that discounts 0.00 is not applied and does not count as a use.
    shop.product("FREE", "0.00", 10).await;
    let unused = activate(&shop, percent("7", json!({}))).await;
    let free = order(&shop.anyone, "FREE", 1, json!({})).await.expect(201);
    assert_eq!(free["appliedPromotions"], json!([]));
    assert_eq!(shop.admin.get(&format!("/api/promotions/{unused}")).await.expect(200)["uses"], 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_refuse_or_grant_the_rest_and_the_store_caps_discounts() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let budget = |code: &str, short: &str| {
        percent("20", json!({"code": code, "limits": {"budget": "5.00", "whenShort": short}}))
    };
    let refuse = activate(&shop, budget("REFUSE", "REFUSE")).await;
    let rest = activate(&shop, budget("REST", "GIVE_REST")).await;
    for (code, discounts) in [("REFUSE", ["2.00", "2.00", "none"]), ("REST", ["2.00", "2.00", "1.00"])] {
        for expected in discounts {
            let answer = order(&shop.anyone, "A", 1, json!({"promotionCode": code})).await;
            if expected == "none" {
                assert_eq!(answer.refused(422, "PROMOTION_INVALID")["reason"], "BUDGET_EXHAUSTED");
            } else {
                assert_eq!(answer.expect(201)["totals"]["discount"], expected, "{code}");
            }
        }
        let exceeding = order(&shop.anyone, "A", 2, json!({"promotionCode": code})).await;
        assert_eq!(exceeding.refused(422, "PROMOTION_INVALID")["reason"], "BUDGET_EXHAUSTED");
    }
    for (id, spent) in [(refuse, "4.00"), (rest, "5.00")] {
        let seen = shop.admin.get(&format!("/api/promotions/{id}")).await.expect(200);
        assert_eq!(seen["spent"], spent);
        let low = shop.admin.patch(&format!("/api/promotions/{id}"), &json!({"limits": {"budget": "3.99"}})).await;
        assert_eq!(low.expect(422)["errors"][0]["pointer"], "/limits/budget");
    }
    shop.admin.patch("/api/settings/store", &json!({"maxDiscountPercent": "30"})).await.expect(200);
    let first = activate(&shop, percent("25", json!({"priority": 1}))).await;
    let last = activate(&shop, percent("20", json!({}))).await;
    let placed = order(&shop.anyone, "A", 1, json!({})).await.expect(201);
    let expected = json!([[first, "2.50"], [last, "0.50"]]);
    let applied = placed["appliedPromotions"].as_array().unwrap();
    let applied: Vec<_> = applied.iter().map(|item| json!([item["promotionId"], item["amount"]])).collect();
    assert_eq!(json!(applied), expected, "the cap reduces the last promotion");
    let seen = shop.admin.get(&format!("/api/promotions/{last}")).await.expect(200);
    assert_eq!(seen["spent"], "0.50", "the budget is charged after the cap");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_is_refused_without_effect_and_its_neighbours_are_not() {
    let shop = Shop::start_with(&[("PROMOX_LIMITS__ENABLED", "true")]).await;
    shop.product("A", "10.00", 100).await;
    let key = activate(&shop, percent("5", json!({"couponOnly": true}))).await;
    for code in ["KEPT", "PRIZE"] {
        shop.admin.post("/api/coupons", &json!({"code": code, "promotionId": key})).await.expect(201);
    }
    let cart = async || {
        let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
        shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap())
    };
    let item = json!({"sku": "A", "quantity": 1});
    let guess = async |guest: &Client, from: u32, count: u32| {
        let codes: Vec<String> = (from..from + count).map(|n| format!("WRONG-{n}")).collect();
        guest.put("/api/carts/current/codes", &json!({"couponCodes": codes})).await
    };
    let (guesser, neighbour) = (cart().await, cart().await);
    neighbour.post("/api/carts/current/items", &item).await.expect(200);
    neighbour.put("/api/carts/current/codes", &json!({"couponCodes": ["KEPT"]})).await.expect(200);
    guess(&guesser, 0, 10).await.expect(200);
    guess(&guesser, 10, 9).await.expect(200);
    guess(&guesser, 20, 2).await.refused(429, "TOO_MANY_GUESSES");
    let codes = json!({"couponCodes": ["PRIZE"]});
    guesser.put("/api/carts/current/codes", &codes).await.refused(429, "TOO_MANY_GUESSES");
    let seen = guesser.post("/api/carts/current/items", &item).await.expect(200);
    let kept = seen["codes"]["couponCodes"].as_array().unwrap();
    assert_eq!((kept.len(), kept[0].as_str()), (9, Some("WRONG-10")), "the refused codes are not stored: {seen}");

    assert_eq!(neighbour.get("/api/carts/current").await.expect(200)["totals"]["total"], "9.50");
    neighbour.put("/api/carts/current/codes", &codes).await.expect(200);
    let all = json!({"items": [item], "codes": (0..49).map(|n| format!("NONE-{n}")).chain(["PRIZE".to_owned()]).collect::<Vec<_>>()});
    shop.anyone.post("/api/promotions/calculate", &all).await.refused(429, "TOO_MANY_GUESSES");

    // A guest can have any number of carts, but all guesses from one network count together.
    for round in 0..8 {
        guess(&cart().await, 100 + 10 * round, 10).await.expect(200);
    }
    guess(&cart().await, 200, 1).await.expect(200);
    guess(&cart().await, 201, 1).await.refused(429, "TOO_MANY_GUESSES");
    assert_eq!(neighbour.get("/api/carts/current").await.expect(200)["totals"]["total"], "9.50");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_codes_is_limited_on_every_endpoint() {
    let shop = Shop::start_with(&[("PROMOX_LIMITS__ENABLED", "true")]).await;
    shop.product("A", "10.00", 100).await;
    let key = activate(&shop, percent("5", json!({"couponOnly": true}))).await;
    for code in ["KEPT", "PRIZE"] {
        shop.admin.post("/api/coupons", &json!({"code": code, "promotionId": key})).await.expect(201);
    }
    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    let guest = shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap());
    guest.post("/api/carts/current/items", &json!({"sku": "A", "quantity": 1})).await.expect(200);
    let coded = |code: &str| with(order_of(&[("A", 1)], "tok_visa"), json!({"couponCode": code}));
    guest.post("/api/orders/quote", &coded("WRONG-0")).await.expect(200);
    let codes = json!({"couponCodes": ["KEPT", "WRONG-0"]});
    guest.put("/api/carts/current/codes", &codes).await.expect(200);
    for _ in 0..25 {
        guest.get("/api/carts/current").await.expect(200);
    }
    let calculate = json!({"items": [{"sku": "A", "quantity": 1}], "codes": ["WRONG-1", "WRONG-2"]});
    guest.post("/api/promotions/calculate", &calculate).await.expect(200);
    for i in 3..10 {
        guest.post("/api/orders", &coded(&format!("WRONG-{i}"))).await.expect(422);
        let validate = json!({"code": format!("WRONG-{}", i + 10)});
        guest.post("/api/coupons/validate", &validate).await.expect(200);
    }
    for i in 0..3 {
        guest.post("/api/orders/quote", &coded(&format!("LAST-{i}"))).await.expect(200);
    }
    for refused in [
        guest.post("/api/orders/quote", &coded("PRIZE")).await,
        guest.post("/api/orders", &coded("PRIZE")).await,
        guest.post("/api/coupons/validate", &json!({"code": "PRIZE"})).await,
        guest.post("/api/promotions/calculate", &json!({"items": calculate["items"], "codes": ["PRIZE"]})).await,
    ] {
        refused.refused(429, "TOO_MANY_GUESSES");
        assert!(refused.headers.contains_key("retry-after"));
    }
    let seen = guest.get("/api/carts/current").await.expect(200);
    assert_eq!(seen["totals"]["total"], "9.50", "the cart keeps the codes that it has: {seen}");
    let member = shop.customer("member@example.com").await;
    assert_eq!(member.post("/api/orders/quote", &coded("PRIZE")).await.expect(200)["totals"]["total"], "9.50");
    shop.close().await;
}

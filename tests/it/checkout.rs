//! Checkout: its responses, its effects on stock and payments, and the compensation of failed or cancelled orders.

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{Shop, order_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_buys_two_lines() {
    let shop = Shop::start().await;
    shop.product("A-1", "19.90", 10).await;
    shop.product("B-2", "0.05", 100).await;
    let order =
        shop.anyone.post("/api/orders", &order_of(&[("a-1", 2), ("B-2", 3), ("A-1", 1)], "tok_visa")).await.expect(201);
    assert_eq!(order["status"], "CONFIRMED");
    assert_eq!(order["totals"]["total"], "59.85");
    assert_eq!(order["lines"].as_array().unwrap().len(), 2, "lines of one SKU are merged: {order}");
    assert_eq!(order["lines"][0]["quantity"], 3);
    assert_eq!(order["payment"]["status"], "CAPTURED");
    assert_eq!(shop.settled_stock("A-1").await, 7);
    assert_eq!(shop.settled_stock("B-2").await, 97);
    let path = format!("/api/orders/{}", order["id"]);
    assert_eq!(shop.anyone.get(&path).await.status, 401);
    let guest = shop.anyone.with("x-order-token", order["orderToken"].as_str().unwrap());
    let again = guest.get(&path).await.expect(200);
    assert_eq!(again["number"], order["number"]);
    assert_eq!(again.get("orderToken"), None, "the token is shown once");
    let look_up = format!("/api/orders/lookup?number={}&email=guest@example.com", order["number"].as_str().unwrap());
    assert_eq!(shop.anyone.get(&look_up).await.expect(200)["id"], order["id"]);
    let invoice = guest.get(&format!("{path}/invoice")).await;
    assert!(String::from_utf8_lossy(&invoice.bytes).contains("59.85"));
    let timeline = guest.get(&format!("{path}/timeline")).await.expect(200);
    let steps: Vec<&str> = timeline["items"].as_array().unwrap().iter().map(|e| e["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["HOLD", "CREATE", "TAKE_PAYMENT", "CONFIRM"]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_is_named_on_its_order_and_invoice() {
    let shop = Shop::start().await;
    shop.product("A-1", "19.90", 10).await;
    let mut body = order_of(&[("A-1", 1)], "tok_visa");
    body["billingAddress"] = json!({"name": "Ada", "company": "Engines Ltd", "vatId": "GB123456789", "line1": "1 Road", "city": "Bath", "country": "GB"});
    let order = shop.anyone.post("/api/orders", &body).await.expect(201);
    let path = format!("/api/orders/{}", order["id"]);
    let stored = shop.admin.get(&path).await.expect(200);
    assert_eq!(stored["billingAddress"], body["billingAddress"]);
    let invoice = shop.admin.get(&format!("{path}/invoice")).await;
    let page = String::from_utf8_lossy(&invoice.bytes).into_owned();
    assert!(page.contains("Engines Ltd") && page.contains("VAT ID GB123456789"), "{page}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_insufficient_stock_is_refused_and_not_stored() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 2).await;
    shop.product("B", "1.00", 9).await;
    let refused = shop.anyone.post("/api/orders", &order_of(&[("A", 3), ("B", 1)], "tok_visa")).await;
    let body = refused.refused(409, "INSUFFICIENT_STOCK");
    assert_eq!(body["items"], json!([{"sku": "A", "asked": 3, "available": 2}]), "{body}");
    assert_eq!(shop.stock_of("B").await, (9, 0));
    assert_eq!(shop.admin.get("/api/orders").await.expect(200)["items"], json!([]));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sandbox_token_has_its_documented_effect() {
    let shop = Shop::start_with(&[("PROMOX_PAYMENT__TIMEOUT_MS", "200")]).await;
    shop.product("A", "10.00", 100).await;
    let place = |token: &'static str| {
        let client = shop.anyone.clone();
        async move { client.post("/api/orders", &order_of(&[("A", 1)], token)).await }
    };
    for token in ["tok_declined", "tok_insufficient_funds"] {
        let declined = place(token).await.refused(402, "PAYMENT_DECLINED");
        assert!(declined["declineCode"].is_string());
        let order = shop.admin.get(&format!("/api/orders/{}", declined["orderId"])).await.expect(200);
        assert_eq!(order["status"], "FAILED");
        let invoice = shop.admin.get(&format!("/api/orders/{}/invoice", declined["orderId"])).await;
        invoice.refused(409, "ORDER_NOT_CONFIRMED");
    }
    assert_eq!(shop.stock_of("A").await, (100, 0), "a declined order holds no stock");
    assert_eq!(place("tok_flaky").await.expect(201)["status"], "CONFIRMED");
    let waiting = place("tok_requires_action").await.expect(201);
    assert_eq!(
        (waiting["status"].as_str(), waiting["payment"]["status"].as_str()),
        (Some("PENDING"), Some("REQUIRES_ACTION"))
    );
    assert!(waiting["payment"]["action"].is_object(), "{waiting}");
    let guest = shop.anyone.with("x-order-token", waiting["orderToken"].as_str().unwrap());
    guest.post(&format!("/api/payments/{}/confirm", waiting["payment"]["id"]), &json!({})).await.expect(200);
    assert_eq!(shop.wait_until_decided(&waiting["id"]).await["status"], "CONFIRMED");
    let slow = place("tok_timeout").await;
    if slow.status == 202 {
        assert_eq!(slow.json()["status"], "PENDING");
        assert_eq!(shop.wait_until_decided(&slow.json()["id"]).await["status"], "CONFIRMED");
    } else {
        assert_eq!(slow.expect(201)["status"], "CONFIRMED");
    }
    assert_eq!(shop.settled_stock("A").await, 97);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_key_replays_the_response_byte_for_byte() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10).await;
    let keyed = shop.anyone.key("one");
    let body = order_of(&[("A", 1)], "tok_visa");
    let first = keyed.post("/api/orders", &body).await;
    let again = keyed.post("/api/orders", &body).await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.bytes, again.bytes);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    keyed.post("/api/orders", &order_of(&[("A", 2)], "tok_visa")).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    let short = shop.anyone.key("short");
    let too_many = order_of(&[("A", 99)], "tok_visa");
    let refused = short.post("/api/orders", &too_many).await;
    refused.refused(409, "INSUFFICIENT_STOCK");
    shop.set_stock("A", 500).await;
    let replayed = short.post("/api/orders", &too_many).await;
    assert_eq!((replayed.status, &replayed.bytes), (409, &refused.bytes), "a stored refusal is replayed");
    let shop = shop.restart().await;
    let after = shop.anyone.key("one").post("/api/orders", &body).await;
    assert_eq!((after.status, &after.bytes), (201, &first.bytes), "also after a restart");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_order_restocks_and_refunds_it_once() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 5).await;
    let ada = shop.customer("ada@example.com").await;
    let order = ada.post("/api/orders", &order_of(&[("A", 2)], "tok_visa")).await.expect(201);
    let path = format!("/api/orders/{}/cancel", order["id"]);
    let bob = shop.customer("bob@example.com").await;
    assert_eq!(bob.post(&path, &json!({"reason": "not mine"})).await.status, 404);
    for _ in 0..3 {
        assert_eq!(ada.post(&path, &json!({"reason": "changed my mind"})).await.expect(200)["status"], "CANCELLED");
    }
    assert_eq!(shop.settled_stock("A").await, 5);
    let payment = shop.admin.get(&format!("/api/payments/{}", order["payment"]["id"])).await.expect(200);
    assert_eq!((payment["status"].as_str(), payment["refunded"].as_str()), (Some("REFUNDED"), Some("20.00")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shipments_and_returns_are_tracked_by_unit() {
    let shop = Shop::start().await;
    shop.product("A", "3.33", 10).await;
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 3)], "tok_visa")).await.expect(201);
    let path = format!("/api/orders/{}", order["id"]);
    let parcel = json!({"items": [{"sku": "A", "quantity": 1}], "carrier": "Post", "trackingNumber": "1"});
    let first = shop.admin.post(&format!("{path}/fulfilments"), &parcel).await.expect(201);
    assert_eq!(shop.admin.get(&path).await.expect(200)["status"], "PROCESSING");
    shop.admin.post(&format!("{path}/cancel"), &json!({"reason": "late"})).await.refused(409, "NOT_CANCELLABLE");
    let rest = json!({"carrier": "Post", "trackingNumber": "2"});
    let second = shop.admin.post(&format!("{path}/fulfilments"), &rest).await.expect(201);
    assert_eq!(second["items"], json!([{"sku": "A", "quantity": 2}]));
    assert_eq!(shop.admin.get(&path).await.expect(200)["status"], "SHIPPED");
    for parcel in [&first, &second, &second] {
        shop.admin.post(&format!("{path}/fulfilments/{}/deliver", parcel["id"]), &json!({})).await.expect(200);
    }
    assert_eq!(shop.admin.get(&path).await.expect(200)["status"], "DELIVERED");
    let return_of = |quantity: u32| json!({"items": [{"sku": "A", "quantity": quantity}], "reason": "too small"});
    shop.admin.post(&format!("{path}/returns"), &return_of(4)).await.refused(409, "NOTHING_LEFT_TO_RETURN");
    let mut refunds = Vec::new();
    for quantity in [1, 2] {
        let requested = shop.admin.post(&format!("{path}/returns"), &return_of(quantity)).await.expect(201);
        let approve = format!("{path}/returns/{}/approve", requested["id"]);
        for _ in 0..2 {
            let done = shop.admin.post(&approve, &json!({})).await.expect(200);
            assert_eq!(done["status"], "APPROVED");
        }
        refunds.push(requested["refund"].as_str().unwrap().to_owned());
    }
    assert_eq!(refunds, ["3.33", "6.66"]);
    assert_eq!(shop.admin.get(&path).await.expect(200)["status"], "REFUNDED");
    assert_eq!(shop.settled_stock("A").await, 10);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn units_returned_before_shipping_are_not_shipped() {
    let shop = Shop::start().await;
    shop.product("A", "3.00", 10).await;
    shop.product("B", "1.00", 10).await;
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 5), ("B", 1)], "tok_visa")).await.expect(201);
    let path = format!("/api/orders/{}", order["id"]);
    let return_units = async |sku: &str, quantity: u32| {
        let body = json!({"items": [{"sku": sku, "quantity": quantity}], "reason": "too many"});
        let requested = shop.admin.post(&format!("{path}/returns"), &body).await.expect(201);
        shop.admin.post(&format!("{path}/returns/{}/approve", requested["id"]), &json!({})).await.expect(200)
    };
    let ship = async |sku: &str, quantity: u32| {
        let items = json!([{"sku": sku, "quantity": quantity}]);
        let parcel = json!({"items": items, "carrier": "Post", "trackingNumber": "1"});
        shop.admin.post(&format!("{path}/fulfilments"), &parcel).await
    };
    let status = async || shop.admin.get(&path).await.expect(200)["status"].clone();
    let returned = return_units("a", 2).await;
    assert_eq!(returned["items"][0]["sku"], "A", "a return names the SKU as it was sold");
    ship("A", 4).await.refused(409, "NOTHING_LEFT_TO_SHIP");
    let parcel = ship("a", 3).await.expect(201);
    assert_eq!(parcel["items"][0]["sku"], "A");
    assert_eq!(status().await, "PROCESSING");
    return_units("A", 2).await;
    ship("A", 1).await.refused(409, "NOTHING_LEFT_TO_SHIP");
    shop.admin.post(&format!("{path}/fulfilments/{}/deliver", parcel["id"]), &json!({})).await.expect(200);
    assert_eq!(status().await, "PROCESSING", "B has not been delivered");
    return_units("B", 1).await;
    assert_eq!(status().await, "DELIVERED", "nothing remains to be delivered");
    return_units("A", 1).await;
    assert_eq!(status().await, "REFUNDED");
    assert_eq!((shop.settled_stock("A").await, shop.settled_stock("B").await), (10, 10));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_buyers_get_exactly_the_units_in_stock() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 50).await;
    let buyers = (0..64).map(|_| {
        let client = shop.anyone.clone();
        tokio::spawn(async move {
            let mut bought = 0;
            for _ in 0..3 {
                let answer = client.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await;
                assert!(matches!(answer.status, 201 | 409), "{answer:?}");
                bought += u32::from(answer.status == 201);
            }
            bought
        })
    });
    let mut bought = 0;
    for buyer in buyers.collect::<Vec<_>>() {
        bought += buyer.await.unwrap();
    }
    assert_eq!(bought, 50);
    assert_eq!(shop.settled_stock("A").await, 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_orders_are_refused_with_a_pointer_and_change_nothing() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 50).await;
    let cases = [
        (json!({"items": [{"sku": "A", "quantity": -1}]}), 422, "/items/0/quantity"),
        (json!({"items": [{"sku": "A", "quantity": 1.5}]}), 422, "/items/0/quantity"),
        (json!({"items": [{"sku": "A", "quantity": 0}]}), 422, "/items/0/quantity"),
        (json!({"items": [{"sku": "A", "quantity": 99_999_999}]}), 422, "/items/0/quantity"),
        (json!({"items": [{"sku": "A", "quantity": "x"}]}), 422, "/items/0/quantity"),
        (json!({"items": [{"sku": "A"}]}), 422, "/items/0/quantity"),
        (json!({"items": [{"sku": "NOPE", "quantity": 1}], "email": "a@example.com"}), 422, "/items/0/sku"),
        (json!({"items": []}), 422, "/items"),
        (json!({"items": [{"sku": "A", "quantity": 1, "price": "0.01"}]}), 422, "/items/0/price"),
        (json!({"items": [{"sku": "A", "quantity": 1}], "total": "0.01"}), 422, "/total"),
        (json!({"items": [{"sku": "A", "quantity": 1}]}), 422, "/email"),
        (json!({"items": [{"sku": "A", "quantity": 1}], "email": "nobody"}), 422, "/email"),
        (json!({"items": [{"sku": "A", "quantity": 1}], "email": "a@example.com"}), 422, "/payment"),
    ];
    for (body, status, pointer) in cases {
        let answer = shop.anyone.post("/api/orders", &body).await;
        let problem = answer.expect(status);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body} → {problem}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let broken = shop.anyone.send("POST", "/api/orders", "application/json", "{\"items\":".into()).await.unwrap();
    assert_eq!(broken.status, 400);
    let coupon = json!({"items": [{"sku": "A", "quantity": 1}], "email": "a@example.com", "couponCode": "NOPE"});
    assert_eq!(shop.anyone.post("/api/orders", &coupon).await.refused(422, "COUPON_INVALID")["reason"], "UNKNOWN");
    assert_eq!(shop.stock_of("A").await, (50, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_a_quote_pays_the_quoted_price() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 50).await;
    let mut body = order_of(&[("A", 2)], "tok_visa");
    let quote = shop.anyone.post("/api/orders/quote", &body).await.expect(200);
    assert_eq!(quote["totals"]["total"], "20.00");
    shop.admin.patch(&format!("/api/products/{}", product["id"]), &json!({"price": "12.00"})).await.expect(200);
    let shop = shop.restart().await;
    body["quoteId"] = quote["quoteId"].clone();
    assert_eq!(shop.anyone.post("/api/orders", &body).await.expect(201)["totals"]["total"], "20.00");
    body["items"][0]["quantity"] = json!(3);
    shop.anyone.post("/api/orders", &body).await.refused(409, "QUOTE_MISMATCH");
    body["quoteId"] = json!("gone");
    shop.anyone.post("/api/orders", &body).await.refused(409, "QUOTE_EXPIRED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_bound_to_its_caller_and_request() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 20).await;
    let (ada, eve) = (shop.customer("ada@example.com").await, shop.customer("eve@example.com").await);
    let quote = async |client: &Client, changes: Value| {
        let mut body = json!({"items": [{"sku": "A", "quantity": 1}]});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        client.post("/api/orders/quote", &body).await.expect(200)["quoteId"].clone()
    };
    let order = async |client: &Client, quote: &Value, changes: Value| {
        let mut body = order_of(&[("A", 1)], "tok_visa");
        body["quoteId"] = quote.clone();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        client.post("/api/orders", &body).await
    };
    let adas = quote(&ada, json!({})).await;
    for other in [&eve, &shop.anyone] {
        order(other, &adas, json!({})).await.refused(409, "QUOTE_MISMATCH");
    }
    order(&ada, &adas, json!({})).await.expect(201);
    let open = quote(&shop.anyone, json!({})).await;
    order(&ada, &open, json!({"channel": "APP", "attributes": {"gift": "yes"}})).await.expect(201);
    let terms = json!({"email": "Ada@example.com", "channel": "APP", "attributes": {"club": "yes"},
        "payment": {"method": "BANK_TRANSFER"}});
    let narrow = quote(&shop.anyone, terms.clone()).await;
    for (member, value) in [
        ("email", json!("eve@example.com")),
        ("channel", json!("WEB")),
        ("attributes", json!({})),
        ("payment", json!({"method": "CARD", "token": "tok_visa"})),
    ] {
        let mut changed = terms.clone();
        changed[member] = value;
        order(&shop.anyone, &narrow, changed).await.refused(409, "QUOTE_MISMATCH");
    }
    let mut by_account = terms.clone();
    by_account["email"] = Value::Null;
    order(&ada, &narrow, by_account).await.expect(201);
    order(&shop.anyone, &narrow, terms).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_code_is_reported_in_the_member_it_was_sent_in() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 5).await;
    for (member, code) in [("promotionCode", "PROMOTION_INVALID"), ("couponCode", "COUPON_INVALID")] {
        let mut order = order_of(&[("A", 1)], "tok_visa");
        order[member] = json!("NOPE");
        let refused = shop.anyone.post("/api/orders", &order).await.refused(422, code);
        assert_eq!((&refused[member], &refused["reason"]), (&json!("NOPE"), &json!("UNKNOWN")));
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shipping_zones_and_taxes_determine_the_total() {
    let shop = Shop::start().await;
    shop.product("A", "100.00", 50).await;
    let zones = json!({"zones": [{"name": "UK", "countries": ["GB"], "methods": [
        {"method": "STANDARD", "name": "Standard", "amount": "4.99"}]}]});
    shop.admin.patch("/api/settings/shipping", &zones).await.expect(200);
    let taxes = json!({"pricesIncludeTax": false, "shippingTaxClass": "SHIPPING", "rates": [
        {"country": "GB", "taxClass": "STANDARD", "percent": "20"}, {"country": "GB", "taxClass": "SHIPPING", "percent": "20"}]});
    shop.admin.patch("/api/settings/taxes", &taxes).await.expect(200);
    let mut body = order_of(&[("A", 1)], "tok_visa");
    let missing = shop.anyone.post("/api/orders", &body).await.expect(422);
    assert_eq!(missing["errors"][0]["pointer"], "/shippingAddress");
    let quote = shop.anyone.post("/api/orders/quote", &body).await.expect(200);
    assert_eq!(quote["shippingOptions"], json!([]), "shipping options depend on the address");
    let address = |country: &str| json!({"name": "A", "line1": "1 Road", "city": "Town", "country": country});
    body["shippingAddress"] = address("FR");
    for path in ["/api/orders", "/api/orders/quote"] {
        shop.anyone.post(path, &body).await.refused(422, "SHIPPING_UNAVAILABLE");
    }
    body["shippingAddress"] = address("GB");
    body["shippingMethod"] = json!("DRONE");
    for path in ["/api/orders", "/api/orders/quote"] {
        let refused = shop.anyone.post(path, &body).await.refused(422, "SHIPPING_UNAVAILABLE");
        assert_eq!(refused["methods"], json!(["STANDARD"]));
    }
    body.as_object_mut().unwrap().remove("shippingMethod");
    let order = shop.anyone.post("/api/orders", &body).await.expect(201);
    assert_eq!(order["lines"][0]["total"], "120.00");
    assert_eq!((order["totals"]["tax"].as_str(), order["totals"]["total"].as_str()), (Some("21.00"), Some("125.99")));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_refused_during_checkout_succeeds_afterwards() {
    let shop = Shop::start_with(&[("PROMOX_PAYMENT__TIMEOUT_MS", "1500")]).await;
    shop.product("A", "10.00", 5).await;
    let buyer = shop.anyone.key("order-1");
    let placed = tokio::spawn(async move { buyer.post("/api/orders", &order_of(&[("A", 1)], "tok_timeout")).await });
    let pending = loop {
        let orders = shop.admin.get("/api/orders?status=PENDING").await.expect(200);
        if let Some(order) = orders["items"].get(0) {
            break order["id"].clone();
        }
        tokio::task::yield_now().await;
    };
    let (path, canceller) = (format!("/api/orders/{pending}/cancel"), shop.admin.key("cancel-1"));
    let early = canceller.post(&path, &json!({"reason": "too slow"})).await;
    early.refused(409, "CHECKOUT_IN_PROGRESS");
    assert_eq!(early.headers["retry-after"], "1");
    assert_eq!(shop.wait_until_decided(&pending).await["status"], "CONFIRMED");
    let later = canceller.post(&path, &json!({"reason": "too slow"})).await;
    assert_eq!(later.expect(200)["status"], "CANCELLED", "a retry with the same key succeeds after the checkout");
    assert!([201, 202].contains(&placed.await.unwrap().status));
    assert_eq!(shop.settled_stock("A").await, 5);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_past_orders_are_not_imported() {
    let shop = Shop::start().await;
    let line = json!({"sku": "A", "quantity": 2, "unitPrice": "1.50"});
    let rows = [
        json!({"number": "OLD-1", "date": "2025-01-02T03:04:05Z", "lines": [line]}),
        json!({"number": "OLD-2", "date": "2025-01-02T03:04:05Z", "lines": []}),
        json!({"number": "OLD-3", "date": "2999-01-02T03:04:05Z", "lines": [line]}),
    ];
    let file = rows.map(|row| row.to_string()).join("\n");
    let sent = shop.admin.send("POST", "/api/orders/import", "application/x-ndjson", file.into()).await.unwrap();
    let report = sent.expect(200);
    assert_eq!((&report["created"], &report["failed"]), (&json!(1), &json!(2)), "{report}");
    let faults: Vec<(&Value, &Value)> =
        report["errors"].as_array().unwrap().iter().map(|fault| (&fault["row"], &fault["code"])).collect();
    assert_eq!(faults, [(&json!(2), &json!("NO_LINES")), (&json!(3), &json!("DATE_TO_COME"))]);
    let imported = shop.all("/api/orders").await;
    assert_eq!((&imported[0]["number"], imported.len()), (&json!("OLD-1"), 1));
    let totals = json!({"subtotal": "3.00", "discount": "0.00", "shipping": "0.00", "shippingDiscount": "0.00",
        "tax": "0.00", "pointsRedeemed": 0, "pointsValue": "0.00", "total": "3.00"});
    assert_eq!(imported[0]["totals"], totals, "amounts have the currency's digits");
    shop.close().await;
}

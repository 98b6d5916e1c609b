//! Changes of a SKU: stock, carts, sales and orders refer to the variant, which is found by its current and former
//! SKUs.

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{Shop, order_of};

/// Changes the SKU of a product.
async fn rename(shop: &Shop, product: &Value, sku: &str) -> Value {
    shop.admin.patch(&format!("/api/products/{}", product["id"]), &json!({"sku": sku})).await.expect(200)
}

/// A guest with a cart.
async fn guest(shop: &Shop) -> Client {
    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap())
}

/// Waits until the stock list shows exactly these SKUs for a query.
async fn wait_for_list(shop: &Shop, query: &str, skus: &[&str]) {
    loop {
        let page = shop.admin.get(&format!("/api/inventory{query}")).await.expect(200);
        let shown: Vec<&str> =
            page["items"].as_array().unwrap().iter().map(|row| row["sku"].as_str().unwrap()).collect();
        if shown == skus {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn import(shop: &Shop, csv: &str) -> Value {
    let sent = shop.admin.send("POST", "/api/products/import", "text/csv", csv.to_owned().into()).await;
    sent.unwrap().expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_and_its_ledger_are_found_by_every_sku() {
    let shop = Shop::start().await;
    let product = shop.product("OLD", "10.00", 10).await;
    let variant = product["variants"][0]["id"].clone();
    let held = json!({"reference": "x", "items": [{"sku": "old", "quantity": 2}], "ttlSeconds": 3600});
    let held = shop.admin.post("/api/inventory/reservations", &held).await.expect(201);
    let before = shop.admin.get("/api/inventory/OLD/movements").await.expect(200);
    let renamed = rename(&shop, &product, "NEW").await;
    assert_eq!((&renamed["sku"], &renamed["available"]), (&json!("NEW"), &json!(8)), "{renamed}");
    assert_eq!((&renamed["variants"][0]["id"], &renamed["variants"][0]["formerSkus"]), (&variant, &json!(["OLD"])));
    for sku in ["OLD", "NEW", "new"] {
        let row = shop.admin.get(&format!("/api/inventory/{sku}")).await.expect(200);
        assert_eq!((&row["sku"], &row["onHand"], &row["reserved"]), (&json!("NEW"), &json!(10), &json!(2)), "{row}");
        assert_eq!((&row["variantId"], &row["productId"]), (&variant, &product["id"]));
        assert_eq!(shop.admin.get(&format!("/api/inventory/{sku}/movements")).await.expect(200), before);
        assert_eq!(shop.anyone.get(&format!("/api/products/sku/{sku}")).await.expect(200)["id"], product["id"]);
    }
    wait_for_list(&shop, "?q=NE", &["NEW"]).await;
    wait_for_list(&shop, "?q=OL", &[]).await;
    shop.admin.put("/api/inventory/OLD", &json!({"onHand": 5, "lowStockThreshold": 3})).await.expect(200);
    wait_for_list(&shop, "?lowStock=true", &["NEW"]).await;
    let confirm = format!("/api/inventory/reservations/{}/confirm", held["id"]);
    let confirmed = shop.admin.post(&confirm, &json!({})).await.expect(200);
    assert_eq!(confirmed["items"], json!([{"sku": "NEW", "quantity": 2}]));
    let moved = json!({"delta": 4, "reason": "delivery"});
    assert_eq!(shop.admin.post("/api/inventory/OLD/adjustments", &moved).await.expect(201)["onHand"], 7);
    for unknown in ["NONE", "NEWER"] {
        let path = format!("/api/inventory/{unknown}");
        shop.admin.put(&path, &json!({"onHand": 1})).await.expect(404);
        shop.admin.get(&path).await.expect(404);
        let held = json!({"reference": "y", "items": [{"sku": unknown, "quantity": 1}], "ttlSeconds": 9});
        let refused = shop.admin.post("/api/inventory/reservations", &held).await.expect(422);
        assert_eq!(
            (&refused["errors"][0]["pointer"], &refused["errors"][0]["code"]),
            (&json!("/items/0/sku"), &json!("UNKNOWN_SKU"))
        );
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_sku_cannot_be_taken_by_another_product() {
    let shop = Shop::start().await;
    let one = shop.product("A", "10.00", 5).await;
    rename(&shop, &one, "B").await;
    rename(&shop, &one, "C").await;
    let other = shop.product("X", "1.00", 1).await;
    for taken in ["A", "a", "B", "C"] {
        let answer = shop.admin.post("/api/products", &json!({"sku": taken, "name": "N", "price": "1.00"})).await;
        assert_eq!(answer.refused(409, "SKU_TAKEN")["productId"], one["id"], "{taken}");
        let path = format!("/api/products/{}", other["id"]);
        shop.admin.patch(&path, &json!({"sku": taken})).await.refused(409, "SKU_TAKEN");
        let variants = json!({"variants": [{"sku": "X"}, {"sku": taken, "price": "1.00"}], "price": "1.00"});
        shop.admin.patch(&path, &variants).await.refused(409, "SKU_TAKEN");
    }
    let reverted = rename(&shop, &one, "a").await;
    assert_eq!(
        (&reverted["sku"], &reverted["variants"][0]["formerSkus"]),
        (&json!("a"), &json!(["B", "C"])),
        "{reverted}"
    );
    assert_eq!(shop.stock_of("C").await, (5, 0));
    assert_eq!(shop.stock_of("X").await, (1, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn carts_keep_their_lines_when_a_sku_changes() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 9).await;
    let cart = guest(&shop).await;
    cart.post("/api/carts/current/items", &json!({"sku": "A", "quantity": 2})).await.expect(200);
    rename(&shop, &product, "B").await;
    let line = |cart: &Value| {
        let items = cart["items"].as_array().unwrap().clone();
        assert_eq!((items.len(), &cart["warnings"]), (1, &json!([])), "{cart}");
        (items[0]["sku"].clone(), items[0]["quantity"].clone(), cart["totals"]["total"].clone())
    };
    let shown = cart.get("/api/carts/current").await.expect(200);
    assert_eq!(line(&shown), (json!("B"), json!(2), json!("20.00")));
    for (sku, quantity) in [("A", 3), ("B", 4)] {
        let more = cart.post("/api/carts/current/items", &json!({"sku": sku, "quantity": 1})).await.expect(200);
        assert_eq!(line(&more).1, json!(quantity), "all SKUs of a variant share one line");
    }
    for (sku, quantity) in [("A", 6), ("b", 2)] {
        let path = format!("/api/carts/current/items/{sku}");
        assert_eq!(line(&cart.patch(&path, &json!({"quantity": quantity})).await.expect(200)).1, json!(quantity));
    }
    let ada = shop.customer("ada@example.com").await;
    ada.post("/api/carts/current/items", &json!({"sku": "B", "quantity": 1})).await.expect(200);
    let token = cart.get("/api/carts/current").await.expect(200);
    assert_eq!(line(&token).1, json!(2));
    rename(&shop, &product, "C").await;
    let mut order = order_of(&[], "tok_visa");
    order.as_object_mut().unwrap().remove("items");
    let order = cart.post("/api/orders", &order).await.expect(201);
    assert_eq!((&order["lines"][0]["sku"], &order["lines"][0]["quantity"]), (&json!("C"), &json!(2)));
    assert_eq!(cart.get("/api/carts/current").await.expect(200)["items"], json!([]));
    assert_eq!(ada.delete("/api/carts/current/items/A").await.status, 204);
    assert_eq!(ada.delete("/api/carts/current/items/A").await.status, 404);
    let mixed =
        shop.anyone.post("/api/orders", &order_of(&[("A", 1), ("B", 1), ("C", 1)], "tok_visa")).await.expect(201);
    assert_eq!(mixed["lines"].as_array().unwrap().len(), 1, "{mixed}");
    assert_eq!((&mixed["lines"][0]["sku"], &mixed["lines"][0]["quantity"]), (&json!("C"), &json!(3)));
    assert_eq!(shop.settled_stock("A").await, 4);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flash_sale_sells_by_every_sku() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 10).await;
    let sale = json!({"name": "Flash", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "items": [{"sku": "A", "salePrice": "4.00", "stock": 5}]});
    let sale = shop.admin.post("/api/flash-sales", &sale).await.expect(201);
    let path = format!("/api/flash-sales/{}", sale["id"]);
    let reserve = format!("{path}/reservations");
    let ada = shop.customer("ada@example.com").await;
    let live = ada.post(&reserve, &json!({"sku": "A", "quantity": 2})).await.expect(201);
    rename(&shop, &product, "B").await;
    let shown = shop.anyone.get(&path).await.expect(200);
    assert_eq!((&shown["items"][0]["sku"], &shown["items"][0]["remaining"]), (&json!("B"), &json!(3)));
    let later = ada.post(&reserve, &json!({"sku": "B", "quantity": 1})).await.expect(201);
    let body = json!({"items": [], "flashSaleReservationIds": [live["reservationId"], later["reservationId"]],
        "payment": {"method": "CARD", "provider": "sandbox", "token": "tok_visa"}});
    let order = ada.post("/api/orders", &body).await.expect(201);
    let units: Vec<_> =
        order["lines"].as_array().unwrap().iter().map(|line| (&line["sku"], &line["unitPrice"])).collect();
    assert_eq!(units, [(&json!("B"), &json!("4.00")); 2], "{order}");
    let renamed = shop.admin.patch(&path, &json!({"name": "Still"})).await.expect(200);
    assert_eq!(renamed["name"], "Still", "a changed SKU does not change the terms of the sale");
    shop.admin.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
    assert_eq!(shop.settled_stock("B").await, 7);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_shipped_and_returned_by_the_sku_it_was_sold_under() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 10).await;
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 4)], "tok_visa")).await.expect(201);
    assert_eq!(order["lines"][0]["variantId"], product["variants"][0]["id"]);
    let path = format!("/api/orders/{}", order["id"]);
    rename(&shop, &product, "B").await;
    assert_eq!(
        shop.admin.get(&path).await.expect(200)["lines"][0]["sku"],
        "A",
        "an order keeps the SKU that it was sold under"
    );
    let parcel = |sku: &str| json!({"carrier": "DHL", "trackingNumber": "1", "items": [{"sku": sku, "quantity": 1}]});
    for sku in ["A", "B"] {
        let shipped = shop.admin.post(&format!("{path}/fulfilments"), &parcel(sku)).await.expect(201);
        assert_eq!(shipped["items"], json!([{"sku": "A", "quantity": 1}]));
    }
    rename(&shop, &product, "C").await;
    shop.admin
        .post(&format!("{path}/fulfilments"), &json!({"carrier": "DHL", "trackingNumber": "2"}))
        .await
        .expect(201);
    assert_eq!(shop.settled_stock("C").await, 6);
    for (sku, left) in [("A", 7), ("B", 8), ("c", 9)] {
        let body = json!({"items": [{"sku": sku, "quantity": 1}], "reason": "too many"});
        let requested = shop.admin.post(&format!("{path}/returns"), &body).await.expect(201);
        assert_eq!((&requested["items"][0]["sku"], &requested["refund"]), (&json!("A"), &json!("10.00")));
        let approve = format!("{path}/returns/{}/approve", requested["id"]);
        shop.admin.post(&approve, &json!({})).await.expect(200);
        while shop.stock_of("B").await.0 != left {
            tokio::task::yield_now().await;
        }
    }
    let other = shop.product("OTHER", "1.00", 1).await;
    let body = json!({"items": [{"sku": "OTHER", "quantity": 1}], "reason": "not mine"});
    shop.admin.post(&format!("{path}/returns"), &body).await.refused(409, "NOTHING_LEFT_TO_RETURN");
    assert_eq!(other["sku"], "OTHER");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_an_order_restocks_a_renamed_sku() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 3).await;
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 3)], "tok_visa")).await.expect(201);
    rename(&shop, &product, "B").await;
    let again =
        shop.anyone.post("/api/orders", &order_of(&[("B", 1)], "tok_visa")).await.refused(409, "INSUFFICIENT_STOCK");
    assert_eq!(again["items"], json!([{"sku": "B", "asked": 1, "available": 0}]));
    shop.admin.post(&format!("/api/orders/{}/cancel", order["id"]), &json!({"reason": "changed"})).await.expect(200);
    while shop.stock_of("A").await != (3, 0) {
        tokio::task::yield_now().await;
    }
    shop.anyone.post("/api/orders", &order_of(&[("B", 3)], "tok_visa")).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_and_quotes_stay_valid_when_a_sku_changes() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 10).await;
    shop.product("GIFT", "2.00", 5).await;
    let gift = shop.admin.get("/api/products/sku/GIFT").await.expect(200);
    let rules = [
        json!({"name": "Off A", "actions": [{"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS", "items": {"skus": ["A"]}}]}),
        json!({"name": "Present", "when": {"field": "items.quantity", "op": "GTE", "value": 1, "items": {"skus": ["a"]}},
            "actions": [{"type": "GIFT", "sku": "GIFT", "quantity": 1}]}),
    ];
    for rule in rules {
        let created = shop.admin.post("/api/promotions", &rule).await.expect(201);
        shop.admin.post(&format!("/api/promotions/{}/activate", created["id"]), &json!({})).await.expect(200);
    }
    let quote = shop.anyone.post("/api/orders/quote", &order_of(&[("A", 2)], "tok_visa")).await.expect(200);
    rename(&shop, &product, "B").await;
    rename(&shop, &gift, "PRESENT").await;
    let items = json!({"items": [{"sku": "B", "quantity": 1}]});
    let calculated = shop.anyone.post("/api/promotions/calculate", &items).await.expect(200);
    assert_eq!(calculated["totals"]["discount"], "1.00", "{calculated}");
    let mut order = order_of(&[("B", 2)], "tok_visa");
    order["quoteId"] = quote["quoteId"].clone();
    let bought = shop.anyone.post("/api/orders", &order).await.expect(201);
    assert_eq!(bought["totals"]["total"], "18.00", "{bought}");
    let bought = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let lines: Vec<&Value> = bought["lines"].as_array().unwrap().iter().map(|line| &line["sku"]).collect();
    assert_eq!((lines, &bought["totals"]["total"]), (vec![&json!("B"), &json!("PRESENT")], &json!("9.00")));
    assert_eq!((shop.settled_stock("A").await, shop.settled_stock("GIFT").await), (7, 3));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn variants_keep_their_stock_whether_listed_by_id_or_by_sku() {
    let shop = Shop::start().await;
    let shirt = json!({"sku": "SHIRT", "name": "Shirt", "price": "20.00", "variants": [
        {"sku": "S", "options": {"size": "S"}}, {"sku": "L", "options": {"size": "L"}}]});
    let shirt = shop.admin.post("/api/products", &shirt).await.expect(201);
    let path = format!("/api/products/{}", shirt["id"]);
    let ids: Vec<&Value> = shirt["variants"].as_array().unwrap().iter().map(|variant| &variant["id"]).collect();
    shop.set_stock("S", 1).await;
    shop.set_stock("L", 2).await;
    let patch = async |variants: Value| shop.admin.patch(&path, &json!({"price": "20.00", "variants": variants})).await;
    patch(json!([{"id": ids[0], "sku": "S2"}, {"sku": "L2", "options": {"size": "L"}}])).await.expect(200);
    assert_eq!((shop.stock_of("S").await, shop.stock_of("L2").await), ((1, 0), (2, 0)));
    let all = patch(json!([{"sku": "l"}, {"sku": "S2"}, {"sku": "XL"}])).await.expect(200);
    assert_eq!((&all["variants"][0]["id"], &all["variants"][1]["id"]), (ids[1], ids[0]));
    shop.admin.get("/api/inventory/XL").await.expect(404);
    let swapped = json!([{"id": ids[0], "sku": "L"}, {"id": ids[1], "sku": "S"}]);
    patch(swapped).await.refused(409, "SKU_TAKEN");
    let twice = patch(json!([{"sku": "S"}, {"sku": "S2"}])).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(
        (&twice["errors"][0]["pointer"], &twice["errors"][0]["code"]),
        (&json!("/variants/1/sku"), &json!("DUPLICATE"))
    );
    let strange = patch(json!([{"id": 999, "sku": "S"}])).await.refused(422, "VALIDATION_FAILED");
    assert_eq!(strange["errors"][0]["pointer"], "/variants/0/id");
    patch(json!([{"sku": "XL"}])).await.expect(200);
    let taken = json!({"sku": "L2", "name": "N", "price": "1.00"});
    shop.admin.post("/api/products", &taken).await.refused(409, "SKU_TAKEN");
    assert_eq!(shop.stock_of("L2").await, (2, 0), "a removed variant keeps its stock");
    let readded = patch(json!([{"sku": "XL"}, {"sku": "L2"}])).await.expect(200);
    assert_eq!(&readded["variants"][1]["id"], ids[1], "a variant that is added again keeps its id");
    shop.admin.patch(&path, &json!({"sku": "TEE"})).await.expect(200);
    assert_eq!(shop.anyone.get("/api/products/sku/shirt").await.expect(200)["sku"], "TEE");
    shop.admin
        .post("/api/products", &json!({"sku": "SHIRT", "name": "N", "price": "1.00"}))
        .await
        .refused(409, "SKU_TAKEN");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_by_a_former_sku_updates_the_same_product() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 4).await;
    rename(&shop, &product, "B").await;
    let report = import(&shop, "sku,name,price\nA,Renamed,11.00\n").await;
    assert_eq!((&report["created"], &report["updated"]), (&json!(0), &json!(1)), "{report}");
    let after = shop.anyone.get("/api/products/sku/A").await.expect(200);
    let shown = (&after["id"], &after["sku"], &after["name"], &after["price"], &after["available"]);
    assert_eq!(shown, (&product["id"], &json!("B"), &json!("Renamed"), &json!("11.00"), &json!(4)), "{after}");
    let rows = "sku,productSku,name,price,option.size\nT-S,TEE,Tee,5.00,S\nT-L,TEE,Tee,6.00,L\n";
    assert_eq!(import(&shop, rows).await["created"], 1);
    shop.set_stock("T-S", 3).await;
    let tee = shop.anyone.get("/api/products/sku/TEE").await.expect(200);
    let small = &tee["variants"][0]["id"];
    let variants = json!([{"id": small, "sku": "T-SMALL", "price": "5.00"}, {"sku": "T-L", "price": "6.00"}]);
    shop.admin.patch(&format!("/api/products/{}", tee["id"]), &json!({"variants": variants})).await.expect(200);
    let report = import(&shop, "sku,productSku,price\nT-S,TEE,7.00\n").await;
    assert_eq!(report["updated"], 1, "{report}");
    let tee = shop.anyone.get("/api/products/sku/T-S").await.expect(200);
    let variant = &tee["variants"][0];
    assert_eq!(
        (&variant["id"], &variant["sku"], &variant["price"]),
        (small, &json!("T-SMALL"), &json!("7.00")),
        "{tee}"
    );
    assert_eq!(tee["variants"].as_array().unwrap().len(), 2);
    assert_eq!(shop.stock_of("T-SMALL").await, (3, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn availability_with_backorder_is_null() {
    let shop = Shop::start().await;
    let product = shop.product("A", "10.00", 1).await;
    shop.admin.put("/api/inventory/A", &json!({"onHand": 1, "backorder": true})).await.expect(200);
    let path = format!("/api/products/{}", product["id"]);
    for client in [&shop.anyone, &shop.admin] {
        let shown = client.get(&path).await.expect(200);
        assert!(shown.as_object().unwrap().contains_key("available") && shown["available"].is_null(), "{shown}");
    }
    let list = shop.anyone.get("/api/products").await.expect(200);
    assert_eq!(list["items"][0].get("available"), Some(&Value::Null), "{list}");
    let patched = shop.admin.patch(&path, &json!({"name": "Boundless"})).await.expect(200);
    assert_eq!((patched.get("available"), &patched["name"]), (Some(&Value::Null), &json!("Boundless")), "{patched}");
    shop.close().await;
}

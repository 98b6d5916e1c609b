//! Flash sale reservations in orders: listed twice, expired, or of a paused sale.

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{Shop, order_of};

/// Creates the products A and B and a running sale of five A at 4.00. Returns the path of its reservations.
async fn sale(shop: &Shop, more: Value) -> String {
    shop.product("A", "10.00", 10).await;
    shop.product("B", "10.00", 10).await;
    let mut body = json!({"name": "Flash", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "items": [{"sku": "A", "salePrice": "4.00", "stock": 5}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let sale = shop.admin.post("/api/flash-sales", &body).await.expect(201);
    format!("/api/flash-sales/{}/reservations", sale["id"])
}

async fn reserve(client: &Client, path: &str) -> Value {
    let created = client.post(path, &json!({"sku": "A", "quantity": 1})).await.expect(201);
    created["reservationId"].clone()
}

/// An order of one B and of these reservations.
fn order_with_reservations(ids: &[&Value]) -> Value {
    let mut order = order_of(&[("B", 1)], "tok_visa");
    order["flashSaleReservationIds"] = json!(ids);
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_listed_twice_in_an_order_is_refused() {
    let shop = Shop::start().await;
    let path = sale(&shop, json!({})).await;
    let ada = shop.customer("ada@example.com").await;
    let (one, two) = (reserve(&ada, &path).await, reserve(&ada, &path).await);
    for to in ["/api/orders", "/api/orders/quote"] {
        let refused =
            ada.post(to, &order_with_reservations(&[&one, &two, &one])).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused["errors"][0]["pointer"], "/flashSaleReservationIds/2", "{refused}");
    }
    let order = ada.post("/api/orders", &order_with_reservations(&[&one, &two])).await.expect(201);
    assert_eq!(order["lines"].as_array().unwrap().len(), 3, "each reservation adds its own line: {order}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_reservation_is_refused_with_a_reason() {
    let shop = Shop::start().await;
    let campaign = shop.admin.post("/api/campaigns", &json!({"name": "C"})).await.expect(201);
    let moves = format!("/api/campaigns/{}/transitions", campaign["id"]);
    shop.admin.post(&moves, &json!({"to": "ACTIVE"})).await.expect(200);
    let path = sale(&shop, json!({"campaignId": campaign["id"]})).await;
    let (ada, bob) = (shop.customer("ada@example.com").await, shop.customer("bob@example.com").await);
    let (kept, released, foreign) =
        (reserve(&ada, &path).await, reserve(&ada, &path).await, reserve(&bob, &path).await);
    assert_eq!(ada.delete(&format!("{path}/{released}")).await.status, 204);
    let paused = [(&kept, "PAUSED"), (&released, "EXPIRED"), (&foreign, "UNKNOWN")];
    shop.admin.post(&moves, &json!({"to": "PAUSED"})).await.expect(200);
    for (id, reason) in paused {
        let refused =
            ada.post("/api/orders", &order_with_reservations(&[id])).await.refused(422, "FLASH_RESERVATION_INVALID");
        assert_eq!((&refused["reason"], &refused["reservationId"]), (&json!(reason), id), "{refused}");
        let quote = ada.post("/api/orders/quote", &order_with_reservations(&[id])).await.expect(200);
        assert_eq!((&quote["totals"]["total"], quote["lines"].as_array().unwrap().len()), (&json!("10.00"), 1));
        assert!(quote["warnings"][0].as_str().unwrap().contains(&id.to_string()), "a quote warns: {quote}");
    }
    shop.admin.post(&moves, &json!({"to": "ACTIVE"})).await.expect(200);
    ada.post("/api/orders", &order_with_reservations(&[&kept])).await.expect(201);
    shop.admin.post(&moves, &json!({"to": "ENDED"})).await.expect(200);
    let ended =
        bob.post("/api/orders", &order_with_reservations(&[&foreign])).await.refused(422, "FLASH_RESERVATION_INVALID");
    assert_eq!(ended["reason"], "EXPIRED", "a campaign's sale ends with the campaign");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reservation_of_an_archived_product_cannot_be_ordered() {
    let shop = Shop::start().await;
    let path = sale(&shop, json!({})).await;
    let ada = shop.customer("ada@example.com").await;
    let id = reserve(&ada, &path).await;
    let product = shop.admin.get("/api/products/sku/A").await.expect(200);
    assert_eq!(shop.admin.delete(&format!("/api/products/{}", product["id"])).await.status, 204);
    let refused =
        ada.post("/api/orders", &order_with_reservations(&[&id])).await.refused(422, "FLASH_RESERVATION_INVALID");
    assert_eq!((&refused["reason"], &refused["reservationId"]), (&json!("NO_MATCHING_ITEMS"), &id), "{refused}");
    shop.close().await;
}

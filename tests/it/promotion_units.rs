//! Promotions price single units: the result does not depend on how units are spread over lines.

use serde_json::{Value, json};

use crate::client::Client;
use crate::promotions::{activate, with};
use crate::shop::{Shop, order_of};

/// Packs of three at 126.00, then of two at 90.00.
fn packs() -> [Value; 2] {
    [(3, "126.00"), (2, "90.00")].map(|(size, price)| {
        let pack = json!({"type": "PACK", "size": size, "price": price, "items": {"skus": ["A"]}});
        json!({"name": format!("{size} for {price}"), "priority": size, "includeFlash": true, "actions": [pack]})
    })
}

fn amounts(answer: &Value) -> Vec<&str> {
    answer["appliedPromotions"].as_array().unwrap().iter().map(|item| item["amount"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_cost_the_same_in_one_line_and_in_several() {
    let shop = Shop::start().await;
    shop.product("A", "60.00", 40).await;
    let sale = json!({"name": "Flash", "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z",
        "items": [{"sku": "A", "salePrice": "50.00", "stock": 20}]});
    let sale = shop.admin.post("/api/flash-sales", &sale).await.expect(201);
    let path = format!("/api/flash-sales/{}/reservations", sale["id"]);
    for pack in packs() {
        activate(&shop, pack).await;
    }
    let buyer = shop.customer("buyer@example.com").await;
    for parts in [&[5][..], &[2, 3], &[1, 1, 3], &[1, 1, 1, 1, 1]] {
        let mut ids = Vec::new();
        for units in parts {
            let created = buyer.post(&path, &json!({"sku": "A", "quantity": units})).await.expect(201);
            ids.push(created["reservationId"].clone());
        }
        let mut order = order_of(&[], "tok_visa");
        order["flashSaleReservationIds"] = json!(ids);
        let order = buyer.post("/api/orders", &order).await.expect(201);
        assert_eq!(order["lines"].as_array().unwrap().len(), parts.len());
        assert_eq!(amounts(&order), ["24.00", "10.00"], "{parts:?}: {order}");
        assert_eq!(order["totals"]["total"], "216.00", "{parts:?}");
    }
    shop.close().await;
}

/// The discount of a calculated cart.
async fn discount_of(client: &Client, items: Value, promotions: Value) -> String {
    let body = json!({"items": items, "promotions": promotions});
    let answer = client.post("/api/promotions/calculate", &body).await.expect(200);
    answer["totals"]["discount"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_sees_the_unit_prices_left_by_the_previous_one() {
    let shop = Shop::start().await;
    let second_free = |priority: i64| {
        let get = json!({"items": {}, "quantity": 1, "percentOff": "100"});
        let action =
            json!({"type": "BUY_X_GET_Y", "buy": {"items": {}, "quantity": 1}, "get": get, "maxApplications": 1});
        json!({"name": "One free", "priority": priority, "actions": [action]})
    };
    let then = |action: Value| json!([second_free(10), {"name": "Then", "actions": [action]}]);
    let four = |more: Value| json!([with(json!({"sku": "X", "quantity": 4, "unitPrice": "10.00"}), more)]);
    for (name, items, promotions, expected) in [
        ("five in packs", json!([{"sku": "A", "quantity": 5, "unitPrice": "50.00"}]), json!(packs()), "34.00"),
        ("another free", four(json!({})), json!([second_free(10), second_free(5)]), "20.00"),
        (
            "the three most expensive units",
            four(json!({})),
            then(json!({"type": "PERCENT_OFF", "value": "10", "scope": "ITEMS", "maxUnitsPerLine": 3})),
            "13.00",
        ),
        (
            "the cheapest is free already",
            four(json!({})),
            then(json!({"type": "CHEAPEST", "percentOff": "50"})),
            "10.00",
        ),
        (
            "a fixed price for the others",
            four(json!({})),
            then(json!({"type": "FIXED_PRICE", "value": "9.00", "scope": "ITEMS"})),
            "13.00",
        ),
        ("a floor holds for each unit", four(json!({"floorPrice": "4.00"})), json!([second_free(10)]), "6.00"),
    ] {
        assert_eq!(discount_of(&shop.admin, items, promotions).await, expected, "{name}");
    }
    shop.close().await;
}

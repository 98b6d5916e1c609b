//! Gifts: given while in stock; an order without a quote is never refused for a missing gift.

use serde_json::{Value, json};

use crate::shop::{Shop, order_of};

async fn shop_with_gifts(stock: u32) -> Shop {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    shop.product("GIFT", "3.00", stock).await;
    let gift = json!({"name": "A gift", "actions": [{"type": "GIFT", "sku": "GIFT", "quantity": 1}]});
    let created = shop.admin.post("/api/promotions", &gift).await.expect(201);
    shop.admin.post(&format!("/api/promotions/{}/activate", created["id"]), &json!({})).await.expect(200);
    shop
}

fn gifts(order: &Value) -> Vec<&Value> {
    order["lines"].as_array().unwrap().iter().filter(|line| line["sku"] == "GIFT").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_succeeds_without_a_sold_out_gift() {
    let shop = shop_with_gifts(3).await;
    let requests: Vec<_> = (0..24)
        .map(|_| {
            let client = shop.anyone.own_connection();
            tokio::spawn(async move { client.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await })
        })
        .collect();
    let mut gifts_given = 0;
    for answer in requests {
        let order = answer.await.unwrap().expect(201);
        assert_eq!(order["totals"]["total"], "10.00");
        for gift in gifts(&order) {
            let prices = (&gift["unitPrice"], &gift["listPrice"], &gift["total"]);
            assert_eq!(prices, (&json!("0.00"), &json!("3.00"), &json!("0.00")), "{gift}");
            gifts_given += 1;
        }
    }
    assert_eq!((gifts_given, shop.settled_stock("GIFT").await), (3, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_a_quote_fails_while_its_gift_is_out_of_stock() {
    let shop = shop_with_gifts(1).await;
    let mut order = order_of(&[("A", 1)], "tok_visa");
    let quote = shop.anyone.post("/api/orders/quote", &order).await.expect(200);
    assert_eq!(gifts(&quote).len(), 1);
    order["quoteId"] = quote["quoteId"].clone();
    shop.set_stock("GIFT", 0).await;
    let short = shop.anyone.post("/api/orders", &order).await.refused(409, "INSUFFICIENT_STOCK");
    assert_eq!(short["items"][0]["sku"], "GIFT", "a quote holds no stock: {short}");
    shop.set_stock("GIFT", 1).await;
    let placed = shop.anyone.post("/api/orders", &order).await.expect(201);
    assert_eq!(gifts(&placed).len(), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gift_can_be_returned_after_the_money_is_refunded() {
    let shop = shop_with_gifts(1).await;
    let order = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    shop.settled_stock("GIFT").await;
    let path = format!("/api/orders/{}", order["id"]);
    for (sku, refund, status) in [("A", "10.00", "CONFIRMED"), ("GIFT", "0.00", "REFUNDED")] {
        let body = json!({"items": [{"sku": sku, "quantity": 1}], "reason": "not for me"});
        let requested = shop.admin.post(&format!("{path}/returns"), &body).await.expect(201);
        let approve = format!("{path}/returns/{}/approve", requested["id"]);
        assert_eq!(shop.admin.post(&approve, &json!({})).await.expect(200)["refund"], refund);
        while shop.admin.get(&path).await.expect(200)["payment"]["status"] != "REFUNDED" {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            shop.admin.get(&path).await.expect(200)["status"],
            status,
            "the order is REFUNDED only when the gift is returned too"
        );
        let again = shop.admin.post(&format!("{path}/returns"), &body).await;
        assert_eq!(again.expect(409)["code"], "NOTHING_LEFT_TO_RETURN", "{sku}");
    }
    let stock = shop.admin.get("/api/inventory/GIFT").await.expect(200);
    assert_eq!(stock["onHand"], 1, "{stock}");
    shop.close().await;
}

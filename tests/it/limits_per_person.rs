//! Limits per user cover a person: the account, its email address and the address of the order, in any spelling.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::client::Client;
use crate::shop::{Shop, order_of};

/// A buyer: a client, logged in or not, and the email address of the order, which may be empty.
struct Buyer<'a>(&'a Client, &'a str);

fn order_body(Buyer(_, email): &Buyer<'_>, with: &Value) -> Value {
    let mut body = order_of(&[("A", 1)], "tok_visa");
    body.as_object_mut().unwrap().remove("email");
    if !email.is_empty() {
        body["email"] = json!(email);
    }
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    body
}

/// Places an order and returns it, and whether a promotion discounted it.
async fn place_order(buyer: Buyer<'_>) -> (Value, bool) {
    let order = buyer.0.post("/api/orders", &order_body(&buyer, &json!({}))).await.expect(201);
    let discounted = order["totals"]["discount"] != "0.00";
    (order, discounted)
}

async fn promotion(shop: &Shop, with: Value) -> Value {
    let mut body = json!({"name": "Promo", "actions": [{"type": "PERCENT_OFF", "value": "10"}]});
    body.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    let created = shop.admin.post("/api/promotions", &body).await.expect(201);
    let path = format!("/api/promotions/{}/activate", created["id"]);
    shop.admin.post(&path, &json!({})).await.expect(200)["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_per_user_covers_all_addresses_of_a_person() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let ada = shop.customer("Ada@M\u{fc}nchen.example").await;
    for limits in [json!({"perUser": 1}), json!({"periods": [{"per": "USER", "period": "MONTH", "count": 1}]})] {
        let id = promotion(&shop, json!({"limits": limits})).await;
        let (first, discounted) = place_order(Buyer(&ada, "other@example.com")).await;
        assert!(discounted, "{limits}");
        for again in [
            Buyer(&ada, ""),
            Buyer(&ada, "third@example.com"),
            Buyer(&shop.anyone, "ada@XN--MNCHEN-3YA.example"),
            Buyer(&shop.anyone, "ada@mu\u{308}nchen.example"),
            Buyer(&shop.anyone, "OTHER@Example.com"),
        ] {
            let email = again.1.to_owned();
            assert!(!place_order(again).await.1, "{limits}: {email}");
        }
        assert!(
            place_order(Buyer(&shop.anyone, &format!("eve{id}@example.com"))).await.1,
            "another person is not limited"
        );
        let cancel = format!("/api/orders/{}/cancel", first["id"]);
        ada.post(&cancel, &json!({"reason": "no"})).await.expect(200);
        assert!(
            place_order(Buyer(&shop.anyone, "ada@m\u{fc}nchen.example")).await.1,
            "the use of the cancelled order is available again"
        );
        assert!(!place_order(Buyer(&ada, "")).await.1, "the released use is available once");
        shop.admin.post(&format!("/api/promotions/{id}/archive"), &json!({})).await.expect(200);
    }
    // A guest's uses count for the account that the guest registers later.
    promotion(&shop, json!({"limits": {"perUser": 1}})).await;
    assert!(place_order(Buyer(&shop.anyone, "late@example.com")).await.1);
    let late = shop.customer("LATE@example.com").await;
    assert!(!place_order(Buyer(&late, "")).await.1 && !place_order(Buyer(&late, "new@example.com")).await.1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coupon_limits_and_order_counts_cover_all_addresses_of_a_person() {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let id = promotion(&shop, json!({"couponOnly": true})).await;
    shop.admin.post("/api/coupons", &json!({"code": "ONCE", "promotionId": id, "perUserLimit": 1})).await.expect(201);
    let first = json!({"field": "customer.orderCount", "op": "EQ", "value": 0});
    promotion(&shop, json!({"code": "FIRST", "when": first})).await;
    let ada = shop.customer("ada@example.com").await;
    let with = async |buyer: Buyer<'_>, codes: Value| buyer.0.post("/api/orders", &order_body(&buyer, &codes)).await;
    let (once, first) = (json!({"couponCode": "ONCE"}), json!({"promotionCode": "FIRST"}));
    with(Buyer(&ada, "other@example.com"), once.clone()).await.expect(201);
    for again in [Buyer(&ada, ""), Buyer(&shop.anyone, "ADA@example.com"), Buyer(&shop.anyone, "other@example.com")] {
        let refused = with(again, once.clone()).await;
        assert_eq!(refused.refused(422, "COUPON_INVALID")["reason"], "USER_LIMIT_REACHED");
    }
    for again in [
        Buyer(&ada, "fresh@example.com"),
        Buyer(&shop.anyone, "ada@example.com"),
        Buyer(&shop.anyone, "Other@example.com"),
    ] {
        with(again, first.clone()).await.refused(422, "PROMOTION_INVALID");
    }
    with(Buyer(&shop.anyone, "eve@example.com"), first.clone()).await.expect(201);
    with(Buyer(&shop.anyone, "ada+shop@example.com"), once.clone()).await.expect(201);
    // Addresses with plus tags are different persons unless the store ignores tags, which then applies to past uses
    // too.
    shop.admin.patch("/api/settings/store", &json!({"ignorePlusTags": true})).await.expect(200);
    with(Buyer(&shop.anyone, "ada+more@example.com"), once.clone()).await.refused(422, "COUPON_INVALID");
    with(Buyer(&shop.anyone, "eve+more@example.com"), first.clone()).await.refused(422, "PROMOTION_INVALID");
    with(Buyer(&shop.anyone, "joe+more@example.com"), first).await.expect(201);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_orders_of_a_person_take_the_last_use_once() {
    const CONNECTIONS: usize = 64;
    let shop = Shop::start().await;
    shop.product("A", "10.00", 1_000).await;
    let id = promotion(&shop, json!({"code": "LAST", "limits": {"perUser": 1}})).await;
    let ada = shop.customer("ada@example.com").await;
    let race = (0..CONNECTIONS).map(|n| {
        // All requests share the account or its email address, in different spellings.
        let (client, email) = match n % 3 {
            0 => (ada.own_connection(), format!("other{n}@example.com")),
            1 => (ada.own_connection(), String::new()),
            _ => (
                shop.anyone.own_connection(),
                if n % 2 == 0 { "ada@example.com" } else { "ADA@Example.com" }.to_owned(),
            ),
        };
        tokio::spawn(async move {
            let body = order_body(&Buyer(&client, &email), &json!({"promotionCode": "LAST"}));
            client.post("/api/orders", &body).await
        })
    });
    let mut placed = 0;
    for answer in futures_util::future::join_all(race).await {
        let answer = answer.unwrap();
        if answer.status == 201 {
            placed += 1;
        } else {
            assert_eq!(answer.refused(422, "PROMOTION_INVALID")["reason"], "USER_LIMIT_REACHED");
        }
    }
    assert_eq!(placed, 1);
    let seen = shop.admin.get(&format!("/api/promotions/{id}")).await.expect(200);
    assert_eq!(seen["uses"], 1);
    shop.close().await;
}

/// The order of one guest under a promotion code.
async fn with_code(client: &Client, email: &str, code: &str) -> crate::client::Answer {
    client.post("/api/orders", &order_body(&Buyer(client, email), &json!({"promotionCode": code}))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_added_while_orders_come_in_holds_from_its_answer_on() {
    const GUESTS: usize = 24;
    let shop = Shop::start().await;
    shop.product("A", "10.00", 10_000).await;
    for (round, limits) in [
        json!({"perUser": 1}),
        json!({"periods": [{"per": "USER", "period": "MONTH", "count": 1}]}),
        json!({"periods": [{"per": "EMAIL", "period": "MONTH", "count": 1}]}),
    ]
    .into_iter()
    .enumerate()
    {
        let code = format!("CODE{round}");
        let id = promotion(&shop, json!({"code": code})).await;
        let effective = Arc::new(AtomicBool::new(false));
        let guests = (0..GUESTS).map(|guest| {
            let (client, code, effective) = (shop.anyone.own_connection(), code.clone(), effective.clone());
            let email = format!("guest{guest}@example.com");
            tokio::spawn(async move {
                let mut placed = 0;
                loop {
                    let is_last = effective.load(Ordering::Acquire);
                    let answer = with_code(&client, &email, &code).await;
                    if answer.status == 201 {
                        assert!(!is_last || placed == 0, "an order passed the limit");
                        placed += 1;
                    } else {
                        assert!(placed > 0, "the first use was refused: {answer:?}");
                        assert_eq!(answer.refused(422, "PROMOTION_INVALID")["reason"], "USER_LIMIT_REACHED");
                    }
                    if is_last {
                        return placed;
                    }
                }
            })
        });
        let guests: Vec<_> = guests.collect();
        // Some uses exist before the limit does.
        while shop.admin.get(&format!("/api/promotions/{id}")).await.expect(200)["uses"].as_u64().unwrap() < 48 {
            tokio::task::yield_now().await;
        }
        shop.admin.patch(&format!("/api/promotions/{id}"), &json!({"limits": limits})).await.expect(200);
        effective.store(true, Ordering::Release);
        let mut placed = 0;
        for guest in futures_util::future::join_all(guests).await {
            placed += guest.unwrap();
        }
        assert_eq!(shop.admin.get(&format!("/api/promotions/{id}")).await.expect(200)["uses"], placed);
        let verdict = shop.admin.get("/api/ops/verify").await.expect(200);
        assert_eq!(verdict["findings"], json!([]));
        shop.admin.post(&format!("/api/promotions/{id}/archive"), &json!({})).await.expect(200);
    }
    shop.close().await;
}

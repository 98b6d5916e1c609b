//! Reminders of abandoned carts, and quiet hours.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Client;
use crate::mailbox::{Mail, mails_to, wait_for_mails};
use crate::shop::{Shop, order_of};

const SETTINGS: &str = "/api/notifications/settings";

/// A shop that sends reminders after an hour.
async fn reminding_shop() -> Shop {
    let shop = Shop::start().await;
    shop.product("A", "10.00", 100).await;
    let settings = json!({"cartAbandoned": true, "cartAbandonedMinutes": 60});
    shop.admin.patch(SETTINGS, &settings).await.expect(200);
    shop
}

async fn put_in_cart(holder: &Client) -> Value {
    holder.post("/api/carts/current/items", &json!({"sku": "A", "quantity": 2})).await.expect(200)
}

/// A guest with a cart.
async fn guest_with_cart(shop: &Shop) -> Client {
    let cart = shop.anyone.post("/api/carts", &json!({})).await.expect(201);
    let guest = shop.anyone.with("x-cart-token", cart["token"].as_str().unwrap());
    put_in_cart(&guest).await;
    guest
}

async fn agree(guest: &Client, email: &str) {
    let body = json!({"email": email, "agreed": true});
    let cart = guest.put("/api/carts/current/reminder", &body).await.expect(200);
    assert_eq!(cart["reminderEmail"], email);
}

fn is_reminder(mail: &Mail) -> bool {
    ["Your cart at", "Ihr Warenkorb bei"].iter().any(|subject| mail.subject().starts_with(subject))
}

fn reminders(shop: &Shop, address: &str) -> Vec<Mail> {
    mails_to(shop, address).into_iter().filter(is_reminder).collect()
}

/// Waits for the first reminder to an address.
async fn reminder(shop: &Shop, address: &str) -> Mail {
    loop {
        if let Some(mail) = reminders(shop, address).into_iter().next() {
            return mail;
        }
        tokio::task::yield_now().await;
    }
}

/// Lets a guest's cart be abandoned after all others, and waits for its reminder: then the others are decided too.
async fn settle(shop: &mut Shop, address: &str) {
    agree(&guest_with_cart(shop).await, address).await;
    shop.advance(Duration::from_mins(63)).await;
    reminder(shop, address).await;
    loop {
        let page = shop.admin.get("/api/notifications/deliveries?status=PENDING&limit=200").await.expect(200);
        if page["items"].as_array().unwrap().iter().all(|it| it["kind"] != "CART_ABANDONED") {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The token of the link in a mail that begins with this path.
fn token_of(mail: &Mail, page: &str) -> String {
    let link = mail.text.split_whitespace().find(|word| word.contains(page)).unwrap();
    link.split_once("token=").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cart_that_was_left_is_reminded_of_once() {
    let mut shop = reminding_shop().await;
    let ada = shop.customer("ada@example.com").await;
    put_in_cart(&ada).await;
    let buyer = shop.customer("bea@example.com").await;
    put_in_cart(&buyer).await;
    let mut order = order_of(&[], "tok_visa");
    order.as_object_mut().unwrap().remove("items");
    buyer.post("/api/orders", &order).await.expect(201);
    let guest = guest_with_cart(&shop).await.with("accept-language", "de");
    agree(&guest, "gast@example.com").await;
    let silent = guest_with_cart(&shop).await;
    let refused = silent.put("/api/carts/current/reminder", &json!({"email": "x@example.com", "agreed": false})).await;
    assert_eq!(refused.expect(422)["errors"][0]["pointer"], "/agreed");
    shop.advance(Duration::from_mins(62)).await;
    let mail = reminder(&shop, "ada@example.com").await;
    assert!(mail.text.contains("2 x Product A") && mail.html.contains("cart\">"), "{}", mail.text);
    assert_eq!(mail.header("List-Unsubscribe-Post").as_deref(), Some("List-Unsubscribe=One-Click"));
    // The guest's is in German, and its link opens the cart without the guest's own token.
    let mail = reminder(&shop, "gast@example.com").await;
    assert!(mail.subject().starts_with("Ihr Warenkorb bei") && mail.html.contains("<html lang=\"de\">"));
    let link = shop.anyone.with("x-cart-token", token_of(&mail, "/cart?"));
    assert_eq!(link.get("/api/carts/current").await.expect(200)["items"][0]["quantity"], 2);
    // A change makes the cart abandoned again, but there is no second message.
    let ada = crate::shop::log_in(&shop.anyone, "ada@example.com").await;
    put_in_cart(&ada).await;
    settle(&mut shop, "last@example.com").await;
    assert_eq!(reminders(&shop, "ada@example.com").len(), 1);
    assert_eq!(reminders(&shop, "gast@example.com").len(), 1);
    assert!(reminders(&shop, "bea@example.com").is_empty(), "the cart was ordered");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_turned_reminders_off_gets_none_for_a_guests_cart() {
    let mut shop = reminding_shop().await;
    let ada = shop.customer("ada@example.com").await;
    let off = json!({"preferences": [{"kind": "CART_ABANDONED", "channel": "EMAIL", "enabled": false}]});
    ada.put("/api/notifications/preferences", &off).await.expect(200);
    agree(&guest_with_cart(&shop).await, "ada@example.com").await;
    settle(&mut shop, "last@example.com").await;
    assert!(reminders(&shop, "ada@example.com").is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_reminders_for_good() {
    let mut shop = reminding_shop().await;
    put_in_cart(&shop.customer("ada@example.com").await).await;
    agree(&guest_with_cart(&shop).await, "gast@example.com").await;
    shop.advance(Duration::from_mins(62)).await;
    for address in ["ada@example.com", "gast@example.com"] {
        let mail = reminder(&shop, address).await;
        let token = token_of(&mail, "/unsubscribe?");
        let one_click = mail.header("List-Unsubscribe").unwrap();
        assert!(one_click.ends_with(&format!("/api/notifications/unsubscribe?token={token}>")), "{one_click}");
        let path = format!("/api/notifications/unsubscribe?token={token}");
        for _ in 0..2 {
            let form = "List-Unsubscribe=One-Click".into();
            let answer = shop.anyone.send("POST", &path, "application/x-www-form-urlencoded", form).await.unwrap();
            assert_eq!(answer.status, 204);
        }
        let forged = format!("{path}0");
        assert_eq!(shop.anyone.post(&forged, &json!({})).await.status, 404);
        assert_eq!(shop.anyone.get(&format!("/unsubscribe?token={token}")).await.status, 200);
    }
    let ada = crate::shop::log_in(&shop.anyone, "ada@example.com").await;
    let preferences = ada.get("/api/notifications/preferences").await.expect(200);
    let of = |channel: &str| {
        let list = preferences["preferences"].as_array().unwrap();
        list.iter().find(|it| it["kind"] == "CART_ABANDONED" && it["channel"] == channel).unwrap()["enabled"].clone()
    };
    assert_eq!(
        (of("EMAIL"), of("SMS"), of("PUSH"), of("INBOX")),
        (json!(false), json!(false), json!(false), json!(true))
    );
    // Other carts of theirs are abandoned, and nobody is written to.
    ada.delete("/api/carts/current").await;
    put_in_cart(&ada).await;
    agree(&guest_with_cart(&shop).await, "GAST@example.com").await;
    settle(&mut shop, "last@example.com").await;
    assert_eq!((reminders(&shop, "ada@example.com").len(), reminders(&shop, "gast@example.com").len()), (1, 1));
    assert!(reminders(&shop, "GAST@example.com").is_empty());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marketing_waits_for_the_end_of_quiet_hours_and_other_messages_do_not() {
    let mut shop = reminding_shop().await;
    // Quiet hours that are now in the customer's zone and not in the store's, which is UTC.
    let hour = |seconds: i64| (seconds / 3_600).rem_euclid(24);
    let abandoned = shop.seconds() + 62 * 60;
    let zone_offset = 12;
    let (from, until) = (hour(abandoned + 3_600 * (zone_offset - 1)), hour(abandoned + 3_600 * (zone_offset + 4)));
    let quiet = json!({"from": format!("{from:02}:00"), "until": format!("{until:02}:00")});
    shop.admin.patch(SETTINGS, &json!({"quietHours": quiet})).await.expect(200);
    assert_eq!(shop.admin.get(SETTINGS).await.expect(200)["quietHours"], quiet);
    let ada = shop.customer("ada@example.com").await;
    ada.patch("/api/users/me", &json!({"timezone": "Etc/GMT-12"})).await.expect(200);
    put_in_cart(&ada).await;
    put_in_cart(&shop.customer("bob@example.com").await).await;
    shop.advance(Duration::from_mins(62)).await;
    reminder(&shop, "bob@example.com").await;
    let waiting = loop {
        let page = shop.admin.get("/api/notifications/deliveries?status=PENDING&limit=200").await.expect(200);
        let found = page["items"].as_array().unwrap().iter().find(|it| it["kind"] == "CART_ABANDONED").cloned();
        if let Some(found) = found.filter(|it| it["nextAttemptAt"] != it["createdAt"]) {
            break found;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((&waiting["attempts"], waiting["channel"].as_str()), (&json!([]), Some("EMAIL")));
    let due = waiting["nextAttemptAt"].as_str().unwrap();
    assert!(
        due.ends_with(":00:00.000Z") && due[11..13] == format!("{:02}", (until - zone_offset).rem_euclid(24)),
        "{due}"
    );
    // The order's messages do not wait.
    let ada = crate::shop::log_in(&shop.anyone, "ada@example.com").await;
    let mut order = order_of(&[("A", 1)], "tok_visa");
    order["email"] = json!("ada@example.com");
    ada.post("/api/orders", &order).await.expect(201);
    wait_for_mails(&shop, "ada@example.com", 3).await;
    assert!(reminders(&shop, "ada@example.com").is_empty());
    shop.advance(Duration::from_hours(6)).await;
    reminder(&shop, "ada@example.com").await;
    for (body, pointer) in [
        (json!({"quietHours": {"from": "21:00", "until": "21:00"}}), "/quietHours"),
        (json!({"quietHours": {"from": "21", "until": "08:00"}}), "/quietHours/from"),
        (json!({"cartAbandonedMinutes": 0}), "/cartAbandonedMinutes"),
    ] {
        let refused = shop.admin.patch(SETTINGS, &body).await.expect(422);
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let cleared = shop.admin.patch(SETTINGS, &json!({"quietHours": null})).await.expect(200);
    assert_eq!(cleared["quietHours"], Value::Null);
    shop.close().await;
}

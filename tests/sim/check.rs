//! What must be so after each start and at the end.

use serde_json::Value;

use crate::ask::{Ask, Clients, Who};
use crate::shopper::{Shopper, in_cart, plain};

/// The books are right, and all that was acknowledged is there.
pub(crate) async fn everything(clients: &Clients, shoppers: &[Shopper]) {
    books(clients);
    answers(clients).await;
    orders(clients).await;
    for shopper in shoppers {
        offers(clients, shopper).await;
        cart(clients, shopper).await;
    }
}

/// The auditor finds nothing.
fn books(clients: &Clients) {
    let verdict = clients.promox.auditor().run().unwrap();
    assert!(verdict.clean && verdict.checks > 0, "{:#?}", verdict.findings);
}

/// Every answer that was given with a key is kept with it.
async fn answers(clients: &Clients) {
    let asked = clients.log.asked.lock().clone();
    for (key, (ask, answer)) in asked {
        if let Some(answer) = answer.filter(|(status, _)| *status != 400) {
            assert_eq!(clients.kept(&key, &ask).await, Some(answer), "{key}: {ask:?}");
        }
    }
}

/// Every order that was confirmed is there at its price, and where it was told to be.
async fn orders(clients: &Clients) {
    let cancelled: Vec<String> =
        clients.log.answers("order.cancel", 200).into_iter().map(|(_, ask, _)| ask.path[0].1.clone()).collect();
    for (key, _, order) in clients.log.answers("order.place", 201) {
        let id = plain(&order["id"]);
        let ask = Ask { who: Who::Shop, operation: "order.get", path: vec![("id", id.clone())], body: Value::Null };
        let Some((200, now)) = clients.once(&ask).await else { panic!("{key}: the order is gone") };
        assert_eq!(now["totals"], order["totals"], "{key}");
        assert_eq!(now["number"], order["number"], "{key}");
        let asked_to_cancel = clients.log.asked.lock().contains_key(&key.replace("-order", "-cancel"));
        let is_cancelled = now["status"] == "CANCELLED";
        assert!(is_cancelled || !cancelled.contains(&id), "{key} was cancelled and is {}", now["status"]);
        assert!(!is_cancelled || asked_to_cancel, "{key} is cancelled and nobody asked for it");
        assert!(!["PENDING", "FAILED"].contains(&now["status"].as_str().unwrap()), "{key} is {}", now["status"]);
    }
}

/// Every offer of the rewards that was taken is there, with its code.
async fn offers(clients: &Clients, shopper: &Shopper) {
    let Some(user) = shopper.user else { return };
    let who = Who::User(user);
    let path = vec![("id", user.0.to_string())];
    let ask = Ask { who, operation: "reward.list_redemptions", path, body: Value::Null };
    let Some((200, page)) = clients.once(&ask).await else { panic!("{shopper:?}: what was taken is gone") };
    let listed = page["items"].as_array().unwrap();
    for (key, _, taken) in clients.log.answers("reward.redeem_offer", 201).iter().filter(|(_, ask, _)| ask.who == who) {
        assert!(
            listed.iter().any(|item| item["id"] == taken["id"] && item["couponCode"] == taken["couponCode"]),
            "{key}: {taken}"
        );
    }
}

/// What was put into a cart is in it.
async fn cart(clients: &Clients, shopper: &Shopper) {
    let (Some(user), Some(known)) = (shopper.user, &shopper.cart) else { return };
    let ask = Ask { who: Who::User(user), operation: "cart.get", path: Vec::new(), body: Value::Null };
    let Some((200, cart)) = clients.once(&ask).await else { panic!("{shopper:?}: the cart is gone") };
    assert_eq!(&in_cart(&cart), known, "{shopper:?}");
}

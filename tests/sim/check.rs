//! Checks after each start of the node and at the end of a run.

use serde_json::Value;

use crate::client::{Call, Caller, Client};
use crate::shopper::{Shopper, cart_contents, path_text};

/// Checks all invariants, and that everything that was acknowledged is stored.
pub(crate) async fn everything(client: &Client, shoppers: &[Shopper]) {
    invariants(client);
    answers(client).await;
    orders(client).await;
    for shopper in shoppers {
        redemptions(client, shopper).await;
        cart(client, shopper).await;
    }
}

/// Asserts that the auditor finds nothing.
fn invariants(client: &Client) {
    let verdict = client.promox.auditor().run().unwrap();
    assert!(verdict.clean && verdict.checks > 0, "{:#?}", verdict.findings);
}

/// Asserts that every final answer to a call with a key is stored under the key.
async fn answers(client: &Client) {
    let calls = client.log.calls.lock().clone();
    for (key, (call, answer)) in calls {
        if let Some(answer) = answer.filter(|(status, _)| *status != 400) {
            assert_eq!(client.stored_answer(&key, &call).await, Some(answer), "{key}: {call:?}");
        }
    }
}

/// Asserts that every confirmed order exists with its totals, and has a status that the calls explain.
async fn orders(client: &Client) {
    let cancelled: Vec<String> =
        client.log.answers("order.cancel", 200).into_iter().map(|(_, call, _)| call.path[0].1.clone()).collect();
    for (key, _, order) in client.log.answers("order.place", 201) {
        let id = path_text(&order["id"]);
        let call =
            Call { caller: Caller::System, operation: "order.get", path: vec![("id", id.clone())], body: Value::Null };
        let Some((200, now)) = client.call_once(&call).await else { panic!("{key}: the order is missing") };
        assert_eq!(now["totals"], order["totals"], "{key}");
        assert_eq!(now["number"], order["number"], "{key}");
        let cancel_requested = client.log.calls.lock().contains_key(&key.replace("-order", "-cancel"));
        let is_cancelled = now["status"] == "CANCELLED";
        assert!(is_cancelled || !cancelled.contains(&id), "{key} was cancelled but is {}", now["status"]);
        assert!(!is_cancelled || cancel_requested, "{key} is cancelled without a request");
        assert!(!["PENDING", "FAILED"].contains(&now["status"].as_str().unwrap()), "{key} is {}", now["status"]);
    }
}

/// Asserts that every redeemed offer of the rewards catalog is listed with its coupon code.
async fn redemptions(client: &Client, shopper: &Shopper) {
    let Some(user) = shopper.user else { return };
    let caller = Caller::User(user);
    let path = vec![("id", user.0.to_string())];
    let call = Call { caller, operation: "reward.list_redemptions", path, body: Value::Null };
    let Some((200, page)) = client.call_once(&call).await else { panic!("{shopper:?}: the redemptions are missing") };
    let listed = page["items"].as_array().unwrap();
    for (key, _, redeemed) in
        client.log.answers("reward.redeem_offer", 201).iter().filter(|(_, call, _)| call.caller == caller)
    {
        assert!(
            listed.iter().any(|item| item["id"] == redeemed["id"] && item["couponCode"] == redeemed["couponCode"]),
            "{key}: {redeemed}"
        );
    }
}

/// Asserts that a cart has the contents that its shopper knows of.
async fn cart(client: &Client, shopper: &Shopper) {
    let (Some(user), Some(known)) = (shopper.user, &shopper.cart) else { return };
    let call = Call { caller: Caller::User(user), operation: "cart.get", path: Vec::new(), body: Value::Null };
    let Some((200, cart)) = client.call_once(&call).await else { panic!("{shopper:?}: the cart is missing") };
    assert_eq!(&cart_contents(&cart), known, "{shopper:?}");
}

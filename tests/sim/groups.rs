//! Counts the commit groups, each of which is a sync of the disk, that a checkout waits for when no other request runs.

use std::sync::Arc;

use promox_kernel::Entropy;
use serde_json::{Value, json};

use crate::client::{Call, Caller, Client};
use crate::disk::SimDisk;
use crate::node::SteppedNode;
use crate::run::{InitialState, runtime};

/// A node without consumers and jobs, which only executes calls.
struct IdleShop {
    node: SteppedNode,
    client: Client,
    calls: u64,
}

impl IdleShop {
    /// Calls an operation that must be answered with `status`. Returns the numbers of groups and transactions written
    /// until then.
    async fn request(&mut self, caller: Caller, operation: &'static str, body: Value, status: u16) -> (u64, u64) {
        self.calls += 1;
        let (key, client) = (self.calls.to_string(), self.client.clone());
        let call = Call { caller, operation, path: Vec::new(), body };
        let before = self.node.engine.metrics();
        let answer =
            self.node.run_until(tokio::spawn(async move { client.call_until_final(&key, &call).await })).await.unwrap();
        let after = self.node.engine.metrics();
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(status), "{answer:?}");
        (after.groups - before.groups, after.transactions - before.transactions)
    }
}

/// The body of an order paid by card, with additional members.
fn order(more: Value) -> Value {
    let mut body = json!({
        "email": "shopper-1@example.com",
        "payment": {"method": "CARD", "provider": "sandbox", "token": "tok_visa"},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn count(initial: &InitialState) {
    let shared = initial.shared_state(Entropy::seeded(1));
    let disk = SimDisk::on(initial.disk.copy());
    let node = SteppedNode::start(&shared, &disk, Entropy::seeded(2), None).await.unwrap();
    let client = Client { promox: node.promox.clone(), log: Arc::default() };
    let mut shop = IdleShop { node, client, calls: 0 };
    let user = Caller::User(initial.users[0]);
    let one = json!([{"sku": "PLENTY", "quantity": 1}]);
    // The first order allocates blocks of ids that the following orders share.
    shop.request(Caller::Guest, "order.place", order(json!({"items": one})), 201).await;
    let plain = shop.request(Caller::Guest, "order.place", order(json!({"items": one})), 201).await;
    let with_everything = json!({"items": one, "couponCode": "SAVE", "pointsToRedeem": 50});
    let with_everything = shop.request(user, "order.place", order(with_everything), 201).await;
    shop.request(user, "cart.add_item", json!({"sku": "PLENTY", "quantity": 1}), 200).await;
    let cart = shop.request(user, "order.place", order(json!({})), 201).await;
    let sold_out = json!({"items": [{"sku": "SCARCE", "quantity": 13}]});
    let sold_out = shop.request(Caller::Guest, "order.place", order(sold_out), 409).await;
    for (name, (groups, transactions), max) in [
        ("an order of lines", plain, 2),
        ("an order with a coupon and points", with_everything, 2),
        ("an order of a cart", cart, 2),
        ("an order of a sold-out SKU", sold_out, 3),
    ] {
        println!("{name}: {transactions} transactions in {groups} groups");
        assert!(groups <= max, "{name}: {groups} groups, expected at most {max}");
    }
}

#[test]
fn an_undisturbed_checkout_waits_for_few_groups() {
    let initial = InitialState::new();
    runtime().block_on(count(&initial));
}

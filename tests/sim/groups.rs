//! How many groups of transactions, each of which is a sync of the disk, a checkout waits for when nobody else is in the shop.

use std::sync::Arc;

use promox_kernel::Entropy;
use serde_json::{Value, json};

use crate::ask::{Ask, Clients, Who};
use crate::disk::SimDisk;
use crate::life::Life;
use crate::story::{Beginning, runtime};

/// A node on which nothing happens but what is asked: no consumer and no job runs.
struct Quiet {
    life: Life,
    clients: Clients,
    asked: u64,
}

impl Quiet {
    /// Asks for something that is answered with `status`; the groups and transactions that were written until then.
    async fn ask(&mut self, who: Who, operation: &'static str, body: Value, status: u16) -> (u64, u64) {
        self.asked += 1;
        let (key, clients) = (self.asked.to_string(), self.clients.clone());
        let ask = Ask { who, operation, path: Vec::new(), body };
        let before = self.life.engine.metrics();
        let answer = self.life.until(tokio::spawn(async move { clients.decided(&key, &ask).await })).await.unwrap();
        let after = self.life.engine.metrics();
        assert_eq!(answer.as_ref().map(|(status, _)| *status), Some(status), "{answer:?}");
        (after.groups - before.groups, after.transactions - before.transactions)
    }
}

fn order(more: Value) -> Value {
    let mut body = json!({
        "email": "shopper-1@example.com",
        "payment": {"method": "CARD", "provider": "sandbox", "token": "tok_visa"},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn count(beginning: &Beginning) {
    let world = beginning.world(Entropy::seeded(1));
    let disk = SimDisk::on(beginning.disk.copy());
    let life = Life::start(&world, &disk, Entropy::seeded(2), None).await.unwrap();
    let clients = Clients { promox: life.promox.clone(), log: Arc::default() };
    let mut shop = Quiet { life, clients, asked: 0 };
    let user = Who::User(beginning.users[0]);
    let one = json!([{"sku": "PLENTY", "quantity": 1}]);
    // The first order takes blocks of ids that those after it share.
    shop.ask(Who::Guest, "order.place", order(json!({"items": one})), 201).await;
    let plain = shop.ask(Who::Guest, "order.place", order(json!({"items": one})), 201).await;
    let much = json!({"items": one, "couponCode": "SAVE", "pointsToRedeem": 50});
    let much = shop.ask(user, "order.place", order(much), 201).await;
    shop.ask(user, "cart.add_item", json!({"sku": "PLENTY", "quantity": 1}), 200).await;
    let cart = shop.ask(user, "order.place", order(json!({})), 201).await;
    let sold_out = json!({"items": [{"sku": "SCARCE", "quantity": 13}]});
    let sold_out = shop.ask(Who::Guest, "order.place", order(sold_out), 409).await;
    for (what, (groups, transactions), most) in [
        ("an order of lines", plain, 3),
        ("an order with a coupon and points", much, 3),
        ("an order of a cart", cart, 3),
        ("an order of what is sold out", sold_out, 3),
    ] {
        println!("{what}: {transactions} transactions in {groups} groups");
        assert!(groups <= most, "{what}: {groups} groups, at most {most} are good");
    }
}

#[test]
fn an_undisturbed_checkout_waits_for_few_groups() {
    let beginning = Beginning::new();
    runtime().block_on(count(&beginning));
}

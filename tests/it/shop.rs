//! A shop for a test: a fresh data directory, a node on port 0, an admin, and the auditor at the end.

use std::path::{Path, PathBuf};

use promox::config::{Loaded, load};
use promox::http::Server;
use promox::log::Levels;
use promox::node::Promox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

pub(crate) const EMAIL: &str = "admin@example.com";
pub(crate) const PASSWORD: &str = "a long and quiet harbour";

/// A running shop.
pub(crate) struct Shop {
    server: Server,
    node: Promox,
    /// Anybody.
    pub(crate) anyone: Client,
    /// The admin.
    pub(crate) admin: Client,
    dir: TempDir,
    settings: Vec<(String, String)>,
}

impl Shop {
    /// A fresh shop with limits off.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A fresh shop with some settings of its own, in which every way to pay is switched on.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let owned = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let shop = Self::open(tempfile::tempdir().unwrap(), owned.collect()).await;
        let methods = json!({"methods": ["CARD", "CASH_ON_DELIVERY", "BANK_TRANSFER"]});
        shop.admin.patch("/api/settings/payments", &methods).await.expect(200);
        shop
    }

    /// A shop on the data in a directory.
    pub(crate) async fn open(dir: TempDir, settings: Vec<(String, String)>) -> Self {
        let loaded = loaded(dir.path().to_owned(), &settings);
        let server = Server::bind(&loaded, Levels::detached()).await.unwrap();
        let node = Promox::open(&loaded, &server).await.unwrap();
        let anyone = Client::new(server.address());
        let admin = log_in(&anyone, EMAIL).await;
        Self { server, node, anyone, admin, dir, settings }
    }

    /// Ends the node and starts it again on the same data.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, node, dir, settings, .. } = self;
        server.shutdown().await;
        node.close().await;
        Self::open(dir, settings).await
    }

    /// Where its data is.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its settings, for another shop alike.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }

    /// Closes with the auditor: every invariant of the books holds.
    pub(crate) async fn close(self) {
        drop(self.close_and_keep().await);
    }

    /// Closes with the auditor and leaves the data.
    pub(crate) async fn close_and_keep(self) -> TempDir {
        let verdict = self.admin.get("/api/ops/verify").await.expect(200);
        assert_eq!(verdict["findings"], json!([]), "{verdict}");
        assert!(verdict["checks"].as_u64().unwrap() > 0);
        self.server.shutdown().await;
        self.node.close().await;
        self.dir
    }

    /// What of a SKU is there, and what of it is reserved.
    pub(crate) async fn stock_of(&self, sku: &str) -> (i64, i64) {
        let row = self.admin.get(&format!("/api/inventory/{sku}")).await.expect(200);
        (row["onHand"].as_i64().unwrap(), row["reserved"].as_i64().unwrap())
    }

    /// Waits until the holds of confirmed orders are posted, so that nothing is reserved any more; what is left.
    pub(crate) async fn posted(&self, sku: &str) -> i64 {
        loop {
            let (on_hand, reserved) = self.stock_of(sku).await;
            if reserved == 0 {
                return on_hand;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until an order is no longer PENDING.
    pub(crate) async fn decided(&self, order: &Value) -> Value {
        loop {
            let order = self.admin.get(&format!("/api/orders/{order}")).await.expect(200);
            if order["status"] != "PENDING" {
                return order;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The node's time, in seconds since 1970.
    pub(crate) fn seconds(&self) -> i64 {
        self.node.node().clock.now().0 / 1_000_000
    }

    /// All items of a list, page by page.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        all(&self.admin, path).await
    }

    /// Makes a product with so much of it in stock.
    pub(crate) async fn product(&self, sku: &str, price: &str, stock: u32) -> Value {
        let product = json!({"sku": sku, "name": format!("Product {sku}"), "price": price, "status": "ACTIVE"});
        let made = self.admin.post("/api/products", &product).await.expect(201);
        self.stock(sku, stock).await;
        made
    }

    /// Counts the stock of a SKU.
    pub(crate) async fn stock(&self, sku: &str, on_hand: u32) {
        self.admin.put(&format!("/api/inventory/{sku}"), &json!({"onHand": on_hand})).await.expect(200);
    }

    /// Registers a customer; logged in.
    pub(crate) async fn customer(&self, email: &str) -> Client {
        let body = json!({"email": email, "password": PASSWORD, "name": "A Customer"});
        let answer = self.anyone.post("/api/auth/register", &body).await.expect(201);
        self.anyone.bearer(answer["accessToken"].as_str().unwrap())
    }
}

/// Every invariant of the books holds in a closed store as it lies there, before anything is recovered.
pub(crate) async fn audit_closed(dir: &Path, settings: &[(String, String)]) {
    let promox = Promox::headless(&loaded(dir.to_owned(), settings)).unwrap();
    let verdict = promox.auditor().run().unwrap();
    assert!(verdict.clean, "{verdict:?}");
    promox.close().await;
}

/// Settings for a test: the data directory, any port, no limits, the admin.
fn loaded(dir: PathBuf, settings: &[(String, String)]) -> Loaded {
    let own = own_settings(&dir);
    let all = own.into_iter().chain(settings.iter().cloned());
    load(None, all, &[]).unwrap()
}

/// What every shop of the tests is set to. `PROMOX_TEST_CALLS=encoded` has its services call each other as between nodes.
pub(crate) fn own_settings(dir: &Path) -> Vec<(String, String)> {
    let own = [
        ("PROMOX_SERVER__LISTEN", "127.0.0.1:0"),
        ("PROMOX_DATA__DIR", dir.to_str().unwrap()),
        ("PROMOX_LIMITS__ENABLED", "false"),
        ("PROMOX_PAYMENT__SANDBOX", "true"),
        ("PROMOX_ADMIN_EMAIL", EMAIL),
        ("PROMOX_ADMIN_PASSWORD", PASSWORD),
    ];
    let encoded = std::env::var("PROMOX_TEST_CALLS").is_ok_and(|calls| calls == "encoded");
    let calls = encoded.then_some(("PROMOX_SERVER__ENCODE_CALLS", "true"));
    own.iter().chain(&calls).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Everybody's first login: the admin's.
pub(crate) async fn log_in(anyone: &Client, email: &str) -> Client {
    let login = anyone.post("/api/auth/login", &json!({"email": email, "password": PASSWORD})).await;
    anyone.bearer(login.expect(200)["accessToken"].as_str().unwrap())
}

/// All items of a list that a client sees, page by page.
pub(crate) async fn all(client: &Client, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let glue = if path.contains('?') { '&' } else { '?' };
        let mut page = client.get(&format!("{path}{glue}limit=200{cursor}")).await.expect(200);
        items.append(page["items"].as_array_mut().unwrap());
        let Some(next) = page["nextCursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

/// An order of these lines by a guest's card.
pub(crate) fn order_of(lines: &[(&str, u32)], token: &str) -> Value {
    let items: Vec<Value> = lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({
        "items": items,
        "email": "guest@example.com",
        "payment": {"method": "CARD", "provider": "sandbox", "token": token},
    })
}

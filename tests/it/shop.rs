//! The shop that a test runs against: a fresh data directory, a node on any free port, an admin, and the auditor at the
//! end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use promox::config::{Loaded, load};
use promox::http::Server;
use promox::log::Levels;
use promox::node::Promox;
use promox_storage::{Database, Reader};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::postgres;

pub(crate) const EMAIL: &str = "admin@example.com";
pub(crate) const PASSWORD: &str = "a long and quiet harbour";

/// A running shop.
pub(crate) struct Shop {
    server: Server,
    node: Promox,
    /// A client without credentials.
    pub(crate) anyone: Client,
    /// The admin, logged in.
    pub(crate) admin: Client,
    dir: TempDir,
    settings: Vec<(String, String)>,
}

impl Shop {
    /// A fresh shop without rate limits, in which every payment method is enabled.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A fresh shop with additional settings, in which every payment method is enabled.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let owned = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let shop = Self::open(tempfile::tempdir().unwrap(), owned.collect()).await;
        let methods = json!({"methods": ["CARD", "CASH_ON_DELIVERY", "BANK_TRANSFER"]});
        shop.admin.patch("/api/settings/payments", &methods).await.expect(200);
        shop
    }

    /// A shop on the data in `dir`.
    pub(crate) async fn open(dir: TempDir, settings: Vec<(String, String)>) -> Self {
        let loaded = load_settings(dir.path().to_owned(), &settings);
        let server = Server::bind(&loaded, Levels::detached()).await.unwrap();
        let node = Promox::open(&loaded, &server).await.unwrap();
        let anyone = Client::new(server.address());
        let admin = log_in(&anyone, EMAIL).await;
        Self { server, node, anyone, admin, dir, settings }
    }

    /// Shuts the node down and starts it again on the same data.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, node, dir, settings, .. } = self;
        server.shutdown().await;
        node.close().await;
        Self::open(dir, settings).await
    }

    /// Takes all long reads that the store permits at once, so that others wait until these are dropped.
    pub(crate) fn take_long_reads(&self) -> Vec<Box<dyn Reader>> {
        let database = self.node.database(Database::Ecommerce);
        std::iter::from_fn(|| database.long_read().ok()).collect()
    }

    /// The address of the server as a URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// A client of the port that a service has of its own.
    pub(crate) fn at_port_of(&self, service: &str) -> Client {
        let own = self.server.services().iter().find(|(name, _)| *name == service);
        Client::of_part(own.unwrap().1)
    }

    /// The address of the server.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.server.address()
    }

    /// The data directory.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The additional settings, for starting another shop like this one.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        self.settings.clone()
    }

    /// Checks every invariant of the data with the auditor, shuts the node down and deletes the data.
    pub(crate) async fn close(self) {
        postgres::drop_databases(self.close_and_keep().await.path());
    }

    /// Checks every invariant of the data with the auditor, shuts the node down and returns the data directory.
    pub(crate) async fn close_and_keep(self) -> TempDir {
        let verdict = self.admin.get("/api/ops/verify").await.expect(200);
        assert_eq!(verdict["findings"], json!([]), "{verdict}");
        assert!(verdict["checks"].as_u64().unwrap() > 0);
        self.server.shutdown().await;
        self.node.close().await;
        self.dir
    }

    /// The on-hand and the reserved quantity of a SKU.
    pub(crate) async fn stock_of(&self, sku: &str) -> (i64, i64) {
        let row = self.admin.get(&format!("/api/inventory/{sku}")).await.expect(200);
        (row["onHand"].as_i64().unwrap(), row["reserved"].as_i64().unwrap())
    }

    /// Waits until the stock holds of confirmed orders are posted, so that nothing is reserved any more, and returns
    /// the quantity on hand.
    pub(crate) async fn settled_stock(&self, sku: &str) -> i64 {
        loop {
            let (on_hand, reserved) = self.stock_of(sku).await;
            if reserved == 0 {
                return on_hand;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until an order is no longer PENDING and returns it.
    pub(crate) async fn wait_until_decided(&self, order: &Value) -> Value {
        loop {
            let order = self.admin.get(&format!("/api/orders/{order}")).await.expect(200);
            if order["status"] != "PENDING" {
                return order;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The node's time in seconds since the Unix epoch.
    pub(crate) fn seconds(&self) -> i64 {
        self.node.node().clock.now().0 / 1_000_000
    }

    /// Lets the node's clock step forward, as after a suspended machine, and logs the admin in again.
    pub(crate) async fn advance(&mut self, span: Duration) {
        let clock = &self.node.node().clock;
        clock.follow(clock.now() + span).unwrap();
        self.admin = log_in(&self.anyone, EMAIL).await;
    }

    /// All items of a list as the admin sees it, fetched page by page.
    pub(crate) async fn all(&self, path: &str) -> Vec<Value> {
        all(&self.admin, path).await
    }

    /// Creates a product with `stock` units on hand.
    pub(crate) async fn product(&self, sku: &str, price: &str, stock: u32) -> Value {
        let product = json!({"sku": sku, "name": format!("Product {sku}"), "price": price, "status": "ACTIVE"});
        let created = self.admin.post("/api/products", &product).await.expect(201);
        self.set_stock(sku, stock).await;
        created
    }

    /// Sets the on-hand quantity of a SKU.
    pub(crate) async fn set_stock(&self, sku: &str, on_hand: u32) {
        self.admin.put(&format!("/api/inventory/{sku}"), &json!({"onHand": on_hand})).await.expect(200);
    }

    /// Registers a customer and returns their client, logged in.
    pub(crate) async fn customer(&self, email: &str) -> Client {
        let body = json!({"email": email, "password": PASSWORD, "name": "A Customer"});
        let answer = self.anyone.post("/api/auth/register", &body).await.expect(201);
        self.anyone.bearer(answer["accessToken"].as_str().unwrap())
    }
}

/// Checks every invariant of an offline store as it is on disk, before any recovery.
pub(crate) async fn audit_offline(dir: &Path, settings: &[(String, String)]) {
    let promox = Promox::headless(&load_settings(dir.to_owned(), settings)).unwrap();
    let verdict = promox.auditor().run().unwrap();
    assert!(verdict.clean, "{verdict:?}");
    promox.close().await;
}

/// The configuration of a test: the common settings for `dir` and additional ones.
fn load_settings(dir: PathBuf, settings: &[(String, String)]) -> Loaded {
    let common = common_settings(&dir);
    let all = common.into_iter().chain(settings.iter().cloned());
    load(None, all, &[]).unwrap()
}

/// Settings common to all shops of the tests: the data directory, any free port, no rate limits, the admin. With
/// `PROMOX_TEST_CALLS=encoded` the services encode their calls to each other as they would between nodes. With
/// `PROMOX_TEST_ENGINE=postgres` the data is on a PostgreSQL server.
pub(crate) fn common_settings(dir: &Path) -> Vec<(String, String)> {
    let common = [
        ("PROMOX_SERVER__LISTEN", "127.0.0.1:0"),
        ("PROMOX_DATA__DIR", dir.to_str().unwrap()),
        ("PROMOX_LIMITS__ENABLED", "false"),
        ("PROMOX_PAYMENT__SANDBOX", "true"),
        ("PROMOX_ADMIN_EMAIL", EMAIL),
        ("PROMOX_ADMIN_PASSWORD", PASSWORD),
    ];
    let encoded = std::env::var("PROMOX_TEST_CALLS").is_ok_and(|calls| calls == "encoded");
    let calls = encoded.then_some(("PROMOX_SERVER__ENCODE_CALLS", "true"));
    let own = common.iter().chain(&calls).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    own.chain(postgres::settings(dir)).collect()
}

/// Logs in with the password that all accounts of the tests have.
pub(crate) async fn log_in(anyone: &Client, email: &str) -> Client {
    let login = anyone.post("/api/auth/login", &json!({"email": email, "password": PASSWORD})).await;
    anyone.bearer(login.expect(200)["accessToken"].as_str().unwrap())
}

/// All items of a list that a client sees, fetched page by page.
pub(crate) async fn all(client: &Client, path: &str) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut page = client.get(&format!("{path}{separator}limit=200{cursor}")).await.expect(200);
        items.append(page["items"].as_array_mut().unwrap());
        let Some(next) = page["nextCursor"].as_str() else { return items };
        cursor = format!("&cursor={next}");
    }
}

/// The body of an order of these SKUs and quantities, paid by a guest's card.
pub(crate) fn order_of(lines: &[(&str, u32)], token: &str) -> Value {
    let items: Vec<Value> = lines.iter().map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
    json!({
        "items": items,
        "email": "guest@example.com",
        "payment": {"method": "CARD", "provider": "sandbox", "token": token},
    })
}

//! A shop for a test: a fresh data directory, a node on port 0, an admin, and the auditor at the end.

use std::path::PathBuf;

use promox::config::{Loaded, load};
use promox::http::Server;
use promox::log::Levels;
use promox::node::Promox;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;

const EMAIL: &str = "admin@example.com";
const PASSWORD: &str = "a long and quiet harbour";

/// A running shop.
pub(crate) struct Shop {
    server: Server,
    node: Promox,
    /// Anybody.
    pub(crate) anyone: Client,
    /// The admin.
    pub(crate) admin: Client,
    dir: TempDir,
}

impl Shop {
    /// A fresh shop with limits off.
    pub(crate) async fn start() -> Self {
        Self::open(tempfile::tempdir().unwrap(), &[]).await
    }

    /// A fresh shop with some settings of its own.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::open(tempfile::tempdir().unwrap(), settings).await
    }

    async fn open(dir: TempDir, settings: &[(&str, &str)]) -> Self {
        let loaded = loaded(dir.path().to_owned(), settings);
        let server = Server::bind(&loaded, Levels::detached()).await.unwrap();
        let node = Promox::open(&loaded, &server).await.unwrap();
        let anyone = Client::new(server.address());
        let login = anyone.post("/api/auth/login", &json!({"email": EMAIL, "password": PASSWORD})).await;
        let admin = anyone.bearer(login.expect(200)["accessToken"].as_str().unwrap());
        Self { server, node, anyone, admin, dir }
    }

    /// Ends the node and starts it again on the same data.
    pub(crate) async fn restart(self) -> Self {
        let Self { server, node, dir, .. } = self;
        server.shutdown().await;
        node.close().await;
        Self::open(dir, &[]).await
    }

    /// Closes with the auditor: every invariant of the books holds.
    pub(crate) async fn close(self) {
        let verdict = self.admin.get("/api/ops/verify").await.expect(200);
        assert_eq!(verdict["findings"], json!([]), "{verdict}");
        assert!(verdict["checks"].as_u64().unwrap() > 0);
        self.server.shutdown().await;
        self.node.close().await;
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

/// Settings for a test: the data directory, any port, no limits, the admin.
fn loaded(dir: PathBuf, settings: &[(&str, &str)]) -> Loaded {
    let own = [
        ("PROMOX_SERVER__LISTEN", "127.0.0.1:0"),
        ("PROMOX_DATA__DIR", dir.to_str().unwrap()),
        ("PROMOX_LIMITS__ENABLED", "false"),
        ("PROMOX_ADMIN_EMAIL", EMAIL),
        ("PROMOX_ADMIN_PASSWORD", PASSWORD),
    ];
    let all = own.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(None, all, &[]).unwrap()
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

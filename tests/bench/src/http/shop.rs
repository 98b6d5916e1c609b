//! A shop under load: a server with products and a cart, and turns of one kind of request.

use std::error::Error;
use std::time::{Duration, Instant};

use super::client::{self, Connection, Load, Request};
use super::server::{Program, Server};
use crate::latency::Latencies;

/// Number of products.
pub(super) const PRODUCTS: u64 = 5_000;
/// The pause before a turn, in which the shop finishes the background work of the last one.
const PAUSE: Duration = Duration::from_secs(1);

/// A shop on a fresh directory with a guest's cart of five lines.
pub(super) struct Shop {
    pub(super) server: Server,
    cart: String,
}

impl Shop {
    /// Starts the server and creates products and the cart.
    pub(super) async fn open(program: Program) -> Result<Self, Box<dyn Error>> {
        let server = Server::start_program(program).await?;
        server.fill(PRODUCTS).await?;
        let mut connection = Connection::open(server.address).await?;
        let cart = member(&post(&mut connection, "", "/api/carts", "{}").await?, "\"token\":\"")?;
        let cart = format!("x-cart-token: {cart}\r\n");
        for n in 0..5 {
            let item = format!(r#"{{"sku":"SKU-{}","quantity":2}}"#, n * 31);
            post(&mut connection, &cart, "/api/carts/current/items", &item).await?;
        }
        Ok(Self { server, cart })
    }

    /// Sends `count` requests of one kind, numbered from `from`. All must be answered 2xx.
    pub(super) async fn send(
        &self,
        kind: Kind,
        connections: usize,
        count: u64,
        from: u64,
    ) -> Result<(), Box<dyn Error>> {
        let cart = self.cart.clone();
        let request = move |n: u64| kind.request(n + from, &cart);
        let load = client::load(self.server.address, connections, Duration::MAX, count, &request).await?;
        check(&load, kind)
    }

    /// Sends requests of one kind, numbered from `from`, on a number of connections for `span`. All must be answered
    /// 2xx.
    pub(super) async fn turn(
        &self,
        kind: Kind,
        connections: usize,
        span: Duration,
        from: u64,
    ) -> Result<Turn, Box<dyn Error>> {
        tokio::time::sleep(PAUSE).await;
        let (before, cart) = (self.server.cpu_time()?, self.cart.clone());
        let request = move |n: u64| kind.request(n + from, &cart);
        let started = Instant::now();
        let load = client::load(self.server.address, connections, span, u64::MAX, &request).await?;
        let took = started.elapsed();
        check(&load, kind)?;
        let cpu = self.server.cpu_time()?.saturating_sub(before);
        Ok(Turn { latencies: load.latencies, took, cpu })
    }
}

fn check(load: &Load, kind: Kind) -> Result<(), Box<dyn Error>> {
    if load.failed == 0 {
        return Ok(());
    }
    Err(format!("{} of {} were not answered 2xx", load.failed, kind.name()).into())
}

/// The result of a turn.
pub(super) struct Turn {
    pub(super) latencies: Latencies,
    pub(super) took: Duration,
    /// The server's CPU time, including background work.
    pub(super) cpu: Duration,
}

/// A kind of request.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Product,
    List,
    Cart,
    /// A new cart of a guest, which is a transaction of one row.
    NewCart,
    Checkout,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Product => "GET /api/products/{id}",
            Self::List => "GET /api/products (20)",
            Self::Cart => "GET /api/carts/current, 5 lines",
            Self::NewCart => "POST /api/carts, one row",
            Self::Checkout => "POST /api/orders, 2 lines",
        }
    }

    fn request(self, n: u64, cart: &str) -> Request {
        match self {
            Self::Product => Request::get(&format!("/api/products/{}", n * 31 % PRODUCTS + 1)),
            Self::List => Request::get("/api/products"),
            Self::Cart => Request::with_body("GET", "/api/carts/current", cart, ""),
            Self::NewCart => Request::with_body("POST", "/api/carts", "content-type: application/json\r\n", "{}"),
            Self::Checkout => Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)]),
        }
    }
}

/// Posts a body and returns the body of the answer, which must be 2xx.
pub(super) async fn post(
    connection: &mut Connection,
    headers: &str,
    path: &str,
    body: &str,
) -> Result<String, Box<dyn Error>> {
    let headers = format!("{headers}content-type: application/json\r\n");
    let status = connection.send(&Request::with_body("POST", path, &headers, body)).await?;
    let text = String::from_utf8_lossy(connection.body()).into_owned();
    if (200..300).contains(&status) { Ok(text) } else { Err(format!("{path} was answered {status}: {text}").into()) }
}

/// The word in a JSON text that follows the first occurrence of `name`.
pub(super) fn member(text: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let after = text.split(name).nth(1).ok_or_else(|| format!("no {name} in {text}"))?;
    Ok(after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect())
}

//! What price rules of the catalogue cost: a shop with none and one with thousands, by turns in one run.

use std::error::Error;
use std::time::Duration;

use clap::Args;

use super::client::{self, Connection, Request};
use super::server::Server;

const CONNECTIONS: usize = 16;
const PRODUCTS: u64 = 5_000;
/// Turns that the two shops take.
const ROUNDS: u32 = 4;
/// The pause before a turn, in which the shop follows up what the last one left.
const PAUSE: Duration = Duration::from_secs(1);

/// The shelf's table.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Price rules of the one shop.
    #[arg(long, default_value_t = 10_000)]
    rules: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

/// A shop, and a cart in it.
struct Shop {
    server: Server,
    cart: String,
}

impl Shop {
    async fn open(rules: u64) -> Result<Self, Box<dyn Error>> {
        let server = Server::start().await?;
        server.fill(PRODUCTS).await?;
        let admin = server.log_in().await?;
        let mut connection = Connection::open(server.address).await?;
        for n in 0..rules {
            let id = member(&post(&mut connection, &admin.0, "/api/promotions", &rule(n)).await?, "\"id\":")?;
            post(&mut connection, &admin.0, &format!("/api/promotions/{id}/activate"), "{}").await?;
        }
        let cart = member(&post(&mut connection, "", "/api/carts", "{}").await?, "\"token\":\"")?;
        let cart = format!("x-cart-token: {cart}\r\n");
        for n in 0..5 {
            let item = format!(r#"{{"sku":"SKU-{}","quantity":2}}"#, n * 31);
            post(&mut connection, &cart, "/api/carts/current/items", &item).await?;
        }
        Ok(Self { server, cart })
    }

    /// The server's CPU time for requests, and how many there were.
    async fn turn(&self, kind: Kind, span: Duration, from: u64) -> Result<(Duration, usize), Box<dyn Error>> {
        tokio::time::sleep(PAUSE).await;
        let (before, cart) = (self.server.cpu_time()?, self.cart.clone());
        let request = move |n: u64| kind.request(n + from, &cart);
        let load = client::load(self.server.address, CONNECTIONS, span, u64::MAX, &request).await?;
        if load.failed > 0 {
            return Err(format!("{} of {} were not answered 2xx", load.failed, kind.name()).into());
        }
        Ok((self.server.cpu_time()?.saturating_sub(before), load.latencies.count()))
    }
}

/// What is asked.
#[derive(Clone, Copy)]
enum Kind {
    Product,
    List,
    Cart,
    Checkout,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Product => "GET /api/products/{id}",
            Self::List => "GET /api/products (20)",
            Self::Cart => "GET /api/carts/current, 5 lines",
            Self::Checkout => "POST /api/orders, 2 lines",
        }
    }

    fn request(self, n: u64, cart: &str) -> Request {
        match self {
            Self::Product => Request::get(&format!("/api/products/{}", n * 31 % PRODUCTS + 1)),
            Self::List => Request::get("/api/products"),
            Self::Cart => Request::with_body("GET", "/api/carts/current", cart, ""),
            Self::Checkout => Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)]),
        }
    }
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let (plain, ruled) = (Shop::open(0).await?, Shop::open(options.rules).await?);
    let (span, mut sent) = (Duration::from_secs(options.seconds) / ROUNDS, 0);
    let heading = format!("with {}", options.rules);
    println!("{:<36} {:>14} {heading:>14} {:>8}", "server's CPU µs a request", "without rules", "ratio");
    for kind in [Kind::Product, Kind::List, Kind::Cart, Kind::Checkout] {
        let mut costs = [(Duration::ZERO, 0); 2];
        // The first round warms up.
        for round in 0..=ROUNDS {
            for (shop, (cost, count)) in [&plain, &ruled].into_iter().zip(&mut costs) {
                let (spent, requests) = shop.turn(kind, span, sent).await?;
                sent += 1 << 30;
                if round > 0 {
                    *cost += spent;
                    *count += requests;
                }
            }
        }
        let [without, with] = costs.map(|(cost, count)| cost.as_nanos() / count.max(1) as u128);
        let ratio = with * 100 / without.max(1);
        let micros = |nanos: u128| format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100);
        let (without, with, ratio) = (micros(without), micros(with), format!("{}.{:02}", ratio / 100, ratio % 100));
        println!("{:<36} {without:>14} {with:>14} {ratio:>8}", kind.name());
    }
    Ok(())
}

/// The `n`th price rule: of a SKU, of an attribute that no product has, or of prices that none has; some have hours.
fn rule(n: u64) -> String {
    let items = match n % 4 {
        0 | 1 => format!(r#"{{"skus":["SKU-{}"]}}"#, n % PRODUCTS),
        2 => format!(r#"{{"attributes":{{"colour":"{n}"}}}}"#),
        _ => format!(r#"{{"minPrice":"{}.00","maxPrice":"{}.99"}}"#, 1_000 + n, 1_000 + n),
    };
    let times = match n % 3 {
        0 => r#""startsAt":"2020-01-01T00:00:00Z","endsAt":"2999-01-01T00:00:00Z","#,
        1 => r#""timezone":"Europe/London","schedule":{"from":"08:00","to":"20:00"},"#,
        _ => "",
    };
    let value = 1 + n % 30;
    format!(
        r#"{{"name":"Rule {n}","stage":"CATALOG",{times}"actions":[{{"type":"PERCENT_OFF","value":"{value}","items":{items}}}]}}"#
    )
}

async fn post(connection: &mut Connection, headers: &str, path: &str, body: &str) -> Result<String, Box<dyn Error>> {
    let headers = format!("{headers}content-type: application/json\r\n");
    let status = connection.send(&Request::with_body("POST", path, &headers, body)).await?;
    let text = String::from_utf8_lossy(connection.body()).into_owned();
    if (200..300).contains(&status) { Ok(text) } else { Err(format!("{path} was answered {status}: {text}").into()) }
}

/// What stands in a JSON text after a member's name, up to the next sign.
fn member(text: &str, name: &str) -> Result<String, Box<dyn Error>> {
    let after = text.split(name).nth(1).ok_or_else(|| format!("no {name} in {text}"))?;
    Ok(after.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect())
}

//! Liveness and checkouts alone and beside all that computes for long at once, in one run.

use std::cell::Cell;
use std::error::Error;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::{JoinHandle, LocalSet};

use super::client::{Connection, Request};
use super::floors::{Figure, ratio};
use super::server::Server;
use super::shop::{PRODUCTS, member, post};
use crate::latency::Latencies;

/// The lines of a long cart, and the promotions of a long evaluation.
const MANY: u64 = 1_000;
/// Connections that send checkouts.
const CHECKOUTS: usize = 4;
/// The pause between two probes and between two checkouts of a connection, so that their number does not fill the machine.
const PAUSE: Duration = Duration::from_millis(5);

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Number of past orders of the backtests.
    #[arg(long, default_value_t = 60_000)]
    orders: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, table(options))
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let server = Server::start().await?;
    server.fill(PRODUCTS).await?;
    server.import_orders(options.orders, PRODUCTS).await?;
    let span = Duration::from_secs(options.seconds);
    let heavy = heavy_requests(&server).await?;
    let numbers = Numbers::default();
    measure(&server, span / 5, &numbers).await?;
    println!("{}", Latencies::heading());
    let [mut probes_alone, mut orders_alone] = measure(&server, span, &numbers).await?;
    println!("{}", probes_alone.line("liveness alone", span));
    println!("{}", orders_alone.line("checkouts alone", span));
    let is_over = Rc::new(Cell::new(false));
    let loads: Vec<_> =
        heavy.into_iter().map(|(name, request)| (name, repeat(&server, request, is_over.clone()))).collect();
    let [mut probes, mut orders] = measure(&server, span, &numbers).await?;
    is_over.set(true);
    println!("{}", probes.line("liveness beside all", span));
    println!("{}", orders.line("checkouts beside all", span));
    for (name, load) in loads {
        let Repeated { answered, refused, longest } = load.await??;
        println!("  {name}: {answered} answered, {refused} refused with 503, the longest {} ms", longest.as_millis());
    }
    let milliseconds = probes.per_mille(990).as_micros() / 10;
    Figure::at_most("liveness beside all: p99, ms", u64::try_from(milliseconds)?, 5_000).print();
    let p99 = |latencies: &mut Latencies| latencies.per_mille(990).as_nanos();
    Figure::at_most("checkouts beside all: p99 ÷ alone", ratio(p99(&mut orders), p99(&mut orders_alone)), 300).print();
    Ok(())
}

/// One request of each load that computes for long: two backtests, an evaluation, four quotes, and carts by their tokens.
async fn heavy_requests(server: &Server) -> Result<Vec<(&'static str, Request)>, Box<dyn Error>> {
    let admin = format!("{}content-type: application/json\r\n", server.log_in().await?.0);
    let items: Vec<String> = (0..MANY).map(|n| format!(r#"{{"sku":"SKU-{n}","quantity":1}}"#)).collect();
    let items = items.join(",");
    let promotion = |n| {
        format!(
            r#"{{"id":{n},"name":"P{n}","stacking":{{"mode":"EXCLUSIVE"}},"actions":[{{"type":"PERCENT_OFF","value":"{}"}}]}}"#,
            n % 50 + 1
        )
    };
    let promotions: Vec<String> = (1..=MANY).map(promotion).collect();
    let backtest = r#"{"promotion":{"name":"Ten","actions":[{"type":"PERCENT_OFF","value":"10"}]},
        "from":"2010-12-01T00:00:00Z","to":"2011-01-01T00:00:00Z"}"#;
    let calculate = format!(r#"{{"items":[{items}],"promotions":[{}]}}"#, promotions.join(","));
    let quote = format!(r#"{{"items":[{items}],"email":"guest@example.com"}}"#);
    let post_json = |path: &str, headers: &str, body: &str| Request::with_body("POST", path, headers, body);
    let json = "content-type: application/json\r\n";
    let mut all = Vec::new();
    for _ in 0..2 {
        all.push(("backtest", post_json("/api/promotions/backtest", &admin, backtest)));
    }
    all.push(("calculate", post_json("/api/promotions/calculate", &admin, &calculate)));
    for _ in 0..4 {
        all.push(("quote", post_json("/api/orders/quote", json, &quote)));
    }
    for _ in 0..2 {
        let cart = long_cart(server).await?;
        all.push(("cart by token", Request::with_body("GET", "/api/carts/current", &cart, "")));
        all.push(("quote of a cart by token", post_json("/api/orders/quote", &format!("{cart}{json}"), "{}")));
    }
    Ok(all)
}

/// Fills a guest's cart and returns the header that names it.
async fn long_cart(server: &Server) -> Result<String, Box<dyn Error>> {
    let mut connection = Connection::open(server.address).await?;
    let token = member(&post(&mut connection, "", "/api/carts", "{}").await?, "\"token\":\"")?;
    let cart = format!("x-cart-token: {token}\r\n");
    for n in 0..MANY {
        let item = format!(r#"{{"sku":"SKU-{n}","quantity":1}}"#);
        post(&mut connection, &cart, "/api/carts/current/items", &item).await?;
    }
    Ok(cart)
}

/// How often a request was answered.
#[derive(Default)]
struct Repeated {
    answered: u64,
    refused: u64,
    longest: Duration,
}

/// A task's result. Errors are texts, because a task must not borrow.
type Outcome<T> = Result<T, String>;

/// Sends a request again and again until `is_over`.
fn repeat(server: &Server, request: Request, is_over: Rc<Cell<bool>>) -> JoinHandle<Outcome<Repeated>> {
    let address = server.address;
    tokio::task::spawn_local(async move {
        let mut connection = Connection::open(address).await.map_err(text)?;
        let mut repeated = Repeated::default();
        while !is_over.get() {
            let sent = Instant::now();
            match connection.send(&request).await.map_err(text)? {
                200..=299 => repeated.answered += 1,
                503 => {
                    repeated.refused += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                status => {
                    let answer = String::from_utf8_lossy(connection.body()).chars().take(300).collect::<String>();
                    return Err(format!("a request was answered {status}: {answer}"));
                }
            }
            repeated.longest = repeated.longest.max(sent.elapsed());
        }
        Ok(repeated)
    })
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// The number of the next checkout.
type Numbers = Rc<Cell<u64>>;

/// The latencies of probes and of checkouts, which are sent for `span`. All must be answered 2xx.
async fn measure(server: &Server, span: Duration, numbers: &Numbers) -> Result<[Latencies; 2], Box<dyn Error>> {
    let probes = sample(server, span, || Request::get("/actuator/health/liveness"));
    let checkouts: Vec<_> = (0..CHECKOUTS)
        .map(|_| {
            let numbers = numbers.clone();
            sample(server, span, move || {
                let n = numbers.replace(numbers.get() + 1);
                Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)])
            })
        })
        .collect();
    let mut orders = Latencies::default();
    for sampled in checkouts {
        orders.merge(sampled.await??);
    }
    Ok([probes.await??, orders])
}

/// Sends one request after another for `span`.
fn sample(
    server: &Server,
    span: Duration,
    mut next: impl FnMut() -> Request + 'static,
) -> JoinHandle<Outcome<Latencies>> {
    let address = server.address;
    tokio::task::spawn_local(async move {
        let mut connection = Connection::open(address).await.map_err(text)?;
        let (mut latencies, started) = (Latencies::default(), Instant::now());
        while started.elapsed() < span {
            let (request, sent) = (next(), Instant::now());
            let status = connection.send(&request).await.map_err(text)?;
            if !(200..300).contains(&status) {
                return Err(format!("a request was answered {status}"));
            }
            latencies.add(sent.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        Ok(latencies)
    })
}

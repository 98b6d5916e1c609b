//! Checkouts with everything that the promotion engine offers, compared with plain ones in the same shop; flash sale
//! reservations; a backtest.

use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::LocalSet;

use super::client::{self, Connection, Load, Request};
use super::floors::ratio;
use super::server::{Bearer, Server};
use crate::latency::Latencies;

const CONNECTIONS: usize = 64;
const PRODUCTS: u64 = 5_000;
/// Accounts that the connections share.
const BUYERS: usize = 16;
/// Turns of plain checkouts and of those with everything, which alternate so that both have the same conditions.
const ROUNDS: u32 = 4;
/// The pause before each turn, in which the shop finishes the background work of the last one.
const PAUSE: Duration = Duration::from_secs(1);

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number of past orders of the backtest.
    #[arg(long, default_value_t = 100_000)]
    orders: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let span = Duration::from_secs(options.seconds);
    let (server, [plain, full, reservations]) = measure(span).await?;
    println!("{}", Latencies::heading());
    println!("{}", line_of("POST flash reservations", reservations));
    println!("{}", line_of("POST /api/orders, 2 lines", plain));
    println!("{}", line_of("… 3 promotions, coupon, points, flash", full));
    backtest(&server, &server.log_in().await?, options.orders).await
}

/// Measures plain checkouts and those with everything alternately, and before them flash sale reservations. Returns the
/// results in this order, and the server.
async fn measure(span: Duration) -> Result<(Server, [Turns; 3]), Box<dyn Error>> {
    let server = Server::start().await?;
    server.fill(PRODUCTS).await?;
    let (address, admin) = (server.address, server.log_in().await?);
    let sale = prepare(address, &admin).await?;
    let mut buyers = Vec::new();
    for n in 0..BUYERS {
        buyers.push(buyer(address, &admin, n).await?);
    }
    let (reserved, reservations) = reserve(address, span, sale, &buyers).await?;
    let (mut plain, mut full) = (Turns::default(), Turns::default());
    let warm = client::load(address, CONNECTIONS, span / 5, u64::MAX, &plain_order).await?;
    let mut sent = u64::try_from(warm.latencies.count())? + warm.failed;
    for _ in 0..ROUNDS {
        tokio::time::sleep(PAUSE).await;
        let (started, before) = (Instant::now(), sent);
        let load =
            client::load(address, CONNECTIONS, span / ROUNDS, u64::MAX, &move |n| plain_order(n + before)).await?;
        sent += u64::try_from(load.latencies.count())? + load.failed;
        plain.add(load, started.elapsed());
        tokio::time::sleep(PAUSE).await;
        let (load, took) = load_each(address, span / ROUNDS, order_reserved(&buyers, &reserved)).await?;
        full.add(load, took);
    }
    Ok((server, [plain, full, reservations]))
}

/// The rate of checkouts with everything ÷ the rate of plain ones, in hundredths.
pub(super) async fn full_to_plain(span: Duration) -> Result<u64, Box<dyn Error>> {
    let (_, [plain, full, _]) = measure(span).await?;
    let rate = |turns: &Turns| turns.load.latencies.count() as u128 * 1_000_000_000 / turns.took.as_micros().max(1);
    Ok(ratio(rate(&full), rate(&plain)))
}

/// The combined result of several turns.
#[derive(Default)]
struct Turns {
    load: Load,
    took: Duration,
}

impl Turns {
    fn add(&mut self, load: Load, took: Duration) {
        self.load.latencies.merge(load.latencies);
        self.load.failed += load.failed;
        self.took += took;
    }
}

fn plain_order(n: u64) -> Request {
    Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)])
}

/// Sends a request with a bearer token and returns the body of its answer, which must be 2xx.
async fn send(
    connection: &mut Connection,
    bearer: &Bearer,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String, Box<dyn Error>> {
    let headers = format!("{}content-type: application/json\r\n", bearer.0);
    let status = connection.send(&Request::with_body(method, path, &headers, body)).await?;
    let text = String::from_utf8_lossy(connection.body()).into_owned();
    if (200..300).contains(&status) { Ok(text) } else { Err(format!("{path} was answered {status}: {text}").into()) }
}

/// The value of the first integer member with a name in a JSON text.
fn number(text: &str, name: &str) -> Result<i64, Box<dyn Error>> {
    let after = text.split(&format!("\"{name}\":")).nth(1).ok_or_else(|| format!("no {name} in {text}"))?;
    Ok(after.chars().take_while(char::is_ascii_digit).collect::<String>().parse()?)
}

/// Creates three automatic promotions for users, an unlimited coupon, points worth a penny, and a flash sale of a
/// million units. Returns the id of the sale.
async fn prepare(address: SocketAddr, admin: &Bearer) -> Result<i64, Box<dyn Error>> {
    let mut connection = Connection::open(address).await?;
    let promotions = [
        r#"{"name":"Five","actions":[{"type":"PERCENT_OFF","value":"5"}],"when":{"field":"customer.isGuest","op":"EQ","value":false}}"#,
        r#"{"name":"Off","actions":[{"type":"AMOUNT_OFF","value":"0.10"}],"when":{"field":"customer.isGuest","op":"EQ","value":false}}"#,
        r#"{"name":"Pair","actions":[{"type":"TIERED","basis":"QUANTITY","scope":"ORDER","tiers":[{"from":2,"percentOff":"1"}]}],"when":{"field":"customer.isGuest","op":"EQ","value":false}}"#,
        r#"{"name":"By coupon","couponOnly":true,"actions":[{"type":"PERCENT_OFF","value":"3"}]}"#,
    ];
    let mut last = 0;
    for body in promotions {
        last = number(&send(&mut connection, admin, "POST", "/api/promotions", body).await?, "id")?;
        send(&mut connection, admin, "POST", &format!("/api/promotions/{last}/activate"), "{}").await?;
    }
    let coupon = format!(r#"{{"code":"BENCH","promotionId":{last}}}"#);
    send(&mut connection, admin, "POST", "/api/coupons", &coupon).await?;
    let settings = r#"{"pointsPerUnit":"1","pointValue":"0.01"}"#;
    send(&mut connection, admin, "PATCH", "/api/rewards/settings", settings).await?;
    let sale = r#"{"name":"Bench","startsAt":"2020-01-01T00:00:00Z","endsAt":"2999-01-01T00:00:00Z",
        "reservationTtlSeconds":3600,"items":[{"sku":"SKU-7","salePrice":"0.50","stock":1000000}]}"#;
    number(&send(&mut connection, admin, "POST", "/api/flash-sales", sale).await?, "id")
}

/// Registers an account with points to spend.
async fn buyer(address: SocketAddr, admin: &Bearer, n: usize) -> Result<Bearer, Box<dyn Error>> {
    let mut connection = Connection::open(address).await?;
    let body = format!(r#"{{"email":"buyer-{n}@example.com","password":"a long and quiet harbour"}}"#);
    let anonymous = Bearer(String::new());
    let answer = send(&mut connection, &anonymous, "POST", "/api/auth/register", &body).await?;
    let token = answer.split(r#""accessToken":""#).nth(1).and_then(|rest| rest.split('"').next());
    let bearer = Bearer(format!("authorization: Bearer {}\r\n", token.ok_or("no token")?));
    let user = number(&answer, "id")?;
    let points = r#"{"points":100000000,"reason":"to spend"}"#;
    send(&mut connection, admin, "POST", &format!("/api/rewards/account/{user}/adjust"), points).await?;
    Ok(bearer)
}

/// Makes the next request of a connection from the body of the last answer, or `None` to stop.
type Next = Box<dyn FnMut(&[u8]) -> Option<Request>>;

/// Sends the requests of each connection until the time is up or it has no more. Returns the result and the duration.
async fn load_each(address: SocketAddr, span: Duration, work: Vec<Next>) -> Result<(Load, Duration), Box<dyn Error>> {
    let (local, started) = (LocalSet::new(), Instant::now());
    let tasks: Vec<_> = work
        .into_iter()
        .map(|mut next| {
            local.spawn_local(async move {
                let (mut connection, mut load) = (Connection::open(address).await?, Load::default());
                while started.elapsed() < span {
                    let Some(request) = next(connection.body()) else { break };
                    let sent = Instant::now();
                    let status = connection.send(&request).await?;
                    load.latencies.add(sent.elapsed());
                    load.failed += u64::from(!(200..300).contains(&status));
                }
                next(connection.body());
                Ok::<_, std::io::Error>(load)
            })
        })
        .collect();
    local.await;
    let (took, mut total) = (started.elapsed(), Load::default());
    for task in tasks {
        let part = task.await??;
        total.latencies.merge(part.latencies);
        total.failed += part.failed;
    }
    Ok((total, took))
}

/// The line of a load.
fn line_of(name: &str, mut turns: Turns) -> String {
    let line = turns.load.latencies.line(&format!("{name} × {CONNECTIONS}"), turns.took);
    if turns.load.failed == 0 { line } else { format!("{line}   {} not 2xx", turns.load.failed) }
}

/// Reservations of a connection that are not ordered yet.
type Reserved = Rc<RefCell<Vec<i64>>>;

/// Reserves units one by one on every connection, until the time is up or everything is sold. Returns the reservations
/// of each connection and the result.
async fn reserve(
    address: SocketAddr,
    span: Duration,
    sale: i64,
    buyers: &[Bearer],
) -> Result<(Vec<Reserved>, Turns), Box<dyn Error>> {
    let reserved: Vec<_> = (0..CONNECTIONS).map(|_| Reserved::default()).collect();
    let work = reserved.iter().zip(buyers.iter().cycle()).map(|(reserved, bearer)| {
        let headers = format!("{}content-type: application/json\r\n", bearer.0);
        let path = format!("/api/flash-sales/{sale}/reservations");
        let reserved = reserved.clone();
        Box::new(move |answer: &[u8]| {
            let answer = String::from_utf8_lossy(answer);
            if answer.contains("SOLD_OUT") {
                return None;
            }
            reserved.borrow_mut().extend(number(&answer, "reservationId").ok());
            Some(Request::with_body("POST", &path, &headers, r#"{"sku":"SKU-7","quantity":1}"#))
        }) as Next
    });
    let (load, took) = load_each(address, span, work.collect()).await?;
    Ok((reserved, Turns { load, took }))
}

/// Orders of two lines, a reserved unit, a coupon and points, to which three automatic promotions apply.
fn order_reserved(buyers: &[Bearer], reserved: &[Reserved]) -> Vec<Next> {
    let of = |(reserved, bearer): (&Reserved, &Bearer)| {
        let headers = format!("{}content-type: application/json\r\n", bearer.0);
        let reserved = reserved.clone();
        Box::new(move |_: &[u8]| {
            let id = reserved.borrow_mut().pop()?;
            let (a, b) = (id.unsigned_abs() * 31 % PRODUCTS, id.unsigned_abs() * 17 % PRODUCTS);
            let body = format!(
                r#"{{"items":[{{"sku":"SKU-{a}","quantity":1}},{{"sku":"SKU-{b}","quantity":2}}],"couponCode":"BENCH",
                "pointsToRedeem":100,"flashSaleReservationIds":[{id}],
                "payment":{{"method":"CARD","provider":"sandbox","token":"tok_visa"}}}}"#
            );
            let headers = format!("{headers}idempotency-key: promo-{id}\r\n");
            Some(Request::with_body("POST", "/api/orders", &headers, &body))
        }) as Next
    };
    reserved.iter().zip(buyers.iter().cycle()).map(of).collect()
}

/// Imports past orders and measures a backtest over them.
async fn backtest(server: &Server, admin: &Bearer, orders: u64) -> Result<(), Box<dyn Error>> {
    server.import_orders(orders, PRODUCTS).await?;
    let mut connection = Connection::open(server.address).await?;
    let body = r#"{"promotion":{"name":"Ten","actions":[{"type":"PERCENT_OFF","value":"10"}]},
        "from":"2010-12-01T00:00:00Z","to":"2011-01-01T00:00:00Z"}"#;
    let started = Instant::now();
    let answer = send(&mut connection, admin, "POST", "/api/promotions/backtest", body).await?;
    println!("backtest over {} orders: {} ms", number(&answer, "orders")?, started.elapsed().as_millis());
    Ok(())
}

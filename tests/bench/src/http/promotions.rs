//! Checkout with everything the promotion engine has, beside the plain one in the same shop; flash reservations; backtest.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::LocalSet;

use super::client::{Connection, Load, Request};
use super::server::{Bearer, Server};
use crate::latency::Latencies;

const CONNECTIONS: usize = 64;
const PRODUCTS: u64 = 5_000;
/// Accounts that the connections share.
const BUYERS: usize = 16;

/// The promotions' table.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds a row.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Past orders to run a draft over.
    #[arg(long, default_value_t = 100_000)]
    orders: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let span = Duration::from_secs(options.seconds);
    let server = Server::start().await?;
    server.fill(PRODUCTS).await?;
    let order = |n: u64| Request::order(n, &[(n * 31 % PRODUCTS, 1), (n * 17 % PRODUCTS, 2)]);
    let mut lines = vec![super::measure("POST /api/orders, 2 lines", server.address, CONNECTIONS, span, order).await?];
    let admin = server.log_in().await?;
    let sale = prepare(server.address, &admin).await?;
    let mut buyers = Vec::new();
    for n in 0..BUYERS {
        buyers.push(buyer(server.address, &admin, n).await?);
    }
    let (reserved, line) = reserve(server.address, span, sale, &buyers).await?;
    lines.push(line);
    lines.push(order_reserved(server.address, span, &buyers, reserved).await?);
    println!("{}", Latencies::heading());
    lines.iter().for_each(|line| println!("{line}"));
    backtest(&server, &admin, options.orders).await
}

/// Sends as the admin or a buyer; the body of a 2xx.
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

/// A number member of a flat JSON text.
fn number(text: &str, name: &str) -> Result<i64, Box<dyn Error>> {
    let after = text.split(&format!("\"{name}\":")).nth(1).ok_or_else(|| format!("no {name} in {text}"))?;
    Ok(after.chars().take_while(char::is_ascii_digit).collect::<String>().parse()?)
}

/// Three automatic promotions, a coupon without an end, points worth a cent, and a sale of a million pieces; the sale's id.
async fn prepare(address: SocketAddr, admin: &Bearer) -> Result<i64, Box<dyn Error>> {
    let mut connection = Connection::open(address).await?;
    let promotions = [
        r#"{"name":"Five","actions":[{"type":"PERCENT_OFF","value":"5"}]}"#,
        r#"{"name":"Off","actions":[{"type":"AMOUNT_OFF","value":"0.10"}]}"#,
        r#"{"name":"Pair","actions":[{"type":"TIERED","basis":"QUANTITY","scope":"ORDER","tiers":[{"from":2,"percentOff":"1"}]}]}"#,
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
    send(&mut connection, admin, "PUT", "/api/rewards/settings", settings).await?;
    let sale = r#"{"name":"Bench","startsAt":"2020-01-01T00:00:00Z","endsAt":"2999-01-01T00:00:00Z",
        "reservationTtlSeconds":3600,"items":[{"sku":"SKU-7","salePrice":"0.50","stock":1000000}]}"#;
    number(&send(&mut connection, admin, "POST", "/api/flash-sales", sale).await?, "id")
}

/// An account with points to spend.
async fn buyer(address: SocketAddr, admin: &Bearer, n: usize) -> Result<Bearer, Box<dyn Error>> {
    let mut connection = Connection::open(address).await?;
    let body = format!(r#"{{"email":"buyer-{n}@example.com","password":"a long and quiet harbour"}}"#);
    let nobody = Bearer(String::new());
    let answer = send(&mut connection, &nobody, "POST", "/api/auth/register", &body).await?;
    let token = answer.split(r#""accessToken":""#).nth(1).and_then(|rest| rest.split('"').next());
    let bearer = Bearer(format!("authorization: Bearer {}\r\n", token.ok_or("no token")?));
    let user = number(&answer, "id")?;
    let points = r#"{"points":100000000,"reason":"to spend"}"#;
    send(&mut connection, admin, "POST", &format!("/api/rewards/account/{user}/adjust"), points).await?;
    Ok(bearer)
}

/// Sends on every connection until the time is over or `next` has nothing more for it; what it came to.
async fn each(
    address: SocketAddr,
    span: Duration,
    work: Vec<Box<dyn FnMut(&[u8]) -> Option<Request>>>,
) -> Result<(Load, Duration), Box<dyn Error>> {
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
    let (took, mut whole) = (started.elapsed(), Load::default());
    for task in tasks {
        let part = task.await??;
        whole.latencies.merge(part.latencies);
        whole.failed += part.failed;
    }
    Ok((whole, took))
}

fn told(name: &str, (mut load, took): (Load, Duration)) -> String {
    let line = load.latencies.line(&format!("{name} × {CONNECTIONS}"), took);
    if load.failed == 0 { line } else { format!("{line}   {} not 2xx", load.failed) }
}

/// Reserves a piece after another on every connection; the reservations of each.
async fn reserve(
    address: SocketAddr,
    span: Duration,
    sale: i64,
    buyers: &[Bearer],
) -> Result<(Vec<Vec<i64>>, String), Box<dyn Error>> {
    let kept: Vec<_> = (0..CONNECTIONS).map(|_| std::rc::Rc::new(std::cell::RefCell::new(Vec::new()))).collect();
    let work = kept.iter().zip(buyers.iter().cycle()).map(|(kept, bearer)| {
        let headers = format!("{}content-type: application/json\r\n", bearer.0);
        let path = format!("/api/flash-sales/{sale}/reservations");
        let kept = kept.clone();
        Box::new(move |answer: &[u8]| {
            let id = number(&String::from_utf8_lossy(answer), "reservationId");
            kept.borrow_mut().extend(id.ok());
            Some(Request::with_body("POST", &path, &headers, r#"{"sku":"SKU-7","quantity":1}"#))
        }) as Box<dyn FnMut(&[u8]) -> Option<Request>>
    });
    let line = told("POST flash reservations", each(address, span, work.collect()).await?);
    Ok((kept.into_iter().map(|kept| kept.take()).collect(), line))
}

/// Orders two lines, a reserved piece, a coupon and points, with three automatic promotions on top.
async fn order_reserved(
    address: SocketAddr,
    span: Duration,
    buyers: &[Bearer],
    reserved: Vec<Vec<i64>>,
) -> Result<String, Box<dyn Error>> {
    let work = reserved.into_iter().zip(buyers.iter().cycle()).map(|(mut reserved, bearer)| {
        let headers = format!("{}content-type: application/json\r\n", bearer.0);
        Box::new(move |_: &[u8]| {
            let id = reserved.pop()?;
            let (a, b) = (id.unsigned_abs() * 31 % PRODUCTS, id.unsigned_abs() * 17 % PRODUCTS);
            let body = format!(
                r#"{{"items":[{{"sku":"SKU-{a}","quantity":1}},{{"sku":"SKU-{b}","quantity":2}}],"couponCode":"BENCH",
                "pointsToRedeem":100,"flashSaleReservationIds":[{id}],
                "payment":{{"method":"CARD","provider":"sandbox","token":"tok_visa"}}}}"#
            );
            let headers = format!("{headers}idempotency-key: promo-{id}\r\n");
            Some(Request::with_body("POST", "/api/orders", &headers, &body))
        }) as Box<dyn FnMut(&[u8]) -> Option<Request>>
    });
    Ok(told("… 3 promotions, coupon, points, flash", each(address, span, work.collect()).await?))
}

/// A draft over past orders.
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

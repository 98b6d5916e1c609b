//! The cost of price rules: a shop without any and one with thousands, measured alternately in one run.

use std::error::Error;
use std::time::Duration;

use clap::Args;

use super::client::Connection;
use super::floors::ratio;
use super::server::Program;
use super::shop::{Kind, PRODUCTS, Shop, member, post};

const CONNECTIONS: usize = 16;
/// Turns of each shop.
const ROUNDS: u32 = 4;

/// Options of the benchmark.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Number of price rules of the second shop.
    #[arg(long, default_value_t = 10_000)]
    rules: u64,
}

pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(table(options))
}

async fn table(options: &Options) -> Result<(), Box<dyn Error>> {
    let costs = costs(options.rules, Duration::from_secs(options.seconds)).await?;
    let heading = format!("with {}", options.rules);
    println!("{:<36} {:>14} {heading:>14} {:>8}", "server's CPU µs a request", "without rules", "ratio");
    for Cost { kind, without, with } in costs {
        let ratio = ratio(with, without);
        let micros = |nanos: u128| format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100);
        let (without, with, ratio) = (micros(without), micros(with), format!("{}.{:02}", ratio / 100, ratio % 100));
        println!("{:<36} {without:>14} {with:>14} {ratio:>8}", kind.name());
    }
    Ok(())
}

/// The server's CPU time for a request, in nanoseconds.
pub(super) struct Cost {
    pub(super) kind: Kind,
    pub(super) without: u128,
    pub(super) with: u128,
}

/// The costs of requests of each kind without price rules and with a number of them.
pub(super) async fn costs(rules: u64, span: Duration) -> Result<Vec<Cost>, Box<dyn Error>> {
    let program = Program::built_here()?;
    let (plain, with_rules) = (Shop::open(program.clone()).await?, Shop::open(program).await?);
    add_rules(&with_rules, rules).await?;
    let (span, mut sent, mut found) = (span / ROUNDS, 0, Vec::new());
    for kind in [Kind::Product, Kind::List, Kind::Cart, Kind::Checkout] {
        let mut costs = [(Duration::ZERO, 0); 2];
        // The first round is a warm-up.
        for round in 0..=ROUNDS {
            for (shop, (cost, count)) in [&plain, &with_rules].into_iter().zip(&mut costs) {
                let turn = shop.turn(kind, CONNECTIONS, span, sent).await?;
                sent += 1 << 30;
                if round > 0 {
                    *cost += turn.cpu;
                    *count += turn.latencies.count();
                }
            }
        }
        let [without, with] = costs.map(|(cost, count)| cost.as_nanos() / count.max(1) as u128);
        found.push(Cost { kind, without, with });
    }
    Ok(found)
}

async fn add_rules(shop: &Shop, rules: u64) -> Result<(), Box<dyn Error>> {
    let admin = shop.server.log_in().await?;
    let mut connection = Connection::open(shop.server.address).await?;
    for n in 0..rules {
        let id = member(&post(&mut connection, &admin.0, "/api/promotions", &rule(n)).await?, "\"id\":")?;
        post(&mut connection, &admin.0, &format!("/api/promotions/{id}/activate"), "{}").await?;
    }
    Ok(())
}

/// The `n`-th price rule: for a SKU, for an attribute that no product has, or for a price range that no product is in.
/// Some have dates or a schedule.
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

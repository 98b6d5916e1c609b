//! Benchmarks, one command each. `cargo run --release -p promox-bench -- storage` prints the table of the embedded
//! store.
//!
//! Benchmarks only measure and print; none fails because a machine is slow.

mod analytics;
mod coupons;
mod cpu;
mod flash;
mod http;
mod latency;
mod rules;
mod storage;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures promox and prints tables")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// The cost of a change: the HTTP requests against this build and another binary, alternately in one run.
    All(http::compare::Options),
    /// The cost of orders, their mail, memory and a restart: each figure beside its limit, in one run.
    Floors(http::floors::Options),
    /// Instructions of the server per request and mail, counted by Callgrind.
    Instructions(http::instructions::Options),
    /// What grows with the size of a shop, a cart or an order: each ratio beside its floor, both sides from one run.
    Sizes(http::sizes::Options),
    /// The embedded store, compared with raw syncs and with redb's own commits in the same run.
    Storage(storage::Options),
    /// The store on PostgreSQL, compared with pgbench's TPC-B on the same server in the same run.
    Postgres(storage::postgres::Options),
    /// Analytics over many orders: the rate of event processing, and latencies of the dashboard.
    Analytics(analytics::Options),
    /// Generation of coupons, alone and during checkouts, in one run.
    Coupons(coupons::Options),
    /// Flash sale reservations, compared with the same check in Redis in the same run.
    Flash(flash::Options),
    /// Checkouts with promotions, coupon, points and flash line, compared with plain ones over HTTP in the same run.
    Promotions(http::promotions::Options),
    /// The rules engine alone: evaluations of small and large carts against few and many promotions.
    Rules(rules::Options),
    /// The cost of price rules: a shop without any compared with one with thousands, over HTTP in one run.
    Shelf(http::shelf::Options),
    /// Checkouts alone and beside a verification, a backup and an export of a large store, over HTTP in one run.
    LongRuns(http::long_runs::Options),
    /// Liveness and checkouts alone and beside all that computes for long at once: each figure beside its floor, in one run.
    Serving(http::serving::Options),
    /// The gateway, compared with nginx and HAProxy in front of the same application in one run.
    Gateway(http::gateway::Options),
    /// The server over HTTP, compared with a bare hyper server in the same run.
    Http(http::Options),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Cli::parse().bench {
        Bench::All(options) => http::compare::run(&options),
        Bench::Floors(options) => http::floors::run(&options),
        Bench::Instructions(options) => http::instructions::run(&options),
        Bench::Sizes(options) => http::sizes::run(&options),
        Bench::Storage(options) => storage::run(&options),
        Bench::Postgres(options) => storage::postgres::run(&options),
        Bench::Analytics(options) => analytics::run(&options),
        Bench::Coupons(options) => coupons::run(&options),
        Bench::Flash(options) => flash::run(&options),
        Bench::Promotions(options) => http::promotions::run(&options),
        Bench::Rules(options) => rules::run(&options),
        Bench::Shelf(options) => http::shelf::run(&options),
        Bench::LongRuns(options) => http::long_runs::run(&options),
        Bench::Serving(options) => http::serving::run(&options),
        Bench::Gateway(options) => http::gateway::run(&options),
        Bench::Http(options) => http::run(&options),
    }
}

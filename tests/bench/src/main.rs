//! Benchmarks, one file each. `cargo run --release -p promox-bench -- storage` prints the store's table.
//!
//! They measure and print; nothing here fails because a machine is slow.

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
    /// Every line over HTTP, by turns with another binary, in one run: what a change costs.
    All(http::compare::Options),
    /// The embedded store beside raw syncs and redb's own commits, in one run.
    Storage(storage::Options),
    /// The figures of many orders: how fast they follow, and what the dashboard costs.
    Analytics(analytics::Options),
    /// Coupons in bulk, alone and beside checkouts, in one run.
    Coupons(coupons::Options),
    /// Flash reservations through the service, beside the same check in Redis, in one run.
    Flash(flash::Options),
    /// Checkout with promotions, coupon, points and flash line beside the plain one, over HTTP, in one run.
    Promotions(http::promotions::Options),
    /// The rules engine alone: one evaluation of carts small and large against few and many promotions.
    Rules(rules::Options),
    /// What price rules of the catalogue cost: a shop without any beside one with thousands, over HTTP, in one run.
    Shelf(http::shelf::Options),
    /// The server over HTTP beside a bare hyper server, in one run.
    Http(http::Options),
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    match Cli::parse().bench {
        Bench::All(options) => http::compare::run(&options),
        Bench::Storage(options) => storage::run(&options),
        Bench::Analytics(options) => analytics::run(&options),
        Bench::Coupons(options) => coupons::run(&options),
        Bench::Flash(options) => flash::run(&options),
        Bench::Promotions(options) => http::promotions::run(&options),
        Bench::Rules(options) => rules::run(&options),
        Bench::Shelf(options) => http::shelf::run(&options),
        Bench::Http(options) => http::run(&options),
    }
}

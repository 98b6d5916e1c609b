//! Black-box tests: a whole node behind a real socket, each scenario closing with the auditor.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that finds something else than it expects has failed"
)]

mod access;
mod aftermath;
mod analytics;
mod backtest;
mod campaigns;
mod cart;
mod catalogue;
mod checkout;
mod client;
mod codes;
mod conventions;
mod coupons;
mod damage;
mod demo;
mod exports;
mod files;
mod flash;
mod gifts;
mod idempotency;
mod input;
mod journal;
mod kill;
mod month;
mod payments;
mod people;
mod persons;
mod points_kill;
mod process;
mod promotions;
mod races;
mod references;
mod returns;
mod rewards;
mod round_trip;
mod rush;
mod saga;
mod settings;
mod shelf;
mod shop;
mod skus;
mod units;

//! Black-box tests of a whole node behind a real socket. Each scenario ends with a run of the auditor.
//!
//! Where to find the test of a route or a guarantee:
//!
//! | about | modules |
//! | --- | --- |
//! | products, categories, search, stock | `catalog`, `catalog_prices` (price rules), `sku_changes`, `references` |
//! | carts and checkout | `cart`, `checkout`, `gifts`, `idempotency` |
//! | orders after the checkout | `returns`, `shipments` (captures by parcels), `exports`, `round_trip` |
//! | payments | `payments`, `stripe` (through localstripe, with faults and kills) |
//! | webhooks to the merchant, text messages, push messages, languages of messages | `webhooks`, `messages`, `languages`, `reminders` |
//! | hooks that the merchant's service answers | `hooks` |
//! | accounts, roles, erasure, the audit trail | `accounts`, `api_keys` |
//! | the store's settings | `settings` |
//! | promotions | `promotions`, `codes`, `limits_per_person`, `promotion_units`, `backtest` |
//! | campaigns, coupons, flash sales, rewards | `campaigns`, `coupons`, `flash`, `rewards` |
//! | analytics | `analytics` |
//! | health, metrics, log levels, background work, traces | `actuator`, `traces` |
//! | the registry of applications, ports of services | `discovery`, `eureka_clients` |
//! | applications behind the gateway | `gateway` |
//! | rules for every route | `access`, `conventions`, `input` |
//! | service managers, signals, the operator's commands | `operations`, `runs` |
//! | crashes and races | `kill` (a killed process), `saga` (a crash at every commit), `races`, `damage`, `data_directory` |
//! | a real month of trade, the sample shop | `online_retail`, `demo` |
//!
//! `shop`, `client`, `process`, `journal` and `mailbox` are shared by the tests. The client compares every
//! answer with the description of the server (`description`), for which answers are recorded (`recorder`).

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test reports an unexpected value by panicking"
)]

mod access;
mod accounts;
mod actuator;
mod analytics;
mod api_keys;
mod backtest;
mod campaigns;
mod cart;
mod catalog;
mod catalog_prices;
mod checkout;
mod client;
mod codes;
mod conventions;
mod coupons;
mod damage;
mod data_directory;
mod demo;
mod description;
mod discovery;
mod eureka_clients;
mod exports;
mod flash;
mod gateway;
mod gifts;
mod hooks;
mod idempotency;
mod imports;
mod input;
mod journal;
mod kill;
mod languages;
mod limits_per_person;
mod mailbox;
mod messages;
mod online_retail;
mod operations;
mod payments;
mod postgres;
mod process;
mod promotion_units;
mod promotions;
mod races;
mod receiver;
mod recorder;
mod reference_tables;
mod references;
mod reminders;
mod returns;
mod rewards;
mod round_trip;
mod runs;
mod saga;
mod settings;
mod shipments;
mod shop;
mod sku_changes;
mod stripe;
mod traces;
mod webhooks;
mod wrong_values;

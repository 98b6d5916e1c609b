//! The test harness of the services: a node with one service on the memory engine, a clock that the test moves, and
//! stubs in place of all other services.
//!
//! ```ignore
//! let shop = Setup::at("2026-11-23T12:00:00Z")
//!     .answer(|_, _: GetStoreProfile| Ok(StoreProfile { timezone: "UTC".into(), ..sample::store_profile() }))
//!     .start(|databases| Campaigns::new(databases.promox.clone()));
//! let campaign = shop.ask::<CreateCampaign>(json!({"name": "Sale"})).await?;
//! shop.verify();
//! ```
//!
//! - A stub that a test sets replaces the default one.
//! - Operations of the service under test are never stubbed.
//! - Consumers and jobs run only when the test runs them, and then until they have nothing left to do.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test reports an error by panicking"
)]

mod dice;
mod engine;
mod errors;
mod harness;
pub mod saga;
pub mod sample;
mod setup;
mod stubs;

pub use dice::Dice;
pub use engine::TestEngine;
pub use errors::{code, pointers};
pub use harness::Harness;
pub use setup::{Databases, Setup};

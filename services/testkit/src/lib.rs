//! The harness of the services' tests: a node with one service on the memory engine, a clock that the test moves, and answers
//! in place of all other services.
//!
//! ```ignore
//! let shop = Setup::at("2026-11-23T12:00:00Z")
//!     .answer(|_, _: StoreProfile| Ok(StoreFacts { timezone: "Europe/London".into(), ..sample::store_facts() }))
//!     .start(|databases| Campaigns::new(databases.promox.clone()));
//! let campaign = shop.ask::<CreateCampaign>(json!({"name": "Sale"})).await?;
//! shop.verify();
//! ```
//!
//! What holds: an answer that a test gives replaces the default one; an operation of the service itself is never answered for;
//! consumers and jobs run only when the test asks for it, and then to rest.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test says what is wrong by failing"
)]

mod answers;
mod engine;
mod errors;
mod harness;
pub mod saga;
pub mod sample;
mod setup;

pub use engine::TestEngine;
pub use errors::{code, pointers};
pub use harness::Harness;
pub use setup::{Databases, Setup};

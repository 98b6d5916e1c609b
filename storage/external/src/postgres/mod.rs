//! The tables of both databases on a PostgreSQL server, which several nodes share.
//!
//! Each database has a *head*, a row that every commit locks first, so commits follow one another in the order of
//! their positions. `promox.commits` lists them with the keys that they changed. A node keeps the rows that it has read
//! in memory (`state.rs`), at the position of the newest commit that it knows; a later commit makes it forget the keys
//! that were changed. So reading needs a round trip only for what is not in memory, and one to learn whether there was
//! a commit, which all waiting requests share (`reader.rs`).
//!
//! A node has one writer (`writer.rs`) per database. It runs the queued transactions one after the other in memory, and commits
//! them together. Since who commits holds the head and knows the newest position, no transaction can commit that has
//! read something older: histories are serializable, phantoms and absences included, without locks on rows, versions
//! of rows, or predicates. Whether a commit whose connection was lost has happened is decided by raising the node's
//! epoch, which every commit checks under the head.
//!
//! Tables, columns and indexes are those of `storage/core/src/ddl.rs`.

mod connection;
mod engine;
mod fetch;
mod group;
mod load;
mod long_read;
mod options;
mod reader;
mod server;
mod shared;
mod sql;
mod state;
mod stream;
mod values;
mod writer;

pub use engine::{Metrics, PostgresEngine};
pub use load::Load;
pub use options::{Address, PostgresOptions};
pub use server::PostgresError;
pub use shared::Health;

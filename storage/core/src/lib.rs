//! Records, keys, transactions and the engine interface: the only storage crate that services depend on.
//!
//! A table is declared once with [`record!`]. A transaction is a synchronous closure over [`Tx`] and belongs to one
//! service. While it runs, the engine only serves reads; at the end it applies one batch of changes. The conformance
//! suite defines the behaviour that all engines share.

mod audit;
mod cache;
mod chain;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod consumer;
mod db;
mod ddl;
mod dead_letters;
mod engine;
mod epochs;
mod error;
mod event;
mod event_log;
mod export;
mod facts;
mod gates;
mod holds;
mod ids;
mod latest;
mod memory;
mod outbox;
mod prepared;
mod range;
mod reads;
mod recent;
mod record;
mod replay;
mod row;
mod scan;
mod schema;
mod service;
mod system;
mod throttle;
mod transaction;
mod tx;

pub use audit::{Finding, Report};
pub use cache::{
    Cache, CacheEngine, CacheEntry, CacheFuture, CacheSpace, Change, Expected, MAX_CACHE_KEY, MAX_CACHE_VALUE,
    MemoryCache,
};
pub use chain::{Call, Chain, Outcome};
pub use consumer::{Consumer, ConsumerLoop, Follower};
pub use db::Db;
pub use dead_letters::{UnappliedEvent, replay};
pub use engine::{Batch, Claim, Direction, Engine, Fetching, Item, Lane, Reader, Space, Work, WorkOrder, Write};
pub use epochs::EpochReader;
pub use error::StoreError;
pub use event::{Event, EventByEnd, NewEvent};
pub use event_log::EventLog;
pub use export::ExportWriter;
pub use gates::{
    DoubtId, Gate, GateCounts, GateDoubt, GateEngine, GateFuture, GateKey, GateLoad, GateMark, GatePass, GateRefusal,
    GateUnits, Gates, LoadedGates, MemoryGates, ReturnedUnits, TakeResult,
};
pub use holds::{Begin, Hold, HoldState, HoldStep};
pub use ids::{IdBlocks, IdPool, take_ids};
pub use latest::Latest;
pub use memory::MemoryEngine;
pub use outbox::prune_events;
pub use prepared::Prepared;
pub use range::{Edge, KeyRange, TypedRange};
pub use reads::{Reads, ScanRead, Version, Wants};
pub use record::{Index, Record};
pub use replay::Recall;
pub use row::{decode_row, encode_row};
pub use scan::Scan;
pub use schema::{ColumnDef, Database, IndexDef, Schema, TableDef};
pub use service::{DynService, Service};
pub use system::{SEQUENCES, SYSTEM_TABLES, stamp_events};
pub use throttle::{Pace, Throttle};
pub use transaction::{Transact, Transaction, register_transaction};
pub use tx::{Before, Stamp, Tx};

/// Items that the macros of this crate use.
#[doc(hidden)]
pub mod macros {
    pub use promox_kernel::Error;
    pub use promox_kernel::encoding::{Column, KeyPart};
}

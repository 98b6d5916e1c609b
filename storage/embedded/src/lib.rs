//! The embedded engine: a journal as the only commit point, a memory table with snapshots, and checkpoints into redb.
//!
//! Invariants: nothing is read or acknowledged before it is durable. After a failed write nothing more is acknowledged.
//! An unreadable frame in the journal either belongs to a group that was never acknowledged, or is reported as damage.

mod backup;
mod base;
mod cache;
mod checkpoint;
mod directory;
pub mod disk;
mod engine;
mod group;
mod journal;
mod key;
mod long_read;
mod merge;
mod metrics;
mod open;
mod quiet;
mod reset;
mod shared;
mod start;
mod stop;
mod table;
mod view;
mod writer;

pub use backup::{BackupError, BackupReader, Copied, back_up, restore};
pub use cache::SledCache;
pub use checkpoint::Checkpointer;
pub use directory::{DirectoryState, inspect};
pub use engine::{Assembled, EmbeddedEngine};
pub use journal::dump_journal;
pub use metrics::Metrics;
pub use open::{OpenError, Options};
pub use reset::{CheckpointEnd, reset_journal};
pub use stop::{Stop, StopHook, exit_process};
pub use writer::{Turn, Writer};

//! The conformance suite: cases that every engine must pass. Each runs on an empty store with [`TABLES`].
//!
//! The tests of an engine run all of them: `for case in conformance::cases() { case.run(fresh_engine()).await }`. A
//! case that fails panics with a message.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::redundant_closure_for_method_calls,
    reason = "test code that several crates share"
)]

mod cache;
mod chains;
mod events;
mod gates;
mod holds;
mod limits;
mod reads;
mod remote;
mod rows;
mod tables;
mod values;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::{Clock, Cx, Entropy, Node, Timestamp};

use crate::{Database, Db, Engine, StoreError, Tx};

pub use cache::check as check_cache;
pub use gates::{RemoteGates, check as check_gates};
pub use holds::{HoldAction, check_holds};
pub use remote::RemoteEngine;
pub use tables::TABLES;

type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    /// The behaviour that the case checks.
    pub name: &'static str,
    run: fn(Store) -> Running,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Runs the case on an engine with empty tables.
    pub async fn run(&self, engine: Arc<dyn Engine>) {
        (self.run)(Store { engine }).await;
    }
}

/// The engine that a case runs on.
#[derive(Clone)]
struct Store {
    engine: Arc<dyn Engine>,
}

impl Store {
    fn db(&self) -> Db {
        self.database(Database::Ecommerce)
    }

    fn database(&self, database: Database) -> Db {
        Db::new(self.engine.clone(), database)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.db().write(&cx(), work).await
    }

    async fn read<T>(&self, work: impl Fn(&Tx<'_>) -> Result<T, StoreError>) -> T {
        self.db().read(work).await.unwrap()
    }
}

/// The time of all transactions in the suite.
const NOW: Timestamp = Timestamp(1_800_000_000_123_456);

fn cx() -> Cx {
    let node = Node::new(Clock::manual(NOW), Entropy::seeded(1));
    Cx::system(&node, "conformance", Duration::from_secs(60))
}

/// Lists the cases, each a function with the behaviour that it checks.
macro_rules! cases {
    ($($path:path => $name:literal),+ $(,)?) => {
        /// Returns all cases of the suite.
        pub fn cases() -> Vec<Case> {
            vec![$(Case { name: $name, run: |store| Box::pin($path(store)) }),+]
        }
    };
}

cases! {
    rows::written_rows_are_read => "rows are written, replaced, removed and read",
    rows::prepared_rows_behave_like_other_rows =>
        "prepared rows are written like other rows, and replace only unchanged rows",
    rows::an_error_drops_everything => "an error drops all changes of its transaction",
    rows::own_changes_are_seen => "a transaction sees its own changes in gets and scans",
    rows::index_entries_move => "index entries move with their rows",
    rows::a_duplicate_fails_the_transaction => "a duplicate fails the transaction and names the index",
    rows::unique_values_can_be_reused => "a unique value can be reused in the same transaction",
    rows::nulls_never_collide => "nulls are in no index and violate no unique index",
    values::text_sorts_by_bytes => "text sorts by its bytes",
    values::numbers_sort_by_value => "numbers sort by value, including negative ones",
    values::decimals_keep_their_scale => "decimals keep their digits and scale",
    values::times_keep_their_microseconds => "times keep their microseconds",
    values::values_that_some_engine_cannot_store_are_refused =>
        "texts with a NUL and times outside the years 1 to 9999 are refused",
    values::unusual_values_are_preserved => "empty, long and unusual values are read as they were written",
    reads::scans_stay_within_their_range => "scans stay within their prefix and range, in both directions",
    reads::pages_continue_after_their_cursor => "pages continue where they stopped while rows are removed",
    reads::a_snapshot_does_not_change => "a snapshot does not change while others write",
    reads::a_read_is_of_one_state => "all that a read transaction sees is of one state",
    reads::a_read_after_a_reply_sees_the_change => "a read after a reply sees the change",
    reads::a_latest_value_follows_the_commits => "a value that is kept until the next commit is never older than a reply",
    reads::long_reads_are_complete_and_limited => "a long read is complete, and there are at most two",
    limits::increments_are_not_lost => "concurrent increments are not lost",
    limits::ids_are_assigned_once => "ids start at 1, and committed ids are assigned once",
    limits::too_many_writes_are_refused => "more than 16,384 changes are refused",
    limits::too_many_bytes_are_refused => "more than 4 MiB of changes are refused",
    limits::too_many_reads_are_refused => "a short read has a limit on the number of rows",
    chains::links_run_in_order => "each link of a chain runs once, on the state that earlier links left",
    chains::links_after_a_refusal_are_skipped =>
        "links after a refused one are skipped, and earlier links stay committed",
    chains::an_unexpected_result_ends_the_chain =>
        "a link with another result than expected is committed and ends its chain",
    chains::a_failed_link_ends_the_chain => "a link that fails or exceeds a limit ends its chain",
    chains::a_chain_can_span_both_databases =>
        "a chain can span both databases, and its events are in the order of its links",
    chains::ids_are_assigned_once => "links and id pools get unique ids",
    chains::a_link_stores_the_reply_of_a_key => "a link can store the reply with the request's idempotency key",
    chains::chains_run_concurrently => "chains and transactions run concurrently without lost updates",
    events::positions_are_dense => "events have dense positions in commit order, separately in each database",
    events::dropped_transactions_emit_no_events => "a dropped transaction emits no event",
    events::subscribers_are_woken => "a commit with an event wakes subscribers",
    events::consumers_wait_while_the_disk_is_full =>
        "while the disk is full, consumers wait and create no dead letters",
    events::consumers_apply_each_event_once =>
        "consumers apply each event once, and events that fail become dead letters",
    events::dead_letters_are_replayed_once => "a dead letter is applied once when it is replayed",
    events::events_are_kept_until_they_are_consumed =>
        "an expired event is kept until its own consumers have passed it",
    events::epochs_are_counted => "each name has an epoch, separately in each database",
    events::idempotency_keys_are_claimed_and_decided => "an idempotency key is claimed, decided and recalled",
    holds::holds_match_the_model => "holds pass through each state once, and are refused after their release",
    events::the_time_of_the_last_commit_is_known => "the time of the newest commit is known",
}

//! Cases that hold on every engine, each on an empty store with [`TABLES`].
//!
//! An engine's tests run them all: `for case in conformance::cases() { case.run(fresh_engine()).await }`. A case panics
//! when something does not hold, and says what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::redundant_closure_for_method_calls,
    reason = "tests, in a place where two crates can use them"
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
pub use gates::{FarGates, check as check_gates};
pub use holds::{HoldAct, check_holds};
pub use remote::RemoteEngine;
pub use tables::TABLES;

type Running = Pin<Box<dyn Future<Output = ()>>>;

/// A case.
#[derive(Clone, Copy)]
pub struct Case {
    /// What holds.
    pub name: &'static str,
    run: fn(Store) -> Running,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Case {
    /// Runs it on an engine with empty tables.
    pub async fn run(&self, engine: Arc<dyn Engine>) {
        (self.run)(Store { engine }).await;
    }
}

/// The engine of a case.
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

/// The time of all transactions here.
const NOW: Timestamp = Timestamp(1_800_000_000_123_456);

fn cx() -> Cx {
    let node = Node::new(Clock::manual(NOW), Entropy::seeded(1));
    Cx::system(&node, "conformance", Duration::from_secs(60))
}

/// Lists cases: each function, and the sentence that it proves.
macro_rules! cases {
    ($($path:path => $name:literal),+ $(,)?) => {
        /// All cases.
        pub fn cases() -> Vec<Case> {
            vec![$(Case { name: $name, run: |store| Box::pin($path(store)) }),+]
        }
    };
}

cases! {
    rows::written_rows_are_read => "rows are written, replaced, removed and read",
    rows::prepared_rows_are_as_others => "prepared rows are written like others, and replace unchanged rows",
    rows::an_error_drops_everything => "an error drops all changes of its transaction",
    rows::own_changes_are_seen => "a transaction sees its own changes, in gets and scans",
    rows::index_entries_move => "index entries move with their rows",
    rows::duplicates_end_it => "a duplicate ends the transaction and names its index",
    rows::unique_values_are_freed => "a unique value is free again in the same transaction",
    rows::nulls_never_collide => "nulls never collide and are in no index",
    values::text_sorts_by_bytes => "text sorts by its bytes",
    values::numbers_sort_by_value => "numbers sort by value, negative ones too",
    values::decimals_keep_their_scale => "decimals keep digits and scale",
    values::time_has_microseconds => "times keep their microseconds",
    values::what_some_engine_refuses_all_refuse => "texts with a NUL and times outside of the years 1 to 9999 are refused",
    values::odd_values_survive => "empty, long and odd values are read as they were written",
    reads::scans_keep_to_their_range => "scans keep to prefix and range, in both directions",
    reads::pages_go_on => "pages continue where they stopped while rows are added and removed",
    reads::a_snapshot_stands_still => "a snapshot does not change while others write",
    reads::a_read_after_an_answer_sees_it => "a read after a reply sees the change",
    reads::long_reads_are_few_and_whole => "a long read is whole, and there are at most two",
    limits::increments_are_not_lost => "increments by many at once are all counted",
    limits::ids_are_given_once => "ids begin with 1 and committed ones are assigned once",
    limits::too_many_writes_are_refused => "16,384 changes are taken, one more is refused",
    limits::too_many_bytes_are_refused => "more than 4 MiB are refused",
    limits::too_many_reads_are_refused => "a short read has a limit on rows",
    chains::links_are_done_in_order => "the links of a chain are done once, each on the state that earlier ones left",
    chains::the_rest_is_skipped => "after a refused link the rest of its chain is skipped, and earlier links stay done",
    chains::a_link_that_fails_ends_it => "a link that fails or is too large ends its chain",
    chains::both_databases_take_part => "a chain may span both databases, and its events have positions in the order of its links",
    chains::ids_are_given_once => "links, and work before its transactions, get unique ids",
    chains::keys_are_decided => "a link stores the reply with the request's idempotency key",
    chains::chains_run_beside_others => "chains and transactions run concurrently without lost updates",
    events::positions_are_dense => "events have dense positions in commit order, each database its own",
    events::dropped_transactions_tell_nothing => "a dropped transaction emits no event",
    events::subscribers_are_woken => "a commit with an event wakes subscribers",
    events::consumers_wait_for_room => "consumers wait while the disk is full, and move nothing to the dead letters",
    events::consumers_apply_each_once => "consumers apply each event once, and poison goes to the dead letters",
    events::events_wait_for_their_consumers => "an expired event waits for its own consumers only",
    events::epochs_are_counted => "each name has an epoch, in each database its own",
    events::keys_are_claimed_and_kept => "an idempotency key is claimed, decided and recalled",
    holds::holds_are_their_model => "holds pass through their states once, and late ones are refused",
    events::last_commit_is_remembered => "the time of the newest commit is known",
}

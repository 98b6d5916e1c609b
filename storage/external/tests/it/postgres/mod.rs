//! The PostgreSQL engine on a server of its own.

mod faults;
mod histories;
mod nodes;
mod proxy;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use promox_external::postgres::{Address, PostgresEngine, PostgresOptions};
use promox_kernel::{Clock, Cx, Entropy, Json, Node};
use promox_servers::Postgres;
use promox_storage::{Database, Db, Record as _, Schema, StoreError, Tx, conformance, record};

record! {
    /// A counter with the transactions that have incremented it.
    struct Counter in Ecommerce.counters = 900, key(id: i64) {
        value: i64,
    }
}

record! {
    /// A name that is taken once.
    struct Name in Ecommerce.names = 902, key(id: i64) {
        name: String,
    }
    unique NameByName = 903 (name);
}

record! {
    /// A list to which transactions append.
    struct List in Ecommerce.lists = 904, key(id: i64) {
        items: Json<Vec<i64>>,
    }
}

/// Stores on one server, each in databases of its own.
struct Stores {
    server: Postgres,
    count: AtomicU32,
}

impl Stores {
    fn start() -> Self {
        Self { server: Postgres::start(), count: AtomicU32::new(0) }
    }

    /// Returns the options of a new store, whose databases do not exist yet.
    fn options(&self) -> PostgresOptions {
        self.options_at(self.server.socket())
    }

    /// Returns the options of a new store that is reached by a socket in this directory.
    fn options_at(&self, socket: &Path) -> PostgresOptions {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let mut options = PostgresOptions::new(Address::Unix(socket.to_owned(), 5432), "postgres");
        options.databases = ["ecommerce", "promox"].map(|name| format!("{name}_{number}"));
        options
    }

    /// Checks that the positions of commits have no gaps.
    fn check_positions(&self, options: &PostgresOptions) {
        for database in &options.databases {
            let gaps = "select count(*) from (select position - lag(position) over (order by position) as step \
                        from promox.commits) s where step <> 1";
            assert_eq!(self.server.query(database, gaps), "0");
        }
    }
}

/// Opens an engine with the tables of these tests.
fn open(options: &PostgresOptions) -> Arc<PostgresEngine> {
    let schema = Schema::new([&[Counter::TABLE, Name::TABLE, List::TABLE][..]]).unwrap();
    PostgresEngine::open(options, &schema).unwrap_or_else(|error| panic!("{error}"))
}

fn cx() -> Cx {
    let node = Node::new(Clock::real(Clock::wall()), Entropy::system());
    Cx::system(&node, "test", Duration::from_secs(60))
}

/// Writes to the shop's database of a node.
async fn write<T: Send + 'static>(
    node: &Arc<PostgresEngine>,
    work: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    shop(node).write(&cx(), work).await
}

fn shop(node: &Arc<PostgresEngine>) -> Db {
    node.database(Database::Ecommerce)
}

/// Increments a counter, which is created when it is missing.
fn increment(tx: &mut Tx<'_>, id: i64) -> Result<i64, StoreError> {
    let value = tx.get::<Counter>(&id)?.map_or(0, |counter| counter.value) + 1;
    tx.put(&Counter { id, value })?;
    Ok(value)
}

async fn value_of(node: &Arc<PostgresEngine>, id: i64) -> i64 {
    let read = shop(node).read(|tx| tx.get::<Counter>(&id)).await.unwrap();
    read.map_or(0, |counter| counter.value)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    let stores = Stores::start();
    let schema = Schema::new([conformance::TABLES]).unwrap();
    for case in conformance::cases() {
        case.run(PostgresEngine::open(&stores.options(), &schema).unwrap()).await;
    }
}

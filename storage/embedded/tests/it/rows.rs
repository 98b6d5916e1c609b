//! Tables and helpers that the tests share.

use std::sync::Arc;
use std::time::Duration;

use promox_embedded::disk::Disk;
use promox_embedded::{EmbeddedEngine, OpenError, Options};
use promox_kernel::{Clock, Cx, Entropy, Node, Timestamp};
use promox_storage::{Database, Db, Schema, StoreError, TableDef, Tx, record};

record! {
    /// An account.
    pub(crate) struct Account in Ecommerce.accounts = 900, key(id: i64) {
        owner: String,
        balance: i64,
    }
    unique AccountByOwner = 901 (owner);
    index AccountByBalance = 902 (balance);
}

/// The tables of the tests.
pub(crate) const TABLES: &[&TableDef] = &[<Account as promox_storage::Record>::TABLE];

pub(crate) fn schema() -> Schema {
    Schema::new([TABLES]).unwrap()
}

pub(crate) fn account(id: i64, balance: i64) -> Account {
    Account { id, owner: format!("owner {id}"), balance }
}

/// Returns options with small segments and checkpoints, a manual clock and a seeded identity, so that runs are
/// deterministic.
pub(crate) fn options(disk: Arc<dyn Disk>) -> Options {
    Options {
        disk,
        clock: Clock::manual(Timestamp::from_seconds(1_000)),
        entropy: Entropy::seeded(7),
        checkpoint_bytes: 8 << 10,
        segment_bytes: 1 << 10,
        on_stop: Arc::new(|_| {}),
        ..Options::new("/store")
    }
}

pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Arc<EmbeddedEngine>, OpenError> {
    EmbeddedEngine::open(options(disk), schema())
}

pub(crate) fn database(engine: &Arc<EmbeddedEngine>) -> Db {
    engine.database(Database::Ecommerce)
}

pub(crate) fn cx(second: i64) -> Cx {
    let node = Node::new(Clock::manual(Timestamp::from_seconds(second)), Entropy::seeded(1));
    Cx::system(&node, "test", Duration::from_secs(60))
}

pub(crate) async fn write<T: Send + 'static>(
    db: &Db,
    work: impl Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    db.write(&cx(2_000), work).await
}

pub(crate) async fn balances(db: &Db) -> Vec<(i64, i64)> {
    let rows = db.read(|tx| tx.scan::<Account>().collect(100_000)).await.unwrap();
    rows.into_iter().map(|row| (row.id, row.balance)).collect()
}

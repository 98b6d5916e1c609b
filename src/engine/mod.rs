//! The storage engine that the settings ask for, with its clock, metrics and health. Only this directory names engines.

mod embedded;
mod postgres;
mod redis;

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

pub use promox_embedded::{BackupError, Copied};
use promox_embedded::{EmbeddedEngine, SledCache};
use promox_external::postgres::{Load, PostgresEngine};
use promox_external::redis::Redis;
use promox_kernel::{Clock, Entropy, Timestamp};
use promox_storage::{Cache, Database, Db, Engine, GateEngine, MemoryGates, Schema, Tx};

pub use embedded::options;

use crate::config::{Settings, Shares};
use crate::exit::Exit;
use crate::http::Server;

/// How far the wall clock may be behind the newest commit before the start is refused.
const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// An open store. Whatever else a node needs from its engine goes through this type.
#[derive(Clone)]
pub struct Store {
    kind: Kind,
    schema: Arc<Schema>,
    shop: Db,
    promox: Db,
}

/// An engine.
#[derive(Clone)]
enum Kind {
    Embedded(Arc<EmbeddedEngine>),
    Postgres(Arc<PostgresEngine>),
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an open store")
    }
}

impl Store {
    fn new(kind: Kind, schema: Schema) -> Self {
        let [shop, promox] = Database::ALL.map(|database| Db::new(kind.engine(), database));
        Self { kind, schema: Arc::new(schema), shop, promox }
    }

    /// A store on an embedded engine with these tables.
    pub fn embedded(engine: Arc<EmbeddedEngine>, schema: Schema) -> Self {
        Self::new(Kind::Embedded(engine), schema)
    }

    /// One of the store's databases.
    pub fn database(&self, database: Database) -> Db {
        match database {
            Database::Ecommerce => self.shop.clone(),
            Database::Promox => self.promox.clone(),
        }
    }

    /// The engine of the store.
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.kind.engine()
    }

    /// The number of rows and index entries, if it is known without reading them, for displaying the progress of a
    /// backup.
    pub fn entries(&self) -> Option<u64> {
        match &self.kind {
            Kind::Embedded(engine) => engine.entries(),
            Kind::Postgres(_) => None,
        }
    }

    /// Writes a backup of the current state to `out` on the calling thread, and reports to `progress`.
    pub fn backup(&self, out: &mut dyn Write, progress: impl FnMut(Copied)) -> Result<Copied, BackupError> {
        match &self.kind {
            Kind::Embedded(engine) => engine.backup(out, progress),
            Kind::Postgres(engine) => {
                let reader = engine.long_read()?;
                let last_event = |database| Tx::unbounded(&*reader, database).last_position();
                let events = [last_event(Database::Ecommerce)?, last_event(Database::Promox)?];
                let names = self.schema.space_names();
                promox_embedded::back_up(&*reader, &names, engine.last_commit(), events, out, progress)
            }
        }
    }
}

impl Kind {
    fn engine(&self) -> Arc<dyn Engine> {
        match self {
            Self::Embedded(engine) => engine.clone(),
            Self::Postgres(engine) => engine.clone(),
        }
    }
}

/// Opens the store: on the PostgreSQL server if one is configured, else in the data directory.
pub fn open(settings: &Settings, schema: Schema) -> Result<Store, Exit> {
    let kind = if settings.postgres.is_on() {
        Kind::Postgres(postgres::open(settings, &schema)?)
    } else {
        Kind::Embedded(embedded::open(settings, schema.clone())?)
    };
    Ok(Store::new(kind, schema))
}

/// Begins to fill the databases on the configured PostgreSQL server, which must be empty.
pub fn load(settings: &Settings, schema: Schema) -> Result<Load, Exit> {
    postgres::load(settings, schema)
}

/// State whose loss costs a retry: the cache, and the counters of gates.
#[derive(Clone, Debug)]
pub struct Volatile {
    /// The cache.
    pub cache: Cache,
    /// The counters of gates.
    pub gates: Arc<dyn GateEngine>,
    /// The server that keeps both, if nodes share them.
    pub redis: Option<Redis>,
}

impl Volatile {
    /// In Redis if a server is configured, else in the memory of this process and in the data directory.
    pub fn open(settings: &Settings, entropy: &Entropy) -> Result<Self, Exit> {
        if !settings.redis.url.is_empty() {
            return redis::open(settings, entropy);
        }
        Ok(Self::local(settings))
    }

    /// In the memory of this process and in the data directory.
    pub fn local(settings: &Settings) -> Self {
        let cache = SledCache::new(settings.data.dir.join("cache"), Shares::of(&settings.storage).cache);
        Self { cache: Cache::new(Arc::new(cache)), ..Self::in_memory() }
    }

    /// In the memory of this process.
    pub fn in_memory() -> Self {
        Self { cache: Cache::in_memory(), gates: Arc::new(MemoryGates::default()), redis: None }
    }

    /// Checks the Redis server, if there is one, and adds its health to the server's.
    pub async fn observe(&self, server: &Server) {
        if let Some(redis) = &self.redis {
            redis::observe(redis, server).await;
        }
    }
}

/// The node's clock: starts at the later of the wall clock and the newest commit, then runs monotonically. A wall clock
/// that is far behind the newest commit would make every deadline late, so the start is refused unless
/// `data.accept_clock` is set.
pub fn clock(settings: &Settings, store: &Store) -> Result<Clock, Exit> {
    let (last, wall) = (store.engine().last_commit(), Clock::wall());
    if last.since(wall) > CLOCK_SLACK && !settings.data.accept_clock {
        return Err(Exit::config(format_args!(
            "data.accept_clock: this machine's clock says {wall}, but the store was last written at {last}. \
                 Correct the clock, or start with data.accept_clock = true to continue from the store's time"
        )));
    }
    Ok(Clock::real(if last == Timestamp::EPOCH { wall } else { last }))
}

/// Adds the engine's metrics and health to the server's. Neither keeps the engine open.
pub fn observe(store: &Store, server: &Server) {
    match &store.kind {
        Kind::Embedded(engine) => embedded::observe(engine, server),
        Kind::Postgres(engine) => postgres::observe(engine, server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_wall() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        dir.path().clone_into(&mut settings.data.dir);
        let store = open(&settings, Schema::new([]).unwrap()).unwrap();
        assert!(Clock::wall().since(clock(&settings, &store).unwrap().now()) < CLOCK_SLACK);
    }
}

//! The PostgreSQL engine on a server of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use promox_external::postgres::{Address, PostgresEngine, PostgresOptions};
use promox_servers::Postgres;
use promox_storage::{Schema, conformance};

/// Stores on one server, each in databases of its own.
pub(crate) struct Stores {
    pub(crate) server: Postgres,
    count: AtomicU32,
}

impl Stores {
    pub(crate) fn start() -> Self {
        Self { server: Postgres::start(), count: AtomicU32::new(0) }
    }

    /// Returns the options of a new store, whose databases do not exist yet.
    pub(crate) fn options(&self) -> PostgresOptions {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let address = Address::Unix(self.server.socket().to_owned(), 5432);
        let mut options = PostgresOptions::new(address, "postgres");
        options.databases = ["ecommerce", "promox"].map(|name| format!("{name}_{number}"));
        options
    }
}

pub(crate) fn schema() -> Schema {
    Schema::new([conformance::TABLES]).unwrap()
}

pub(crate) fn open(options: &PostgresOptions) -> Arc<PostgresEngine> {
    PostgresEngine::open(options, &schema()).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_conformance_suite_passes() {
    let stores = Stores::start();
    let only = std::env::var("CASE").ok();
    for case in conformance::cases() {
        if only.as_deref().is_some_and(|only| !format!("{case:?}").contains(only)) {
            continue;
        }
        println!("{case:?}");
        let options = stores.options();
        case.run(open(&options)).await;
    }
}

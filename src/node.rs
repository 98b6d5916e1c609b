//! The wiring of a node: the only file that names every service.

use std::sync::Arc;

use promox_cart::Carts;
use promox_embedded::EmbeddedEngine;
use promox_inventory::Inventory;
use promox_kernel::{Entropy, Node, Registry};
use promox_storage::{ConsumerLoop, Database, Db, Schema, TableDef};

use crate::background::Background;
use crate::config::Loaded;
use crate::exit::Exit;
use crate::http::Server;
use crate::store;

/// The tables of all services.
const TABLES: [&[&TableDef]; 2] = [Carts::TABLES, Inventory::TABLES];

/// A running node.
#[derive(Debug)]
pub struct Promox {
    node: Arc<Node>,
    engine: Arc<EmbeddedEngine>,
    background: Background,
}

impl Promox {
    /// Opens the store, recovers what was interrupted, and lets `server` serve.
    #[allow(clippy::unused_async, reason = "recovery of sagas is work that waits")]
    pub async fn open(loaded: &Loaded, server: &Server) -> Result<Self, Exit> {
        let settings = &loaded.settings;
        let engine = store::open(settings, Schema::new(TABLES).map_err(Exit::internal)?)?;
        let node = Node::new(store::clock(settings, &engine)?, Entropy::system());
        store::observe(&engine, server);
        let (shop, background) = (engine.database(Database::Ecommerce), Background::new(&node));
        let mut registry = Registry::default();
        server.register(&mut registry);
        let carts = Carts::new(shop.clone());
        carts.register(&mut registry);
        let inventory = Inventory::new(shop.clone());
        inventory.register(&mut registry);
        node.install(registry);
        for consumer in carts.consumers().into_iter().chain(inventory.consumers()) {
            background.consumer(ConsumerLoop::new(consumer, shop.clone(), shop.clone()));
        }
        for job in carts.jobs().into_iter().chain(inventory.jobs()) {
            background.job(job);
        }
        server.open(&node, &|service| Some(database_of(service, &engine)))?;
        Ok(Self { node, engine, background })
    }

    /// What its requests share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// One of its databases.
    pub fn database(&self, database: Database) -> Db {
        self.engine.database(database)
    }

    /// Stops what it does by itself and closes the store; call it when the server is shut down.
    pub async fn close(self) {
        self.background.stop().await;
    }
}

/// The database that a service's tables are in.
fn database_of(service: &str, engine: &Arc<EmbeddedEngine>) -> Db {
    match service {
        "campaign" | "promotion" | "flashsale" | "coupon" | "reward" | "analytics" => engine.database(Database::Promox),
        _ => engine.database(Database::Ecommerce),
    }
}

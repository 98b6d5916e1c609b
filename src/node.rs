//! The wiring of a node: the only file that names every service.

use std::sync::Arc;
use std::time::Duration;

use promox_cart::Carts;
use promox_coupon::Coupons;
use promox_embedded::EmbeddedEngine;
use promox_flashsale::FlashSales;
use promox_inventory::Inventory;
use promox_kernel::{Cx, Entropy, Error, Job, Node, Registry};
use promox_order::{Orders, StoreSettings};
use promox_promotion::Promotions;
use promox_reward::Rewards;
use promox_storage::{Audit, Consumer, ConsumerLoop, Database, Db, Schema, TableDef};

use crate::background::Background;
use crate::config::{Loaded, Settings};
use crate::exit::Exit;
use crate::http::Server;
use crate::store;
use crate::verify::Auditor;

/// The tables of all services.
const TABLES: [&[&TableDef]; 3] = [Carts::TABLES, Inventory::TABLES, Orders::TABLES];
/// How long recovery may take before the server is ready.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

/// A running node.
#[derive(Debug)]
pub struct Promox {
    node: Arc<Node>,
    engine: Arc<EmbeddedEngine>,
    services: Services,
    background: Background,
    auditor: Arc<Auditor>,
}

/// Every service of a node.
#[derive(Debug)]
struct Services {
    carts: Arc<Carts>,
    coupons: Arc<Coupons>,
    flash_sales: Arc<FlashSales>,
    inventory: Arc<Inventory>,
    orders: Arc<Orders>,
    promotions: Arc<Promotions>,
    rewards: Arc<Rewards>,
}

impl Services {
    fn new(settings: &Settings, shop: &Db) -> Self {
        Self {
            carts: Carts::new(shop.clone()),
            coupons: Arc::default(),
            flash_sales: Arc::default(),
            inventory: Inventory::new(shop.clone()),
            orders: Orders::new(shop.clone(), fresh_store(settings), settings.limits.enabled),
            promotions: Arc::default(),
            rewards: Arc::default(),
        }
    }

    fn register(&self, registry: &mut Registry) {
        self.carts.register(registry);
        self.coupons.register(registry);
        self.flash_sales.register(registry);
        self.inventory.register(registry);
        self.orders.register(registry);
        self.promotions.register(registry);
        self.rewards.register(registry);
    }

    fn consumers(&self) -> Vec<Arc<dyn Consumer>> {
        [self.carts.consumers(), self.inventory.consumers(), self.orders.consumers()].concat()
    }

    fn jobs(&self) -> Vec<Job> {
        [self.carts.jobs(), self.inventory.jobs(), self.orders.jobs()].concat()
    }

    fn audits(&self) -> Vec<Arc<dyn Audit>> {
        vec![self.carts.clone(), self.inventory.clone(), self.orders.clone()]
    }

    /// What has to be right before the server is ready.
    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.orders.recover(cx).await
    }
}

impl Promox {
    /// Opens the store, recovers what was interrupted, and lets `server` serve.
    pub async fn open(loaded: &Loaded, server: &Server) -> Result<Self, Exit> {
        let promox = Self::assemble(loaded, Some(server))?;
        let cx = Cx::system(&promox.node, "recovery", RECOVERY_LIMIT);
        promox.services.recover(&cx).await.map_err(Exit::data)?;
        store::observe(&promox.engine, server);
        promox.start_background();
        server.open(&promox.node, &|service| Some(promox.database(database_of(service))))?;
        Ok(promox)
    }

    /// Opens the store for one piece of work by the command line: no port, nothing is recovered, nothing runs by the clock.
    pub fn headless(loaded: &Loaded) -> Result<Self, Exit> {
        Self::assemble(loaded, None)
    }

    fn assemble(loaded: &Loaded, server: Option<&Server>) -> Result<Self, Exit> {
        let settings = &loaded.settings;
        let schema = Schema::new(TABLES).map_err(Exit::internal)?;
        let engine = store::open(settings, schema.clone())?;
        let node = Node::new(store::clock(settings, &engine)?, Entropy::system());
        let services = Services::new(settings, &engine.database(Database::Ecommerce));
        let auditor = Auditor::new(engine.clone(), schema, services.audits());
        let mut registry = Registry::default();
        services.register(&mut registry);
        auditor.register(&mut registry);
        if let Some(server) = server {
            server.register(&mut registry);
        }
        node.install(registry);
        let background = Background::new(&node);
        Ok(Self { node, engine, services, background, auditor })
    }

    fn start_background(&self) {
        let shop = self.database(Database::Ecommerce);
        for consumer in self.services.consumers() {
            self.background.consumer(ConsumerLoop::new(consumer, shop.clone(), shop.clone()));
        }
        self.services.jobs().into_iter().for_each(|job| self.background.job(job));
    }

    /// What its requests share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// One of its databases.
    pub fn database(&self, database: Database) -> Db {
        self.engine.database(database)
    }

    /// Checks the books.
    pub fn auditor(&self) -> &Arc<Auditor> {
        &self.auditor
    }

    /// Stops what it does by itself and closes the store; call it when the server is shut down.
    pub async fn close(self) {
        self.background.stop().await;
    }
}

/// The settings of a store that has none yet.
fn fresh_store(settings: &Settings) -> StoreSettings {
    StoreSettings {
        name: settings.store.name.clone(),
        currency: settings.store.currency,
        timezone: settings.store.time_zone.clone(),
        ..StoreSettings::default()
    }
}

/// The database that a service's tables are in.
fn database_of(service: &str) -> Database {
    match service {
        "campaign" | "promotion" | "flashsale" | "coupon" | "reward" | "analytics" => Database::Promox,
        _ => Database::Ecommerce,
    }
}

//! The wiring of a node: the only file that names every service.

use std::sync::Arc;
use std::time::Duration;

use promox_analytics::Analytics;
use promox_campaign::Campaigns;
use promox_cart::Carts;
use promox_coupon::Coupons;
use promox_embedded::EmbeddedEngine;
use promox_flashsale::FlashSales;
use promox_inventory::Inventory;
use promox_kernel::{Clock, Cx, Entropy, Error, Job, Node, Registry};
use promox_notification::Notifications;
use promox_order::Orders;
use promox_payment::Payments;
use promox_product::Products;
use promox_promotion::Promotions;
use promox_reward::Rewards;
use promox_storage::{Audit, Cache, Consumer, ConsumerLoop, Database, Db, Schema, TableDef, prune_events};
use promox_store::Store;
use promox_user::Users;

use crate::background::Background;
use crate::config::{Loaded, Settings};
use crate::exit::Exit;
use crate::http::Server;
use crate::ops::Backups;
use crate::verify::Auditor;
use crate::{setup, store};

/// The tables of all services.
const TABLES: [&[&TableDef]; 14] = [
    Analytics::TABLES,
    Campaigns::TABLES,
    Carts::TABLES,
    Coupons::TABLES,
    FlashSales::TABLES,
    Inventory::TABLES,
    Notifications::TABLES,
    Orders::TABLES,
    Payments::TABLES,
    Products::TABLES,
    Promotions::TABLES,
    Rewards::TABLES,
    Store::TABLES,
    Users::TABLES,
];
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
    backups: Arc<Backups>,
}

/// Every service of a node.
#[derive(Debug)]
pub struct Services {
    /// Analytics, which the command line makes anew.
    pub analytics: Arc<Analytics>,
    campaigns: Arc<Campaigns>,
    carts: Arc<Carts>,
    coupons: Arc<Coupons>,
    flash_sales: Arc<FlashSales>,
    inventory: Arc<Inventory>,
    notifications: Arc<Notifications>,
    orders: Arc<Orders>,
    payments: Arc<Payments>,
    /// Products, which the command line fills.
    pub products: Arc<Products>,
    promotions: Arc<Promotions>,
    rewards: Arc<Rewards>,
    store: Arc<Store>,
    /// Users, which the command line gives administrators.
    pub users: Arc<Users>,
}

impl Services {
    fn new(settings: &Settings, shop: &Db, promox: &Db, cache: &Cache) -> Result<Self, Exit> {
        let limited = settings.limits.enabled;
        let promotions = Promotions::new(promox.clone());
        Ok(Self {
            analytics: Analytics::new(shop.clone(), promox.clone()),
            campaigns: Campaigns::new(promox.clone()),
            carts: Carts::new(shop.clone()),
            coupons: Coupons::new(promox.clone(), cache.clone(), limited),
            flash_sales: FlashSales::new(promox.clone()),
            inventory: Inventory::new(shop.clone()),
            notifications: Notifications::new(shop.clone(), setup::mail(settings)?).map_err(Exit::config)?,
            orders: Orders::new(shop.clone(), cache.clone(), limited),
            payments: Payments::new(shop.clone(), setup::payment(settings)),
            products: Products::new(shop.clone(), &setup::index(settings), promotions.shelf()).map_err(Exit::io)?,
            promotions,
            rewards: Rewards::new(promox.clone()),
            store: Store::new(shop.clone(), setup::store(settings)),
            users: Users::new(shop.clone(), cache.clone(), setup::user(settings)),
        })
    }

    fn register(&self, registry: &mut Registry) {
        self.analytics.register(registry);
        self.campaigns.register(registry);
        self.carts.register(registry);
        self.coupons.register(registry);
        self.flash_sales.register(registry);
        self.inventory.register(registry);
        self.notifications.register(registry);
        self.orders.register(registry);
        self.payments.register(registry);
        self.products.register(registry);
        self.promotions.register(registry);
        self.rewards.register(registry);
        self.store.register(registry);
        self.users.register(registry);
    }

    /// What follows from the shop's events.
    fn consumers(&self) -> Vec<Arc<dyn Consumer>> {
        let (carts, inventory, notifications) =
            (self.carts.consumers(), self.inventory.consumers(), self.notifications.consumers());
        let selling = [carts, inventory, self.orders.consumers(), self.payments.consumers()].concat();
        [selling, notifications, self.users.consumers()].concat()
    }

    /// What follows from the shop's events in the promotion engine's database.
    fn promox_consumers(&self) -> Vec<Arc<dyn Consumer>> {
        let (campaigns, flash_sales) = (self.campaigns.shop_consumers(), self.flash_sales.shop_consumers());
        [campaigns, flash_sales, self.promotions.shop_consumers(), self.rewards.shop_consumers()].concat()
    }

    fn jobs(&self) -> Vec<Job> {
        let selling = [self.carts.jobs(), self.inventory.jobs(), self.orders.jobs(), self.payments.jobs()];
        let promoting = [self.campaigns.jobs(), self.coupons.jobs(), self.flash_sales.jobs(), self.promotions.jobs()];
        let others = [self.analytics.jobs(), self.notifications.jobs(), self.products.jobs(), self.users.jobs()];
        [selling.concat(), promoting.concat(), others.concat(), self.rewards.jobs()].concat()
    }

    fn audits(&self) -> Vec<Arc<dyn Audit>> {
        vec![
            self.analytics.clone(),
            self.campaigns.clone(),
            self.carts.clone(),
            self.coupons.clone(),
            self.flash_sales.clone(),
            self.inventory.clone(),
            self.notifications.clone(),
            self.orders.clone(),
            self.payments.clone(),
            self.products.clone(),
            self.promotions.clone(),
            self.rewards.clone(),
            self.store.clone(),
            self.users.clone(),
        ]
    }

    /// What has to be right before the server is ready.
    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.store.begin(cx).await?;
        self.users.start(cx).await?;
        self.products.recover(cx).await?;
        self.orders.recover(cx).await?;
        self.rewards.recover(cx).await?;
        self.flash_sales.recover(cx).await
    }
}

/// What a node stands on: the machine's own, or what a simulator makes of it.
#[derive(Debug)]
pub struct Ground {
    /// Where rows are.
    pub engine: Arc<EmbeddedEngine>,
    /// Where time comes from.
    pub clock: Clock,
    /// Where randomness comes from.
    pub entropy: Entropy,
    /// Where what may be lost is.
    pub cache: Cache,
}

impl Promox {
    /// Opens the store, recovers what was interrupted, and lets `server` serve.
    pub async fn open(loaded: &Loaded, server: &Server) -> Result<Self, Exit> {
        let promox = Self::assemble(loaded, Some(server))?;
        setup::check_currency(&promox.services.store, loaded).await?;
        promox.recover().await?;
        let cx = Cx::system(&promox.node, "setup", RECOVERY_LIMIT);
        setup::first_admin(&promox.services.users, &cx, &loaded.settings).await?;
        store::observe(&promox.engine, server);
        setup::warn_of_pretend_money(&loaded.settings, server);
        promox.start_background();
        server.open(&promox.node, &|service| Some(promox.database(database_of(service))))?;
        Ok(promox)
    }

    /// Opens the store for one piece of work by the command line: no port, nothing is recovered, nothing runs by the clock.
    pub fn headless(loaded: &Loaded) -> Result<Self, Exit> {
        Self::assemble(loaded, None)
    }

    /// Opens the store like [`Promox::headless`], for work that may be the first on it: a new store gets its settings.
    pub async fn headless_writing(loaded: &Loaded) -> Result<Self, Exit> {
        let promox = Self::headless(loaded)?;
        setup::check_currency(&promox.services.store, loaded).await?;
        let cx = Cx::system(&promox.node, "setup", RECOVERY_LIMIT);
        promox.services.store.begin(&cx).await.map_err(Exit::data)?;
        Ok(promox)
    }

    fn assemble(loaded: &Loaded, server: Option<&Server>) -> Result<Self, Exit> {
        let settings = &loaded.settings;
        let engine = store::open(settings, schema()?)?;
        let clock = store::clock(settings, &engine)?;
        let ground = Ground { engine, clock, entropy: Entropy::system(), cache: store::cache(settings) };
        Self::on(settings, ground, server)
    }

    /// A node on a ground of its caller's: nothing is recovered, nothing runs by the clock.
    pub fn on(settings: &Settings, ground: Ground, server: Option<&Server>) -> Result<Self, Exit> {
        let Ground { engine, clock, entropy, cache } = ground;
        let node = Node::new(clock, entropy);
        let (shop, promox) = (engine.database(Database::Ecommerce), engine.database(Database::Promox));
        let services = Services::new(settings, &shop, &promox, &cache)?;
        let auditor = Auditor::new(engine.clone(), schema()?, services.audits());
        let mut registry = Registry::default();
        services.register(&mut registry);
        auditor.register(&mut registry);
        let backups = Backups::new(engine.clone());
        backups.register(&mut registry);
        if let Some(server) = server {
            server.register(&mut registry);
        }
        services
            .users
            .set_permissions(registry.entries().iter().filter_map(|entry| entry.access.permission()).collect());
        node.install(registry);
        let background = Background::new(&node);
        Ok(Self { node, engine, services, background, auditor, backups })
    }

    /// Ends what was interrupted: before anything is asked, and before anything runs by the clock.
    pub async fn recover(&self) -> Result<(), Exit> {
        let cx = Cx::system(&self.node, "recovery", RECOVERY_LIMIT);
        self.services.recover(&cx).await.map_err(Exit::data)
    }

    fn start_background(&self) {
        self.consumers().into_iter().for_each(|consumer| self.background.consumer(consumer));
        self.jobs().into_iter().for_each(|job| self.background.job(job));
    }

    /// What follows from events.
    pub fn consumers(&self) -> Vec<ConsumerLoop> {
        let (shop, promox) = (self.database(Database::Ecommerce), self.database(Database::Promox));
        let follow = |consumers: Vec<Arc<dyn Consumer>>, from: &Db, to: &Db| {
            let follow = |consumer| ConsumerLoop::new(consumer, from.clone(), to.clone());
            consumers.into_iter().map(follow).collect::<Vec<_>>()
        };
        let mut loops = follow(self.services.consumers(), &shop, &shop);
        loops.extend(follow(self.services.promox_consumers(), &shop, &promox));
        loops.extend(follow(self.services.users.promox_consumers(), &promox, &shop));
        loops.extend(follow(self.services.rewards.promox_consumers(), &promox, &promox));
        loops
    }

    /// What is done by the clock.
    pub fn jobs(&self) -> Vec<Job> {
        let (shop, promox) = (self.database(Database::Ecommerce), self.database(Database::Promox));
        let both = vec![shop.clone(), promox.clone()];
        let mut jobs = self.services.jobs();
        jobs.push(prune_events("shop.prune_events", shop, both.clone()));
        jobs.push(prune_events("promox.prune_events", promox, both));
        jobs
    }

    /// Its services.
    pub fn services(&self) -> &Services {
        &self.services
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

    /// Takes backups.
    pub fn backups(&self) -> &Arc<Backups> {
        &self.backups
    }

    /// Stops what it does by itself and closes the store; call it when the server is shut down.
    pub async fn close(self) {
        self.background.stop().await;
    }
}

/// The tables of all services.
pub fn schema() -> Result<Schema, Exit> {
    Schema::new(TABLES).map_err(Exit::internal)
}

/// The database that a service's tables are in.
fn database_of(service: &str) -> Database {
    match service {
        "campaign" | "promotion" | "flashsale" | "coupon" | "reward" | "analytics" => Database::Promox,
        _ => Database::Ecommerce,
    }
}

//! The wiring of a node: the list of its services, which are named nowhere else, and what runs them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use promox_analytics::Analytics;
use promox_campaign::Campaigns;
use promox_cart::Carts;
use promox_coupon::Coupons;
use promox_discovery::Discovery;
use promox_flashsale::FlashSales;
use promox_gateway::{Gateway, Traffic};
use promox_inventory::Inventory;
use promox_kernel::{Calls, Clock, Cx, Entropy, Error, Job, Node, Registry};
use promox_notification::Notifications;
use promox_order::Orders;
use promox_payment::Payments;
use promox_product::Products;
use promox_promotion::Promotions;
use promox_reward::Rewards;
use promox_storage::{
    Cache, ConsumerLoop, Database, Db, DynService, EventLog, GateEngine, Schema, Service, TableDef, prune_events,
};
use promox_store::Store;
use promox_user::Users;

use crate::background::Background;
use crate::compute::ComputeThreads;
use crate::config::{Loaded, Settings};
use crate::engine::Volatile;
use crate::exit::Exit;
use crate::http::Server;
use crate::job_log::JobLog;
use crate::ops::{Ops, Watched, Worker};
use crate::permissions::Permissions;
use crate::traces::Exporter;
use crate::verify::Auditor;
use crate::{engine, idempotency, parts, setup};

/// How long recovery may take before the server is ready.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

/// Every service, in the order of recovery: a service that is called recovers before its callers.
fn services() -> Vec<Entry> {
    vec![
        Entry::of(|parts| {
            let hooks = setup::hook_settings(parts.settings, &parts.ports);
            Store::new(parts.shop(), setup::initial_store_settings(parts.settings), hooks).map_err(Exit::config)
        }),
        Entry::of(|parts| Ok(Users::new(parts.shop(), parts.cache.clone(), setup::user_settings(parts.settings)))),
        Entry::of(|parts| Ok(Inventory::new(parts.shop()))),
        Entry::of(|parts| Ok(Promotions::new(parts.promox()))),
        Entry::of(|parts| {
            Products::new(parts.shop(), &setup::search_index(parts.settings), &parts.promox()).map_err(Exit::io)
        }),
        Entry::of(|parts| Ok(Carts::new(parts.shop(), parts.cache, parts.settings.limits.enabled))),
        Entry::of(|parts| Ok(Campaigns::new(parts.promox()))),
        Entry::of(|parts| Ok(Coupons::new(parts.promox(), parts.cache.clone(), parts.settings.limits.enabled))),
        Entry::of(|parts| Payments::new(parts.shop(), setup::payment_settings(parts.settings)).map_err(Exit::config)),
        Entry::of(|parts| {
            let webhooks = setup::webhook_settings(parts.settings, &parts.ports);
            let (mail, sms) = (setup::mail_settings(parts.settings)?, setup::sms_settings(parts.settings));
            Notifications::new(parts.shop(), mail, sms, webhooks).map_err(Exit::config)
        }),
        Entry::of(|parts| Ok(Orders::new(parts.shop(), parts.cache.clone(), parts.settings.limits.enabled))),
        Entry::of(|parts| Ok(Rewards::new(parts.promox()))),
        Entry::of(|parts| Ok(FlashSales::new(parts.promox(), parts.gates.clone()))),
        Entry::of(|parts| Ok(Analytics::new(parts.promox(), EventLog::of(&parts.shop())))),
        Entry::of(|parts| Ok(Discovery::new(setup::discovery_settings(parts.settings)))),
        Entry::of(|parts| {
            Ok(Gateway::new(parts.shop(), parts.traffic.clone(), setup::gateway_settings(parts.settings)))
        }),
        Entry::of(|parts| {
            Ok(Ops::new(parts.shop(), parts.store.clone(), &parts.settings.data.dir, parts.jobs.clone()))
        }),
    ]
}

/// The parts that services are built from.
struct Parts<'a> {
    settings: &'a Settings,
    store: &'a engine::Store,
    cache: &'a Cache,
    gates: Arc<dyn GateEngine>,
    jobs: JobLog,
    /// The ports that this server listens on.
    ports: Vec<u16>,
    traffic: Arc<Traffic>,
}

impl Parts<'_> {
    fn shop(&self) -> Db {
        self.store.database(Database::Ecommerce)
    }

    fn promox(&self) -> Db {
        self.store.database(Database::Promox)
    }
}

type Make = Box<dyn Fn(&Parts<'_>) -> Result<Arc<dyn DynService>, Exit>>;

/// A service that a node can run.
struct Entry {
    name: &'static str,
    tables: &'static [&'static TableDef],
    make: Make,
}

impl Entry {
    fn of<S: Service>(make: impl Fn(&Parts<'_>) -> Result<Arc<S>, Exit> + 'static) -> Self {
        let make: Make = Box::new(move |parts| Ok(make(parts)?));
        Self { name: S::NAME, tables: S::TABLES, make }
    }
}

/// A running node.
pub struct Promox {
    node: Arc<Node>,
    store: engine::Store,
    volatile: Volatile,
    services: Vec<Arc<dyn DynService>>,
    background: Background,
    auditor: Arc<Auditor>,
    /// The threads that long computing runs on while the node serves requests.
    compute: Option<ComputeThreads>,
}

impl fmt::Debug for Promox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.services.iter().map(|service| service.name())).finish()
    }
}

/// A node's external dependencies: the real ones, or a simulator's.
#[derive(Debug)]
pub struct Environment {
    /// The open store.
    pub store: engine::Store,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness.
    pub entropy: Entropy,
    /// The cache and the counters of gates.
    pub volatile: Volatile,
}

impl Promox {
    /// Opens the store, recovers interrupted work, starts jobs and consumers, and opens `server` to requests.
    pub async fn open(loaded: &Loaded, server: &Server) -> Result<Self, Exit> {
        let mut promox = Self::assemble(loaded, Some(server))?;
        promox.start_compute()?;
        promox.check_currency(loaded).await?;
        promox.recover().await?;
        if let Some(users) = promox.find::<Users>() {
            let cx = Cx::system(&promox.node, "setup", RECOVERY_LIMIT);
            setup::first_admin(&users, &cx, &loaded.settings).await?;
        }
        engine::observe(&promox.store, server);
        promox.volatile.observe(server).await;
        parts::observe(server, &promox.node, &loaded.settings, promox.find());
        setup::warn_of_sandbox(&loaded.settings, server);
        if let Some(discovery) = promox.find::<Discovery>() {
            let runs = |name: &str| promox.services.iter().any(|service| service.name() == name);
            let own = setup::own_instances(&loaded.settings, server, &runs);
            discovery.announce(promox.node.clock.now(), &own);
        }
        if let Some(exporter) = Exporter::start(&loaded.settings, &promox.node, server)? {
            promox.background.spawn_exporter(exporter);
        }
        promox.start_background();
        server.open(&promox.node)?;
        Ok(promox)
    }

    fn start_compute(&mut self) -> Result<(), Exit> {
        let threads = ComputeThreads::start()?;
        if let Some(handle) = threads.handle() {
            self.node.compute.run_on(handle);
        }
        self.compute = Some(threads);
        Ok(())
    }

    /// Opens the store for one command: no port is bound, nothing is recovered, and no job runs.
    pub fn headless(loaded: &Loaded) -> Result<Self, Exit> {
        Self::assemble(loaded, None)
    }

    /// Opens the store like [`Promox::headless`], for a command that writes: a new store gets its settings first.
    pub async fn headless_writing(loaded: &Loaded) -> Result<Self, Exit> {
        let promox = Self::headless(loaded)?;
        promox.check_currency(loaded).await?;
        let cx = Cx::system(&promox.node, "setup", RECOVERY_LIMIT);
        promox.service::<Store>().map_err(Exit::internal)?.begin(&cx).await.map_err(Exit::data)?;
        Ok(promox)
    }

    async fn check_currency(&self, loaded: &Loaded) -> Result<(), Exit> {
        match self.find::<Store>() {
            Some(store) => setup::check_currency(&store, loaded).await,
            None => Ok(()),
        }
    }

    fn assemble(loaded: &Loaded, server: Option<&Server>) -> Result<Self, Exit> {
        let settings = &loaded.settings;
        let store = engine::open(settings, schema()?)?;
        let clock = engine::clock(settings, &store)?;
        let entropy = Entropy::system();
        // A command does not serve, so it shares nothing with other nodes.
        let volatile = match server {
            Some(_) => Volatile::open(settings, &entropy)?,
            None => Volatile::local(settings),
        };
        let environment = Environment { store, clock, entropy, volatile };
        Self::with_environment(settings, environment, server)
    }

    /// A node with all services in the caller's environment. Nothing is recovered, and no job runs.
    pub fn with_environment(
        settings: &Settings,
        environment: Environment,
        server: Option<&Server>,
    ) -> Result<Self, Exit> {
        Self::with_services(&|_| true, settings, environment, server)
    }

    /// A node with the services named in `wanted`. The tables of the others stay in the schema, so that all nodes of a
    /// store agree on it.
    pub fn with_services(
        wanted: &dyn Fn(&str) -> bool,
        settings: &Settings,
        environment: Environment,
        server: Option<&Server>,
    ) -> Result<Self, Exit> {
        let Environment { store, clock, entropy, volatile } = environment;
        let calls = if settings.server.encode_calls { Calls::Encoded } else { Calls::Direct };
        let node = Node::calling(clock, entropy, calls);
        let jobs = server.map(Server::jobs).unwrap_or_default();
        let ports = server.map(Server::ports).unwrap_or_default();
        let traffic = server.map_or_else(|| Traffic::new(settings.traffic()), Server::traffic);
        let (cache, gates) = (&volatile.cache, volatile.gates.clone());
        let parts = Parts { settings, store: &store, cache, gates, jobs: jobs.clone(), ports, traffic };
        let selected = services().into_iter().filter(|entry| wanted(entry.name));
        let services = selected.map(|entry| (entry.make)(&parts)).collect::<Result<Vec<_>, _>>()?;
        let auditor = Auditor::new(store.engine(), schema()?, services.clone(), &settings.data.dir);
        let mut registry = Registry::default();
        services.iter().for_each(|service| service.clone().register(&mut registry));
        for database in Database::ALL {
            let keeper = idempotency::keeper(store.database(database));
            let own = services.iter().filter(|service| service.database() == database);
            own.for_each(|service| registry.keep_keys(service.name(), &keeper));
        }
        if let Some(server) = server {
            server.register(&mut registry);
        }
        Permissions::register(&mut registry);
        if let Some(gateway) = registry.attached::<Arc<Gateway>>() {
            gateway.check_configured(&registry).map_err(|refused| Exit::config(refused.message()))?;
        }
        node.install(registry);
        let background = Background::recording(&node, jobs);
        let promox = Self { node, store, volatile, services, background, auditor, compute: None };
        if let Some(ops) = promox.find::<Ops>() {
            ops.watch(promox.watched());
        }
        Ok(promox)
    }

    /// Recovers every service, before any request or job.
    pub async fn recover(&self) -> Result<(), Exit> {
        let cx = Cx::system(&self.node, "recovery", RECOVERY_LIMIT);
        for service in &self.services {
            service.recover(&cx).await.map_err(Exit::data)?;
        }
        Ok(())
    }

    fn start_background(&self) {
        self.background.spawn_clock();
        self.consumers().into_iter().for_each(|consumer| self.background.spawn_consumer(consumer));
        self.jobs().into_iter().for_each(|job| self.background.spawn_job(job));
        if let Some(ops) = self.find::<Ops>() {
            let worker = Worker { ops, auditor: self.auditor.clone(), node: self.node.clone() };
            self.background.spawn_worker(worker);
        }
    }

    /// The consumers of every service, for operators.
    fn watched(&self) -> Vec<Watched> {
        let of_service = |service: &Arc<dyn DynService>| {
            let target = self.database(service.database());
            let watched = move |consumer: Arc<dyn promox_storage::Consumer>| {
                let source = self.database(consumer.source());
                Watched { consumer, source, target: target.clone() }
            };
            service.clone().consumers().into_iter().map(watched).collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of_service).collect()
    }

    /// The consumers of every service.
    pub fn consumers(&self) -> Vec<ConsumerLoop> {
        let start = |watched: Watched| ConsumerLoop::new(watched.consumer, watched.source, watched.target);
        self.watched().into_iter().map(start).collect()
    }

    /// The jobs of every service, and those that prune the event logs.
    pub fn jobs(&self) -> Vec<Job> {
        let (shop, promox) = (self.database(Database::Ecommerce), self.database(Database::Promox));
        let both = vec![shop.clone(), promox.clone()];
        let mut jobs: Vec<Job> = self.services.iter().flat_map(|service| service.clone().jobs()).collect();
        jobs.push(prune_events("shop.prune_events", shop, both.clone()));
        jobs.push(prune_events("promox.prune_events", promox, both));
        jobs
    }

    /// A service of this node; an error if the node does not run it.
    pub fn service<S: Service>(&self) -> Result<Arc<S>, Error> {
        self.find().ok_or_else(|| Error::internal(format_args!("this node does not run the {} service", S::NAME)))
    }

    fn find<S: Service>(&self) -> Option<Arc<S>> {
        let of_type = |service: &Arc<dyn DynService>| {
            let any: Arc<dyn Any + Send + Sync> = service.clone();
            any.downcast::<S>().ok()
        };
        self.services.iter().find_map(of_type)
    }

    /// The state that requests share.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// One of the store's databases.
    pub fn database(&self, database: Database) -> Db {
        self.store.database(database)
    }

    /// The auditor, which checks every invariant.
    pub fn auditor(&self) -> &Arc<Auditor> {
        &self.auditor
    }

    /// The store, for backups.
    pub(crate) fn store(&self) -> &engine::Store {
        &self.store
    }

    /// Stops consumers and jobs and closes the store; call it after the server has shut down.
    pub async fn close(self) {
        self.background.stop().await;
    }
}

/// The tables of all services.
pub fn schema() -> Result<Schema, Exit> {
    Schema::new(services().iter().map(|entry| entry.tables)).map_err(Exit::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<&'static str> {
        services().iter().map(|entry| entry.name).collect()
    }

    #[tokio::test]
    async fn a_node_runs_only_the_selected_services() {
        let dir = tempfile::tempdir().unwrap();
        let mut settings = Settings::default();
        dir.path().clone_into(&mut settings.data.dir);
        let store = engine::open(&settings, schema().unwrap()).unwrap();
        let (clock, entropy) = (Clock::manual(promox_kernel::Timestamp::EPOCH), Entropy::seeded(1));
        let environment = Environment { store, clock, entropy, volatile: Volatile::in_memory() };
        let wanted = ["inventory", "user"];
        let promox = Promox::with_services(&|name| wanted.contains(&name), &settings, environment, None).unwrap();
        promox.recover().await.unwrap();
        let registered = promox.node().registry().unwrap().entries().iter().map(|entry| entry.service);
        let registered: std::collections::BTreeSet<_> = registered.filter(|name| names().contains(name)).collect();
        assert_eq!(registered.into_iter().collect::<Vec<_>>(), wanted);
        assert!(promox.service::<Users>().is_ok() && promox.service::<Orders>().is_err());
        assert!(promox.consumers().iter().all(|consumer| wanted.iter().any(|name| consumer.name().starts_with(name))));
        promox.close().await;
    }

    #[test]
    fn service_names_are_unique() {
        let distinct: std::collections::BTreeSet<_> = names().into_iter().collect();
        assert_eq!(distinct.len(), names().len());
    }
}

//! The gateway: routes to registered applications, the policies of every service, and the identity tokens that
//! applications get. The sockets are the program's; here is what decides.
//!
//! Its invariants are:
//!
//! - A route never takes a path or the name of a service of promox.
//! - An instance gets requests only at an address in the networks of the route, and never at a link-local or metadata
//!   address.
//! - A request is repeated only within the budget of retries.
//! - An identity token is signed by a key that signs nothing else, and is valid for at most a minute.

mod api;
mod app;
mod audit;
mod commands;
mod handlers;
mod policy;
mod queries;
mod records;
pub mod reject;
mod routed;
mod rules;
#[cfg(test)]
mod tests;
mod tokens;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use promox_contract::gateway::{CheckAddress, GetTrafficStates};
use promox_kernel::{Cx, Error, Faults, Job, Registry, register};
use promox_storage::{Database, Db, Record, Report, Service, StoreError, TableDef, Tx};

pub use api::*;
pub use app::{App, Attempt, Instance, InstanceReport};
pub use policy::{Permit, Policy, PolicyReport, Reported};
pub use promox_outbound::breaker::{BreakerCounts, BreakerSettings, BreakerState, Outcome};
pub use records::RouteId;
pub use routed::{Passage, Route, RouteSource};
pub use rules::address::{OwnAddresses, is_allowed};
pub use rules::identity::Subject;
pub use rules::route::{RouteLimits, RouteRule};
pub use traffic::{RequestHead, Traffic, TrafficSettings};

use tokens::Tokens;

/// How often the identity keys are checked.
const ROTATE_EVERY: Duration = Duration::from_hours(1);

/// The settings of the gateway.
#[derive(Clone, Debug, Default)]
pub struct GatewaySettings {
    /// The issuer of identity tokens.
    pub issuer: String,
    /// The routes of the configuration.
    pub routes: Vec<RouteRule>,
}

/// The gateway service.
pub struct Gateway {
    db: Db,
    traffic: Arc<Traffic>,
    configured: Vec<RouteRule>,
    tokens: Tokens,
    /// Held while the routes are read and installed, so that an older state never replaces a newer one.
    loading: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the gateway")
    }
}

impl Gateway {
    /// The service on its database. It installs its routes in `traffic`.
    pub fn new(db: Db, traffic: Arc<Traffic>, settings: GatewaySettings) -> Arc<Self> {
        let configured = settings.routes.iter().map(RouteRule::normalised).collect();
        Arc::new(Self {
            db,
            traffic,
            configured,
            tokens: Tokens::new(settings.issuer),
            loading: tokio::sync::Mutex::default(),
        })
    }

    /// The policies and routes in use.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Checks the routes of the configuration against the operations of the node.
    pub fn check_configured(&self, registry: &Registry) -> Result<(), Error> {
        let (reserved, mut faults) = (queries::reserved(registry), Faults::default());
        for rule in &self.configured {
            let mut own = Faults::below(&format!("gateway.apps.{}", rule.app.to_lowercase()));
            rule.check(&reserved, &mut own);
            faults.extend(own.into_list());
        }
        faults.finish()
    }

    /// An identity token for a request.
    pub fn identity(&self, cx: &Cx, subject: Subject<'_>) -> Result<HeaderValue, Error> {
        self.tokens.get(subject, cx.now)
    }

    /// Reads the routes and installs them.
    async fn load(&self, cx: &Cx) -> Result<(), Error> {
        let _loading = self.loading.lock().await;
        let stored = self.db.read(queries::stored_routes).await?;
        let permissions = queries::reserved(cx.node.registry()?).permissions;
        self.traffic.install(queries::routes(&self.traffic, &self.configured, &stored, &permissions));
        Ok(())
    }

    /// Creates and removes identity keys as due, and loads them.
    async fn rotate_keys(&self, cx: &Cx) -> Result<(), Error> {
        let seed = cx.node.entropy.bytes::<32>();
        let keys = self.db.write(cx, move |tx| commands::rotate_keys(tx, &seed)).await?;
        self.tokens.load(&keys)
    }
}

impl Service for Gateway {
    const NAME: &'static str = "gateway";
    const DATABASE: Database = Database::Ecommerce;
    const TABLES: &'static [&'static TableDef] = &[records::StoredRoute::TABLE, records::IdentityKey::TABLE];

    fn register(self: &Arc<Self>, registry: &mut Registry) {
        register!(registry, self; ListRoutes, CreateRoute, DeleteRoute, GetIdentityKeys, CheckAddress, GetTrafficStates);
        registry.attach(self.clone());
    }

    fn jobs(self: &Arc<Self>) -> Vec<Job> {
        let gateway = self.clone();
        vec![Job::new("gateway.rotate_keys", ROTATE_EVERY, move |cx| {
            let gateway = gateway.clone();
            async move { gateway.rotate_keys(&cx).await.map(|()| false) }
        })]
    }

    fn audit(&self, tx: &Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
        audit::audit(tx, report)
    }

    async fn recover(&self, cx: &Cx) -> Result<(), Error> {
        self.rotate_keys(cx).await?;
        self.load(cx).await
    }
}

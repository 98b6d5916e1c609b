//! The server: binds its port first, answers 503 `STARTING` until the node is ready, and drains on shutdown.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use promox_gateway::Traffic;
use promox_kernel::{Node, Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::trust::Trust;
use crate::config::{Loaded, Settings};
use crate::http::account::AccountPages;
use crate::http::actuator::endpoints::{self, Actuator};
use crate::http::actuator::health::Health;
use crate::http::actuator::metrics::Metrics;
use crate::http::description::docs;
use crate::http::edge::exchange::{Edge, Open};
use crate::http::edge::router::{Conflict, Router};
use crate::http::edge::scope::Scope;
use crate::http::ports;
use crate::http::wire::connection::Connections;
use crate::http::wire::tls::Certificate;
use crate::job_log::JobLog;
use crate::log::Levels;

/// The pause after a failed accept, typically because the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the server could not start.
#[derive(Debug)]
pub enum BindError {
    /// The address of this setting is in use.
    Busy(&'static str, SocketAddr),
    /// The address of this setting cannot be bound.
    Address(&'static str, SocketAddr, io::Error),
    /// The certificate or its key is not usable.
    Certificate(String),
    /// The certificates that instances of applications are trusted by cannot be used.
    Roots(String),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy("server.listen", address) => {
                write!(f, "{address} is in use by another program. Choose another address with --listen")
            }
            Self::Busy(setting, address) => write!(f, "{setting}: {address} is in use by another program"),
            Self::Address(setting, address, error) => write!(f, "{setting}: cannot listen on {address}: {error}"),
            Self::Roots(error) => write!(f, "gateway.roots: {error}"),
            Self::Certificate(error) => write!(f, "tls.certificate, tls.key: {error}"),
        }
    }
}

impl std::error::Error for BindError {}

/// A server that is listening.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    services: Vec<(&'static str, SocketAddr)>,
    ports: Vec<u16>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    closing: CancellationToken,
    drain: Duration,
}

struct Shared {
    edge: Arc<Edge>,
    loaded: Loaded,
    levels: Levels,
    certificate: Option<Arc<Certificate>>,
    jobs: JobLog,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.edge.health.fmt(f)
    }
}

impl Server {
    /// Binds the ports and starts accepting. Requests get 503 `STARTING` until [`Server::open`].
    pub async fn bind(loaded: &Loaded, levels: Levels) -> Result<Self, BindError> {
        Self::bind_with(loaded, levels, Busy::Refuse).await
    }

    /// [`Server::bind`], but ports besides `server.listen` that are in use are left out.
    pub async fn bind_where_free(loaded: &Loaded, levels: Levels) -> Result<Self, BindError> {
        Self::bind_with(loaded, levels, Busy::LeaveOut).await
    }

    async fn bind_with(loaded: &Loaded, levels: Levels, busy: Busy) -> Result<Self, BindError> {
        let settings = &loaded.settings;
        let tls = &settings.tls;
        let certificate =
            if tls.is_on() { Some(Arc::new(Certificate::load(tls).map_err(BindError::Certificate)?)) } else { None };
        let trust = Trust::load(&settings.gateway.roots).map_err(BindError::Roots)?;
        let (listener, address) = listen("server.listen", settings.server.listen).await?;
        let mut others = Vec::new();
        for (setting, wanted, scope) in ports::others(settings) {
            match listen(setting, wanted).await {
                Ok((listener, address)) => others.push((listener, address, scope)),
                Err(BindError::Busy(..)) if busy == Busy::LeaveOut => {}
                Err(error) => return Err(error),
            }
        }
        let edge = Arc::new(Edge::new(settings, trust));
        let own = others.iter().map(|(_, address, _)| *address).chain([address]).collect();
        edge.traffic.own().set(own);
        let (tasks, closing) = (edge.tasks.clone(), CancellationToken::new());
        if let Some(certificate) = certificate.clone() {
            let end = closing.clone();
            tasks.spawn(async move { end.run_until_cancelled(certificate.follow()).await });
        }
        let connections =
            Arc::new(Connections::new(edge.clone(), &settings.server, &settings.limits, certificate.clone()));
        let ports = others.iter().map(|(_, address, _)| address.port()).chain([address.port()]).collect();
        let services = others.iter().filter_map(|(_, address, scope)| Some((scope.service()?, *address))).collect();
        for (listener, _, scope) in others.into_iter().chain([(listener, address, Scope::All)]) {
            tasks.spawn(accept(listener, scope, connections.clone(), closing.clone()));
        }
        let jobs = JobLog::default();
        let shared = Arc::new(Shared { edge, loaded: loaded.clone(), levels, certificate, jobs });
        let drain = Duration::from_millis(settings.server.drain_timeout_ms);
        Ok(Self { address, services, ports, shared, tasks, closing, drain })
    }

    /// The addresses of services that have a port of their own.
    pub fn services(&self) -> &[(&'static str, SocketAddr)] {
        &self.services
    }

    /// The address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every port that the server listens on.
    pub fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    /// Registers the server's own operations: health, metrics, levels, the API description and its pages.
    pub fn register(&self, registry: &mut Registry) {
        let Shared { edge, loaded, levels, .. } = &*self.shared;
        let parts = endpoints::Parts {
            metrics: edge.metrics.clone(),
            health: edge.health.clone(),
            levels: levels.clone(),
            settings: loaded.list.clone(),
            exchanges: edge.exchanges.clone(),
            jobs: self.shared.jobs.clone(),
            public_url: loaded.settings.server.public_url.clone(),
        };
        Actuator::new(parts).register(registry);
        docs::Docs::new(&loaded.settings).register(registry);
        AccountPages::register(registry);
    }

    /// Serves the operations of a node whose registry is installed.
    pub fn open(&self, node: &Arc<Node>) -> Result<(), Conflict> {
        let edge = &self.shared.edge;
        let registry = node.registry().map_err(|error| Conflict::Operations(error.to_string()))?;
        let router = Router::new(registry, &self.shared.loaded.settings.limits, &edge.metrics, &edge.traffic)?;
        let open = Open { node: node.clone(), router };
        edge.open.set(open).map_err(|_| Conflict::Operations("the server is already open".to_owned()))?;
        edge.health.set_ready(true);
        Ok(())
    }

    /// Applies the log levels of the settings, and reads the certificate again.
    pub fn reload(&self, settings: &Settings) {
        self.shared.levels.replace(&settings.log.level);
        if let Some(certificate) = &self.shared.certificate {
            certificate.reload();
        }
    }

    /// The log of the node's jobs, which the actuator shows.
    pub(crate) fn jobs(&self) -> JobLog {
        self.shared.jobs.clone()
    }

    /// The health of the server's parts.
    pub fn health(&self) -> Health {
        self.shared.edge.health.clone()
    }

    /// The policies of all services.
    pub fn traffic(&self) -> Arc<Traffic> {
        self.shared.edge.traffic.clone()
    }

    /// The server's metrics.
    pub fn metrics(&self) -> Metrics {
        self.shared.edge.metrics.clone()
    }

    /// The tasks that shutdown waits for.
    pub fn tasks(&self) -> TaskTracker {
        self.tasks.clone()
    }

    /// Stops accepting connections and waits for running requests. Returns whether all ended within the time limit.
    pub async fn shutdown(self) -> bool {
        self.closing.cancel();
        self.shared.edge.forwarder.close();
        self.tasks.close();
        let drained = tokio::time::timeout(self.drain, self.tasks.wait()).await.is_ok();
        self.shared.edge.health.set_ready(false);
        drained
    }
}

/// What happens when a port besides the main one is in use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    Refuse,
    LeaveOut,
}

/// A listener at the address of a setting, and the address that it got.
async fn listen(setting: &'static str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let fault = |error| BindError::Address(setting, wanted, error);
    let listener = TcpListener::bind(wanted).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => BindError::Busy(setting, wanted),
        _ => fault(error),
    })?;
    let address = listener.local_addr().map_err(fault)?;
    Ok((listener, address))
}

async fn accept(listener: TcpListener, scope: Scope, connections: Arc<Connections>, closing: CancellationToken) {
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => {
                let Some(slot) = connections.slot(peer.ip()) else { continue };
                let peer = connections.peer(peer.ip(), scope);
                let serving = connections.clone().serve(stream, peer, slot, closing.child_token());
                connections.tasks().spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

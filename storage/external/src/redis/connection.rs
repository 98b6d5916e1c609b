//! The connection to a Redis server.

use std::fmt;
use std::fs;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::io::tcp::TcpSettings;
use ::redis::{Client, ErrorKind, IntoConnectionInfo as _, RedisError, RedisResult, TlsCertificates};
use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, timeout};

use super::circuit::Circuit;
use super::options::{RedisOptions, RedisProblem};

/// The time in which a connection has to be established.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// The time after which a connection is closed if the network acknowledges nothing.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(10);
/// The number of consecutive failures from which a connection without replies is replaced. Before that, the server may
/// only take long.
const MAX_WITHOUT_REPLY: u32 = 5;
/// Maximum calls queued to be sent.
const MAX_QUEUED: usize = 1_024;

/// A connection to a Redis server, which is opened on first use and again when it is lost. Cheap to clone.
///
/// Its calls share one socket, so the cache, whose values may be large, should have a connection of its own.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    client: Client,
    address: String,
    prefix: String,
    timeout: Duration,
    manager: RwLock<ConnectionManager>,
    circuit: Mutex<Circuit>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {}", self.0.address)
    }
}

impl Redis {
    /// Creates a connection, which is opened on first use. Must be called in a Tokio runtime. The error is
    /// [`RedisProblem::InvalidOptions`].
    pub fn connect(options: &RedisOptions) -> Result<Self, RedisProblem> {
        if !options.has_valid_prefix() {
            let why =
                format!("the prefix of Redis keys may have letters, digits, -, _ and .; got {:?}", options.prefix);
            return Err(RedisProblem::InvalidOptions(why));
        }
        let client = client(options)?;
        let address = client.get_connection_info().addr().to_string();
        let manager = manager(&client).map_err(|error| invalid(&error))?;
        Ok(Self(Arc::new(Shared {
            client,
            address,
            prefix: options.prefix.clone(),
            timeout: options.timeout,
            manager: RwLock::new(manager),
            circuit: Mutex::new(Circuit::new(Instant::now())),
        })))
    }

    /// The first part of every key.
    pub(super) fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// The connection, for work that runs in [`within`](Self::within).
    pub(super) fn manager(&self) -> ConnectionManager {
        self.0.manager.read().clone()
    }

    /// Waits for the result of work, at most for the deadline of a call. Returns `None` if it failed, or if the server
    /// is considered down.
    pub(super) async fn within<T>(&self, work: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let call = self.0.circuit.lock().admit(Instant::now())?;
        let failure = match self.attempt(self.0.timeout, work).await {
            Ok(value) => return Some(value),
            Err(failure) => failure,
        };
        let failures = self.0.circuit.lock().failed(call, Instant::now());
        if failures == Some(1) {
            tracing::warn!(problem = %self.problem(&failure), "Redis is not used until it replies again");
        }
        if let Some(failures) = failures
            && (matches!(failure, Failure::Error(_)) || failures >= MAX_WITHOUT_REPLY)
        {
            self.replace();
        }
        None
    }

    /// Waits for the result of work, at most for `limit`, also if the server is considered down.
    pub(super) async fn check<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, RedisProblem> {
        self.attempt(limit, work).await.map_err(|failure| {
            self.replace();
            self.problem(&failure)
        })
    }

    async fn attempt<T>(&self, limit: Duration, work: impl Future<Output = RedisResult<T>>) -> Result<T, Failure> {
        let value = timeout(limit, work).await.map_err(|_| Failure::NoReply(limit))?.map_err(Failure::Error)?;
        if self.0.circuit.lock().succeeded() {
            tracing::info!(address = self.0.address, "Redis replies again");
        }
        Ok(value)
    }

    /// Replaces the connection after a failure. It may lead to a server that became a replica and refuses to write, or
    /// that no longer exists behind a proxy, and then would never work again.
    fn replace(&self) {
        if let Ok(manager) = manager(&self.0.client) {
            *self.0.manager.write() = manager;
        }
    }

    fn problem(&self, failure: &Failure) -> RedisProblem {
        let address = &self.0.address;
        match failure {
            Failure::NoReply(limit) => {
                RedisProblem::Unreachable(format!("Redis at {address} did not reply within {} ms", limit.as_millis()))
            }
            Failure::Error(error) if error.kind() == ErrorKind::AuthenticationFailed => {
                RedisProblem::Refused(format!("Redis at {address} refuses the user or the password: {error}"))
            }
            Failure::Error(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                RedisProblem::Refused(format!("Redis at {address} refuses a command: {error}"))
            }
            Failure::Error(error) => {
                RedisProblem::Unreachable(format!("Redis at {address} cannot be reached: {error}"))
            }
        }
    }
}

/// Why work failed.
enum Failure {
    NoReply(Duration),
    Error(RedisError),
}

fn invalid(error: &RedisError) -> RedisProblem {
    RedisProblem::InvalidOptions(format!("the URL of Redis is invalid: {error}"))
}

fn client(options: &RedisOptions) -> Result<Client, RedisProblem> {
    let info = options.url.as_str().into_connection_info().map_err(|error| invalid(&error))?;
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true).set_user_timeout(NETWORK_TIMEOUT));
    let client = match &options.ca_file {
        None => Client::open(info),
        Some(file) => {
            let unreadable = |why: std::io::Error| {
                RedisProblem::InvalidOptions(format!("the CA file {} cannot be read: {why}", file.display()))
            };
            let root_cert = Some(fs::read(file).map_err(unreadable)?);
            Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert })
        }
    };
    client.map_err(|error| invalid(&error))
}

fn manager(client: &Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        // The circuit determines when to try again, so that an error is known at once.
        .set_number_of_retries(0)
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        // Each call has a deadline of its own.
        .set_response_timeout(None)
        .set_pipeline_buffer_size(MAX_QUEUED);
    ConnectionManager::new_lazy_with_config(client.clone(), config)
}

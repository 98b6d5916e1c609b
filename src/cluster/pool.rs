//! Connections to instances that wait for their next request.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use promox_gateway::Instance;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use crate::cluster::upload::Upload;

/// Maximum bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;
/// The number of instances from which on those without open connections are dropped.
const SWEEP_FROM: usize = 64;

/// A connection to an instance.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Upload>,
    /// The address that was connected to.
    pub(crate) address: SocketAddr,
    /// Whether it has carried a request before.
    pub(crate) is_reused: bool,
    serial: u64,
}

/// The idle connections by instance.
pub(crate) struct Pool {
    idle: Mutex<HashMap<u64, Vec<Connection>>>,
    max_idle: usize,
    is_closed: AtomicBool,
}

impl Pool {
    /// A pool that keeps at most `max_idle` connections to an instance.
    pub(crate) fn new(max_idle: usize) -> Self {
        Self { idle: Mutex::default(), max_idle, is_closed: AtomicBool::new(false) }
    }

    /// The connection to an instance that was used last. Closed ones are dropped.
    pub(crate) fn take(&self, instance: &Instance) -> Option<Connection> {
        let mut idle = self.idle.lock();
        let own = idle.get_mut(&instance.serial)?;
        std::iter::from_fn(|| own.pop()).find(|connection| !connection.sender.is_closed())
    }

    /// Keeps a connection whose response is complete.
    pub(crate) fn give(&self, connection: Connection) {
        if self.is_closed.load(Ordering::Acquire) || connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() >= SWEEP_FROM {
            idle.retain(|_, own| {
                own.retain(|connection| !connection.sender.is_closed());
                !own.is_empty()
            });
        }
        let own = idle.entry(connection.serial).or_default();
        if own.len() < self.max_idle {
            own.push(Connection { is_reused: true, ..connection });
        }
    }

    /// Closes all idle connections, and from now on each one after its response.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.idle.lock().clear();
    }
}

impl Connection {
    /// Speaks HTTP/1.1 on a new connection, which runs on `tasks`.
    pub(crate) async fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
        instance: &Instance,
        tasks: &TaskTracker,
    ) -> Result<Self, hyper::Error> {
        let mut builder = http1::Builder::new();
        let (sender, connection) =
            builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
        tasks.spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "a connection to an instance was lost");
            }
        });
        Ok(Self { sender, address, is_reused: false, serial: instance.serial })
    }
}

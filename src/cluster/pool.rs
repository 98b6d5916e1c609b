//! Connections to instances, and those of them that wait for their next request.
//!
//! A connection has no task of its own. Whoever holds it drives it, so that a request and its response stay on one thread
//! and wake no other.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use promox_gateway::Instance;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::upload::Upload;

/// Maximum bytes of a response's head.
const MAX_HEAD: usize = 64 << 10;
/// The pause between two searches for idle connections that their instances have closed.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// A connection to an instance.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Upload>,
    /// Reads and writes whenever it is polled, until the connection ends. `None` when it has ended or runs on a task.
    driver: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The address that was connected to.
    pub(crate) address: SocketAddr,
    /// Whether it has carried a request before.
    pub(crate) is_reused: bool,
    serial: u64,
}

impl Connection {
    /// Speaks HTTP/1.1 on a new connection.
    pub(crate) async fn open(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
        instance: &Instance,
    ) -> Result<Self, hyper::Error> {
        let mut builder = http1::Builder::new();
        let (sender, connection) =
            builder.max_buf_size(MAX_HEAD).max_header_size(MAX_HEAD).handshake(TokioIo::new(stream)).await?;
        let driver = async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "a connection to an instance was lost");
            }
        };
        Ok(Self { sender, driver: Some(Box::pin(driver)), address, is_reused: false, serial: instance.serial })
    }

    /// Reads and writes what is possible now; more wakes the task.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        if self.driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
            self.driver = None;
        }
    }

    /// Lets it read and write on a task of its own from now on: for a body that moves on while its response is not read, or
    /// another protocol.
    pub(crate) fn run_on(&mut self, tasks: &TaskTracker) {
        if let Some(driver) = self.driver.take() {
            tasks.spawn(driver);
        }
    }

    /// Waits until it can take a request. An error if it was closed.
    pub(crate) async fn ready(&mut self) -> Result<(), hyper::Error> {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx)
        })
        .await
    }

    /// Drives it while `answer`, which depends on it, is awaited.
    pub(crate) async fn driving<T>(&mut self, mut answer: Pin<&mut impl Future<Output = T>>) -> T {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await
    }

    /// Whether the instance has closed it, as far as that has arrived.
    fn is_over(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.sender.is_closed()
    }
}

/// The idle connections by instance. Clones share them.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

struct Shared {
    idle: Mutex<HashMap<u64, Vec<Connection>>>,
    max_idle: usize,
    tasks: TaskTracker,
    closing: CancellationToken,
    /// Whether a task searches for connections that were closed.
    is_swept: AtomicBool,
}

impl Pool {
    /// A pool that keeps at most `max_idle` connections to an instance, until `closing`. It is swept on `tasks`.
    pub(crate) fn new(max_idle: usize, tasks: TaskTracker, closing: CancellationToken) -> Self {
        let is_swept = AtomicBool::new(false);
        Self(Arc::new(Shared { idle: Mutex::default(), max_idle, tasks, closing, is_swept }))
    }

    /// The connection to an instance that was used last. Closed ones are dropped.
    pub(crate) fn take(&self, instance: &Instance) -> Option<Connection> {
        let last = || self.0.idle.lock().get_mut(&instance.serial)?.pop();
        std::iter::from_fn(last).find_map(|mut connection| (!connection.is_over()).then_some(connection))
    }

    /// Keeps a connection whose response is complete.
    pub(crate) fn give(&self, mut connection: Connection) {
        let shared = &self.0;
        if connection.is_over() || shared.closing.is_cancelled() {
            return;
        }
        connection.is_reused = true;
        let mut idle = shared.idle.lock();
        let own = idle.entry(connection.serial).or_default();
        if own.len() < shared.max_idle {
            own.push(connection);
        }
        drop(idle);
        if !shared.is_swept.swap(true, Ordering::AcqRel) {
            let (pool, closing) = (self.clone(), shared.closing.clone());
            shared.tasks.spawn(async move {
                closing.run_until_cancelled(pool.sweep()).await;
                pool.0.idle.lock().clear();
            });
        }
    }

    /// Drops idle connections soon after their instances have closed them.
    async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_PAUSE).await;
            self.0.idle.lock().retain(|_, own| {
                own.retain_mut(|connection| !connection.is_over());
                !own.is_empty()
            });
        }
    }
}

//! One connection: the handshake, requests, and closing when it is overdue or the server shuts down.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Limits, Server};
use crate::http::edge::exchange::{Edge, Peer};
use crate::http::wire::activity::{Activity, Tracked, Watch};
use crate::http::wire::tls::Certificate;
use crate::http::wire::unread::Completed;

/// The maximum number of streams that a client may have reset before they are accepted.
const RESET_STREAMS: usize = 64;
/// The number of headers that hyper allows by default.
const HYPER_MAX_HEADERS: usize = 100;

/// Runs hyper's tasks on the node's task set, so that shutdown waits for them.
#[derive(Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// How connections are served.
pub(crate) struct Connections {
    edge: Arc<Edge>,
    builder: Builder<Tasks>,
    certificate: Option<Arc<Certificate>>,
    handshake: Duration,
    header: Duration,
    idle: Duration,
    drain: Duration,
}

/// Counts a connection as open until it is dropped.
pub(crate) struct ConnectionSlot(Arc<Edge>);

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.0.metrics.traffic.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    pub(crate) fn new(
        edge: Arc<Edge>,
        server: &Server,
        limits: &Limits,
        certificate: Option<Arc<Certificate>>,
    ) -> Self {
        Self {
            builder: builder(&edge.tasks, limits),
            edge,
            certificate,
            handshake: Duration::from_millis(server.handshake_timeout_ms),
            header: Duration::from_millis(server.header_timeout_ms),
            idle: Duration::from_millis(server.idle_timeout_ms),
            drain: Duration::from_millis(server.drain_timeout_ms),
        }
    }

    /// The task set that connections run on.
    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.edge.tasks
    }

    /// A slot for one more connection, if the limit allows it.
    pub(crate) fn slot(&self, max: usize) -> Option<ConnectionSlot> {
        let traffic = &self.edge.metrics.traffic;
        let open = traffic.connections.fetch_add(1, Ordering::Relaxed);
        let slot = ConnectionSlot(self.edge.clone());
        if usize::try_from(open).unwrap_or(0) < max {
            traffic.accepted.fetch_add(1, Ordering::Relaxed);
            return Some(slot);
        }
        traffic.turned_away.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Serves a connection until the client disconnects, the connection is overdue, or `closing` is cancelled and the
    /// last response is sent.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream, slot: ConnectionSlot, closing: CancellationToken) {
        let Ok(address) = stream.peer_addr() else { return };
        // Responses are written whole; waiting for more data would only delay them.
        let _ = stream.set_nodelay(true);
        let peer = Peer { address: address.ip().to_canonical(), secure: self.certificate.is_some() };
        match &self.certificate {
            None => self.serve_stream(stream, peer, &closing).await,
            Some(certificate) => match timeout(self.handshake, certificate.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => self.serve_stream(stream, peer, &closing).await,
                Ok(Err(error)) => tracing::debug!(client = %peer.address, %error, "the TLS handshake failed"),
                Err(_) => tracing::debug!(client = %peer.address, "the TLS handshake timed out"),
            },
        }
        drop(slot);
    }

    async fn serve_stream<S>(&self, stream: S, peer: Peer, closing: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let mut watch = Watch::new(activity.clone(), self.header, self.idle);
        let stream = Tracked::new(stream, activity.clone());
        let stream = TokioIo::new(Completed::new(stream, activity.clone(), self.edge.clone(), peer));
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let running = activity.request(request.version());
            let exchange = self.edge.clone().respond(peer, request);
            async move {
                let response = exchange.await;
                drop(running);
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.builder.serve_connection(stream, service));
        let mut closed = pin!(closing.cancelled());
        let mut check = pin!(sleep(watch.pause()));
        let mut end: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(client = %peer.address, error, "a connection was lost");
                    }
                    return;
                }
                () = closed.as_mut(), if end.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    end = Some(Instant::now() + self.drain);
                }
                () = check.as_mut() => {
                    let now = Instant::now();
                    if end.is_some_and(|end| now >= end) {
                        return;
                    }
                    if end.is_none() && watch.is_overdue() {
                        // This closes an idle connection. An HTTP/2 client is notified, so that it can retry elsewhere.
                        connection.as_mut().graceful_shutdown();
                        end = Some(now + watch.pause());
                    }
                    check.as_mut().reset(now + watch.pause());
                }
            }
        }
    }
}

fn builder(tasks: &TaskTracker, limits: &Limits) -> Builder<Tasks> {
    let mut builder = Builder::new(Tasks(tasks.clone()));
    let head = usize::try_from(limits.header_bytes).unwrap_or(usize::MAX);
    // The watcher enforces HTTP/1 deadlines, which costs requests no timer.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(head);
    if limits.headers != HYPER_MAX_HEADERS {
        builder.http1().max_headers(limits.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        // Heads slightly over the limit are refused by the edge with a problem document; h2 would send none.
        .max_header_list_size(limits.header_bytes.saturating_mul(2))
        .max_pending_accept_reset_streams(RESET_STREAMS);
    builder
}

//! One connection: the handshake, requests, and closing when it is overdue or the server shuts down.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::UPGRADE;
use hyper::body::Body as _;
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
use crate::descriptors;
use crate::http::edge::exchange::{Edge, InFlight, Peer};
use crate::http::edge::scope::Scope;
use crate::http::wire::activity::{Held, Tracked, Watch};
use crate::http::wire::payload::Payload;
use crate::http::wire::slots::{Slot, Slots};
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
    slots: Arc<Slots>,
    builder: Builder<Tasks>,
    certificate: Option<Arc<Certificate>>,
    handshake: Duration,
    header: Duration,
    idle: Duration,
    drain: Duration,
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
            slots: Slots::new(descriptors::connections(limits.connections), server.trusted_proxies.clone()),
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

    /// The place of one more connection, or `None` if it must be closed.
    pub(crate) fn slot(&self, address: IpAddr) -> Option<Slot> {
        let traffic = &self.edge.metrics.traffic;
        let slot = self.slots.take(address);
        let counter = if slot.is_some() { &traffic.accepted } else { &traffic.turned_away };
        counter.fetch_add(1, Ordering::Relaxed);
        slot
    }

    /// The connection of a client to a listener with this scope.
    pub(crate) fn peer(&self, address: IpAddr, scope: Scope) -> Peer {
        Peer { address: address.to_canonical(), secure: self.certificate.is_some(), scope }
    }

    /// Serves a connection until the client disconnects, the connection is overdue or has to give way to another, or
    /// `closing` is cancelled and the last response is sent.
    pub(crate) async fn serve(self: Arc<Self>, stream: TcpStream, peer: Peer, slot: Slot, closing: CancellationToken) {
        let _open = InFlight::new(&self.edge.metrics.traffic.connections);
        // Responses are written whole; waiting for more data would only delay them.
        let _ = stream.set_nodelay(true);
        let slot = Arc::new(slot);
        let Some(certificate) = &self.certificate else {
            return self.serve_stream(stream, peer, &slot, &closing).await;
        };
        let handshake = timeout(self.handshake, certificate.acceptor().accept(stream));
        match slot.evicted.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.serve_stream(stream, peer, &slot, &closing).await,
            Some(Ok(Err(error))) => tracing::debug!(client = %peer.address, %error, "the TLS handshake failed"),
            Some(Err(_)) => tracing::debug!(client = %peer.address, "the TLS handshake timed out"),
            None => {}
        }
    }

    async fn serve_stream<S>(&self, stream: S, peer: Peer, slot: &Arc<Slot>, closing: &CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = slot.activity.clone();
        let mut watch = Watch::new(activity.clone(), self.header, self.idle);
        let stream = Tracked::new(stream, activity.clone());
        let stream = TokioIo::new(Completed::new(stream, activity.clone(), self.edge.clone(), peer));
        let (edge, held) = (self.edge.clone(), Held(slot.clone()));
        let shared = activity.clone();
        let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            let running = shared.request(request.version());
            let has_body = !request.body().is_end_stream();
            if request.headers().contains_key(UPGRADE) {
                request.extensions_mut().insert(held.clone());
            }
            let (exchange, activity) = (edge.clone().respond(peer, request), shared.clone());
            async move {
                let mut response = exchange.await;
                if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                    activity.switched();
                }
                if has_body && (!response.status().is_success() || matches!(response.body(), Payload::Forwarded(_))) {
                    activity.answered_early();
                }
                match response.body_mut() {
                    // An application may be silent in the middle of a response for as long as the gateway permits.
                    Payload::Forwarded(download) => download.keep(Box::new(running)),
                    _ => drop(running),
                }
                Ok::<_, Infallible>(response)
            }
        });
        let mut connection = pin!(self.builder.serve_connection_with_upgrades(stream, service));
        let mut closed = pin!(closing.cancelled());
        let mut evicted = pin!(slot.evicted.cancelled());
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
                () = evicted.as_mut() => return,
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

//! Small applications behind the gateway: in this process, or in one of their own that can be killed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// A piece of a large body.
static PIECE: &[u8] = &[7; 65_536];

/// Headers of the responses to `/cookie` that are for promox to send, because they act on all of its origin or state how it
/// handled the request.
pub(crate) const OF_THE_ORIGIN: [(&str, &str); 14] = [
    ("set-cookie", "a=b"),
    ("www-authenticate", "Basic realm=\"shop\""),
    ("x-order-token", "t"),
    ("x-cart-token", "t"),
    ("access-control-allow-credentials", "true"),
    ("access-control-allow-methods", "PUT"),
    ("service-worker-allowed", "/"),
    ("clear-site-data", "\"*\""),
    ("alt-svc", "h3=\":443\""),
    ("proxy-connection", "keep-alive"),
    ("ratelimit", "\"default\";r=1;t=1"),
    ("ratelimit-policy", "\"default\";q=1"),
    ("ratelimit-remaining", "7777"),
    ("idempotent-replayed", "true"),
];

type Reply = Response<BoxBody<Bytes, Infallible>>;

/// An application that answers as its path says. Dropping it closes its listener, but not its connections.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    listening: tokio::task::JoinHandle<()>,
}

struct State {
    name: String,
    requests: AtomicUsize,
    connections: AtomicUsize,
    /// Requests to `/wait` answer when they get one of these.
    permits: Semaphore,
    waiting: AtomicUsize,
}

impl Upstream {
    pub(crate) async fn start(name: &str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), name)
    }

    pub(crate) fn on(listener: TcpListener, name: &str) -> Self {
        Self::with_tls(listener, name, None)
    }

    /// An application that does the TLS handshake first, if an acceptor is given.
    pub(crate) fn with_tls(listener: TcpListener, name: &str, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            name: name.to_owned(),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            permits: Semaphore::new(0),
            waiting: AtomicUsize::new(0),
        });
        let shared = state.clone();
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (shared, tls) = (shared.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, shared).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, state, listening }
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests wait for [`Self::release`].
    pub(crate) async fn wait_for(&self, count: usize) {
        while self.state.waiting.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    /// Lets `count` waiting requests be answered.
    pub(crate) fn release(&self, count: usize) {
        self.state.permits.add_permits(count);
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(|request| answer(request, state.clone()));
    let server = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let _ = server.with_upgrades().await;
}

fn whole(text: impl Into<Bytes>) -> Reply {
    Response::new(Full::new(text.into()).boxed())
}

async fn answer(mut request: Request<Incoming>, state: Arc<State>) -> Result<Reply, Infallible> {
    state.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    let last = path.rsplit('/').next().unwrap_or_default();
    Ok(match last {
        "wait" => {
            state.waiting.fetch_add(1, Ordering::SeqCst);
            state.permits.acquire().await.unwrap().forget();
            state.waiting.fetch_sub(1, Ordering::SeqCst);
            whole(state.name.clone())
        }
        "events" => events(),
        "login" => {
            let mut reply = whole("log in");
            *reply.status_mut() = StatusCode::UNAUTHORIZED;
            reply.headers_mut().insert("www-authenticate", "Basic realm=\"shop\"".parse().unwrap());
            reply
        }
        "fail" => {
            let mut reply = whole("broken");
            *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            reply
        }
        "cookie" => {
            let mut reply = whole("ok");
            for (name, value) in
                [("x-promox-secret", "1"), ("x-app", "kept"), ("keep-alive", "9")].into_iter().chain(OF_THE_ORIGIN)
            {
                reply.headers_mut().insert(name, value.parse().unwrap());
            }
            reply
        }
        "socket" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = TokioIo::new(upgrade.await.unwrap());
                let mut buffer = [0; 1024];
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..length]).await.unwrap();
                }
            });
            let mut reply = whole("");
            *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "x")] {
                reply.headers_mut().insert(name, value.parse().unwrap());
            }
            reply
        }
        "large" => {
            let chunks = (0..160).map(|_| Ok(Frame::data(Bytes::from_static(PIECE))));
            Response::new(StreamBody::new(futures_util::stream::iter(chunks)).boxed())
        }
        "endless" => {
            let chunks = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(PIECE))));
            Response::new(StreamBody::new(chunks).boxed())
        }
        "count" => {
            let (mut body, mut length) = (request.into_body(), 0);
            while let Some(Ok(frame)) = body.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
            }
            whole(length.to_string())
        }
        _ => echo(request, &state.name).await,
    })
}

async fn echo(request: Request<Incoming>, name: &str) -> Reply {
    let (parts, body) = request.into_parts();
    let headers: serde_json::Map<String, Value> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let body = body.collect().await.unwrap().to_bytes();
    let target = parts.uri.path_and_query().unwrap().as_str();
    let text = String::from_utf8_lossy(&body);
    let echoed =
        json!({"app": name, "method": parts.method.as_str(), "target": target, "headers": headers, "body": text});
    let mut reply = whole(echoed.to_string());
    reply.headers_mut().insert("content-type", "application/json".parse().unwrap());
    reply
}

/// Two events at once, and then nothing for a long time.
fn events() -> Reply {
    let first = futures_util::stream::iter(["data: 1\n\n", "data: 2\n\n"].map(|text| Ok(Frame::data(text.into()))));
    let chunks = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let mut reply = Response::new(StreamBody::new(chunks).boxed());
    reply.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    reply
}

/// An application that reads a request's head and then writes these bytes and closes the connection.
pub(crate) async fn writes(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                let _ = stream.write_all(bytes).await;
            }
        }
    });
    address
}

/// An application that answers the first request of each connection and closes the connection when it has read the second
/// one. Returns its address and the number of requests that it has read.
pub(crate) async fn answers_once_a_connection() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(AtomicUsize::new(0));
    let counted = received.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = counted.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..], b""] {
                    if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                        counted.fetch_add(1, Ordering::SeqCst);
                        let _ = stream.write_all(answer).await;
                    }
                }
            });
        }
    });
    (address, received)
}

/// An application in a process of its own, which dropping kills.
pub(crate) struct OwnProcess {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// The variable that makes the test below serve until it is killed.
const SERVE: &str = "PROMOX_TEST_UPSTREAM";

impl OwnProcess {
    pub(crate) async fn start(name: &str) -> Self {
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "gateway::upstream::serves_until_killed", "--nocapture"]).env(SERVE, name);
        let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap().expect("the application did not start");
            if let Some((_, address)) = line.split_once("listening on ") {
                let address = address.trim().parse().unwrap();
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Self { child, address };
            }
        }
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Not a test of its own: [`OwnProcess`] runs it as an application.
#[tokio::test(flavor = "multi_thread")]
async fn serves_until_killed() {
    let Ok(name) = std::env::var(SERVE) else { return };
    let upstream = Upstream::start(&name).await;
    println!("listening on {}", upstream.address);
    tokio::time::timeout(Duration::from_secs(120), std::future::pending::<()>()).await.unwrap_err();
}

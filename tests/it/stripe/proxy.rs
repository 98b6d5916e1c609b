//! A proxy between the shop and its payment provider that injects faults.
//!
//! Requests of the shop can be refused, cut off before or after they were carried out, answered late or never, or
//! carried out late. Webhooks of the provider are delivered until they are accepted, in any order and repeatedly. The
//! proxy also does what localstripe does not: as Stripe does, it repeats the answer of an idempotency key, and says how
//! much an intent has received, or claims another amount.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use promox_kernel::Entropy;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

/// A fault of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// 503, and the request is not carried out.
    Refused,
    /// 500, although the request was carried out.
    FailedAfterwards,
    /// The connection is cut before the request is carried out.
    CutBefore,
    /// The connection is cut after the request was carried out.
    CutAfterwards,
    /// The request is carried out at once and never answered.
    NeverAnswered,
    /// The request is carried out after the next one, and never answered.
    CarriedOutLate,
    /// The provider fails, and repeats that for the request's key.
    FailedForKey,
}

/// A webhook on its way.
#[derive(Clone, Debug)]
struct Hook {
    signature: String,
    body: Bytes,
}

struct State {
    provider: String,
    pool: Client<HttpConnector, Full<Bytes>>,
    entropy: Entropy,
    /// In how many of 16 requests a fault is injected.
    faults: Mutex<u64>,
    /// The fault of the next request that changes something, if it is chosen.
    next: Mutex<Option<Fault>>,
    /// The answers by idempotency key; `None` while the first request runs.
    answers: Mutex<HashMap<String, Option<(StatusCode, Bytes)>>>,
    /// Wakes requests that are carried out late.
    handled: Notify,
    /// The amounts that captures of intents asked for, once they succeeded.
    asked: Mutex<HashMap<String, i64>>,
    /// The amount and currency that captured intents are said to have received instead.
    claimed: Mutex<Option<(i64, &'static str)>>,
    /// The shop's address, while it runs.
    shop: Mutex<Option<SocketAddr>>,
    hooks: mpsc::Sender<Hook>,
    delivered: Mutex<usize>,
}

/// A running proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    state: Arc<State>,
    pub(crate) url: String,
}

impl Proxy {
    /// Starts a proxy to a provider, without faults.
    pub(crate) async fn start(provider: &str, entropy: Entropy) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (hooks, received) = mpsc::channel(10_000);
        let state = Arc::new(State {
            provider: provider.to_owned(),
            pool: Client::builder(TokioExecutor::new()).build_http(),
            entropy,
            faults: Mutex::new(0),
            next: Mutex::new(None),
            answers: Mutex::default(),
            handled: Notify::new(),
            asked: Mutex::default(),
            claimed: Mutex::new(None),
            shop: Mutex::new(None),
            hooks,
            delivered: Mutex::new(0),
        });
        tokio::spawn(deliver(state.clone(), received));
        tokio::spawn(accept(state.clone(), listener));
        Self { state, url }
    }

    /// Injects a fault into about `of_sixteen` of 16 requests.
    pub(crate) fn inject(&self, of_sixteen: u64) {
        *self.state.faults.lock() = of_sixteen;
    }

    /// Injects this fault into the next request that changes something.
    pub(crate) fn inject_next(&self, fault: Fault) {
        *self.state.next.lock() = Some(fault);
    }

    /// Says from now on that captured intents have received this amount in this currency, or the truth again.
    pub(crate) fn claim_received(&self, claimed: Option<(i64, &'static str)>) {
        *self.state.claimed.lock() = claimed;
    }

    /// Delivers webhooks to the shop at this address from now on, or holds them back.
    pub(crate) fn deliver_to(&self, shop: Option<SocketAddr>) {
        *self.state.shop.lock() = shop;
    }

    /// The number of webhooks that were delivered.
    pub(crate) fn delivered(&self) -> usize {
        *self.state.delivered.lock()
    }
}

async fn accept(state: Arc<State>, listener: TcpListener) {
    while let Ok((connection, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| handle(state.clone(), request));
            // An error of the service cuts the connection, which is one of the faults.
            let _ =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

/// A request of the shop, read to its end.
struct Call {
    method: hyper::Method,
    path: String,
    headers: hyper::HeaderMap,
    body: Bytes,
}

async fn handle(
    state: Arc<State>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().to_string();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let call = Call { method: parts.method, path, headers: parts.headers, body };
    if call.path == "/hooks" {
        let signature = call.headers["stripe-signature"].to_str().unwrap().to_owned();
        state.hooks.send(Hook { signature, body: call.body }).await.unwrap();
        return Ok(answer(StatusCode::OK, Bytes::new()));
    }
    let cut = || Err(std::io::Error::other("cut"));
    let chosen = if call.method == hyper::Method::POST { state.next.lock().take() } else { None };
    let fault = chosen.unwrap_or_else(|| pick(&state));
    match fault {
        Fault::FailedForKey => {
            let key = call.headers["idempotency-key"].to_str().unwrap().to_owned();
            let failure = (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from("{}"));
            state.answers.lock().insert(key, Some(failure.clone()));
            return Ok(answer(failure.0, failure.1));
        }
        Fault::Refused => return Ok(answer(StatusCode::SERVICE_UNAVAILABLE, Bytes::from("{}"))),
        Fault::CutBefore => return cut(),
        _ => {}
    }
    // A task of its own, so that a client that goes away does not take the request back.
    let running = state.clone();
    let carried_out = tokio::spawn(async move {
        if fault == Fault::CarriedOutLate {
            running.handled.notified().await;
        }
        let answer = carry_out(&running, call).await;
        running.handled.notify_waiters();
        answer
    });
    if matches!(fault, Fault::NeverAnswered | Fault::CarriedOutLate) {
        return std::future::pending().await;
    }
    let (status, body, is_repeated) = carried_out.await.map_err(std::io::Error::other)?;
    match fault {
        Fault::FailedAfterwards => Ok(answer(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from("oops"))),
        Fault::CutAfterwards => cut(),
        _ => {
            let mut given = answer(status, claim(&state, body));
            if is_repeated {
                given.headers_mut().insert("idempotent-replayed", hyper::header::HeaderValue::from_static("true"));
            }
            Ok(given)
        }
    }
}

/// The fault of the next request.
fn pick(state: &State) -> Fault {
    if state.entropy.below(16) >= *state.faults.lock() {
        return Fault::None;
    }
    match state.entropy.below(6) {
        0 => Fault::Refused,
        1 => Fault::FailedAfterwards,
        2 => Fault::CutBefore,
        3 => Fault::CutAfterwards,
        4 => Fault::NeverAnswered,
        _ => Fault::CarriedOutLate,
    }
}

fn answer(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

/// Has the provider carry out a request once for each idempotency key. Returns its answer, and whether it is repeated.
async fn carry_out(state: &State, call: Call) -> (StatusCode, Bytes, bool) {
    let key = call.headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned());
    if let Some(key) = &key {
        let mut answers = state.answers.lock();
        match answers.get(key) {
            Some(Some((status, body))) => return (*status, body.clone(), true),
            Some(None) => return (StatusCode::CONFLICT, Bytes::from("{}"), false),
            None => drop(answers.insert(key.clone(), None)),
        }
    }
    let asked = asked_capture(&call);
    let mut request = Request::builder().method(call.method).uri(format!("{}{}", state.provider, call.path));
    for name in ["authorization", "content-type"] {
        if let Some(value) = call.headers.get(name) {
            request = request.header(name, value);
        }
    }
    let response = state.pool.request(request.body(Full::new(call.body)).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    if let Some((id, amount)) = asked.filter(|_| status.is_success()) {
        state.asked.lock().insert(id, amount);
    }
    let body = state_received(state, body);
    if let Some(key) = key {
        state.answers.lock().insert(key, Some((status, body.clone())));
    }
    (status, body, false)
}

/// An answer of the provider, with `amount_received` if it is an intent that was captured: all of it, unless a capture asked
/// for a part.
fn state_received(state: &State, body: Bytes) -> Bytes {
    let Ok(mut intent) = serde_json::from_slice::<Value>(&body) else { return body };
    if intent["object"] != "payment_intent" || intent["status"] != "succeeded" {
        return body;
    }
    let asked = state.asked.lock().get(intent["id"].as_str().unwrap()).copied();
    intent["amount_received"] = asked.map_or(intent["amount"].clone(), |asked| json!(asked));
    Bytes::from(intent.to_string())
}

/// An answer with what captured intents are said to have received, if that is claimed. It is not what is repeated later.
fn claim(state: &State, body: Bytes) -> Bytes {
    let Some((amount, currency)) = *state.claimed.lock() else { return body };
    let Ok(mut intent) = serde_json::from_slice::<Value>(&body) else { return body };
    if intent.get("amount_received").is_none() {
        return body;
    }
    intent["amount_received"] = json!(amount);
    intent["currency"] = json!(currency);
    Bytes::from(intent.to_string())
}

/// The intent that a request captures, and the amount that it asks for.
fn asked_capture(call: &Call) -> Option<(String, i64)> {
    let id = call.path.strip_prefix("/v1/payment_intents/")?.strip_suffix("/capture")?;
    let body = std::str::from_utf8(&call.body).ok()?;
    Some((id.to_owned(), body.strip_prefix("amount_to_capture=")?.parse().ok()?))
}

/// Delivers webhooks until the shop accepts them; each may be delivered again later, and after ones that are newer.
async fn deliver(state: Arc<State>, mut received: mpsc::Receiver<Hook>) {
    let mut waiting: Vec<Hook> = Vec::new();
    loop {
        while let Ok(hook) = received.try_recv() {
            waiting.push(hook);
        }
        let shop = *state.shop.lock();
        let Some(shop) = shop.filter(|_| !waiting.is_empty()) else {
            tokio::task::yield_now().await;
            if waiting.is_empty() {
                let Some(hook) = received.recv().await else { return };
                waiting.push(hook);
            }
            continue;
        };
        let place = usize::try_from(state.entropy.below(waiting.len() as u64)).unwrap();
        let hook = waiting[place].clone();
        if post(&state, shop, &hook).await.is_ok_and(|status| status == StatusCode::NO_CONTENT) {
            *state.delivered.lock() += 1;
            // Every third one is delivered again.
            if state.entropy.below(3) > 0 {
                waiting.remove(place);
            }
        }
    }
}

async fn post(state: &State, shop: SocketAddr, hook: &Hook) -> Result<StatusCode, Infallible> {
    let request = Request::post(format!("http://{shop}/api/payments/webhooks/stripe"))
        .header("content-type", "application/json")
        .header("stripe-signature", &hook.signature)
        .body(Full::new(hook.body.clone()))
        .unwrap();
    Ok(state.pool.request(request).await.map_or(StatusCode::BAD_GATEWAY, |response| response.status()))
}

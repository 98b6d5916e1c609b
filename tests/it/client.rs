//! A small HTTP client for tests, with pooled connections and JSON bodies.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::description::{Description, Shown};

/// A client of one server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    headers: Vec<(&'static str, String)>,
    /// Whether the server serves all that its description contains.
    is_whole: bool,
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Answer {
    /// The body as JSON, or null when it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    /// Asserts the status and returns the body as JSON.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self.json()
    }

    /// Asserts that the request was refused with this status and code, and returns the problem document.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["code"], code, "{body}");
        body
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http(), address, headers: Vec::new(), is_whole: true }
    }

    /// A client of a port that serves a part of the operations.
    pub(crate) fn of_part(address: SocketAddr) -> Self {
        Self { is_whole: false, ..Self::new(address) }
    }

    /// A copy of the client that sends one more header.
    #[must_use]
    pub(crate) fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut client = self.clone();
        client.headers.retain(|(known, _)| *known != name);
        client.headers.push((name, value.into()));
        client
    }

    /// A copy of the client with an access token.
    #[must_use]
    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    /// A copy of the client with an idempotency key.
    #[must_use]
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with("idempotency-key", key)
    }

    /// A copy of the client with a connection pool of its own.
    #[must_use]
    pub(crate) fn own_connection(&self) -> Self {
        Self { pool: Pool::builder(TokioExecutor::new()).build_http(), ..self.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "application/json", Bytes::new()).await.unwrap()
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, "application/json", Bytes::new()).await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string().into()).await.unwrap()
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, "application/json", body.to_string().into()).await.unwrap()
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, "application/merge-patch+json", body.to_string().into()).await.unwrap()
    }

    /// Sends any request. Fails when the connection is broken before the response has arrived.
    pub(crate) async fn send(&self, method: &str, path: &str, media_type: &str, body: Bytes) -> Result<Answer, String> {
        let mut request = hyper::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if !body.is_empty() {
            request = request.header("content-type", media_type);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let response = self.pool.request(request).await.map_err(|error| error.to_string())?;
        let (parts, body) = response.into_parts();
        if parts.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream") {
            // A stream of events does not end; `follow` reads it.
            return Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, bytes: Bytes::new() });
        }
        let bytes = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        let answer = Answer { status: parts.status.as_u16(), headers: parts.headers, bytes };
        self.hold_to_description(method, path, &answer).await;
        Ok(answer)
    }

    /// Panics when the server's description does not allow an answer.
    async fn hold_to_description(&self, method: &str, path: &str, answer: &Answer) {
        static DESCRIPTION: OnceCell<Arc<Description>> = OnceCell::const_new();
        let read = || async { Description::read(&self.description().await?).ok_or(()) };
        if !self.is_whole && answer.json()["code"] == "NO_SUCH_ROUTE" {
            return;
        }
        // A server that is starting or going away does not describe itself.
        let Ok(description) = DESCRIPTION.get_or_try_init(read).await else { return };
        let media_type = answer.headers.get("content-type").and_then(|it| it.to_str().ok());
        let media_type = media_type.and_then(|it| it.split(';').next());
        let may_be_repeated = answer.headers.contains_key("retry-after");
        let shown = Shown { status: answer.status, media_type, may_be_repeated, bytes: &answer.bytes };
        description.record(method, path, &shown);
        if let Err(fault) = description.contradicts(method, path, &shown) {
            let text = String::from_utf8_lossy(&answer.bytes);
            panic!("{method} {path} gave {}, which /openapi.json does not allow: {fault}\n{text}", answer.status);
        }
    }

    /// The server's description, as sent.
    async fn description(&self) -> Result<Bytes, ()> {
        let request = hyper::Request::get(format!("http://{}/openapi.json", self.address));
        let response = self.pool.request(request.body(Full::new(Bytes::new())).unwrap()).await.map_err(|_| ())?;
        if !response.status().is_success() {
            return Err(());
        }
        Ok(response.into_body().collect().await.map_err(|_| ())?.to_bytes())
    }

    /// Requests a stream of server-sent events and returns its body.
    pub(crate) async fn follow(&self, path: &str) -> hyper::body::Incoming {
        let mut request = hyper::Request::get(format!("http://{}{path}", self.address));
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        self.pool.request(request.body(Full::new(Bytes::new())).unwrap()).await.unwrap().into_body()
    }
}

//! The client: one request, one bounded response.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use promox_kernel::trace;

use crate::connect::Connector;
use crate::reach::Reach;

/// The maximum size of a response's body in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The maximum number of idle connections that are kept for one host.
const MAX_IDLE_PER_HOST: usize = 16;
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a request has no response. The server may have carried it out all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No connection was made, or it broke; the text says why.
    Broken(String),
    /// The response has a body of more than 1 MiB.
    TooLarge,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::TooLarge => f.write_str("the response is larger than 1 MiB"),
        }
    }
}

impl std::error::Error for SendError {}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An HTTP client. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pool: Client<Connector, Full<Bytes>>,
}

impl HttpClient {
    /// A client that connects to the addresses within `reach` only. Fails if TLS cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, String> {
        let connector = Connector::new(Arc::new(reach))?;
        let pool = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .build(connector);
        Ok(Self { pool })
    }

    /// Sends a request to its absolute URL and reads the response to its end.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, SendError> {
        let (parts, body) = self.begin(request).await?.into_parts();
        let collected = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { SendError::TooLarge } else { SendError::Broken(error.to_string()) }
        })?;
        Ok(Response::from_parts(parts, collected.to_bytes()))
    }

    /// Sends a request and returns the status of the response, whose body is not read.
    pub async fn status_of(&self, request: Request<Bytes>) -> Result<StatusCode, SendError> {
        self.begin(request).await.map(|response| response.status())
    }

    /// Sends a request and reads the head of the response, as a span of the trace that the task works for. A box, because
    /// an async function is compiled where it is awaited: every service that sends requests would have a client of its own.
    fn begin(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Incoming>, SendError>> {
        Box::pin(self.exchange(request))
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Incoming>, SendError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let mut span = trace::client_span(request.method().as_str());
        if let Some(span) = &mut span {
            span.set("http.request.method", request.method().as_str());
            span.set("server.address", host.as_str());
            if let Ok(value) = HeaderValue::from_str(&span.traceparent()) {
                request.headers_mut().insert("traceparent", value);
            }
        }
        let sent = self.pool.request(request.map(Full::new)).await;
        let sent = sent.map_err(|error| SendError::Broken(chain(&error)));
        if let Some(span) = &mut span {
            match &sent {
                Ok(response) => span.set("http.response.status_code", response.status().as_u16()),
                Err(_) => span.set("error.type", "no_response"),
            }
            if sent.as_ref().map_or(true, |response| response.status().as_u16() >= 400) {
                span.fail(format!("{host} refused the request or did not answer"));
            }
        }
        sent
    }
}

/// The text of an error with those of its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

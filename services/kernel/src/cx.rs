//! The context of one request: caller, time, deadline, and access to other services.

use std::any::Any;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::codes;
use crate::registry::{self, BoxFuture};
use crate::trace::{self, Span, SpanKind, Tracer};
use crate::{Clock, Compute, Entropy, Error, IfMatch, Locale, Op, Principal, Registry, Response, Timestamp, accept};

/// State that all requests of a node share.
#[derive(Debug)]
pub struct Node {
    /// The source of time.
    pub clock: Clock,
    /// The source of randomness.
    pub entropy: Entropy,
    /// The threads for work that computes for long.
    pub compute: Compute,
    calls: Calls,
    registry: OnceLock<Registry>,
    tracer: OnceLock<Tracer>,
}

/// How services of one process call each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// As function calls.
    #[default]
    Direct,
    /// Encoded and decoded, as between nodes. Tests use it, so that their results also hold for services on different
    /// nodes.
    Encoded,
}

impl Node {
    /// A node without registered services.
    pub fn new(clock: Clock, entropy: Entropy) -> Arc<Self> {
        Self::calling(clock, entropy, Calls::Direct)
    }

    /// [`Node::new`] with a choice of how services call each other.
    pub fn calling(clock: Clock, entropy: Entropy, calls: Calls) -> Arc<Self> {
        Arc::new(Self {
            clock,
            entropy,
            compute: Compute::default(),
            calls,
            registry: OnceLock::new(),
            tracer: OnceLock::new(),
        })
    }

    /// Installs the registry of services. Only the first call has an effect.
    pub fn install(&self, registry: Registry) {
        let _ = self.registry.set(registry);
    }

    /// Records traces from now on. Only the first call has an effect.
    pub fn trace_with(&self, tracer: Tracer) {
        let _ = self.tracer.set(tracer);
    }

    /// What records traces, if that is configured.
    pub fn tracer(&self) -> Option<&Tracer> {
        self.tracer.get()
    }

    /// The registry. 503 `STARTING` before [`Node::install`].
    pub fn registry(&self) -> Result<&Registry, Error> {
        self.registry.get().ok_or_else(|| Error::unavailable(codes::STARTING, "The server is starting.", 1))
    }

    /// The value of this type that is attached to the registry. `None` also when calls are encoded, as they are for
    /// services on another node.
    pub fn in_process<T: Any>(&self) -> Option<&T> {
        match self.calls {
            Calls::Direct => self.registry.get()?.attached(),
            Calls::Encoded => None,
        }
    }
}

/// An idempotency key of a caller, with the reply once it is decided.
#[derive(Debug)]
pub struct Claim {
    /// The caller: `user:7` for a user, and `anonymous` for callers without credentials.
    pub caller: String,
    /// The key as sent.
    pub key: String,
    /// A digest of method, path and body.
    pub fingerprint: [u8; 32],
    /// The status of a successful reply.
    pub status: u16,
    /// The reply as the deciding transaction recorded it.
    pub recorded: OnceLock<Response>,
}

impl Claim {
    /// The recorded reply, if the deciding transaction has recorded one.
    pub fn response(&self) -> Option<Response> {
        self.recorded.get().and_then(Response::copy)
    }
}

/// The context of one request. Cheap to clone; a clone is the same request.
#[derive(Clone, Debug)]
pub struct Cx {
    /// The caller.
    pub principal: Principal,
    /// The guest cart's secret, as sent.
    pub cart_token: Option<Arc<str>>,
    /// The guest order's secret, as sent.
    pub order_token: Option<Arc<str>>,
    /// The time of the request, which all of its work uses.
    pub now: Timestamp,
    /// The time at which the caller stops waiting.
    pub deadline: Instant,
    /// The deadline by the node's clock, for deadlines that are stored.
    pub ends_at: Timestamp,
    /// Identifies the request in logs and responses.
    pub request_id: Arc<str>,
    /// The request path, for error documents; `None` for background work.
    pub path: Option<Arc<str>>,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
    /// The versions that `If-Match` names.
    pub if_match: Option<IfMatch>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The `Accept` header as sent, for operations that offer several media types.
    pub accept: Option<Arc<str>>,
    /// The `Accept-Language` header as sent, for the language of messages.
    pub accept_language: Option<Arc<str>>,
    /// The idempotency key under which the operation runs.
    pub claim: Option<Arc<Claim>>,
    /// The node it runs on.
    pub node: Arc<Node>,
}

impl Cx {
    /// The client's network as a key by which limits count: see [`client_network`](crate::client_network).
    pub fn network_key(&self) -> String {
        format!("{:?}", self.client.map(crate::client_network))
    }

    /// The context of background work.
    pub fn system(node: &Arc<Node>, name: &str, limit: Duration) -> Self {
        Self {
            principal: Principal::System,
            cart_token: None,
            order_token: None,
            now: node.clock.now(),
            deadline: Instant::now() + limit,
            ends_at: node.clock.now() + limit,
            request_id: name.into(),
            path: None,
            traceparent: None,
            if_match: None,
            client: None,
            accept: None,
            accept_language: None,
            claim: None,
            node: node.clone(),
        }
    }

    /// The context for a part of the work that may take `limit` from now on, but no longer than the whole request.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let deadline = self.deadline.min(Instant::now() + limit);
        let ends_at = self.ends_at.min(self.node.clock.now() + limit);
        Self { deadline, ends_at, ..self.clone() }
    }

    /// Calls another service as the same caller and under the same deadline, without the idempotency key and
    /// `If-Match`.
    pub fn call<O: Op>(&self, op: O) -> impl Future<Output = Result<O::Reply, Error>> + Send + '_ {
        let (cx, span) = self.callee(O::NAME);
        let answer = match self.node.calls {
            Calls::Direct => self.start(cx, op),
            Calls::Encoded => Registry::call_encoded(cx, &op),
        };
        self.answered(O::SERVICE, span, answer)
    }

    /// Runs an operation in this process, for the command line: as the same caller and under the same deadline, without
    /// the idempotency key and `If-Match`. Access is not checked.
    pub fn run<O: Op>(&self, op: O) -> impl Future<Output = Result<O::Reply, Error>> + Send + '_ {
        let (cx, span) = self.callee(O::NAME);
        let answer = self.start(cx, op);
        self.answered(O::SERVICE, span, answer)
    }

    /// Starts an operation in this process.
    fn start<O: Op>(&self, cx: Self, op: O) -> BoxFuture<Result<O::Reply, Error>> {
        match self.node.registry() {
            Ok(registry) => registry.call(cx, op),
            Err(error) => registry::failed(error),
        }
    }

    /// The context of an operation that this request calls, with a span of its own if the trace is recorded.
    fn callee(&self, operation: &'static str) -> (Self, Option<Span>) {
        let (mut cx, span) = (self.for_call(), self.span(operation));
        if let Some(span) = &span {
            cx.traceparent = Some(span.traceparent());
        }
        (cx, span)
    }

    /// Waits for the answer to a call. It is boxed, so that this is compiled once for all operations with the same reply.
    async fn answered<T>(
        &self,
        service: &'static str,
        span: Option<Span>,
        answer: BoxFuture<Result<T, Error>>,
    ) -> Result<T, Error> {
        observed(span, self.wait_for(service, answer)).await
    }

    /// A span of an operation, if this request is part of a trace that is recorded.
    fn span(&self, operation: &'static str) -> Option<Span> {
        let (tracer, parent) = self.node.tracer().zip(self.traceparent.as_deref())?;
        tracer.span(Some(parent), SpanKind::Internal, operation)
    }

    /// The context of an operation with a span of its own, if this request is part of a trace that is recorded.
    pub fn traced(&self, operation: &'static str) -> (Self, Option<Span>) {
        let (mut cx, span) = (self.clone(), self.span(operation));
        if let Some(span) = &span {
            cx.traceparent = Some(span.traceparent());
        }
        (cx, span)
    }

    /// Runs work until the request's deadline. Then the work is dropped and fails with 503 `DEADLINE_EXCEEDED`.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let message = "The request timed out; it is unknown whether it took effect.";
        let late = |_| Error::unavailable(codes::DEADLINE_EXCEEDED, message, 1);
        tokio::time::timeout_at(self.deadline, work).await.map_err(late)?
    }

    /// Waits for an answer of a service until the request's deadline. Then it fails with 503 `DEADLINE_EXCEEDED`, whose
    /// message names the service.
    pub async fn wait_for<T>(&self, service: &str, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout_at(self.deadline, answer).await.map_err(|_| {
            Error::unavailable(codes::DEADLINE_EXCEEDED, format!("{service} did not answer in time."), 1)
        })?
    }

    /// The context for an operation that this request calls. It lacks the idempotency key and `If-Match`, which belong
    /// to the first operation only.
    #[must_use]
    pub fn for_call(&self) -> Self {
        Self { claim: None, if_match: None, ..self.clone() }
    }

    /// This context with the system as the caller, for effects that the caller may cause but not request directly.
    #[must_use]
    pub fn elevated(&self) -> Self {
        Self { principal: Principal::System, claim: None, ..self.clone() }
    }

    /// The offered media type that the caller prefers. 406 `NOT_ACCEPTABLE` if it accepts none.
    pub fn prefers<'a>(&self, offered: &[&'a str]) -> Result<&'a str, Error> {
        accept::choose(self.accept.as_deref(), offered)
    }

    /// The languages that the caller accepts, the preferred ones first.
    pub fn languages(&self) -> Vec<Locale> {
        self.accept_language.as_deref().map(Locale::accepted).unwrap_or_default()
    }

    /// Fails with 412 `VERSION_MISMATCH` if there is an `If-Match` that does not name `version`.
    pub fn check_version(&self, version: i64) -> Result<(), Error> {
        self.if_match.as_ref().map_or(Ok(()), |expected| expected.check(version))
    }
}

/// Does the work of an operation for its span, which ends with the work and tells whether it failed.
pub async fn observed<T>(span: Option<Span>, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(mut span) = span else { return work.await };
    let result = trace::within(Some(&span), work).await;
    if let Err(error) = &result {
        span.set("error.type", error.code());
        if error.kind() == crate::Kind::Internal {
            span.fail(error.code());
        }
    }
    result
}

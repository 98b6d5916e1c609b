//! The context of one request: caller, time, deadline, and access to other services.

use std::any::Any;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use crate::codes;
use crate::{Clock, Entropy, Error, IfMatch, Op, Principal, Registry, Response, Timestamp, accept};

/// State that all requests of a node share.
#[derive(Debug)]
pub struct Node {
    /// The source of time.
    pub clock: Clock,
    /// The source of randomness.
    pub entropy: Entropy,
    calls: Calls,
    registry: OnceLock<Registry>,
}

/// How services of one process call each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Calls {
    /// As function calls.
    #[default]
    Direct,
    /// Encoded and decoded, as between nodes: for tests, whose results then hold for services on different nodes too.
    Encoded,
}

impl Node {
    /// A node without registered services.
    pub fn new(clock: Clock, entropy: Entropy) -> Arc<Self> {
        Self::calling(clock, entropy, Calls::Direct)
    }

    /// [`Node::new`] with a choice of how services call each other.
    pub fn calling(clock: Clock, entropy: Entropy, calls: Calls) -> Arc<Self> {
        Arc::new(Self { clock, entropy, calls, registry: OnceLock::new() })
    }

    /// Installs the registry of services; only the first call counts.
    pub fn install(&self, registry: Registry) {
        let _ = self.registry.set(registry);
    }

    /// The registry; 503 before [`Node::install`].
    pub fn registry(&self) -> Result<&Registry, Error> {
        self.registry.get().ok_or_else(|| Error::unavailable(codes::STARTING, "The server is starting.", 1))
    }

    /// What the registry keeps of this type, when operations are called in this process; nothing when calls are encoded, as for
    /// services on another node.
    pub fn in_process<T: Any>(&self) -> Option<&T> {
        match self.calls {
            Calls::Direct => self.registry.get()?.attached(),
            Calls::Encoded => None,
        }
    }
}

/// An idempotency key of a caller, and the reply once it is decided.
#[derive(Debug)]
pub struct Claim {
    /// The caller: `user:7`, or `anonymous` for all others.
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
    /// When the caller stops waiting.
    pub deadline: Instant,
    /// The deadline by the node's clock, for deadlines that are stored.
    pub ends_at: Timestamp,
    /// Identifies the request in logs and responses.
    pub request_id: Arc<str>,
    /// The request path for error documents; empty for background work.
    pub path: Option<Arc<str>>,
    /// W3C trace context.
    pub traceparent: Option<Arc<str>>,
    /// The versions of `If-Match`.
    pub if_match: Option<IfMatch>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// The media types of `Accept`, as sent: for operations with more than one.
    pub accept: Option<Arc<str>>,
    /// The idempotency key, until the operation's reply is recorded.
    pub claim: Option<Arc<Claim>>,
    /// The node it runs on.
    pub node: Arc<Node>,
}

impl Cx {
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
            claim: None,
            node: node.clone(),
        }
    }

    /// A context for a part of the work that may take this long from now on, within the deadline of the whole.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let deadline = self.deadline.min(Instant::now() + limit);
        let ends_at = self.ends_at.min(self.node.clock.now() + limit);
        Self { deadline, ends_at, ..self.clone() }
    }

    /// Calls another service as the same caller and under the same deadline, without the idempotency key and `If-Match`.
    pub async fn call<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        match self.node.calls {
            Calls::Direct => self.run(op).await,
            Calls::Encoded => self.answered::<O, _>(self.node.registry()?.call_encoded(self, &op)).await,
        }
    }

    /// Runs an operation on this node in place, as the same caller and under the same deadline, without the idempotency key and
    /// `If-Match`: for the command line. Access is not checked.
    pub async fn run<O: Op>(&self, op: O) -> Result<O::Reply, Error> {
        self.answered::<O, _>(self.node.registry()?.call(self.of_a_call(), op)).await
    }

    /// Runs work until the request's deadline, then drops it: 503 `DEADLINE_EXCEEDED`.
    pub async fn in_time<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let message = "This took too long; it is unknown whether it was done.";
        let late = |_| Error::unavailable(codes::DEADLINE_EXCEEDED, message, 1);
        tokio::time::timeout_at(self.deadline, work).await.map_err(late)?
    }

    /// Waits for a part of an operation until the request's deadline: 503 `DEADLINE_EXCEEDED`, which names the service.
    pub async fn answered<O: Op, T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout_at(self.deadline, answer).await.map_err(|_| {
            Error::unavailable(codes::DEADLINE_EXCEEDED, format!("{} did not answer in time.", O::SERVICE), 1)
        })?
    }

    /// The same request as an operation that it calls sees it: without the idempotency key and `If-Match`, which belong to the
    /// first operation alone.
    #[must_use]
    pub fn of_a_call(&self) -> Self {
        Self { claim: None, if_match: None, ..self.clone() }
    }

    /// The same request as the system: for effects that the caller may cause but not request directly.
    #[must_use]
    pub fn elevated(&self) -> Self {
        Self { principal: Principal::System, claim: None, ..self.clone() }
    }

    /// The media type the caller prefers among those offered; 406 when it accepts none.
    pub fn prefers<'a>(&self, offered: &[&'a str]) -> Result<&'a str, Error> {
        accept::choose(self.accept.as_deref(), offered)
    }

    /// Refuses when `If-Match` names other versions than `version`.
    pub fn check_version(&self, version: i64) -> Result<(), Error> {
        self.if_match.as_ref().map_or(Ok(()), |asked| asked.check(version))
    }
}

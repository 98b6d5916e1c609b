//! One request from its head to its response: route, permit, caller, rate, access, body, operation.

use std::future::Future;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Version};
use hyper::body::{Body as _, Incoming};
use promox_contract::codes;
use promox_contract::user::Authenticate;
use promox_gateway::{Outcome, Permit, Traffic};
use promox_kernel::trace::{Span, SpanKind, Tracer};
use promox_kernel::{
    Access, BodyKind, BoxFuture, Claim, Content, Cx, Entropy, Entry, Error, Kind, Node, Principal, Request, Response,
    Subnet, accept, observed,
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::cluster::forward::Forwarder;
use crate::cluster::trust::Trust;
use crate::config::Settings;
use crate::http::actuator::api::LIVENESS;
use crate::http::actuator::breakers::BreakerCollector;
use crate::http::actuator::exchanges::Exchanges;
use crate::http::actuator::health::Health;
use crate::http::actuator::metrics::Metrics;
use crate::http::edge::buckets::{Buckets, Rate, RateState};
use crate::http::edge::context::{self, HeadLimits, Ids};
use crate::http::edge::cors::{self, Cors};
use crate::http::edge::incoming::{self, Bounds};
use crate::http::edge::response;
use crate::http::edge::router::{Lookup, Route, Router, common_rate, no_such_route};
use crate::http::edge::scope::Scope;
use crate::http::edge::{etag, if_match};
use crate::http::wire::activity::Switch;
use crate::http::wire::compress::Coding;
use crate::http::wire::lease::Lease;
use crate::http::wire::payload::Payload;

/// The service whose clients may know no scheme but Basic. Browsers ask for a password where it is offered, so the others
/// do not offer it.
const DISCOVERY: &str = "discovery";
/// The media type of streams that have no end of their own.
const EVENT_STREAM: &str = "text/event-stream";
/// The length of a JSON body, in bytes, from which its operation is expected to compute for longer than a millisecond:
/// several hundred lines of an order.
const LARGE_BODY: usize = 16 << 10;

/// State shared by all connections.
pub(crate) struct Edge {
    pub(crate) tasks: TaskTracker,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) exchanges: Exchanges,
    pub(crate) open: OnceLock<Open>,
    ids: Ids,
    pub(super) cors: Cors,
    buckets: Option<Buckets>,
    pub(super) trusted: Vec<Subnet>,
    bounds: Bounds,
    head_limits: HeadLimits,
    pub(super) request_timeout: Duration,
    /// The rate of operations that have none of their own.
    pub(super) common_rate: Rate,
    upload_timeout: Duration,
    compression: bool,
    access_log: bool,
    /// The policies of all services.
    pub(crate) traffic: Arc<Traffic>,
    /// Passes requests on to applications.
    pub(crate) forwarder: Forwarder,
}

/// The state that requests need besides the edge, set when the node is ready.
pub(crate) struct Open {
    pub(crate) node: Arc<Node>,
    pub(crate) router: Router,
}

/// The connection that a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    pub(crate) secure: bool,
    /// What the listener serves.
    pub(crate) scope: Scope,
}

/// A request being handled, with what is known about it so far.
pub(super) struct Exchange<'a> {
    pub(super) edge: &'a Arc<Edge>,
    pub(super) parts: &'a Parts,
    pub(super) peer: Peer,
    /// When it arrived.
    started: Instant,
    /// The body, unless something reads it as a stream.
    pub(super) body: Option<Incoming>,
    id: Arc<str>,
    client: IpAddr,
    /// The client's connection after a switch to another protocol, and what is held as long as it is open.
    pub(super) switch: Option<Switch>,
    route: Option<&'a Route>,
    pub(super) allow: Option<&'a HeaderValue>,
    rate_state: Option<RateState>,
    /// Ends an event stream when its caller loses its access.
    lease: Option<Lease>,
    /// The caller, for the access log.
    caller: Principal,
    /// The trace that the request is part of.
    pub(super) trace: Option<Arc<str>>,
    /// The span of the request, if its trace is recorded.
    span: Option<Span>,
    /// The path of the route to an application that the request takes.
    pub(super) forwarded: Option<String>,
}

/// What a successful request is answered with.
pub(super) enum Answer {
    /// The reply of an operation.
    Own(Response),
    /// The response of an application.
    Forwarded(http::Response<Payload>),
}

/// Counts a request as in flight until it is dropped.
pub(crate) struct InFlight<'a>(&'a AtomicI64);

impl<'a> InFlight<'a> {
    pub(crate) fn new(count: &'a AtomicI64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Edge {
    pub(crate) fn new(settings: &Settings, trust: Trust) -> Self {
        let (server, limits) = (&settings.server, &settings.limits);
        let (tasks, traffic, entropy) = (TaskTracker::new(), Traffic::new(settings.traffic()), Entropy::system());
        let metrics = Metrics::new();
        metrics.collect_unprefixed(Box::new(BreakerCollector(traffic.clone())));
        let via = format!("promox-{}", entropy.code(8).to_lowercase());
        Self {
            forwarder: Forwarder::new(settings, trust, traffic.clone(), tasks.clone(), via),
            traffic,
            tasks,
            metrics,
            health: Health::default(),
            exchanges: Exchanges::default(),
            open: OnceLock::new(),
            ids: Ids::new(&entropy),
            cors: Cors::new(&server.cors_origins),
            buckets: limits.enabled.then(|| Buckets::new(limits.clients)),
            trusted: server.trusted_proxies.clone(),
            bounds: Bounds {
                json: limits.body_bytes,
                upload: limits.upload_mib.saturating_mul(1 << 20),
                read_timeout: Duration::from_millis(server.body_timeout_ms),
            },
            head_limits: HeadLimits { bytes: limits.header_bytes, headers: limits.headers },
            request_timeout: server.request_timeout(),
            common_rate: common_rate(limits),
            upload_timeout: Duration::from_millis(server.upload_timeout_ms),
            compression: server.compression,
            access_log: settings.log.access,
        }
    }

    /// The request id in the headers, or a new one.
    pub(crate) fn request_id_of(&self, headers: &http::HeaderMap) -> Arc<str> {
        self.ids.of(headers)
    }

    /// Handles a request and returns its response.
    pub(crate) async fn respond(
        self: Arc<Self>,
        peer: Peer,
        request: http::Request<Incoming>,
    ) -> http::Response<Payload> {
        let started = Instant::now();
        let _in_flight = InFlight::new(&self.metrics.traffic.in_flight);
        let (mut parts, body) = request.into_parts();
        let switch = if parts.headers.contains_key(UPGRADE) { Switch::take(&mut parts) } else { None };
        let mut exchange = Exchange {
            edge: &self,
            parts: &parts,
            peer,
            started,
            body: Some(body),
            switch,
            id: self.request_id_of(&parts.headers),
            client: context::client(&parts.headers, peer.address, &self.trusted),
            route: None,
            allow: None,
            rate_state: None,
            lease: None,
            caller: Principal::Anonymous,
            trace: None,
            span: None,
            forwarded: None,
        };
        let result = exchange.run().await;
        let is_reusable = exchange.drain().await;
        let mut response = exchange.respond(result);
        if !is_reusable {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        exchange.record(&response, started.elapsed());
        response
    }
}

fn starting() -> Error {
    Error::unavailable(codes::STARTING, "The server is starting.", 1)
}

/// The kernel's method; `HEAD` is handled as `GET`.
fn method_of(method: &Method) -> Option<promox_kernel::Method> {
    Some(match method.as_str() {
        "GET" | "HEAD" => promox_kernel::Method::Get,
        "POST" => promox_kernel::Method::Post,
        "PUT" => promox_kernel::Method::Put,
        "PATCH" => promox_kernel::Method::Patch,
        "DELETE" => promox_kernel::Method::Delete,
        _ => return None,
    })
}

impl<'a> Exchange<'a> {
    /// Drains the rest of the body, and returns whether the connection can be used again, as one with HTTP/2 always can.
    async fn drain(&mut self) -> bool {
        match &mut self.body {
            Some(body) if self.parts.version < Version::HTTP_2 => {
                incoming::drain(&self.parts.headers, body, self.edge.bounds).await
            }
            _ => true,
        }
    }

    /// Handles the request.
    async fn run(&mut self) -> Result<Answer, Error> {
        self.edge.head_limits.check(self.parts)?;
        let Some(open) = self.edge.open.get() else { return self.respond_early().map(Answer::Own) };
        let Some((route, path)) = self.find(open)? else {
            self.check_method()?;
            let (gateway, route) = self.application(open).ok_or_else(no_such_route)?;
            // Its state is ten times as large as that of other requests, which would all carry it.
            return Box::pin(self.forward(open, gateway, &route)).await.map(Answer::Forwarded);
        };
        self.route = Some(route);
        let permit = route.enter(self.edge.traffic.now())?;
        let cx = self.admit(open, route).await?;
        let request = self.read(route, path).await?;
        let work = if route.method.is_safe() {
            self.run_read(open, route, cx, request, permit).await
        } else {
            self.run_write(open, route, cx, request, permit).await
        };
        work.map(Answer::Own)
    }

    /// Before the node is ready, only liveness responds.
    fn respond_early(&self) -> Result<Response, Error> {
        if self.parts.uri.path() != LIVENESS {
            return Err(starting());
        }
        let content = Content::Json(Bytes::from_static(br#"{"status":"UP"}"#));
        Ok(Response { status: 200, headers: Vec::new(), content })
    }

    /// The operation that the request is for, with its path parameters, if there is one.
    fn find(&mut self, open: &'a Open) -> Result<Option<(&'a Route, Vec<(String, String)>)>, Error> {
        match open.router.find(self.peer.scope, method_of(&self.parts.method), self.parts.uri.path())? {
            Lookup::Route(route, values) => Ok(Some((route, values))),
            Lookup::Nothing => Ok(None),
            Lookup::OtherMethods(allow) => {
                self.allow = Some(allow);
                let message = format!("This address allows {}.", allow.to_str().unwrap_or_default());
                Err(Error::new(Kind::MethodNotAllowed, codes::METHOD_NOT_ALLOWED, message))
            }
        }
    }

    /// Authenticates the caller, applies its rate limit and checks its access. Returns the context of the request.
    async fn admit(&mut self, open: &Open, route: &Route) -> Result<Cx, Error> {
        let limit = match route.body {
            BodyKind::Json | BodyKind::Ignored => self.edge.request_timeout,
            BodyKind::Stream(_) => self.edge.upload_timeout,
        };
        let mut cx = self.context(open, limit)?;
        self.identify(&mut cx, route.access, route.rate).await?;
        // Nothing is changed for a client that does not accept the response's media type.
        if !route.method.is_safe() && route.has_content {
            cx.prefers(&[accept::JSON])?;
        }
        Ok(cx)
    }

    /// The context of the request, whose caller is not known yet.
    pub(super) fn context(&mut self, open: &Open, limit: Duration) -> Result<Cx, Error> {
        let headers = &self.parts.headers;
        let now = open.node.clock.now();
        let traceparent = context::traceparent(headers);
        let method = self.parts.method.as_str();
        let begin = |tracer: &Tracer| tracer.span(traceparent.as_deref(), SpanKind::Server, method);
        self.span = open.node.tracer().and_then(begin);
        Ok(Cx {
            principal: Principal::Anonymous,
            cart_token: context::token(headers, &context::CART_TOKEN),
            order_token: context::token(headers, &context::ORDER_TOKEN),
            now,
            deadline: tokio::time::Instant::now() + limit,
            ends_at: now + limit,
            request_id: self.id.clone(),
            path: Some(self.parts.uri.path().into()),
            traceparent: self.span.as_ref().map(Span::traceparent).or(traceparent),
            if_match: if_match::read(headers)?,
            client: Some(self.client),
            accept: context::accept(headers),
            accept_language: context::accept_language(headers),
            claim: None,
            node: open.node.clone(),
        })
    }

    /// Authenticates the caller, applies its rate limit and checks its access.
    pub(super) async fn identify(&mut self, cx: &mut Cx, access: Access, rate: Option<Rate>) -> Result<(), Error> {
        let caller = authenticate(cx, &self.parts.headers, access).await;
        if let Ok(principal) = &caller {
            cx.principal = principal.clone();
            self.caller = principal.clone();
            self.trace.clone_from(&cx.traceparent);
        }
        // A failed authentication counts against the address's rate, so that tokens cannot be guessed without limit.
        self.throttle(rate, &cx.principal)?;
        caller?;
        access.check(cx)
    }

    fn throttle(&mut self, rate: Option<Rate>, principal: &Principal) -> Result<(), Error> {
        let (Some(buckets), Some(rate)) = (&self.edge.buckets, rate) else { return Ok(()) };
        let (rate_state, result) = buckets.take(self.started, rate, principal, self.client);
        self.rate_state = Some(rate_state);
        result
    }

    async fn read(&mut self, route: &Route, path: Vec<(String, String)>) -> Result<Request, Error> {
        let query = context::query(self.parts.uri.query().unwrap_or_default())?;
        let (headers, body) = (&self.parts.headers, &mut self.body);
        let takes_no_body = matches!(route.method, promox_kernel::Method::Get | promox_kernel::Method::Delete);
        let (body, raw) = match route.body {
            BodyKind::Stream(accepted) => {
                let raw = incoming::upload(headers, body, accepted, self.edge.bounds, &self.edge.tasks)?;
                (Bytes::new(), Some(raw))
            }
            BodyKind::Ignored => (Bytes::new(), None),
            BodyKind::Json if takes_no_body => {
                incoming::refuse_body(headers, body, self.edge.bounds).await?;
                (Bytes::new(), None)
            }
            BodyKind::Json => (incoming::json(route.method, headers, body, self.edge.bounds).await?, None),
        };
        Ok(Request { path, query, body, raw })
    }

    /// Runs a read on the connection's task, so that it is dropped with the connection.
    async fn run_read(
        &mut self,
        open: &Open,
        route: &Route,
        cx: Cx,
        request: Request,
        mut permit: Permit,
    ) -> Result<Response, Error> {
        let registry = open.node.registry()?;
        let entry = registry.entries().get(route.entry).ok_or_else(starting)?;
        let span = tracing::debug_span!("read", operation = entry.name, request = %self.id);
        let result = catch_panic(cx.in_time(start(entry, route, &cx, request))).instrument(span).await;
        permit.settle(outcome_of(&result), self.edge.traffic.now());
        let response = result?;
        if let Some(media_type) = response.content.media_type() {
            accept::choose(cx.accept.as_deref(), &[media_type])?;
        }
        if response.content.media_type() == Some(EVENT_STREAM) {
            self.lease = self.lease(&cx, route.access)?;
        }
        Ok(response)
    }

    /// Runs a write on the node's task set until its own deadline, whether the client waits or not.
    async fn run_write(
        &self,
        open: &Open,
        route: &Route,
        mut cx: Cx,
        request: Request,
        mut permit: Permit,
    ) -> Result<Response, Error> {
        cx.claim = self.claim(route, &cx, &request)?;
        let registry = open.node.registry()?;
        let entry = registry.entries().get(route.entry).ok_or_else(starting)?;
        let span = tracing::debug_span!("write", operation = entry.name, request = %self.id);
        let work = start(entry, route, &cx, request);
        let traffic = self.edge.traffic.clone();
        let task = async move {
            // With a key, the idempotency store applies the deadline and still stores the reply.
            let result = if cx.claim.is_some() { work.await } else { cx.in_time(work).await };
            permit.settle(outcome_of(&result), traffic.now());
            result
        };
        self.edge.tasks.spawn(task.instrument(span)).await.unwrap_or_else(|error| Err(Error::internal(error)))
    }

    /// What ends a stream when its caller loses its access; `None` for a caller without credentials.
    pub(super) fn lease(&self, cx: &Cx, access: Access) -> Result<Option<Lease>, Error> {
        let token = context::credential(&self.parts.headers)?;
        Ok(token.map(|token| Lease::new(cx, token.into_owned(), access)))
    }

    fn claim(&self, route: &Route, cx: &Cx, request: &Request) -> Result<Option<Arc<Claim>>, Error> {
        if !route.keyed {
            return Ok(None);
        }
        let Some(key) = context::idempotency_key(&self.parts.headers)? else { return Ok(None) };
        let path = self.parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        Ok(Some(Arc::new(Claim {
            caller: context::key_space(route.access, cx),
            key,
            fingerprint: context::fingerprint(self.parts.method.as_str(), path, &request.body),
            status: route.status,
            recorded: OnceLock::new(),
        })))
    }

    fn respond(&mut self, result: Result<Answer, Error>) -> http::Response<Payload> {
        let (parts, edge) = (self.parts, self.edge);
        let is_forwarded = matches!(result, Ok(Answer::Forwarded(_)));
        let mut response = match result {
            Ok(Answer::Forwarded(response)) => response,
            Ok(Answer::Own(response)) => {
                let coding = if edge.compression { Coding::of(&response.content, &parts.headers) } else { None };
                response::reply(etag::revalidate(&parts.method, &parts.headers, response, coding), coding)
            }
            Err(error) => self.refuse(&error),
        };
        if let Some(lease) = self.lease.take() {
            response.body_mut().end_with(lease.watch());
        }
        if let Some(rate_state) = self.rate_state {
            response::rate_headers(response.headers_mut(), rate_state);
        }
        if is_forwarded {
            cors::add_forwarded_headers(response.headers_mut(), self.peer.secure);
        } else {
            cors::add_security_headers(response.headers_mut(), self.peer.secure);
        }
        edge.cors.allow_origin(&parts.headers, response.headers_mut());
        if let Ok(id) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(context::REQUEST_ID, id);
        }
        if !is_forwarded {
            response::strip_body(&parts.method, &mut response);
        }
        response
    }

    /// Turns a refusal into a response. `OPTIONS` on a path that exists is not refused: it gets the allowed methods.
    fn refuse(&self, error: &Error) -> http::Response<Payload> {
        if let Some(allow) = self.allow.filter(|_| self.parts.method == Method::OPTIONS) {
            return self.edge.cors.options(&self.parts.headers, allow);
        }
        self.log(error);
        let mut response = response::refusal(error, &self.id, self.parts.uri.path(), self.allow);
        if error.kind() == Kind::Unauthenticated && self.route.is_some_and(|route| route.policy.name() == DISCOVERY) {
            response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="promox""#));
        }
        response
    }

    /// Internal errors are logged here, once, with their cause, which is never sent to clients.
    fn log(&self, error: &Error) {
        let (request_id, path) = (&*self.id, self.parts.uri.path());
        if error.kind() == Kind::Internal {
            tracing::error!(request_id, path, %error, "an operation failed");
        } else {
            tracing::debug!(request_id, path, %error, "a request was refused");
        }
    }

    /// The path of the operation's route, with names in place of its parameters.
    fn template(&self) -> Option<&'a str> {
        let registry = self.edge.open.get()?.node.registry().ok()?;
        registry.entries().get(self.route?.entry).map(|entry| entry.path)
    }

    /// Ends the span of the request.
    fn end_span(&mut self, status: u16) {
        let Some(mut span) = self.span.take() else { return };
        let method = self.parts.method.as_str();
        let template = self.forwarded.as_deref().or_else(|| self.template());
        if let Some(template) = template {
            span.rename(format!("{method} {template}"));
            span.set("http.route", template);
        }
        span.set("http.request.method", method);
        span.set("url.path", self.parts.uri.path());
        span.set("http.response.status_code", status);
        if status >= 500 {
            span.fail(format!("answered {status}"));
        }
    }

    /// Counts the response, and logs it if the access log is enabled.
    fn record(&mut self, response: &http::Response<Payload>, took: Duration) {
        let status = response.status().as_u16();
        self.end_span(status);
        if let Some(route) = self.route {
            route.counters.record(status, took);
        }
        if let Some(open) = self.edge.open.get() {
            let method = method_of(&self.parts.method).map_or("OTHER", promox_kernel::Method::as_str);
            let request = (method, self.parts.uri.path(), self.client);
            self.edge.exchanges.record(open.node.clock.now() - took, took, request, status, &self.id);
        }
        if self.edge.access_log {
            let (request_id, client) = (&*self.id, self.client);
            let (method, path) = (self.parts.method.as_str(), self.parts.uri.path());
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let user = self.caller.name();
            // The bytes of a stream are not known yet.
            let bytes = response.body().size_hint().exact();
            let instance = match response.body() {
                Payload::Forwarded(download) => Some(download.instance()),
                _ => None,
            };
            let trace = self.trace.as_deref().and_then(|trace| trace.get(3..35));
            tracing::info!(
                target: "promox::access",
                request_id, %client, user, method, path, status, micros, bytes, instance, trace
            );
        }
    }
}

/// What the result of an operation says about its service.
fn outcome_of(result: &Result<Response, Error>) -> Outcome {
    match result {
        Err(error) if error.kind() == Kind::Internal || error.code() == codes::DEADLINE_EXCEEDED => Outcome::Failure,
        _ => Outcome::Success,
    }
}

/// The caller: anonymous, or the holder of the access token or API key.
async fn authenticate(cx: &Cx, headers: &http::HeaderMap, access: Access) -> Result<Principal, Error> {
    let Some(token) = context::credential(headers)? else { return Ok(Principal::Anonymous) };
    let request = Authenticate { token: token.into_owned(), leaving: access == Access::Account };
    cx.call(request).await.map(promox_contract::user::Authenticated::principal)
}

/// Starts an operation, on the threads for computing if it is known to compute for long, or if its body is so large that
/// it will. Another one moves there if it turns out to.
fn start(entry: &Entry, route: &Route, cx: &Cx, request: Request) -> BoxFuture<Result<Response, Error>> {
    let is_long = route.computes || request.body.len() >= LARGE_BODY;
    let (traced, span) = cx.traced(entry.name);
    let work = entry.run(traced, request);
    let work = if span.is_some() { Box::pin(observed(span, work)) } else { work };
    let cx = cx.clone();
    Box::pin(async move {
        let compute = &cx.node.compute;
        if is_long { compute.run(&cx, work).await } else { compute.run_movable(&cx, work).await }
    })
}

/// Turns a panic of a read into an error of that request, so that its connection survives.
async fn catch_panic(work: impl Future<Output = Result<Response, Error>>) -> Result<Response, Error> {
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(Err(Error::internal("an operation panicked"))))
    })
    .await
}

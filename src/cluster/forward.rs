//! Passes a request on to an instance of an application, and its response back.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use promox_contract::codes;
use promox_contract::discovery::ListInstances;
use promox_gateway::{App, Attempt, Gateway, Instance, Outcome, Passage, Permit, Route, Subject, Traffic, reject};
use promox_kernel::{Cx, Error, Kind, Subnet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::dial::{DialFault, Dialer, Link};
use crate::cluster::download::{Download, Held};
use crate::cluster::headers::{self, Origin};
use crate::cluster::pool::{Connection, Pool};
use crate::cluster::trust::Trust;
use crate::cluster::tunnel;
use crate::cluster::upload::{Upload, UploadProgress};
use crate::config::Settings;
use crate::http::wire::lease::Lease;
use crate::http::wire::length::{check_announced, too_large};
use crate::http::wire::payload::Payload;

/// Maximum number of instances that a request is tried at.
const MAX_ATTEMPTS: usize = 5;
/// Maximum number of connections that turn out to be closed before a new one is opened.
const MAX_STALE: usize = 8;
/// The pauses between probes of an instance that is out: the first and the longest.
const PROBE_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// The protocol that requests may switch to.
const WEBSOCKET: &str = "websocket";

/// A request to pass on.
pub(crate) struct Call<'a> {
    pub(crate) cx: &'a Cx,
    pub(crate) parts: &'a Parts,
    pub(crate) route: &'a Arc<Route>,
    pub(crate) gateway: &'a Gateway,
    /// The host that the client named.
    pub(crate) host: &'a str,
    /// Whether the client's connection is encrypted.
    pub(crate) is_secure: bool,
    /// The chain of `X-Forwarded-For`, if a trusted proxy sent the request.
    pub(crate) chain: Option<String>,
    pub(crate) traceparent: &'a str,
    /// The client's connection after a switch to another protocol.
    pub(crate) upgrade: Option<OnUpgrade>,
    /// Held as long as a tunnel is open.
    pub(crate) guard: Option<Arc<dyn Send + Sync>>,
    /// Ends a tunnel or a stream when the caller loses its access; none for a caller without credentials.
    pub(crate) lease: Option<Lease>,
}

/// Passes requests on.
pub(crate) struct Forwarder {
    traffic: Arc<Traffic>,
    pool: Arc<Pool>,
    dialer: Arc<Dialer>,
    tasks: TaskTracker,
    closing: CancellationToken,
    deadline: Duration,
    stall: Duration,
    idle: Duration,
    upload: u64,
    via: String,
}

/// The parts of a request that are the same for every attempt.
struct Outgoing<'a> {
    method: &'a Method,
    target: Uri,
    /// The client's headers, and where the request came from: what an instance gets is made of both.
    headers: &'a HeaderMap,
    origin: Origin<'a>,
    is_upgrade: bool,
    is_safe: bool,
}

/// What belongs to the client's side of a request.
struct Client {
    /// Its connection, if it switches to another protocol.
    upgrade: Option<OnUpgrade>,
    guard: Option<Arc<dyn Send + Sync>>,
    lease: Option<Lease>,
}

/// A failed attempt.
enum Failed {
    /// Nothing was sent; the body is whole.
    Unsent(Upload, String),
    /// The request may have arrived.
    Cut(String),
    /// It cannot be repeated.
    Final(Error),
}

impl Forwarder {
    /// A forwarder whose connections run on `tasks`. `via` is the name of this node in `Via` headers.
    pub(crate) fn new(
        settings: &Settings,
        trust: Trust,
        traffic: Arc<Traffic>,
        tasks: TaskTracker,
        via: String,
    ) -> Self {
        let gateway = &settings.gateway;
        let connect_limit = Duration::from_millis(gateway.connect_timeout_ms);
        Self {
            dialer: Arc::new(Dialer::new(connect_limit, trust, traffic.clone())),
            traffic,
            pool: Arc::new(Pool::new(gateway.idle_connections)),
            tasks,
            closing: CancellationToken::new(),
            deadline: Duration::from_millis(gateway.deadline_ms),
            stall: Duration::from_millis(settings.server.body_timeout_ms),
            idle: Duration::from_millis(gateway.stream_idle_ms),
            upload: settings.limits.upload_mib.saturating_mul(1 << 20),
            via,
        }
    }

    /// Closes tunnels and idle connections, and every other one after its response.
    pub(crate) fn close(&self) {
        self.closing.cancel();
        self.pool.close();
    }

    /// Passes a request on and returns the response, whose body follows piece by piece. `body` is taken once an attempt
    /// begins.
    pub(crate) async fn forward(
        &self,
        mut call: Call<'_>,
        body: &mut Option<Incoming>,
    ) -> Result<http::Response<Payload>, Error> {
        let target = call.route.rule.target(call.parts.uri.path())?;
        if headers::has_passed(&call.parts.headers, &self.via) {
            let message = "The request has passed this server before: the route leads back to it.";
            return Err(Error::new(Kind::BadGateway, codes::LOOP_DETECTED, message));
        }
        let is_upgrade = check_upgrade(call.parts)?;
        check_announced(&call.parts.headers, self.upload)?;
        let passage = call.route.enter(self.traffic.now())?;
        let app = self.app_of(&call).await;
        let permit = app.enter(self.traffic.now())?;
        let client = Client {
            upgrade: call.upgrade.take().filter(|_| is_upgrade),
            guard: call.guard.take(),
            lease: call.lease.take(),
        };
        let caller = call.cx.principal.name();
        let subject = Subject { caller: &caller, app: app.name(), method: call.parts.method.as_str(), path: &target };
        let identity = call.gateway.identity(call.cx, subject)?;
        let outgoing = self.outgoing(&call, target, &identity, is_upgrade)?;
        let (upload, progress) = Upload::of(body.take(), self.upload);
        let exchange =
            Exchange { forwarder: self, app: &app, networks: &call.route.rule.networks, progress: &progress };
        let deadline = call.route.rule.limits.deadline_ms.map_or(self.deadline, Duration::from_millis);
        let answered = exchange.run(&outgoing, upload, deadline).await;
        self.answer(answered, permit, passage, client)
    }

    /// The application that gets the request, with its instances as they are registered now.
    async fn app_of(&self, call: &Call<'_>) -> Arc<App> {
        self.refresh(call.cx, &call.route.app).await;
        let app = call.route.app_at(self.traffic.now()).clone();
        if !Arc::ptr_eq(&app, &call.route.app) {
            self.refresh(call.cx, &app).await;
        }
        app
    }

    /// Takes over the instances of the registry if they have changed. If the registry cannot be reached, the known ones
    /// are used.
    async fn refresh(&self, cx: &Cx, app: &App) {
        let known_epoch = Some(app.epoch()).filter(|epoch| *epoch > 0);
        match cx.call(ListInstances { app: Some(app.name().to_owned()), known_epoch }).await {
            Ok(listed) => {
                if let Some(items) = listed.items {
                    app.update(listed.epoch, &items, self.traffic.now());
                }
            }
            Err(error) => tracing::debug!(app = app.name(), %error, "the registry cannot be read"),
        }
    }

    fn outgoing<'a>(
        &'a self,
        call: &'a Call<'_>,
        target: String,
        identity: &'a HeaderValue,
        is_upgrade: bool,
    ) -> Result<Outgoing<'a>, Error> {
        let (parts, rule) = (call.parts, &call.route.rule);
        let origin = Origin {
            client: call.cx.client.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            chain: call.chain.as_deref(),
            host: call.host,
            is_secure: call.is_secure,
            prefix: rule.rewrite.is_some().then_some(rule.path.as_str()),
            request_id: &call.cx.request_id,
            traceparent: call.traceparent,
            identity,
            via: &self.via,
        };
        let target = match parts.uri.query() {
            Some(query) => [&target, "?", query].concat(),
            None => target,
        };
        let target = Uri::try_from(target).map_err(Error::internal)?;
        let (method, headers) = (&parts.method, &parts.headers);
        let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_upgrade;
        Ok(Outgoing { method, target, headers, origin, is_upgrade, is_safe })
    }

    /// Records the result, and turns the response of an instance into one to the client.
    fn answer(
        &self,
        answered: Result<Answered, Error>,
        mut permit: Permit,
        passage: Passage,
        client: Client,
    ) -> Result<http::Response<Payload>, Error> {
        let now = self.traffic.now();
        let outcome = match &answered {
            Ok(answered) => outcome_of(answered.response.status()),
            Err(error) if matches!(error.kind(), Kind::Malformed | Kind::TooLarge) => Outcome::Ignored,
            Err(_) => Outcome::Failure,
        };
        permit.settle(outcome, now);
        passage.settle(outcome, now);
        let Answered { response, attempt, connection } = answered?;
        let (mut head, body) = response.into_parts();
        let is_switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
        headers::to_client(&mut head.headers);
        if head.status == StatusCode::UNAUTHORIZED {
            // An application gets no credentials but an identity token, so promox says which it takes.
            head.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        head.version = Version::HTTP_11;
        let Client { upgrade, guard, lease } = client;
        let (true, Some(client)) = (is_switched, upgrade) else {
            if is_switched {
                return Err(reject::upstream_failed(&attempt.instance.id, "it switched protocols unasked"));
            }
            let held = Held { connection: Some(connection), pool: self.pool.clone(), attempt };
            let mut download = Download::new(body, held, self.idle);
            // A response of a known length ends by itself.
            if !head.headers.contains_key(CONTENT_LENGTH) {
                download.end_with(Box::pin(stream_end(lease, &passage)));
            }
            download.keep(Box::new((permit, passage)));
            return Ok(http::Response::from_parts(head, Payload::Forwarded(Box::new(download))));
        };
        head.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        head.headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        let Some(instance) = head.extensions.remove::<OnUpgrade>() else {
            return Err(Error::internal("the connection cannot switch protocols"));
        };
        let (idle, closing) = (self.idle, self.closing.clone());
        let ended = stream_end(lease, &passage);
        let ended = async move {
            closing.run_until_cancelled(ended).await;
        };
        self.tasks.spawn(async move {
            let _held = (permit, passage, attempt, guard);
            if let Ok(instance) = instance.await {
                tunnel::join(client, instance, idle, ended).await;
            }
        });
        Ok(http::Response::from_parts(head, Payload::empty()))
    }

    /// Takes an instance out, and lets it in again when it can be connected to.
    fn take_out(&self, instance: &Arc<Instance>, networks: &[Subnet]) {
        if !instance.take_out() {
            return;
        }
        tracing::info!(instance = &*instance.id, "an instance could not be reached and gets no requests for now");
        let (dialer, instance, networks) = (self.dialer.clone(), Arc::downgrade(instance), networks.to_vec());
        let probing = async move {
            let (mut pause, longest) = PROBE_PAUSES;
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(longest);
                let Some(instance) = instance.upgrade() else { return };
                if dialer.connect(&instance, &networks).await.is_ok() {
                    tracing::info!(instance = &*instance.id, "an instance can be reached again");
                    return instance.take_in();
                }
            }
        };
        let closing = self.closing.clone();
        self.tasks.spawn(async move { closing.run_until_cancelled(probing).await });
    }
}

/// What a status says about the application.
fn outcome_of(status: StatusCode) -> Outcome {
    if status.is_server_error() { Outcome::Failure } else { Outcome::Success }
}

/// Whether a request switches to WebSocket. Other protocols are refused with 400 `UPGRADE_REFUSED`: an instance could be
/// made to speak HTTP/2 past the gateway.
fn check_upgrade(parts: &Parts) -> Result<bool, Error> {
    match headers::upgrade(&parts.headers) {
        None => Ok(false),
        Some(wanted) if wanted.eq_ignore_ascii_case(WEBSOCKET) && parts.method == Method::GET => Ok(true),
        Some(_) => {
            let message = "A connection can switch to websocket only, by GET.";
            Err(Error::new(Kind::Malformed, codes::UPGRADE_REFUSED, message))
        }
    }
}

/// The response of an instance, with what belongs to it.
struct Answered {
    response: http::Response<Incoming>,
    attempt: Attempt,
    connection: Connection,
}

/// The attempts of one request.
struct Exchange<'a> {
    forwarder: &'a Forwarder,
    app: &'a App,
    networks: &'a [Subnet],
    progress: &'a UploadProgress,
}

impl Exchange<'_> {
    /// Tries instances until one has answered. Nothing is repeated once a request may have arrived, unless it is safe.
    async fn run(&self, outgoing: &Outgoing<'_>, mut upload: Upload, limit: Duration) -> Result<Answered, Error> {
        let (deadline, name) = (Instant::now() + limit, self.app.name());
        let (mut tried, mut last): (Vec<Arc<Instance>>, _) = (Vec::new(), None);
        while tried.len() < MAX_ATTEMPTS {
            let now = self.forwarder.traffic.now();
            let Some(mut attempt) = self.app.attempt(&tried, now, |bound| self.forwarder.traffic.random(bound)) else {
                break;
            };
            if !tried.is_empty() && !self.app.may_retry(now) {
                break;
            }
            let instance = attempt.instance.clone();
            match self.attempt(&instance, outgoing, upload, deadline, limit).await {
                Ok((response, connection)) => {
                    attempt.settle(outcome_of(response.status()), self.forwarder.traffic.now());
                    return Ok(Answered { response, attempt, connection });
                }
                Err(Failed::Final(error)) => {
                    let is_clients = matches!(error.kind(), Kind::Malformed | Kind::TooLarge);
                    let outcome = if is_clients { Outcome::Ignored } else { Outcome::Failure };
                    attempt.settle(outcome, self.forwarder.traffic.now());
                    return Err(error);
                }
                Err(Failed::Cut(what)) => {
                    attempt.settle(Outcome::Failure, self.forwarder.traffic.now());
                    self.forwarder.take_out(&instance, self.networks);
                    last = Some(reject::upstream_failed(name, &what));
                    if !self.is_repeatable(outgoing) {
                        break;
                    }
                    upload = Upload::Empty;
                }
                Err(Failed::Unsent(whole, what)) => {
                    attempt.settle(Outcome::Failure, self.forwarder.traffic.now());
                    self.forwarder.take_out(&instance, self.networks);
                    tracing::debug!(instance = &*instance.id, what, "an instance could not be reached");
                    last = Some(reject::no_instance(name));
                    upload = whole;
                }
            }
            tried.push(instance);
        }
        Err(last.unwrap_or_else(|| reject::no_instance(name)))
    }

    /// Whether a request that may have arrived can be sent again: it is safe, and its body is whole because it has none.
    fn is_repeatable(&self, outgoing: &Outgoing<'_>) -> bool {
        outgoing.is_safe && self.progress.is_over() && self.progress.pieces() == 0
    }

    /// One attempt at an instance: on kept connections, or on a new one if all of those have been closed. An instance may
    /// close a kept connection while a request is on its way (RFC 9110, section 9.2.2), so a request that can be repeated
    /// gets a new connection then, within the budget of retries.
    async fn attempt(
        &self,
        instance: &Arc<Instance>,
        outgoing: &Outgoing<'_>,
        mut upload: Upload,
        deadline: Instant,
        limit: Duration,
    ) -> Result<(http::Response<Incoming>, Connection), Failed> {
        let mut may_reuse = !outgoing.is_upgrade;
        for _ in 0..MAX_STALE {
            let kept = if may_reuse { self.kept(instance) } else { None };
            let mut connection = match kept {
                Some(connection) => connection,
                None => match self.open(instance).await {
                    Ok(connection) => connection,
                    Err(what) => return Err(Failed::Unsent(upload, what)),
                },
            };
            let request = Self::request(instance, outgoing, upload);
            match self.send(&mut connection, request, deadline, limit).await {
                Ok(response) => return Ok((response, connection)),
                Err(Failed::Unsent(whole, _)) if connection.is_reused => upload = whole,
                Err(Failed::Cut(_))
                    if connection.is_reused
                        && self.is_repeatable(outgoing)
                        && self.app.may_retry(self.forwarder.traffic.now()) =>
                {
                    (upload, may_reuse) = (Upload::Empty, false);
                }
                Err(failed) => return Err(failed),
            }
        }
        Err(Failed::Unsent(upload, "its connections were closed".to_owned()))
    }

    /// A kept connection to an address that this route permits.
    fn kept(&self, instance: &Instance) -> Option<Connection> {
        let connection = self.forwarder.pool.take(instance)?;
        self.forwarder.dialer.permits(connection.address, self.networks).then_some(connection)
    }

    async fn open(&self, instance: &Instance) -> Result<Connection, String> {
        let forwarder = self.forwarder;
        let (stream, address) = match forwarder.dialer.connect(instance, self.networks).await {
            Ok(connected) => connected,
            Err(DialFault::Refused) => {
                tracing::warn!(
                    instance = &*instance.id,
                    "an instance has an address outside the networks of its route"
                );
                return Err("its address is not permitted".to_owned());
            }
            Err(DialFault::Untrusted(error)) => {
                tracing::warn!(instance = &*instance.id, %error, "an instance cannot be reached by TLS");
                return Err(error.to_string());
            }
            Err(DialFault::Unreachable(error)) => return Err(error.to_string()),
        };
        let opened = match stream {
            Link::Plain(stream) => Connection::open(stream, address, instance, &forwarder.tasks).await,
            Link::Secure(stream) => Connection::open(*stream, address, instance, &forwarder.tasks).await,
        };
        opened.map_err(|error| error.to_string())
    }

    fn request(instance: &Instance, outgoing: &Outgoing<'_>, upload: Upload) -> http::Request<Upload> {
        let length = upload.size_hint().exact().filter(|_| !upload.is_empty());
        let mut request = http::Request::new(upload);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.target.clone();
        let mut headers = headers::to_instance(outgoing.headers, outgoing.origin);
        if outgoing.is_upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        }
        headers.insert(HOST, instance.authority.clone());
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        *request.headers_mut() = headers;
        request
    }

    /// Sends a request and waits for the head of the response: until the deadline, or while the body moves on.
    async fn send(
        &self,
        connection: &mut Connection,
        request: http::Request<Upload>,
        deadline: Instant,
        limit: Duration,
    ) -> Result<http::Response<Incoming>, Failed> {
        match timeout_at(deadline, connection.sender.ready()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Failed::Unsent(request.into_body(), error.to_string())),
            Err(_) => return Err(Failed::Final(reject::upstream_timeout(self.app.name()))),
        }
        let mut answer = std::pin::pin!(connection.sender.try_send_request(request));
        let (mut until, mut pieces) = (deadline, 0);
        loop {
            let Ok(mut answered) = timeout_at(until, answer.as_mut()).await else {
                if self.progress.pieces() == pieces {
                    return Err(Failed::Final(self.too_slow()));
                }
                // The body moved on: an upload may take as long as it needs.
                pieces = self.progress.pieces();
                until = Instant::now() + if self.progress.is_over() { limit } else { self.forwarder.stall };
                continue;
            };
            if let Ok(response) = &mut answered {
                let stated = state_length_once(response.headers_mut());
                stated.map_err(|what| Failed::Final(reject::upstream_failed(self.app.name(), what)))?;
            }
            return answered.map_err(|mut error| match error.take_message() {
                Some(request) => Failed::Unsent(request.into_body(), error.error().to_string()),
                None if self.progress.is_too_large() => Failed::Final(too_large(self.forwarder.upload)),
                None if is_garbage(error.error()) => {
                    Failed::Final(reject::upstream_failed(self.app.name(), "its response cannot be read"))
                }
                None if error.error().is_user() => {
                    let message = "The connection was lost while the body was read.";
                    Failed::Final(Error::new(Kind::Malformed, codes::BODY_CUT, message))
                }
                None => Failed::Cut("its connection was lost".to_owned()),
            });
        }
    }

    fn too_slow(&self) -> Error {
        if self.progress.is_over() {
            return reject::upstream_timeout(self.app.name());
        }
        Error::new(Kind::Malformed, codes::BODY_TIMEOUT, "The body did not arrive in time.")
    }
}

/// Completes when a stream must end: its caller has no access any more, or its route is removed.
fn stream_end(lease: Option<Lease>, passage: &Passage) -> impl Future<Output = ()> + Send + use<> {
    let removed = passage.route_removed();
    async move {
        match lease {
            Some(lease) => tokio::select! {
                () = lease.watch() => {}
                () = removed => {}
            },
            None => removed.await,
        }
    }
}

/// Makes a response state its length once, so that the next reader finds the same end as this one (RFC 9112, section 6.3).
/// The error says why it has none that all readers agree on: promox accepts no transfer coding but `chunked` (it sends no
/// `TE`), and only undoes that one.
fn state_length_once(headers: &mut HeaderMap) -> Result<(), &'static str> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if codings.next().is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || codings.next().is_some()
    {
        return Err("its response has a Transfer-Encoding other than chunked");
    }
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let has_one = values.next().is_some_and(|value| value.as_bytes().iter().all(u8::is_ascii_digit));
    if has_one && values.next().is_none() && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    let mut lengths = Vec::new();
    for value in headers.get_all(CONTENT_LENGTH) {
        let text = value.to_str().map_err(|_| "its Content-Length is not a number")?;
        lengths.extend(text.split(',').map(|length| length.trim().to_owned()));
    }
    let Some((first, others)) = lengths.split_first() else { return Ok(()) };
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err("its response has both a Content-Length and a Transfer-Encoding");
    }
    if others.iter().any(|other| other != first) {
        return Err("its response has several Content-Lengths");
    }
    if !others.is_empty() {
        let value = HeaderValue::try_from(first).map_err(|_| "its Content-Length is not a number")?;
        headers.insert(CONTENT_LENGTH, value);
    }
    Ok(())
}

/// Whether a response arrived that is not HTTP/1.1.
fn is_garbage(error: &hyper::Error) -> bool {
    error.is_parse() || error.is_parse_status() || error.is_parse_too_large()
}

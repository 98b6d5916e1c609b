//! Requests to applications behind the gateway: the route, the caller, and what is passed on.

use std::sync::Arc;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderName, HeaderValue, ORIGIN};
use http::{HeaderMap, Method};
use promox_contract::codes;
use promox_gateway::{Gateway, RequestHead, Route};
use promox_kernel::trace::{Span, SpanKind};
use promox_kernel::{Error, Kind, hex};

use crate::cluster::forward::Call;
use crate::http::edge::buckets::Rate;
use crate::http::edge::exchange::{Exchange, Open};
use crate::http::edge::scope::Scope;
use crate::http::wire::payload::Payload;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The methods that a preflight of an application's path is answered with.
static METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// The number from which on the classes of rates are those of routes to applications.
const FIRST_CLASS: usize = 1 << 32;

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

impl<'a> Exchange<'a> {
    /// The host that the request names, with its port.
    fn host(&self) -> &'a str {
        let authority = self.parts.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(|| text(&self.parts.headers, &HOST)).unwrap_or_default()
    }

    /// The route to an application that the request takes, if there is one.
    pub(super) fn application(&self, open: &'a Open) -> Option<(&'a Arc<Gateway>, Arc<Route>)> {
        if self.peer.scope != Scope::All {
            return None;
        }
        let gateway = open.node.registry().ok()?.attached::<Arc<Gateway>>()?;
        let headers = &self.parts.headers;
        let host = self.host();
        let bare = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let bare = bare.map_or(host, |(bare, _)| bare).to_ascii_lowercase();
        let preflight = Some(&self.parts.method).filter(|method| **method == Method::OPTIONS);
        let wanted = preflight.and_then(|_| text(headers, &ACCESS_CONTROL_REQUEST_METHOD));
        let method = wanted.unwrap_or(self.parts.method.as_str());
        let head = RequestHead { method, path: self.parts.uri.path(), host: &bare };
        let route = self.edge.traffic.route(head, |name| headers.get(name)?.to_str().ok())?;
        Some((gateway, route))
    }

    /// Refuses `TRACE`, which would show what promox adds to a request, and `CONNECT`, which no route means.
    pub(super) fn check_method(&mut self) -> Result<(), Error> {
        if !matches!(self.parts.method, Method::TRACE | Method::CONNECT) {
            return Ok(());
        }
        self.allow = Some(&METHODS);
        let message = format!("{} is not supported.", self.parts.method);
        Err(Error::new(Kind::MethodNotAllowed, codes::METHOD_NOT_ALLOWED, message))
    }

    /// Passes the request on, if the caller may send it.
    pub(super) async fn forward(
        &mut self,
        open: &Open,
        gateway: &Gateway,
        route: &Arc<Route>,
    ) -> Result<http::Response<Payload>, Error> {
        let headers = &self.parts.headers;
        let is_preflight = headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if self.parts.method == Method::OPTIONS && is_preflight {
            self.allow = Some(&METHODS);
            return Err(Error::new(Kind::MethodNotAllowed, codes::METHOD_NOT_ALLOWED, "This is a preflight."));
        }
        let mut cx = self.context(open, self.edge.request_timeout)?;
        self.identify(&mut cx, route.access, Some(self.rate(route))).await?;
        self.check_origin()?;
        let is_trusted = self.edge.trusted.iter().any(|subnet| subnet.contains(self.peer.address));
        let said_secure = is_trusted && text(headers, &FORWARDED_PROTO).is_some_and(|proto| proto == "https");
        self.forwarded = Some(route.rule.path.clone());
        let traced = open.node.tracer().zip(cx.traceparent.as_deref());
        let mut span =
            traced.and_then(|(tracer, parent)| tracer.span(Some(parent), SpanKind::Client, self.parts.method.as_str()));
        let own = span.as_ref().map(Span::traceparent).or_else(|| cx.traceparent.clone());
        let traceparent = own.unwrap_or_else(|| self.new_trace());
        self.trace = Some(traceparent.clone());
        let switch = self.switch.take();
        let (upgrade, guard) = switch.map_or((None, None), |switch| (Some(switch.upgrade), switch.held.map(|it| it.0)));
        let lease = self.lease(&cx, route.access)?;
        let call = Call {
            cx: &cx,
            parts: self.parts,
            route,
            gateway,
            host: self.host(),
            is_secure: self.peer.secure || said_secure,
            chain: is_trusted.then(|| self.chain()),
            traceparent: &traceparent,
            upgrade,
            guard,
            lease,
        };
        let answer = self.edge.forwarder.forward(call, &mut self.body).await;
        if let Some(span) = &mut span {
            span.set("http.request.method", self.parts.method.as_str());
            span.set("server.address", route.app.name());
            match &answer {
                Ok(response) => span.set("http.response.status_code", response.status().as_u16()),
                Err(error) => span.fail(error.code()),
            }
        }
        answer
    }

    /// The rate of a route: its own, or the common one.
    fn rate(&self, route: &Route) -> Rate {
        let limits = &route.rule.limits;
        let rate = match limits.requests_per_minute {
            Some(count) => {
                let class = FIRST_CLASS + usize::try_from(route.class).unwrap_or(0);
                Rate::new(class, limits.burst.unwrap_or(count), count, 60)
            }
            None => self.edge.common_rate,
        };
        rate.costing(limits.cost.unwrap_or(1))
    }

    /// Refuses a switch to WebSocket by a page of another origin with 403 `ORIGIN_REFUSED`: browsers do not do so.
    fn check_origin(&self) -> Result<(), Error> {
        let Some(origin) = text(&self.parts.headers, &ORIGIN).filter(|_| self.switch.is_some()) else { return Ok(()) };
        if self.edge.cors.is_known(origin, self.host()) {
            return Ok(());
        }
        let message = "Pages of this origin may not open a WebSocket here; see server.cors_origins.";
        Err(Error::new(Kind::Forbidden, codes::ORIGIN_REFUSED, message))
    }

    /// The chain of addresses that a trusted proxy sent, with the proxy's own at its end.
    fn chain(&self) -> String {
        let hops = self.parts.headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let peer = self.peer.address.to_string();
        hops.chain([peer.as_str()]).collect::<Vec<_>>().join(", ")
    }

    /// A new trace, for a request that is part of none.
    fn new_trace(&self) -> Arc<str> {
        let random = || hex(&self.edge.traffic.random(u64::MAX).max(1).to_be_bytes());
        ["00-", &random(), &random(), "-", &random(), "-00"].concat().into()
    }
}

//! A route to an application: what it says, and which of it is refused.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use promox_contract::codes;
use promox_contract::discovery::{APP_NAME_RULE, is_app_name, is_host_name, is_reserved_app};
use promox_kernel::{Access, Error, Faults, FieldError, Kind, Subnet, is_disguised_address};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules::address::{self, OwnAddresses};

/// Maximum length of a path, host or header value.
const MAX_TEXT: usize = 200;
/// Maximum length of a header's name.
const MAX_NAME: usize = 64;
/// Maximum number of networks, instances, methods or headers of a route.
const MAX_LIST: usize = 32;
/// Maximum weight.
const MAX_WEIGHT: u32 = 1_000;
/// Maximum deadline in milliseconds.
const MAX_DEADLINE: u64 = 3_600_000;
/// Methods that a route can name.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The access of a route that names none.
pub(crate) const USER: &str = "USER";
/// The access of a route that is open to everybody.
pub(crate) const ANYONE: &str = "ANYONE";

/// Limits of a route. What is not given is taken from the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteLimits {
    /// Requests per minute from one client; if not given, requests count for the common limit.
    pub requests_per_minute: Option<u32>,
    /// Requests that one client may send at once after a pause; needs `requestsPerMinute`, and is equal to it if not given.
    pub burst: Option<u32>,
    /// What a request costs of a client's limit, 1 if not given.
    pub cost: Option<u32>,
    /// Maximum number of concurrent requests.
    pub concurrent: Option<usize>,
    /// Time limit for the head of the response, in milliseconds.
    pub deadline_ms: Option<u64>,
}

/// A route to a registered application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteRule {
    /// The name of the application, under which its instances are registered. It is compared without case.
    pub app: String,
    /// The beginning of the paths, whole segments: `/api/blog` is also the route of `/api/blog/posts`. Paths of promox
    /// itself are refused.
    pub path: String,
    /// Only these methods; all if empty.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Only requests to this host name.
    #[serde(default)]
    pub host: Option<String>,
    /// Only requests with these headers, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Who may call it: `ANYONE`, `USER` (a logged-in user; the default) or a permission such as `order:read`.
    #[serde(default)]
    pub access: Option<String>,
    /// The networks that instances must be in; loopback and private networks if empty. Link-local addresses and metadata
    /// services are always refused.
    #[serde(default)]
    pub networks: Vec<Subnet>,
    /// Addresses such as `10.0.0.7:3000`, or `https://blog.internal:3443`, of instances that do not register themselves.
    #[serde(default)]
    pub instances: Vec<String>,
    /// The share of the requests among routes with the same conditions, 0 to 1,000; 1 if not given.
    #[serde(default)]
    pub weight: Option<u32>,
    /// What instances get in place of `path`: with `/`, `/api/blog/posts` becomes `/posts`. If not given, the path is kept.
    #[serde(default)]
    pub rewrite: Option<String>,
    /// Limits.
    #[serde(default)]
    pub limits: RouteLimits,
    /// The application that gets the requests while this one has no instance or its breaker is open.
    #[serde(default)]
    pub fallback: Option<String>,
}

/// What of promox itself routes must not take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reserved {
    /// The literal beginnings of the paths of promox.
    pub(crate) prefixes: Vec<String>,
    /// The names of its services.
    pub(crate) services: Vec<&'static str>,
    /// The permissions that a route can require.
    pub(crate) permissions: Vec<&'static str>,
}

/// Prefixes that promox keeps for itself, also if nothing is served there yet.
const KEPT: [&str; 10] = [
    "/actuator",
    "/eureka",
    "/docs",
    "/console",
    "/media",
    "/internal",
    "/.well-known",
    "/api/gateway",
    "/api/discovery",
    "/api/v1",
];

impl RouteRule {
    /// The rule in its normal form: names of applications and methods in upper case, hosts and headers in lower case.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let upper = |text: &String| text.trim().to_ascii_uppercase();
        let access = self.access.as_deref().map_or(USER, str::trim);
        let is_word = |word: &&str| access.eq_ignore_ascii_case(word);
        let access = [USER, ANYONE].into_iter().find(is_word).unwrap_or(access).to_owned();
        Self {
            app: upper(&self.app),
            methods: self.methods.iter().map(upper).collect(),
            host: self.host.as_ref().map(|host| host.trim().to_ascii_lowercase()),
            headers: self.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
            access: Some(access),
            fallback: self.fallback.as_ref().map(upper),
            weight: Some(self.weight.unwrap_or(1)),
            ..self.clone()
        }
    }

    /// The faults of its form, which do not depend on the node: each has the pointer to a member.
    pub fn form_faults(&self) -> Vec<FieldError> {
        let mut faults = Faults::default();
        self.normalised().check(&Reserved::default(), &mut faults);
        faults.into_list().into_iter().filter(|fault| fault.pointer != "/access").collect()
    }

    /// Records every fault of a rule in its normal form.
    pub(crate) fn check(&self, reserved: &Reserved, faults: &mut Faults) {
        let is_own = |name: &str| reserved.is_own_name(name);
        for (pointer, name) in [("/app", Some(&self.app)), ("/fallback", self.fallback.as_ref())] {
            let Some(name) = name else { continue };
            if !is_app_name(name) {
                faults.note(pointer, APP_NAME_RULE);
            } else if is_own(name) {
                faults.code(pointer, codes::NAME_RESERVED, "is the name of a service of promox");
            }
        }
        if self.fallback.as_ref() == Some(&self.app) {
            faults.note("/fallback", "must be another application");
        }
        self.check_paths(reserved, faults);
        self.check_conditions(faults);
        self.check_addresses(faults);
        if self.access(&reserved.permissions).is_none() {
            faults.note("/access", "must be ANYONE, USER or a permission such as order:read");
        }
        if self.weight.is_some_and(|weight| weight > MAX_WEIGHT) {
            faults.note("/weight", "must be between 0 and 1000");
        }
        self.limits.check(faults);
    }

    fn check_paths(&self, reserved: &Reserved, faults: &mut Faults) {
        if !is_path(&self.path) || self.path == "/" {
            faults.note("/path", "must be the beginning of a path such as /api/blog, without a slash at its end");
        } else if reserved.takes(&self.path) {
            faults.code("/path", codes::PATH_RESERVED, "is a path of promox itself");
        }
        if self.rewrite.as_deref().is_some_and(|rewrite| !is_path(rewrite)) {
            faults.note("/rewrite", "must be the beginning of a path such as /blog, or / for none");
        }
    }

    fn check_conditions(&self, faults: &mut Faults) {
        if self.methods.iter().any(|method| !METHODS.contains(&method.as_str())) {
            faults.note("/methods", format!("must be among {}", METHODS.join(", ")));
        }
        let is_host = |host: &str| !host.is_empty() && host.len() <= MAX_TEXT && host.bytes().all(is_host_byte);
        if self.host.as_deref().is_some_and(|host| !is_host(host)) {
            faults.note("/host", "must be a host name without a port");
        }
        let is_header = |(name, value): (&String, &String)| is_header_name(name) && value.len() <= MAX_TEXT;
        if self.headers.len() > MAX_LIST || !self.headers.iter().all(is_header) {
            faults.note("/headers", "must be at most 32 headers with values of at most 200 bytes");
        }
    }

    fn check_addresses(&self, faults: &mut Faults) {
        for (pointer, count) in [("/networks", self.networks.len()), ("/instances", self.instances.len())] {
            if count > MAX_LIST {
                faults.note(pointer, "must have at most 32 items");
            }
        }
        for (number, instance) in self.instances.iter().enumerate().take(MAX_LIST) {
            let pointer = format!("/instances/{number}");
            match split_address(instance) {
                None => {
                    faults.note(pointer, "must be a host and a port such as 10.0.0.7:3000 or https://10.0.0.7:3443");
                }
                Some(Stated { host, .. })
                    if host.parse().is_ok_and(|ip: IpAddr| !address::is_allowed(ip, &self.networks)) =>
                {
                    faults.code(
                        pointer,
                        codes::ADDRESS_REFUSED,
                        "is not in `networks`, which must state where the instances may be",
                    );
                }
                Some(_) => {}
            }
        }
    }

    /// Records the instances that are promox itself. A name besides `localhost` is looked up when it is connected to.
    pub(crate) fn check_own(&self, own: &OwnAddresses, faults: &mut Faults) {
        for (number, instance) in self.instances.iter().enumerate().take(MAX_LIST) {
            let Some(Stated { host, port, .. }) = split_address(instance) else { continue };
            let is_local = host.eq_ignore_ascii_case("localhost");
            let ip = if is_local { Some(Ipv4Addr::LOCALHOST.into()) } else { host.parse::<IpAddr>().ok() };
            if ip.is_some_and(|ip| own.contains(SocketAddr::new(ip, port))) {
                let detail = "is an address of promox itself, to which no route can lead";
                faults.code(format!("/instances/{number}"), codes::ADDRESS_REFUSED, detail);
            }
        }
    }

    /// The access that it requires; `None` if it names an unknown permission.
    pub(crate) fn access(&self, permissions: &[&'static str]) -> Option<Access> {
        match self.access.as_deref().unwrap_or(USER) {
            USER => Some(Access::User),
            ANYONE => Some(Access::Anyone),
            name => permissions.iter().find(|known| **known == name).map(|known| Access::Permission(known)),
        }
    }

    /// The path that an instance gets for a request's path. 400 `MALFORMED_PATH` for paths that an instance could take
    /// for one outside the route: with dot segments, plain or encoded.
    pub fn target(&self, path: &str) -> Result<String, Error> {
        if path.split(['/', '\\']).any(is_dot_segment) {
            let message = "The path must not contain dot segments or encoded slashes.";
            return Err(Error::new(Kind::Malformed, codes::MALFORMED_PATH, message));
        }
        let Some(rewrite) = &self.rewrite else { return Ok(path.to_owned()) };
        let rest = path.get(self.path.len()..).unwrap_or_default();
        let joined = format!("{}{rest}", rewrite.trim_end_matches('/'));
        Ok(if joined.starts_with('/') { joined } else { format!("/{joined}") })
    }
}

/// Whether a raw segment is `.` or `..` once it is decoded, or hides a slash. Some servers remove what follows a semicolon
/// first.
fn is_dot_segment(segment: &str) -> bool {
    let is_dots = |decoded: &str| matches!(decoded.split(';').next(), Some("." | ".."));
    if !segment.contains('%') {
        return is_dots(segment);
    }
    let lower = segment.to_ascii_lowercase();
    is_dots(&lower.replace("%2e", ".").replace("%3b", ";"))
        || lower.contains("%2f")
        || lower.contains("%5c")
        || lower.contains("%00")
}

impl RouteLimits {
    fn check(&self, faults: &mut Faults) {
        let mut bounded = |pointer: &str, value: Option<u64>, max: u64| {
            if value.is_some_and(|value| value < 1 || value > max) {
                faults.note(format!("/limits/{pointer}"), format!("must be between 1 and {max}"));
            }
        };
        bounded("requestsPerMinute", self.requests_per_minute.map(u64::from), 100_000_000);
        bounded("burst", self.burst.map(u64::from), 100_000_000);
        bounded("cost", self.cost.map(u64::from), 1_000);
        bounded("concurrent", self.concurrent.map(|count| count as u64), 1 << 20);
        bounded("deadlineMs", self.deadline_ms, MAX_DEADLINE);
        if self.burst.is_some() && self.requests_per_minute.is_none() {
            faults.note("/limits/burst", "needs requestsPerMinute");
        }
    }
}

impl Reserved {
    fn is_own_name(&self, name: &str) -> bool {
        is_reserved_app(name, self.services.iter().copied())
    }

    /// Whether a route at `path` would take, or be taken by, a path of promox.
    fn takes(&self, path: &str) -> bool {
        // Applications may ignore case, and a client that mistypes must not reach another server.
        let path = path.to_ascii_lowercase();
        let path = path.as_str();
        let overlaps = |own: &str| starts_with(path, own) || starts_with(own, path);
        let name = path.strip_prefix("/api/").and_then(|rest| rest.split('/').next());
        self.prefixes.iter().any(|own| overlaps(own))
            || KEPT.iter().any(|own| overlaps(own))
            || name.is_some_and(|name| self.is_own_name(name))
    }
}

/// Whether `path` is `prefix` or below it.
pub(crate) fn starts_with(path: &str, prefix: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_header_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(plain)
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    let segment = |part: &str| !part.is_empty() && part.bytes().all(plain) && part != "." && part != "..";
    path == "/" || path.len() <= MAX_TEXT && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

/// The address of an instance that a route states.
pub(crate) struct Stated<'a> {
    pub(crate) is_secure: bool,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
}

/// Reads an address such as `10.0.0.7:3000`, `[::1]:3000` or `https://blog.internal:3443`.
pub(crate) fn split_address(text: &str) -> Option<Stated<'_>> {
    let text = text.trim();
    let secure = text.strip_prefix("https://");
    let bare = secure.or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let (host, port) = bare.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = is_host_name(host) && !is_disguised_address(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    is_host.then_some(Stated { is_secure: secure.is_some(), host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved() -> Reserved {
        Reserved {
            prefixes: vec!["/api/orders".to_owned(), "/api/products/import".to_owned(), "/openapi.json".to_owned()],
            services: vec!["order", "product"],
            permissions: vec!["order:read"],
        }
    }

    fn faults(rule: &RouteRule) -> Vec<String> {
        let mut faults = Faults::default();
        rule.normalised().check(&reserved(), &mut faults);
        faults.into_list().into_iter().map(|fault| fault.pointer).collect()
    }

    fn rule(app: &str, path: &str) -> RouteRule {
        RouteRule { app: app.to_owned(), path: path.to_owned(), ..RouteRule::default() }
    }

    #[test]
    fn paths_and_names_of_promox_cannot_be_taken() {
        assert_eq!(faults(&rule("blog", "/api/blog")), [""; 0]);
        assert_eq!(faults(&rule("blog", "/api/orders-archive")), [""; 0]);
        for path in
            ["/api", "/api/orders", "/api/orders/7", "/api/products", "/api/order", "/eureka", "/api/product-service"]
        {
            assert_eq!(faults(&rule("blog", path)), ["/path"], "{path}");
        }
        for path in ["", "/", "api/blog", "/api/blog/", "/api//blog", "/api/../blog", "/api/{id}", "/api/b%6cog"] {
            assert_eq!(faults(&rule("blog", path)), ["/path"], "{path}");
        }
        for name in ["", "order", "Order-Service", "gateway", "a b", "promox"] {
            assert_eq!(faults(&rule(name, "/api/blog")), ["/app"], "{name}");
        }
    }

    #[test]
    fn addresses_are_plain_or_https() {
        let read = |text: &str| split_address(text).map(|it| (it.is_secure, it.host.to_owned(), it.port));
        assert_eq!(read("blog.internal:80"), Some((false, "blog.internal".to_owned(), 80)));
        assert_eq!(read(" https://[::1]:443 "), Some((true, "::1".to_owned(), 443)));
        assert_eq!(read("http://10.0.0.7:80"), Some((false, "10.0.0.7".to_owned(), 80)));
        for text in
            ["https://blog.internal", "https://blog.internal:443/x", "ftp://blog:21", "https://:443", "https://a@b:1"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn every_fault_is_found() {
        let wrong = RouteRule {
            methods: vec!["FETCH".into()],
            host: Some("a:80".into()),
            access: Some("order:eat".into()),
            instances: [
                "127.0.0.1:0",
                "8.8.8.8:80",
                "[::1]:80",
                "blog.internal:80",
                "2130706433:80",
                "0177.0.0.1:80",
                "a..b:80",
            ]
            .map(Into::into)
            .to_vec(),
            weight: Some(1_001),
            rewrite: Some("blog".into()),
            limits: RouteLimits { burst: Some(0), deadline_ms: Some(0), ..RouteLimits::default() },
            fallback: Some("BLOG".into()),
            ..rule("blog", "/api/blog")
        };
        let wanted = [
            "/fallback",
            "/rewrite",
            "/methods",
            "/host",
            "/instances/0",
            "/instances/1",
            "/instances/4",
            "/instances/5",
            "/instances/6",
            "/access",
            "/weight",
            "/limits/burst",
            "/limits/deadlineMs",
            "/limits/burst",
        ];
        assert_eq!(faults(&wrong), wanted);
    }

    #[test]
    fn access_words_have_any_case_and_permissions_are_known() {
        let access = |text: Option<&str>| {
            let rule = RouteRule { access: text.map(Into::into), ..RouteRule::default() };
            rule.normalised().access(&["order:read"])
        };
        assert_eq!(access(None), Some(Access::User));
        assert_eq!(access(Some("anyone")), Some(Access::Anyone));
        assert_eq!(access(Some("order:read")), Some(Access::Permission("order:read")));
        assert_eq!(access(Some("order:eat")), None);
    }

    #[test]
    fn the_rewrite_replaces_the_path_of_the_route() {
        let target = |rewrite: Option<&str>, path: &str| {
            RouteRule { rewrite: rewrite.map(Into::into), ..rule("blog", "/api/blog") }.target(path).unwrap()
        };
        assert_eq!(target(None, "/api/blog/posts"), "/api/blog/posts");
        assert_eq!(target(Some("/"), "/api/blog/posts"), "/posts");
        assert_eq!(target(Some("/"), "/api/blog"), "/");
        assert_eq!(target(Some("/v2"), "/api/blog/a%20b/"), "/v2/a%20b/");
    }

    #[test]
    fn paths_that_leave_the_route_are_refused() {
        let rule = rule("blog", "/api/blog");
        for path in [
            "/api/blog/..;/x",
            "/api/blog/%2e.%3bv=1/x",
            "/api/blog/../x",
            "/api/blog/%2e%2E/x",
            "/api/blog/.%2e",
            "/api/blog/a%2Fb",
            "/api/blog/..\\x",
            "/api/blog/.",
        ] {
            assert_eq!(rule.target(path).unwrap_err().code(), "MALFORMED_PATH", "{path}");
        }
        assert!(rule.target("/api/blog/..a/a..b/%20").is_ok());
    }
}

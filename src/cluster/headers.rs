//! The headers that an instance and its clients get of each other.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The header with the identity token.
const IDENTITY: &str = "x-promox-identity";
/// The beginning of the names of headers between promox, its nodes and applications, which clients cannot send.
const OWN: &str = "x-promox-";
/// The beginning of the names of headers that permit pages of other origins to read a response.
const CORS: &str = "access-control-";

/// Headers of one connection, RFC 9110 section 7.6.1.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Headers of a request that are not passed on: credentials, those that are set anew, and those of this connection.
const OWN_REQUEST: [HeaderName; 15] = [
    header::AUTHORIZATION,
    header::COOKIE,
    HeaderName::from_static("x-cart-token"),
    HeaderName::from_static("x-order-token"),
    HeaderName::from_static("x-api-key"),
    header::HOST,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::FORWARDED,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("proxy-connection"),
];

/// Headers of a response that are not passed on: they would act on all of the shop's origin.
const OWN_RESPONSE: [HeaderName; 13] = [
    header::SET_COOKIE,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-cart-token"),
    HeaderName::from_static("x-order-token"),
    HeaderName::from_static("service-worker-allowed"),
    HeaderName::from_static("nel"),
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("accept-ch"),
    HeaderName::from_static("origin-agent-cluster"),
    HeaderName::from_static("alt-svc"),
    HeaderName::from_static("clear-site-data"),
    header::STRICT_TRANSPORT_SECURITY,
];

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) client: IpAddr,
    /// The chain of `X-Forwarded-For` if a trusted proxy sent it.
    pub(crate) chain: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) is_secure: bool,
    /// The part of the path that the instance does not get.
    pub(crate) prefix: Option<&'a str>,
    pub(crate) request_id: &'a str,
    pub(crate) traceparent: &'a str,
    pub(crate) identity: &'a str,
    /// This node's name in `Via`.
    pub(crate) via: &'a str,
}

/// Removes the headers of one connection, and those that `Connection` names.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    let own: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(OWN)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

/// Whether a header could pass for one that a proxy sets. Many servers fold `_` and `-` into one, so that a name with an
/// underscore stands for one without.
fn is_forged(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded") || name.as_str().contains('_') || name == "x-rewrite-url"
}

/// Whether a `Host` can be one, so that it cannot end the quotation that it is written in.
fn is_host(host: &str) -> bool {
    host.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:[]%".contains(c))
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The headers of a request to an instance, except `Host`.
pub(crate) fn to_instance(client: &HeaderMap, origin: Origin<'_>) -> HeaderMap {
    let mut headers = client.clone();
    strip_hop_by_hop(&mut headers);
    let forged: Vec<HeaderName> = headers.keys().filter(|name| is_forged(name)).cloned().collect();
    for name in OWN_REQUEST.iter().chain(&forged) {
        headers.remove(name);
    }
    let origin = Origin { host: if is_host(origin.host) { origin.host } else { "" }, ..origin };
    let scheme = if origin.is_secure { "https" } else { "http" };
    let address = origin.client.to_string();
    let node = if origin.client.is_ipv6() { format!("\"[{address}]\"") } else { address.clone() };
    let host = if origin.host.is_empty() { String::new() } else { format!(";host=\"{}\"", origin.host) };
    set(&mut headers, "forwarded", &format!("for={node};proto={scheme}{host}"));
    set(&mut headers, "x-forwarded-for", origin.chain.unwrap_or(&address));
    set(&mut headers, "x-forwarded-proto", scheme);
    if !origin.host.is_empty() {
        set(&mut headers, "x-forwarded-host", origin.host);
    }
    if let Some(prefix) = origin.prefix {
        set(&mut headers, "x-forwarded-prefix", prefix);
    }
    set(&mut headers, "x-request-id", origin.request_id);
    set(&mut headers, "traceparent", origin.traceparent);
    set(&mut headers, IDENTITY, origin.identity);
    let via = match headers.get(header::VIA).and_then(|via| via.to_str().ok()) {
        Some(earlier) => format!("{earlier}, 1.1 {}", origin.via),
        None => format!("1.1 {}", origin.via),
    };
    set(&mut headers, "via", &via);
    headers
}

/// Removes from a response what is meant for promox alone, or for the whole origin.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    // Which pages may read responses is decided for promox as a whole.
    let cors: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(CORS)).cloned().collect();
    for name in OWN_RESPONSE.iter().chain(&cors) {
        headers.remove(name);
    }
}

/// Whether a request has passed the node that is called `via` before.
pub(crate) fn has_passed(headers: &HeaderMap, via: &str) -> bool {
    let hops = headers.get_all(header::VIA).iter().filter_map(|value| value.to_str().ok());
    hops.flat_map(|value| value.split(',')).any(|hop| hop.trim().split(' ').nth(1) == Some(via))
}

/// The protocol that a request wants to switch to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::UPGRADE)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_forge_what_a_proxy_states() {
        let mut sent = HeaderMap::new();
        for name in ["x-forwarded-for", "x_forwarded_for", "x-forwarded-port", "x_promox_identity", "x-original-url"] {
            sent.insert(HeaderName::from_static(name), HeaderValue::from_static("forged"));
        }
        let origin = Origin {
            client: [192, 0, 2, 1].into(),
            chain: None,
            host: "shop\", for=6.6.6.6;host=\"x",
            is_secure: false,
            prefix: None,
            request_id: "r",
            traceparent: "t",
            identity: "i",
            via: "v",
        };
        let passed = to_instance(&sent, origin);
        assert!(passed.values().all(|value| value != "forged"), "{passed:?}");
        assert_eq!(passed["forwarded"], "for=192.0.2.1;proto=http");
        assert!(!passed.contains_key("x-forwarded-host"));
        let passed = to_instance(&sent, Origin { host: "[2001:db8::1]:8080", ..origin });
        assert_eq!(passed["x-forwarded-host"], "[2001:db8::1]:8080");
    }
}

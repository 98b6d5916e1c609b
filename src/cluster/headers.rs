//! The headers that an instance and its clients get of each other.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The header with the identity token.
const IDENTITY: HeaderName = HeaderName::from_static("x-promox-identity");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The most headers that a request to an instance gets besides the client's.
const SET_ANEW: usize = 14;
/// The beginning of the names of headers between promox, its nodes and applications, which clients cannot send.
const OWN: &str = "x-promox-";
/// The beginning of the names of headers that permit pages of other origins to read a response.
const CORS: &str = "access-control-";

/// Whether a header is one of the connection, RFC 9110 section 7.6.1.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether a header of a request is not passed on: credentials, those that are set anew, and those of this connection.
fn is_own_of_request(name: &str) -> bool {
    matches!(
        name,
        "authorization"
            | "cookie"
            | "x-cart-token"
            | "x-order-token"
            | "x-api-key"
            | "host"
            | "expect"
            | "content-length"
            | "forwarded"
            | "x-real-ip"
            | "x-client-ip"
            | "true-client-ip"
            | "cf-connecting-ip"
            | "x-original-url"
    )
}

/// Whether a header of a response is not passed on: it would act on all of the shop's origin.
fn is_own_of_response(name: &str) -> bool {
    matches!(
        name,
        "set-cookie"
            | "www-authenticate"
            | "x-cart-token"
            | "x-order-token"
            | "service-worker-allowed"
            | "nel"
            | "report-to"
            | "reporting-endpoints"
            | "accept-ch"
            | "origin-agent-cluster"
            | "alt-svc"
            | "clear-site-data"
            | "strict-transport-security"
    )
}

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
    pub(crate) identity: &'a HeaderValue,
    /// This node's name in `Via`.
    pub(crate) via: &'a str,
}

/// Whether a header states something about promox's own handling of the request: its rate limit, and whether it repeats a
/// stored response. An application would be taken for promox.
fn is_statement_of_promox(name: &str) -> bool {
    name == "ratelimit" || name.starts_with("ratelimit-") || name == "idempotent-replayed" || name == "x-request-id"
}

/// Whether a header belongs to the connection that it came on: by its name, because `Connection` names it, or because only
/// promox and its applications send it to each other.
fn is_hop_by_hop(headers: &HeaderMap, names_some: bool, name: &str) -> bool {
    let is_named = || {
        let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|named| named.trim().eq_ignore_ascii_case(name))
    };
    is_of_connection(name) || name.starts_with(OWN) || (names_some && is_named())
}

/// Whether a header could pass for one that a proxy sets. Many servers fold `_` and `-` into one, so that a name with an
/// underscore stands for one without.
fn is_forged(name: &str) -> bool {
    name.starts_with("x-forwarded") || name.contains('_') || name == "x-rewrite-url"
}

/// Whether a `Host` can be one, so that it cannot end the quotation that it is written in.
fn is_host(host: &str) -> bool {
    host.chars().all(|c| c.is_ascii_alphanumeric() || "-._~:[]%".contains(c))
}

/// Sets a header, unless the value cannot be one.
fn set(headers: &mut HeaderMap, name: HeaderName, value: impl TryInto<HeaderValue>) {
    if let Ok(value) = value.try_into() {
        headers.insert(name, value);
    }
}

/// The headers of a request to an instance, except `Host`.
pub(crate) fn to_instance(client: &HeaderMap, origin: Origin<'_>) -> HeaderMap {
    let names_some = client.contains_key(header::CONNECTION);
    let mut headers = HeaderMap::with_capacity(client.keys_len() + SET_ANEW);
    for (name, value) in client {
        let text = name.as_str();
        if !is_own_of_request(text) && !is_forged(text) && !is_hop_by_hop(client, names_some, text) {
            headers.append(name, value.clone());
        }
    }
    let scheme = if origin.is_secure { "https" } else { "http" };
    let address = origin.client.to_string();
    let mut forwarded = String::with_capacity(96);
    let (open, close) = if origin.client.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
    for part in ["for=", open, &address, close, ";proto=", scheme] {
        forwarded.push_str(part);
    }
    if !origin.host.is_empty() && is_host(origin.host) {
        for part in [";host=\"", origin.host, "\""] {
            forwarded.push_str(part);
        }
        set(&mut headers, FORWARDED_HOST, origin.host);
    }
    set(&mut headers, header::FORWARDED, forwarded);
    match origin.chain {
        Some(chain) => set(&mut headers, FORWARDED_FOR, chain),
        None => set(&mut headers, FORWARDED_FOR, address),
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    if let Some(prefix) = origin.prefix {
        set(&mut headers, FORWARDED_PREFIX, prefix);
    }
    set(&mut headers, REQUEST_ID, origin.request_id);
    set(&mut headers, TRACEPARENT, origin.traceparent);
    headers.insert(IDENTITY, origin.identity.clone());
    let earlier = headers.get(header::VIA).and_then(|via| via.to_str().ok());
    let via = [earlier.unwrap_or_default(), if earlier.is_some() { ", " } else { "" }, "1.1 ", origin.via].concat();
    set(&mut headers, header::VIA, via);
    headers
}

/// Removes from a response what is meant for promox alone, or for the whole origin. Which pages may read responses is
/// decided for promox as a whole.
pub(crate) fn to_client(headers: &mut HeaderMap) {
    let names_some = headers.contains_key(header::CONNECTION);
    let is_kept_back = |name: &str| {
        is_own_of_response(name)
            || is_statement_of_promox(name)
            || name.starts_with(CORS)
            || is_hop_by_hop(headers, names_some, name)
    };
    let kept_back: Vec<HeaderName> = headers.keys().filter(|name| is_kept_back(name.as_str())).cloned().collect();
    for name in kept_back {
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
            identity: &HeaderValue::from_static("i"),
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

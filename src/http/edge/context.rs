//! Reads credentials, tokens, ids, keys and the client's address from a request's head.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use promox_contract::codes;
use promox_contract::user::KEY_PREFIX;
use promox_kernel::{Access, Cx, Entropy, Error, Kind, Principal, Subnet, sha256};

pub(crate) const CART_TOKEN: HeaderName = HeaderName::from_static("x-cart-token");
pub(crate) const ORDER_TOKEN: HeaderName = HeaderName::from_static("x-order-token");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

// Maximum lengths of header values in bytes.
const MAX_TOKEN_LEN: usize = 4096;
const MAX_ID_LEN: usize = 128;
const MAX_ACCEPT_LEN: usize = 1024;
const MAX_KEY_LEN: usize = 255;

/// Generates ids for requests that come without one.
pub(crate) struct Ids {
    prefix: String,
    next: AtomicU64,
}

impl Ids {
    pub(crate) fn new(entropy: &Entropy) -> Self {
        Self { prefix: entropy.code(8).to_lowercase(), next: AtomicU64::new(1) }
    }

    /// The client's request id if it has 1 to 128 printable ASCII characters, otherwise a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Arc<str> {
        let given = text(headers, &REQUEST_ID).filter(|id| id.len() <= MAX_ID_LEN && is_graphic(id));
        given.map_or_else(
            || format!("{}-{:x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed)).into(),
            Into::into,
        )
    }
}

/// The limits of a request's head.
pub(crate) struct HeadLimits {
    pub(crate) bytes: u32,
    pub(crate) headers: usize,
}

impl HeadLimits {
    /// The overhead that HTTP/2 counts per header in bytes, RFC 9113.
    const HEADER_OVERHEAD: usize = 32;

    /// Refuses a head that another server could read otherwise: with two hosts, with none in HTTP/1.1 (RFC 9112, section
    /// 3.2), or with a transfer coding besides `chunked`. An
    /// HTTP/2 head that is too large is refused too; for HTTP/1 the connection does so.
    pub(crate) fn check(&self, parts: &Parts) -> Result<(), Error> {
        let hosts = parts.headers.get_all(HOST).iter().count();
        if hosts > 1 {
            return Err(malformed("The request has more than one Host header."));
        }
        if hosts == 0 && parts.version == Version::HTTP_11 {
            return Err(malformed("The request has no Host header, which HTTP/1.1 requires."));
        }
        let is_host = |host: &HeaderValue| host.is_empty() || Authority::try_from(host.as_bytes()).is_ok();
        if !parts.headers.get(HOST).is_none_or(is_host) {
            return Err(malformed("The Host header is not a host with an optional port."));
        }
        let coding = parts.headers.get(TRANSFER_ENCODING);
        if coding.is_some_and(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")) {
            return Err(malformed("The only transfer coding that is taken is chunked."));
        }
        if parts.version != Version::HTTP_2 {
            return Ok(());
        }
        let path = parts.uri.path_and_query().map_or(0, |path| path.as_str().len());
        let sizes = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + Self::HEADER_OVERHEAD);
        let size = path + sizes.sum::<usize>();
        let fits = u32::try_from(size).is_ok_and(|size| size <= self.bytes) && parts.headers.len() <= self.headers;
        if fits { Ok(()) } else { Err(head_too_large()) }
    }
}

fn malformed(message: &str) -> Error {
    Error::new(Kind::Malformed, codes::MALFORMED_REQUEST, message)
}

/// The error for a head with too many bytes or headers.
pub(crate) fn head_too_large() -> Error {
    Error::new(Kind::HeadTooLarge, codes::HEAD_TOO_LARGE, "The request's address and headers are too large.")
}

fn is_graphic(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The token of a guest's cart or order in this header, if it is well-formed.
pub(crate) fn token(headers: &HeaderMap, name: &HeaderName) -> Option<Arc<str>> {
    text(headers, name).filter(|token| token.len() <= MAX_TOKEN_LEN && is_graphic(token)).map(Into::into)
}

/// The media types that the client accepts, if the header has a reasonable length.
pub(crate) fn accept(headers: &HeaderMap) -> Option<Arc<str>> {
    text(headers, &header::ACCEPT).filter(|types| types.len() <= MAX_ACCEPT_LEN).map(Into::into)
}

/// The languages that the client accepts, if the header has a reasonable length.
pub(crate) fn accept_language(headers: &HeaderMap) -> Option<Arc<str>> {
    text(headers, &header::ACCEPT_LANGUAGE).filter(|list| list.len() <= MAX_ACCEPT_LEN).map(Into::into)
}

/// The access token or API key of `Authorization`: after `Bearer`, or an API key as the password of `Basic`, for clients
/// that know no other scheme. Anything else is an error, so that no client wrongly assumes that it is logged in.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Option<Cow<'_, str>>, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().ok().filter(|value| value.len() <= MAX_TOKEN_LEN);
    let (scheme, given) = value.and_then(|value| value.split_once(' ')).ok_or_else(malformed_authorization)?;
    let given = given.trim();
    if scheme.eq_ignore_ascii_case("bearer") && is_graphic(given) {
        return Ok(Some(Cow::Borrowed(given)));
    }
    let key = if scheme.eq_ignore_ascii_case("basic") { key_of_basic(given) } else { None };
    // A browser sends a remembered password with requests that other sites cause.
    let is_foreign = text(headers, &SEC_FETCH_SITE).is_some_and(|site| !matches!(site, "same-origin" | "none"));
    match key {
        Some(key) if !is_foreign => Ok(Some(Cow::Owned(key))),
        _ => Err(malformed_authorization()),
    }
}

fn malformed_authorization() -> Error {
    let message = "The Authorization header must be \"Bearer\" followed by an access token or API key, or \"Basic\" \
         with an API key as the password.";
    Error::new(Kind::Unauthenticated, codes::MALFORMED_AUTHORIZATION, message)
}

/// The API key in the password of Basic credentials.
fn key_of_basic(credentials: &str) -> Option<String> {
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    (password.starts_with(KEY_PREFIX) && is_graphic(password)).then(|| password.to_owned())
}

/// The W3C trace context of version 00, if it is well-formed.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<Arc<str>> {
    let value = text(headers, &TRACEPARENT)?;
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match parts.as_slice() {
        ["00", trace, span, flags] if hex(trace, 32) && hex(span, 16) && hex(flags, 2) => Some(value.into()),
        _ => None,
    }
}

/// The decoded names and values of a query.
pub(crate) fn query(raw: &str) -> Result<Vec<(String, String)>, Error> {
    let whole = percent_encoding::percent_decode_str(raw).decode_utf8();
    let fault = |_| Error::new(Kind::Malformed, codes::MALFORMED_QUERY, "The query is not percent-encoded UTF-8.");
    whole.map_err(fault)?;
    Ok(form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
}

/// The caller an idempotency key belongs to. Anonymous callers share one namespace, but a reply that an order token
/// gives access to is returned only with that token.
pub(crate) fn key_space(access: Access, cx: &Cx) -> String {
    match (&cx.principal, access, &cx.order_token) {
        (Principal::Anonymous, Access::Owner(_), Some(token)) => {
            let first = sha256([token.as_bytes()]).first_chunk().copied().map_or(0, u128::from_be_bytes);
            format!("order-token:{first:032x}")
        }
        _ => cx.principal.name(),
    }
}

/// A digest of the request: method, path with query, and body.
pub(crate) fn fingerprint(method: &str, path: &str, body: &[u8]) -> [u8; 32] {
    sha256([method.as_bytes(), b"\n", path.as_bytes(), b"\n", body])
}

/// The value of `Idempotency-Key`, if there is one. More than one such header, or a value other than 1 to 255 printable
/// ASCII characters, is an error.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut given = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    // With two keys it would be ambiguous which one the reply is stored under.
    let only = given.next().is_none();
    let printable = |key: &&str| only && key.len() <= MAX_KEY_LEN && !key.is_empty();
    let key = value.to_str().ok().filter(printable).filter(|key| key.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    let message = "The Idempotency-Key header must be 1 to 255 printable ASCII characters.";
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| Error::new(Kind::Malformed, codes::MALFORMED_IDEMPOTENCY_KEY, message))
}

/// The client's address: the peer's, or the one that trusted proxies report.
pub(crate) fn client(headers: &HeaderMap, peer: IpAddr, trusted: &[Subnet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|subnet| subnet.contains(address));
    if !is_trusted(peer) {
        return peer;
    }
    let hops = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Ok(address) = hop.parse::<IpAddr>() else { return client };
        client = address.to_canonical();
        if !is_trusted(client) {
            return client;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn malformed_idempotency_keys_are_refused() {
        let read = |value: &str| idempotency_key(&headers(&[("idempotency-key", value)]));
        assert_eq!(read("a b~").unwrap().as_deref(), Some("a b~"));
        assert!(read(&"k".repeat(255)).is_ok());
        for bad in [String::new(), "k".repeat(256), "caf\u{e9}".to_owned(), "a\tb".to_owned()] {
            assert_eq!(read(&bad).unwrap_err().code(), "MALFORMED_IDEMPOTENCY_KEY", "{bad:?}");
        }
    }

    #[test]
    fn bearer_tokens_and_keys_as_passwords_are_accepted() {
        let read = |pairs: &[(&str, &str)]| credential(&headers(pairs)).map(|given| given.map(Cow::into_owned));
        let one = |value: &str| read(&[("authorization", value)]);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(one("bearer abc.def").unwrap().as_deref(), Some("abc.def"));
        assert_eq!(one(&basic("anyone:pmx_abc")).unwrap().as_deref(), Some("pmx_abc"));
        for bad in ["Basic dXNlcg==", "Basic ?", "Bearer", "Bearer ", "Bearer a b", &basic("ada:a password")] {
            assert!(one(bad).is_err(), "{bad}");
        }
        let from = |site: &str| read(&[("authorization", &basic(":pmx_abc")), ("sec-fetch-site", site)]);
        assert!(from("same-origin").is_ok() && from("none").is_ok());
        assert!(from("cross-site").is_err() && from("same-site").is_err());
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_an_optional_port() {
        let limits = HeadLimits { bytes: 16_384, headers: 100 };
        let check = |host: &str| {
            let request = http::Request::get("/").header(HOST, host).body(()).unwrap();
            limits.check(&request.into_parts().0).is_ok()
        };
        for good in ["", "shop.example", "shop.example:8080", "127.0.0.1", "[::1]:8080"] {
            assert!(check(good), "{good}");
        }
        for bad in ["a b", "a/b", "[::1", "shop.example:8080/x"] {
            assert!(!check(bad), "{bad}");
        }
    }

    #[test]
    fn malformed_trace_contexts_are_ignored() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&headers(&[("traceparent", good)])).as_deref(), Some(good));
        assert_eq!(traceparent(&headers(&[("traceparent", "00-4bf92f35-00f067aa0ba902b7-01")])), None);
    }

    #[test]
    fn malformed_request_ids_are_replaced() {
        let ids = Ids::new(&Entropy::seeded(1));
        assert_eq!(&*ids.of(&headers(&[("x-request-id", "abc-1")])), "abc-1");
        let (first, second) = (ids.of(&headers(&[("x-request-id", "a b")])), ids.of(&HeaderMap::new()));
        assert_ne!(first, second);
    }

    #[test]
    fn forwarded_addresses_are_trusted_from_trusted_proxies_only() {
        let trusted: Vec<Subnet> = vec!["10.0.0.0/8".parse().unwrap()];
        let from = |peer: &str, forwarded: &[&str]| {
            let pairs: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            client(&headers(&pairs), peer.parse().unwrap(), &trusted).to_string()
        };
        assert_eq!(from("9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(from("10.0.0.1", &["1.1.1.1, 2.2.2.2"]), "2.2.2.2");
        assert_eq!(from("10.0.0.1", &["1.1.1.1", "10.0.0.7"]), "1.1.1.1");
        assert_eq!(from("10.0.0.1", &["rubbish"]), "10.0.0.1");
        assert_eq!(from("10.0.0.1", &[]), "10.0.0.1");
    }
}

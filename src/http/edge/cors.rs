//! Cross-origin calls from pages of configured origins. Browser credentials are never accepted: tokens travel in
//! headers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::http::wire::payload::Payload;

/// Headers that a page may send.
const ALLOWED: &str =
    "authorization, content-type, idempotency-key, if-match, traceparent, x-cart-token, x-order-token, x-request-id";
/// Headers that a page may read.
const EXPOSED: &str = "etag, idempotent-replayed, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, \
     retry-after, x-request-id";
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE: &str = "600";

/// The allowed origins.
pub(crate) struct Cors {
    any: bool,
    origins: Vec<String>,
}

impl Cors {
    /// The configured origins; `*` means any.
    pub(crate) fn new(origins: &[String]) -> Self {
        Self { any: origins.iter().any(|origin| origin == "*"), origins: origins.to_vec() }
    }

    /// The `Access-Control-Allow-Origin` value for this request, if its origin is allowed.
    fn allowed_origin(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let known = || origin.to_str().is_ok_and(|origin| self.origins.iter().any(|known| known == origin));
        if self.any { Some(HeaderValue::from_static("*")) } else { known().then(|| origin.clone()) }
    }

    /// Whether a page of this origin may call: a configured one, or the shop's own at `host`.
    pub(crate) fn is_known(&self, origin: &str, host: &str) -> bool {
        let own = origin.split_once("://").is_some_and(|(_, named)| named.eq_ignore_ascii_case(host));
        self.any || own || self.origins.iter().any(|known| known == origin)
    }

    /// Lets the requesting page read the response if its origin is allowed.
    pub(crate) fn allow_origin(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if !self.any && !self.origins.is_empty() {
            response.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.allowed_origin(request) {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// The response to `OPTIONS`: the path's methods, and for a page of an allowed origin the preflight headers.
    pub(crate) fn options(&self, request: &HeaderMap, allow: &HeaderValue) -> http::Response<Payload> {
        let mut response = http::Response::new(Payload::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(header::ALLOW, allow.clone());
        if self.allowed_origin(request).is_some() && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
        response
    }
}

/// Adds headers to the response of an application behind the gateway. What may be stored or framed is for the application
/// to say.
pub(crate) fn add_forwarded_headers(headers: &mut HeaderMap, secure: bool) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::X_FRAME_OPTIONS).or_insert(HeaderValue::from_static("SAMEORIGIN"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// Adds headers that restrict what a browser does with a response. `secure` says whether it is sent over TLS.
pub(crate) fn add_security_headers(headers: &mut HeaderMap, secure: bool) {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'self'",
    );
    const FRAMES: HeaderName = header::X_FRAME_OPTIONS;
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if secure {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    let media_type = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if media_type.starts_with(b"text/html") {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(POLICY);
        headers.entry(FRAMES).or_insert(HeaderValue::from_static("DENY"));
        headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    }
    // A browser must not store what only the caller may see, such as an invoice. Other clients may keep it and send
    // If-None-Match.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

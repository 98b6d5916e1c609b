//! Cross-origin calls from pages of configured origins. Credentials of the browser are never taken: tokens travel in headers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::http::wire::payload::Payload;

/// What a page may send.
const HEADERS: &str =
    "authorization, content-type, idempotency-key, if-match, traceparent, x-cart-token, x-order-token, x-request-id";
/// What a page may see of an answer.
const EXPOSED: &str = "etag, idempotent-replayed, location, ratelimit-limit, ratelimit-remaining, ratelimit-reset, \
     retry-after, x-request-id";
/// How long a browser may remember a preflight, in seconds.
const REMEMBERED: &str = "600";

/// The origins that may call.
pub(crate) struct Cors {
    any: bool,
    origins: Vec<String>,
}

impl Cors {
    /// The configured origins; `*` is any.
    pub(crate) fn new(origins: &[String]) -> Self {
        Self { any: origins.iter().any(|origin| origin == "*"), origins: origins.to_vec() }
    }

    /// The value that lets this request's origin in, if it has one that is allowed.
    fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let known = || origin.to_str().is_ok_and(|origin| self.origins.iter().any(|known| known == origin));
        if self.any { Some(HeaderValue::from_static("*")) } else { known().then(|| origin.clone()) }
    }

    /// Marks an answer as readable by the request's page.
    pub(crate) fn mark(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        if !self.any && !self.origins.is_empty() {
            answer.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(origin) = self.allowed(request) {
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// The answer to `OPTIONS`: what the path takes, and for a page of an allowed origin that it may.
    pub(crate) fn options(&self, request: &HeaderMap, allow: &HeaderValue) -> http::Response<Payload> {
        let mut answer = http::Response::new(Payload::empty());
        *answer.status_mut() = StatusCode::NO_CONTENT;
        let headers = answer.headers_mut();
        headers.insert(header::ALLOW, allow.clone());
        if self.allowed(request).is_some() && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
        }
        answer
    }
}

/// Headers that keep a browser from doing more with an answer than it is for.
pub(crate) fn guard(headers: &mut HeaderMap, secure: bool) {
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
    } else {
        // An ETag here names a version to change, not the bytes: prices and stock move without it.
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
}

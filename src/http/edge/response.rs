//! Replies and errors in their wire form.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use hyper::body::Body as _;
use promox_kernel::{Content, Cx, Error, Kind, Response};

use crate::http::edge::buckets::RateState;
use crate::http::edge::problem;
use crate::http::edge::status::status;
use crate::http::wire::compress::{self, Coding, Compressor};
use crate::http::wire::payload::Payload;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Room for the headers of most responses, so that the map does not grow while it is filled.
const USUAL_HEADERS: usize = 12;

/// Converts a reply, or an error that was stored with its idempotency key, to a response. `coding` is the coding of its
/// content, from [`Coding::of`].
pub(crate) fn reply(reply: Response, coding: Option<Coding>) -> http::Response<Payload> {
    let Response { status, headers, content } = reply;
    let media_type = content.media_type();
    let (payload, coding) = encode(content, coding);
    let mut response = http::Response::new(payload);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let map = response.headers_mut();
    *map = HeaderMap::with_capacity(USUAL_HEADERS);
    if let Some(media_type) = media_type {
        map.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            map.append(name, value);
        }
    }
    if let Some(coding) = coding {
        map.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        map.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// The content as a payload, and the coding that it has: none if compression failed.
fn encode(content: Content, coding: Option<Coding>) -> (Payload, Option<Coding>) {
    let bytes = match content {
        Content::Empty => return (Payload::empty(), None),
        Content::Stream(_, reader) => {
            let compressor = coding.and_then(|coding| Compressor::new(coding).ok());
            let coding = coding.filter(|_| compressor.is_some());
            return (Payload::stream(reader, compressor), coding);
        }
        Content::Json(bytes) | Content::Bytes(_, bytes) => bytes,
    };
    match coding.and_then(|coding| Some((coding, compress::whole(coding, &bytes).ok()?))) {
        Some((coding, small)) => (Payload::whole(small), Some(coding)),
        None => (Payload::whole(bytes), None),
    }
}

/// Converts an error to a response. `allow` lists the methods of the path.
pub(crate) fn refusal(
    error: &Error,
    request_id: &str,
    path: &str,
    allow: Option<&HeaderValue>,
) -> http::Response<Payload> {
    let mut response = http::Response::new(Payload::whole(problem::document(error, request_id, path)));
    *response.status_mut() = status(error.kind());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::MEDIA_TYPE));
    let is_temporary = matches!(error.kind(), Kind::Throttled | Kind::Unavailable);
    if let Some(seconds) = error.retry_after_seconds().or(is_temporary.then_some(1)) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if error.kind() == Kind::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(allow) = allow {
        headers.insert(ALLOW, allow.clone());
    }
    response
}

/// An error as the reply that is stored with an idempotency key.
pub(crate) fn stored_refusal(error: &Error, cx: &Cx) -> Response {
    let document = problem::document(error, &cx.request_id, cx.path.as_deref().unwrap_or_default());
    let content = Content::Bytes(problem::MEDIA_TYPE, document);
    Response { status: status(error.kind()).as_u16(), headers: Vec::new(), content }
}

/// Adds the rate limit headers.
pub(crate) fn rate_headers(headers: &mut HeaderMap, rate_state: RateState) {
    headers.insert(LIMIT, HeaderValue::from(rate_state.limit));
    headers.insert(REMAINING, HeaderValue::from(rate_state.remaining));
    headers.insert(RESET, HeaderValue::from(rate_state.reset));
}

/// The response to `HEAD`: everything but the body.
pub(crate) fn strip_body(method: &Method, response: &mut http::Response<Payload>) {
    if method != Method::HEAD {
        return;
    }
    let length = response.body().size_hint().exact();
    if let Some(length) = length.filter(|_| response.status() == StatusCode::OK) {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Payload::whole(Bytes::new());
}

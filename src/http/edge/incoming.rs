//! Request bodies. JSON is read whole within a size limit and a deadline; uploads are passed on piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use promox_contract::codes;
use promox_kernel::{Body, BodyReader, BodySender, Error, Kind, Method};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::http::wire::length::{check_announced, too_large};

/// The maximum time for which the rest of a short body is drained.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// The maximum length of a body, in bytes, that is drained after a refusal, so that its connection can be used again.
const MAX_DRAINED: u64 = 64 << 10;

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Maximum size of a JSON body in bytes.
    pub(crate) json: usize,
    /// Maximum size of an upload in bytes.
    pub(crate) upload: u64,
    /// Time limit for a JSON body, and for each next piece of an upload.
    pub(crate) read_timeout: Duration,
}

fn too_slow() -> Error {
    Error::new(Kind::Malformed, codes::BODY_TIMEOUT, "The body did not arrive in time.")
}

fn connection_lost(error: &hyper::Error) -> Error {
    Error::new(Kind::Malformed, codes::BODY_CUT, format!("The connection was lost while the body was read: {error}"))
}

fn wrong_type(accepted: &str) -> Error {
    let message = format!("This media type is not supported here; send {accepted}.");
    Error::new(Kind::UnsupportedMedia, codes::UNSUPPORTED_MEDIA_TYPE, message)
}

/// The media type of the body in lower case, without parameters. Empty if the header is absent or not readable.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_lowercase()
}

/// Compressed bodies are refused: a small one could expand to a huge one.
fn refuse_coding(headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(CONTENT_ENCODING) {
        Some(coding) if coding != "identity" => Err(wrong_type("one without Content-Encoding")),
        _ => Ok(()),
    }
}

/// Whether the head declares an encoding other than UTF-8, which JSON has between systems (RFC 8259, section 8.1).
fn declares_other_charset(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let parameters = text.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let is_utf8 = |charset: &str| ["utf-8", "utf8", "us-ascii"].iter().any(|known| known.eq_ignore_ascii_case(charset));
    charsets.any(|(_, charset)| !is_utf8(charset.trim().trim_matches('"')))
}

/// The refusal of an empty body where a JSON object is due.
fn empty() -> Error {
    Error::new(Kind::Malformed, codes::MALFORMED_JSON, "The body is empty; send a JSON object, at least {}.")
}

/// Refuses a body on an operation that takes none.
pub(crate) async fn refuse_body(headers: &HeaderMap, body: &mut Option<Incoming>, bounds: Bounds) -> Result<(), Error> {
    let brings_none = match body {
        Some(body) if !is_empty(Some(body)) => comes_to_nothing(headers, body, bounds).await?,
        _ => true,
    };
    if brings_none {
        return Ok(());
    }
    Err(Error::new(
        Kind::Malformed,
        codes::BODY_NOT_TAKEN,
        "This operation takes no body: send its parameters in the query.",
    ))
}

/// Whether there is no body.
fn is_empty(body: Option<&Incoming>) -> bool {
    body.is_none_or(|body| body.size_hint().exact() == Some(0))
}

/// Whether a body that was announced without its length turns out to be empty.
async fn comes_to_nothing(headers: &HeaderMap, body: &mut Incoming, bounds: Bounds) -> Result<bool, Error> {
    // A client that waits for `100 Continue` has a body, and reading it would ask for it.
    if body.size_hint().exact().is_some() || headers.contains_key(EXPECT) {
        return Ok(false);
    }
    let first_byte = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| connection_lost(&error))?;
            if frame.data_ref().is_some_and(|data| !data.is_empty()) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    timeout(bounds.read_timeout, first_byte).await.map_err(|_| too_slow())?
}

/// Reads a whole JSON body.
///
/// A `PUT` or `PATCH` needs a body, because without one it would reset something, or do nothing; another request without
/// one sends no members.
pub(crate) async fn json(
    method: Method,
    headers: &HeaderMap,
    body: &mut Option<Incoming>,
    bounds: Bounds,
) -> Result<Bytes, Error> {
    let read = match body {
        Some(body) if !is_empty(Some(body)) => read_json(headers, body, bounds).await?,
        _ => Bytes::new(),
    };
    let required = matches!(method, Method::Put | Method::Patch);
    if required && read.is_empty() { Err(empty()) } else { Ok(read) }
}

/// Drains what a refusal left of a body, if that is little. Returns whether the connection can be used again.
///
/// A client that waits for `100 Continue` has not sent the body, and reading it would ask for it.
pub(crate) async fn drain(headers: &HeaderMap, body: &mut Incoming, bounds: Bounds) -> bool {
    if body.is_end_stream() {
        return true;
    }
    if headers.contains_key(EXPECT) || body.size_hint().lower() > MAX_DRAINED {
        return false;
    }
    let rest = async {
        let mut drained = 0;
        while drained <= MAX_DRAINED {
            match body.frame().await {
                Some(Ok(frame)) => drained += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    };
    timeout(DRAIN_TIME.min(bounds.read_timeout), rest).await.unwrap_or(false)
}

async fn read_json(headers: &HeaderMap, body: &mut Incoming, bounds: Bounds) -> Result<Bytes, Error> {
    let media_type = media_type(headers);
    if media_type.is_empty() && comes_to_nothing(headers, body, bounds).await? {
        return Ok(Bytes::new());
    }
    // A JSON Patch is a list of changes: read as a merge patch it would make no sense.
    let is_json = media_type == "application/json" || media_type.ends_with("+json");
    if !is_json || media_type == "application/json-patch+json" {
        return Err(wrong_type("application/json"));
    }
    if declares_other_charset(headers) {
        return Err(wrong_type("JSON in UTF-8"));
    }
    refuse_coding(headers)?;
    let limit = u64::try_from(bounds.json).unwrap_or(u64::MAX);
    check_announced(headers, limit)?;
    timeout(bounds.read_timeout, collect(body, bounds.json)).await.map_err(|_| too_slow())?
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Error> {
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|error| connection_lost(&error))?.into_data() else { continue };
        match &mut rest {
            None if first.is_empty() => first = chunk,
            None => rest = Some([&first[..], &chunk[..]].concat().as_slice().into()),
            Some(rest) => rest.extend_from_slice(&chunk),
        }
        if rest.as_ref().map_or(first.len(), BytesMut::len) > limit {
            return Err(too_large(u64::try_from(limit).unwrap_or(u64::MAX)));
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}

/// An upload of one of the accepted types; a task passes it on while the operation reads.
pub(crate) fn upload(
    headers: &HeaderMap,
    body: &mut Option<Incoming>,
    accepted: &[&str],
    bounds: Bounds,
    tasks: &TaskTracker,
) -> Result<Body, Error> {
    let media_type = media_type(headers);
    if !accepted.contains(&media_type.as_str()) && !accepted.contains(&"*/*") {
        return Err(wrong_type(&accepted.join(" or ")));
    }
    refuse_coding(headers)?;
    check_announced(headers, bounds.upload)?;
    let (sender, reader) = BodyReader::pair();
    if let Some(body) = body.take() {
        tasks.spawn(forward(body, sender, bounds));
    }
    let named = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    Ok(Body { media_type, reader: Some(reader), headers: headers.iter().filter_map(named).collect() })
}

/// Passes the body on until it ends, fails, or its reader is dropped.
async fn forward(mut body: Incoming, sender: BodySender, bounds: Bounds) {
    let mut left = bounds.upload;
    loop {
        let chunk = match timeout(bounds.read_timeout, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(chunk) => Ok(chunk),
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => Err(connection_lost(&error)),
            Err(_) => Err(too_slow()),
        };
        let length = chunk.as_ref().map_or(0, |chunk| u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        let chunk = if length > left { Err(too_large(bounds.upload)) } else { chunk };
        left = left.saturating_sub(length);
        let last = chunk.is_err();
        if !sender.send(chunk).await || last {
            return;
        }
    }
}

//! The length of a request's body.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use promox_contract::codes;
use promox_kernel::{Error, Kind};

/// The error for a body of more than `limit` bytes.
pub(crate) fn too_large(limit: u64) -> Error {
    Error::new(Kind::TooLarge, codes::BODY_TOO_LARGE, format!("The body must have at most {limit} bytes here."))
        .with("limit", limit)
}

/// Refuses a body of which the head announces more than `limit` bytes.
pub(crate) fn check_announced(headers: &HeaderMap, limit: u64) -> Result<(), Error> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) { Err(too_large(limit)) } else { Ok(()) }
}

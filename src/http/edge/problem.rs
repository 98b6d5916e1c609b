//! Errors as problem documents, RFC 9457.

use bytes::Bytes;
use promox_kernel::Error;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::http::edge::status::status;

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Members that an error must not override.
const STANDARD: [&str; 8] = ["type", "title", "status", "detail", "instance", "code", "requestId", "errors"];

/// The document for an error. `instance` is the path of the request, or empty if its head could not be read.
pub(crate) fn document(error: &Error, request_id: &str, instance: &str) -> Bytes {
    let problem = Problem { error, request_id, instance };
    serde_json::to_vec(&problem).map(Bytes::from).unwrap_or_default()
}

struct Problem<'a> {
    error: &'a Error,
    request_id: &'a str,
    instance: &'a str,
}

impl Serialize for Problem<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let error = self.error;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &format_args!("urn:promox:problem:{}", error.code()))?;
        map.serialize_entry("title", &title(error.code()))?;
        map.serialize_entry("status", &status(error.kind()).as_u16())?;
        map.serialize_entry("detail", error.message())?;
        if !self.instance.is_empty() {
            map.serialize_entry("instance", self.instance)?;
        }
        map.serialize_entry("code", error.code())?;
        map.serialize_entry("requestId", self.request_id)?;
        if !error.errors().is_empty() {
            map.serialize_entry("errors", error.errors())?;
        }
        for (name, value) in error.members().iter().filter(|(name, _)| !STANDARD.contains(&name.as_str())) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Words of codes that are written in capitals.
const ABBREVIATIONS: [&str; 4] = ["JSON", "SKU", "CSV", "URL"];

/// `INSUFFICIENT_STOCK` as "Insufficient stock", and `MALFORMED_JSON` as "Malformed JSON".
fn title(code: &str) -> String {
    let word = |word: &str| if ABBREVIATIONS.contains(&word) { word.to_owned() } else { word.to_lowercase() };
    let mut title = code.split('_').map(word).collect::<Vec<_>>().join(" ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;
    use promox_kernel::FieldError;
    use serde_json::{Value, json};

    fn read(error: &Error) -> Value {
        serde_json::from_slice(&document(error, "r-1", "/api/orders")).unwrap()
    }

    #[test]
    fn a_refusal_has_the_standard_members_and_its_own() {
        let error = Error::conflict("INSUFFICIENT_STOCK", "Only 2 of 85123A are left.")
            .with("sku", "85123A")
            .with("status", "cannot be replaced");
        assert_eq!(
            read(&error),
            json!({"type": "urn:promox:problem:INSUFFICIENT_STOCK", "title": "Insufficient stock", "status": 409,
                "detail": "Only 2 of 85123A are left.", "instance": "/api/orders", "code": "INSUFFICIENT_STOCK",
                "requestId": "r-1", "sku": "85123A"})
        );
    }

    #[test]
    fn field_errors_are_listed_and_causes_are_not_revealed() {
        let fault = FieldError::new("/items/0/quantity", "at least 1");
        assert_eq!(
            read(&Error::invalid(vec![fault]))["errors"],
            json!([{"pointer": "/items/0/quantity", "code": "INVALID_VALUE", "detail": "at least 1"}])
        );
        let internal = String::from_utf8(document(&Error::internal("the disk says EIO"), "r", "/").to_vec()).unwrap();
        assert!(!internal.contains("EIO") && internal.contains("\"status\":500"));
    }
}

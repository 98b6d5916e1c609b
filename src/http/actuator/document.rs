//! The documents of the actuator: JSON in the shapes and media types that Spring's tools expect.

use bytes::Bytes;
use promox_kernel::{Content, Cx, Error, Reply, Response};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

const JSON: &str = "application/json";
/// The media types of Spring Boot's actuator, newest first.
const SPRING: [&str; 2] =
    ["application/vnd.spring-boot.actuator.v3+json", "application/vnd.spring-boot.actuator.v2+json"];

/// A document in the media type that the caller prefers.
#[derive(Debug)]
pub(crate) struct Document<T> {
    value: T,
    media_type: &'static str,
    status: Option<u16>,
}

impl<T> Document<T> {
    /// The document of a value; 406 if the caller accepts none of its media types.
    pub(crate) fn of(cx: &Cx, value: T) -> Result<Self, Error> {
        let [newest, older] = SPRING;
        Ok(Self { value, media_type: cx.prefers(&[JSON, newest, older])?, status: None })
    }

    /// This document with another status than the usual one.
    pub(crate) fn with_status(self, status: Option<u16>) -> Self {
        Self { status, ..self }
    }
}

impl<T: Serialize + JsonSchema + Send + 'static> Reply for Document<T> {
    const MEDIA_TYPES: &'static [&'static str] = &SPRING;

    fn respond(self, status: u16) -> Result<Response, Error> {
        let bytes = Bytes::from(serde_json::to_vec(&self.value).map_err(Error::internal)?);
        let content =
            if self.media_type == JSON { Content::Json(bytes) } else { Content::Bytes(self.media_type, bytes) };
        Ok(Response { status: self.status.unwrap_or(status), headers: Vec::new(), content })
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// A JSON object whose members Spring Boot's documentation of its actuator describes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Free(pub(crate) Value);

impl JsonSchema for Free {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Free".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object"})
    }
}

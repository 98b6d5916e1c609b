//! Replies of operations: JSON with status and headers, or another kind of document.

use std::sync::Arc;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::{BodyReader, Error, Page, Progress, accept};

/// A successful response.
#[derive(Debug)]
pub struct Response {
    /// The status, 2xx.
    pub status: u16,
    /// The headers, without those that describe the content.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub content: Content,
}

impl Response {
    #[doc(hidden)]
    pub fn json(status: u16, headers: Vec<(&'static str, String)>, json: Result<Bytes, Error>) -> Result<Self, Error> {
        Ok(Self { status, headers, content: Content::Json(json?) })
    }

    /// A copy of the response; `None` for a stream, which can be read only once.
    pub fn copy(&self) -> Option<Self> {
        let content = match &self.content {
            Content::Empty => Content::Empty,
            Content::Json(bytes) => Content::Json(bytes.clone()),
            Content::Bytes(media_type, bytes) => Content::Bytes(media_type, bytes.clone()),
            Content::Stream(..) => return None,
        };
        Some(Self { status: self.status, headers: self.headers.clone(), content })
    }
}

/// The content of a response.
#[derive(Debug)]
pub enum Content {
    /// No content.
    Empty,
    /// JSON text.
    Json(Bytes),
    /// Bytes of another media type.
    Bytes(&'static str, Bytes),
    /// A stream of another media type.
    Stream(&'static str, BodyReader),
}

impl Content {
    /// The media type, if there is any content.
    pub fn media_type(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Json(_) => Some(accept::JSON),
            Self::Bytes(media_type, _) | Self::Stream(media_type, _) => Some(media_type),
        }
    }
}

/// The reply of an operation. Implement it with [`json_reply!`](crate::json_reply).
pub trait Reply: Send + 'static {
    /// Whether the reply names the version of a resource in an `ETag`.
    const VERSIONED: bool = false;
    /// Whether the reply names the path of a resource in `Location`.
    const LOCATED: bool = false;
    /// Whether the reply has content.
    const HAS_CONTENT: bool = true;
    /// Its media types beside JSON, if the type determines them.
    const MEDIA_TYPES: &'static [&'static str] = &[];

    /// Converts the reply to a response. `status` is the usual one of the operation.
    fn respond(self, status: u16) -> Result<Response, Error>
    where
        Self: Sized;

    /// The JSON schema of the reply; `None` if it is not JSON.
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema>;

    /// The response to store with an idempotency key; `None` for replies that are not stored, such as documents.
    fn stored_response(&self, status: u16) -> Result<Option<Response>, Error>;
}

/// The JSON text of a value. A failure is a bug, reported as an internal error.
#[doc(hidden)]
#[inline(never)]
pub fn to_json(value: &impl Serialize) -> Result<Bytes, Error> {
    crate::encoding::json_text(value).map(Bytes::from).map_err(Error::internal)
}

/// Implements [`Reply`] for serialisable types: `json_reply!(A, B)`. `json_reply!(Product, etag version)` also sends
/// the field `version` as a strong `ETag`. `json_reply!(Order, status http_status)` gets the status from the method
/// `http_status`, which returns `None` for the usual one. `json_reply!(Started, location path)` sends the path that the
/// method `path` returns as `Location`; with a `status`, the method returns `None` for no such header.
#[macro_export]
macro_rules! json_reply {
    ($type:ty, etag $version:ident, status $status:ident) => {
        $crate::json_reply!(@impl $type, true, |it: &$type| vec![("etag", format!("\"{}\"", it.$version))], |it: &$type| it.$status());
    };
    ($type:ty, etag $version:ident) => {
        $crate::json_reply!(@impl $type, true, |it: &$type| vec![("etag", format!("\"{}\"", it.$version))], |_: &$type| None);
    };
    ($type:ty, location $location:ident) => {
        $crate::json_reply!(@impl $type, false, |it: &$type| vec![("location", it.$location())], |_: &$type| None, located);
    };
    ($type:ty, location $location:ident, status $status:ident) => {
        $crate::json_reply!(
            @impl $type, false,
            |it: &$type| it.$location().map(|path| ("location", path)).into_iter().collect(),
            |it: &$type| it.$status(), located
        );
    };
    ($type:ty, status $status:ident) => {
        $crate::json_reply!(@impl $type, false, |_: &$type| Vec::new(), |it: &$type| it.$status());
    };
    ($($type:ty),+ $(,)?) => { $($crate::json_reply!(@impl $type, false, |_: &$type| Vec::new(), |_: &$type| None);)+ };
    (@located located) => { true };
    (@located) => { false };
    (@impl $type:ty, $versioned:literal, $headers:expr, $status:expr $(, $located:ident)?) => {
        impl $crate::Reply for $type {
            const VERSIONED: bool = $versioned;
            const LOCATED: bool = $crate::json_reply!(@located $($located)?);
            fn respond(self, status: u16) -> Result<$crate::Response, $crate::Error> {
                let headers: Vec<(&'static str, String)> = ($headers)(&self);
                let chosen: Option<u16> = ($status)(&self);
                $crate::Response::json(chosen.unwrap_or(status), headers, $crate::to_json(&self))
            }
            fn schema(generator: &mut $crate::macros::schemars::SchemaGenerator) -> Option<$crate::macros::schemars::Schema> {
                Some(generator.subschema_for::<$type>())
            }
            fn stored_response(&self, status: u16) -> Result<Option<$crate::Response>, $crate::Error> {
                let headers: Vec<(&'static str, String)> = ($headers)(self);
                let chosen: Option<u16> = ($status)(self);
                $crate::Response::json(chosen.unwrap_or(status), headers, $crate::to_json(self)).map(Some)
            }
        }
    };
}

/// 204 without content.
impl Reply for () {
    const HAS_CONTENT: bool = false;

    fn respond(self, _: u16) -> Result<Response, Error> {
        Ok(Response { status: 204, headers: Vec::new(), content: Content::Empty })
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
    fn stored_response(&self, status: u16) -> Result<Option<Response>, Error> {
        ().respond(status).map(Some)
    }
}

impl<T: Serialize + JsonSchema + Send + 'static> Reply for Page<T> {
    fn respond(self, status: u16) -> Result<Response, Error> {
        Ok(Response { status, headers: self.warnings.headers(), content: Content::Json(to_json(&self)?) })
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<Self>())
    }
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

impl<T: Serialize + JsonSchema + Send + 'static> Reply for Vec<T> {
    fn respond(self, status: u16) -> Result<Response, Error> {
        Ok(Response { status, headers: Vec::new(), content: Content::Json(to_json(&self)?) })
    }
    fn schema(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<Self>())
    }
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

/// A document that is not JSON, such as an HTML page, a CSV file or a stream of events.
#[derive(Debug)]
pub struct Download {
    /// The media type.
    pub media_type: &'static str,
    /// The file name under which a browser saves the document, if it should.
    pub file_name: Option<String>,
    /// The bytes of the document.
    pub content: Content,
    /// The rows of a streamed export that are written, for showing its progress.
    pub progress: Option<Arc<Progress>>,
}

impl Download {
    /// A document whose bytes are complete.
    pub fn bytes(media_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self::of(media_type, Content::Bytes(media_type, bytes.into()))
    }

    fn of(media_type: &'static str, content: Content) -> Self {
        Self { media_type, file_name: None, content, progress: None }
    }

    /// A document that is streamed.
    pub fn stream(media_type: &'static str, reader: BodyReader) -> Self {
        Self::of(media_type, Content::Stream(media_type, reader))
    }
}

impl Reply for Download {
    fn respond(self, status: u16) -> Result<Response, Error> {
        let headers = self
            .file_name
            .map(|name| ("content-disposition", format!("attachment; filename=\"{name}\"")))
            .into_iter()
            .collect();
        Ok(Response { status, headers, content: self.content })
    }
    fn schema(_: &mut SchemaGenerator) -> Option<Schema> {
        None
    }
    fn stored_response(&self, _: u16) -> Result<Option<Response>, Error> {
        Ok(None)
    }
}

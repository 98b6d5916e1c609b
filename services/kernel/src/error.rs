//! The error of every operation: its kind, stable code and message.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::codes;
use crate::time::whole_seconds;

/// The kind of an error. The HTTP edge turns it into a status, in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The request cannot be read at all.
    Malformed,
    /// Missing or invalid credentials.
    Unauthenticated,
    /// The payment was declined.
    Declined,
    /// The caller is authenticated, but not permitted.
    Forbidden,
    /// The resource does not exist, or is not the caller's.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// No representation that the caller accepts.
    NotAcceptable,
    /// The request conflicts with the current state.
    Conflict,
    /// The resource is not at the version the caller named.
    Precondition,
    /// The body is too large.
    TooLarge,
    /// The request line and headers are too large.
    HeadTooLarge,
    /// The body's media type is not supported.
    UnsupportedMedia,
    /// Well-formed, but violates the schema. Never stored as the reply of an idempotency key.
    Schema,
    /// Well-formed, but refused by a business rule. Stored as the reply of an idempotency key.
    Refused,
    /// Too many requests.
    Throttled,
    /// Busy, not ready or too slow.
    Unavailable,
    /// An application behind the gateway answered with nothing that can be passed on.
    BadGateway,
    /// An application behind the gateway did not answer in time.
    GatewayTimeout,
    /// The disk is full; reads continue.
    Full,
    /// A bug or a failure of the server.
    Internal,
}

/// One fault in a request, located by a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldError {
    /// RFC 6901 pointer into the body, or `?name` for a query member.
    pub pointer: String,
    /// Stable code in `UPPER_SNAKE`.
    pub code: Cow<'static, str>,
    /// What is wrong, for humans.
    pub detail: String,
    /// Pointers to other members that it depends on, for faults that compare members. Not sent.
    #[serde(skip)]
    #[schemars(skip)]
    pub depends_on: Vec<String>,
}

impl FieldError {
    /// A fault with the general code `INVALID_VALUE`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::coded(pointer, codes::INVALID_VALUE, detail)
    }

    /// A fault with a specific code.
    pub fn coded(pointer: impl Into<String>, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into(), depends_on: Vec::new() }
    }
}

/// The member of the error document that names the table with damaged data.
const TABLE: &str = "table";

/// Why an operation failed. Nodes pass it to each other completely, including its cause; the HTTP edge decides what
/// clients see.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Inner {
    kind: Kind,
    code: Cow<'static, str>,
    message: String,
    members: Map<String, Value>,
    errors: Vec<FieldError>,
    retry_after: Option<u32>,
    cause: Option<String>,
}

impl Error {
    /// An error with a kind, a stable code and a message for humans.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: code.into(),
            message: message.into(),
            members: Map::new(),
            errors: Vec::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// 404: `what` does not exist or is not the caller's. The message does not say which.
    pub fn not_found(what: &str) -> Self {
        Self::new(Kind::NotFound, codes::NOT_FOUND, format!("There is no such {what}."))
    }

    /// 409 with a stable code and a message for humans.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, code, message)
    }

    /// 422: a business rule refuses the request. It has a stable code and a message for humans.
    pub fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, code, message)
    }

    /// 422 with pointers to the faults. `errors` must not be empty.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let message = errors.first().map_or_else(String::new, |first| format!("{}: {}", first.pointer, first.detail));
        let mut error = Self::new(Kind::Schema, codes::VALIDATION_FAILED, message);
        error.0.errors = errors;
        error
    }

    /// 422 with a single fault.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(pointer, detail)])
    }

    /// 503 with a stable code and a message for humans. The client may retry in `seconds`.
    pub fn unavailable(code: &'static str, message: impl Into<String>, seconds: u32) -> Self {
        Self::new(Kind::Unavailable, code, message).retry_after(seconds)
    }

    /// 429 with a stable code and a message for humans. It ends after `wait`.
    pub fn throttled(code: &'static str, message: impl Into<String>, wait: Duration) -> Self {
        Self::new(Kind::Throttled, code, message).retry_after(whole_seconds(wait))
    }

    /// 500 for a bug or a failure of the server. `cause` is logged and never sent to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let mut error =
            Self::new(Kind::Internal, codes::INTERNAL, "An internal error occurred; the server's log has the cause.");
        error.0.cause = Some(cause.to_string());
        error
    }

    /// 500: stored data of a table is damaged. `place` is logged and never sent to the client.
    pub fn damaged(table: &str, place: impl fmt::Display) -> Self {
        let message = format!("Stored data of {table} is damaged and cannot be read; the server's log says where.");
        let mut error = Self::new(Kind::Internal, codes::DATA_DAMAGED, message).with(TABLE, table);
        error.0.cause = Some(place.to_string());
        error
    }

    /// The table with damaged data, if this error was made by [`Error::damaged`].
    pub fn damaged_table(&self) -> Option<&str> {
        if self.0.code == codes::DATA_DAMAGED { self.0.members.get(TABLE)?.as_str() } else { None }
    }

    /// Adds a member to the standard ones of the problem document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.members.insert(name.to_owned(), value);
        }
        self
    }

    /// Sets the number of seconds after which the client may retry.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Whether the failure is transient: the store is busy or full, or a service does not reply. It decides nothing,
    /// and a retry may succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind(), Kind::Unavailable | Kind::Full)
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
    /// The stable code.
    pub fn code(&self) -> &str {
        &self.0.code
    }
    /// The message for humans.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// Members that were added to the standard ones.
    pub fn members(&self) -> &Map<String, Value> {
        &self.0.members
    }
    /// The faults by pointer.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }
    /// The number of seconds to wait before a retry.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.0.retry_after
    }
    /// The internal cause, for the log only.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Whether this error is stored as the reply to the idempotency key. Business decisions are stored; failures and
    /// errors that ask for a retry are not.
    pub fn is_decided(&self) -> bool {
        matches!(self.0.kind, Kind::Conflict | Kind::Declined | Kind::Refused) && self.0.retry_after.is_none()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)?;
        self.0.cause.as_ref().map_or(Ok(()), |cause| write!(f, " ({cause})"))
    }
}

impl std::error::Error for Error {}

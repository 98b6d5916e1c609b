//! The API described by the operations that are registered: OpenAPI, and a page for people.

pub(crate) mod docs;
pub(crate) mod openapi;

//! The API description, generated from the registered operations: an OpenAPI document, and a page that renders it.

pub(crate) mod docs;
pub(crate) mod openapi;

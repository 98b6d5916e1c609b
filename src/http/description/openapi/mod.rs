//! The API description, OpenAPI 3.1, generated from the registry, so that it always matches the router.

#![allow(clippy::indexing_slicing, reason = "assigning to an index of a JSON object creates the member")]

mod examples;
mod operation;
mod recorded;
mod schemas;
mod webhooks;

use bytes::Bytes;
use examples::Examples;
use operation::Shown;
use promox_contract::codes;
use promox_kernel::{Error, Registry};
use recorded::Recorded;
use schemas::{Schemas, Used};
use serde_json::{Map, Value, json};

/// The document's JSON text.
pub(crate) fn document(registry: &Registry, title: &str, url: &str) -> Result<Bytes, Error> {
    serde_json::to_vec(&describe(registry, title, url)).map(Bytes::from).map_err(Error::internal)
}

fn describe(registry: &Registry, title: &str, url: &str) -> Value {
    let (mut schemas, examples, recorded) = (Schemas::new(), Examples::read(), Recorded::read());
    let mut paths: Map<String, Value> = Map::new();
    for entry in registry.entries().iter().filter(|entry| !entry.path.is_empty()) {
        let path = paths.entry(entry.path.to_owned()).or_insert_with(|| json!({}));
        let method = entry.method.as_str().to_lowercase();
        let (request, answer) = (examples.of(entry.name), recorded.answer(entry.name));
        let shown = Shown { request, answer, codes: recorded.codes(entry) };
        path[method] = operation::describe(entry, &mut schemas, shown);
    }
    let messages = registry.outgoing().iter();
    let messages: Map<String, Value> =
        messages.map(|message| (message.kind.to_owned(), webhooks::describe(message, &mut schemas))).collect();
    let mut used = Used { paths: Value::Object(paths), webhooks: Value::Object(messages) };
    let mut schemas = schemas.finish(&mut used);
    schemas.insert("Problem".to_owned(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{title} API"),
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "tags": tags(registry),
        "paths": used.paths,
        "webhooks": used.webhooks,
        "components": {
            "schemas": schemas,
            "parameters": parameters(),
            "headers": headers(),
            "responses": responses(),
            "securitySchemes": security_schemes(),
        },
    })
}

const DESCRIPTION: &str = "JSON in camelCase; money as decimal strings; times in RFC 3339, UTC; errors as \
     application/problem+json with a stable `code`. Lists take `limit` and `cursor` and return `items` and \
     `nextCursor`. Unknown members in a request are an error.";

fn tags(registry: &Registry) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for entry in registry.entries().iter().filter(|entry| !entry.path.is_empty()) {
        if !names.contains(&entry.service) {
            names.push(entry.service);
        }
    }
    names.into_iter().map(|name| json!({"name": name})).collect()
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A problem, RFC 9457. Some codes add members of their own.",
        "required": ["type", "title", "status", "detail", "code", "requestId"],
        "additionalProperties": true,
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "A human-readable explanation."},
            "instance": {"type": "string", "description": "The request path; absent when the head of the \
                 request could not be read."},
            "code": {"type": "string", "description": "Stable code to branch on; `x-codes` of an operation lists those it gives.", "example": codes::INSUFFICIENT_STOCK},
            "requestId": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "detail"],
                    "properties": {
                        "pointer": {"type": "string", "description": "JSON pointer into the body; ?name for a \
                             query parameter."},
                        "code": {"type": "string"},
                        "detail": {"type": "string"},
                    },
                },
            },
        },
    })
}

/// The form of an idempotency key: printable ASCII. HTTP itself removes spaces around it.
const KEY: &str = "^[!-~]([ -~]{0,253}[!-~])?$";

fn parameters() -> Value {
    json!({
        "IdempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "pattern": KEY},
            "description": "Repeating a request with the same key, path and body returns the first decided \
                 response. Keys are kept for at least 24 hours.",
        },
        "IfMatch": {
            "name": "If-Match", "in": "header", "schema": {"type": "string"}, "example": "*",
            "description": "ETags as returned, or *; 412 when the resource matches none of these versions. Weak \
                 tags never match.",
        },
        "IfNoneMatch": {
            "name": "If-None-Match", "in": "header", "schema": {"type": "string"}, "example": "\"7-8d3b0f6a2c5e9174\"",
            "description": "ETags of responses that the client has, or *; 304 without content when one of them is \
                 current.",
        },
        "RequestId": {
            "name": "X-Request-Id", "in": "header", "schema": {"type": "string", "maxLength": 128},
            "description": "Identifies the request in logs and errors; generated when absent, always returned.",
        },
    })
}

fn headers() -> Value {
    json!({
        "RequestId": {"description": "The request's id.", "schema": {"type": "string"}},
        "ETag": {
            "description": "The resource's version and a digest of the response. If-Match compares the version, \
                 If-None-Match the whole tag.",
            "schema": {"type": "string"},
        },
        "RateLimit-Limit": {
            "description": "The number of requests that the caller may make at once.", "schema": {"type": "integer"},
        },
        "RateLimit-Remaining": {
            "description": "The number of requests that are left now.", "schema": {"type": "integer"},
        },
        "RateLimit-Reset": {
            "description": "Seconds until the full number is available again.", "schema": {"type": "integer"},
        },
        "RetryAfter": {"description": "Seconds to wait before a retry.", "schema": {"type": "integer"}},
        "Warning": {
            "description": "`299 promox \"…\"` for each table with damaged rows that were left out, which \
                 `warnings` also lists; otherwise absent.",
            "schema": {"type": "string"},
        },
        "IdempotentReplayed": {"description": "`true` when this is a stored response.", "schema": {"type": "string"}},
    })
}

fn responses() -> Value {
    let problem = |text: &str| {
        json!({
            "description": text,
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        })
    };
    let later = |text: &str| {
        let mut response = problem(text);
        response["headers"]["Retry-After"] = json!({"$ref": "#/components/headers/RetryAfter"});
        response
    };
    json!({
        "NotModified": {
            "description": "The client already has the current response.",
            "headers": {
                "X-Request-Id": {"$ref": "#/components/headers/RequestId"},
                "ETag": {"$ref": "#/components/headers/ETag"},
            },
        },
        "Malformed": problem("The request cannot be read."),
        "Unauthenticated": problem("Missing or invalid credentials."),
        "Declined": problem("The payment was declined."),
        "Forbidden": problem("Not allowed."),
        "NotFound": problem("The resource does not exist or is not the caller's."),
        "NotAcceptable": problem("The Accept header allows none of the available media types."),
        "Conflict": problem("The request conflicts with the current state."),
        "Precondition": problem("The resource does not match If-Match."),
        "TooLarge": problem("The body is too large."),
        "UnsupportedMedia": problem("The media type of the body is not supported."),
        "Invalid": problem("The request is well-formed, but violates the schema or a business rule."),
        "Throttled": later("Too many requests."),
        "Unavailable": later("Temporarily unavailable."),
        "Problem": problem("Any other error; 500 `DATA_DAMAGED` names the `table` whose stored data cannot be read."),
    })
}

fn security_schemes() -> Value {
    json!({
        "bearer": {
            "type": "http", "scheme": "bearer",
            "description": "An access token, or an API key where a permission is required.",
        },
        "basic": {
            "type": "http", "scheme": "basic",
            "description": "An API key as the password, with any user name, for clients that know no other scheme.",
        },
        "cartToken": {"type": "apiKey", "in": "header", "name": "X-Cart-Token", "description": "A guest's cart."},
        "orderToken": {"type": "apiKey", "in": "header", "name": "X-Order-Token", "description": "A guest's order."},
    })
}

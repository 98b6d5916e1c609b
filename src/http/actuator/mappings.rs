//! The operations in the shape of Spring's mappings, and the addresses of the actuator.

use promox_kernel::{BodyKind, Entry, Registry};
use serde_json::{Map, Value, json};

/// Every operation with its method and path.
pub(crate) fn mappings(registry: &Registry) -> Value {
    let served = registry.entries().iter().filter(|entry| !entry.path.is_empty());
    let mappings: Vec<Value> = served.map(mapping).collect();
    let kinds = json!({
        "dispatcherServlets": {"dispatcherServlet": mappings},
        "servletFilters": [],
        "servlets": [],
    });
    json!({"contexts": {"promox": {"mappings": kinds, "parentId": null}}})
}

fn mapping(entry: &Entry) -> Value {
    let method = entry.method.as_str();
    let consumes: Vec<Value> = match entry.body {
        BodyKind::Stream(types) => types.iter().map(|kind| json!({"mediaType": kind, "negated": false})).collect(),
        BodyKind::Json | BodyKind::Ignored => Vec::new(),
    };
    let produces: Vec<Value> =
        entry.media_types.iter().map(|kind| json!({"mediaType": kind, "negated": false})).collect();
    json!({
        "handler": entry.name,
        "predicate": format!("{{{method} [{}]}}", entry.path),
        "details": {
            "handlerMethod": {"className": entry.service, "name": entry.name, "descriptor": ""},
            "requestMappingConditions": {
                "methods": [method],
                "patterns": [entry.path],
                "consumes": consumes,
                "produces": produces,
                "headers": [],
                "params": [],
            },
        },
    })
}

/// The addresses of the actuator below a base such as `https://shop.example.com`.
pub(crate) fn links(registry: &Registry, base: &str) -> Value {
    let base = base.trim_end_matches('/');
    let mut links = Map::new();
    let read = registry.entries().iter().filter(|entry| entry.method.is_safe());
    for path in read.map(|entry| entry.path).filter(|path| path.starts_with("/actuator")) {
        let name = path.trim_start_matches("/actuator").trim_matches('/').replace('/', "-").replace(['{', '}'], "");
        let name = if name.is_empty() { "self".to_owned() } else { name };
        links.insert(name, json!({"href": format!("{base}{path}"), "templated": path.contains('{')}));
    }
    json!({ "_links": links })
}

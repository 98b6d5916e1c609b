//! The description compared with the registry, and the actuator.

use std::collections::BTreeSet;

use promox_kernel::Registry;
use serde_json::{Value, json};

use super::Rig;
use super::probe::Probe;
use crate::http::actuator::metrics::Metrics;
use crate::http::edge::router::{Conflict, Router};

/// Every reference in a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[tokio::test]
async fn every_route_is_described_and_every_reference_resolves() {
    let rig = Rig::start(&[]).await;
    let document = rig.get("/openapi.json").await.json();
    for entry in rig.node.registry().unwrap().entries().iter().filter(|entry| !entry.path.is_empty()) {
        let operation = &document["paths"][entry.path][entry.method.as_str().to_lowercase()];
        assert_eq!(operation["operationId"], entry.name, "{entry:?}");
        assert!(!operation["responses"][entry.status.to_string()].is_null(), "{entry:?}");
        assert!(!operation["responses"]["default"].is_null(), "{entry:?} has no default response");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{entry:?}");
    }
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.contains("#/components/schemas/Problem"));
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
    }
}

#[tokio::test]
async fn fields_become_parameters_and_bodies() {
    let rig = Rig::start(&[]).await;
    let document = rig.get("/openapi.json").await.json();
    let paths = document["paths"].clone();
    let get = &paths["/things/{id}"]["get"];
    assert_eq!((&get["parameters"][0]["in"], &get["parameters"][0]["name"]), (&json!("path"), &json!("id")));
    assert_eq!((&get["parameters"][1]["in"], &get["parameters"][1]["required"]), (&json!("query"), &json!(false)));
    let make = &paths["/things"]["post"];
    let body = &make["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    assert_eq!(body, "#/components/schemas/ProbeMakeBody");
    assert_eq!(document["components"]["schemas"]["ProbeMakeBody"]["required"], json!(["name"]));
    assert_eq!(make["parameters"][0]["$ref"], "#/components/parameters/IdempotencyKey");
    assert!(paths["/upload"]["post"]["requestBody"]["content"]["text/csv"].is_object());
    let own = &paths["/openapi.json"]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(own["type"], "object");
    let secret = &paths["/secret"]["get"];
    assert_eq!(
        (&secret["x-permission"], &secret["security"]),
        (&json!("probe:read"), &json!([{"bearer": []}, {"basic": []}]))
    );
}

#[tokio::test]
async fn the_page_and_its_files_are_served() {
    let rig = Rig::start(&[]).await;
    let page = rig.get("/docs").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    for path in ["/docs/page.js", "/docs/page.css"] {
        assert!(page.body.contains(path) && rig.get(path).await.status == 200, "{path}");
    }
}

#[tokio::test]
async fn health_reports_the_state_of_each_part() {
    let rig = Rig::start(&[]).await;
    rig.server.health().add("storage", Box::new(|| Ok(json!({"rows": 3}))));
    assert_eq!(
        rig.get("/actuator/health").await.json(),
        json!({
            "status": "UP",
            "components": {"storage": {"status": "UP", "details": {"rows": 3}}},
            "groups": ["liveness", "readiness"],
        })
    );
    rig.server.health().add("mail", Box::new(|| Err("no server".to_owned())));
    let down = rig.get("/actuator/health").await;
    assert_eq!((down.status, &down.json()["status"]), (503, &json!("DOWN")));
    let mail = rig.get("/actuator/health/mail").await;
    assert_eq!((mail.status, &mail.json()["details"]), (503, &json!({"error": "no server"})));
    assert_eq!(
        (rig.get("/actuator/health/storage").await.status, rig.get("/actuator/health/x").await.status),
        (200, 404)
    );
    assert_eq!(rig.get("/actuator/health/liveness").await.status, 200);
    assert_eq!(rig.get("/actuator/health/readiness").await.status, 200);
    let text = rig.get("/actuator/prometheus").await.body;
    assert!(
        text.contains(r#"promox_http_requests_total{service="ops",operation="ops.health",status="200"} 1"#),
        "{text}"
    );
    for path in ["info", "metrics", "loggers", "env"] {
        assert_eq!(rig.get(&format!("/actuator/{path}")).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn an_operator_reads_settings_and_changes_log_levels() {
    let rig = Rig::start(&[("PROMOX_MAIL__PASSWORD", "hush")]).await;
    let operator = ("authorization", "Bearer operator");
    let settings = rig.request("GET /actuator/env", &[operator], "").await;
    assert!(!settings.body.contains("hush"));
    let sources = settings.json()["propertySources"].as_array().unwrap().clone();
    let variables = sources.iter().find(|source| source["name"] == "systemEnvironment").unwrap();
    let password = &variables["properties"]["mail.password"];
    assert_eq!(password, &json!({"value": "********", "origin": "environment PROMOX_MAIL__PASSWORD"}));
    let one = rig.request("GET /actuator/env/mail.password", &[operator], "").await.json();
    assert_eq!(one["property"], json!({"source": "systemEnvironment", "value": "********"}));
    assert_eq!(rig.request("GET /actuator/env/mail.nothing", &[operator], "").await.status, 404);
    let set = rig.post("/actuator/loggers/promox::http", &[operator], r#"{"configuredLevel":"DEBUG"}"#).await;
    assert_eq!(set.status, 204);
    let get = async |name: &str| rig.request(&format!("GET /actuator/loggers{name}"), &[operator], "").await.json();
    let debug = json!({"configuredLevel": "DEBUG", "effectiveLevel": "DEBUG"});
    assert_eq!(get("").await["loggers"]["promox::http"], debug);
    assert_eq!(get("/promox::http").await, debug);
    assert_eq!(get("/promox::http::edge").await, json!({"configuredLevel": null, "effectiveLevel": "DEBUG"}));
    assert_eq!(get("/ROOT").await["configuredLevel"], "OFF");
    for (name, body) in
        [("root", "{}"), ("a%20b", r#"{"configuredLevel":"INFO"}"#), ("ROOT", r#"{"configuredLevel":"LOUD"}"#)]
    {
        assert_eq!(
            rig.post(&format!("/actuator/loggers/{name}"), &[operator], body).await.status,
            422,
            "{name} {body}"
        );
    }
    assert_eq!(rig.request("GET /actuator/info", &[operator], "").await.json()["name"], "promox");
    let metrics = rig.request("GET /actuator/metrics", &[operator], "").await.json();
    assert_eq!((&metrics["connections"], &metrics["inFlight"]), (&json!(1), &json!(1)));
}

#[test]
fn a_route_registered_twice_is_refused() {
    let mut registry = Registry::default();
    let probe = Probe::new();
    probe.register(&mut registry);
    probe.register(&mut registry);
    let limits = crate::config::Limits::default();
    let keys = promox_storage::MemoryEngine::new().database(promox_storage::Database::Ecommerce);
    registry.keep_keys("probe", &crate::idempotency::keeper(keys));
    let traffic = promox_gateway::Traffic::new(crate::config::Settings::default().traffic());
    let router = Router::new(&registry, &limits, &Metrics::new(), &traffic);
    assert!(matches!(router, Err(Conflict::Operations(_))));
}

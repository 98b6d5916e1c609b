//! The actuator in the shapes that Spring's tools and Prometheus read, and the state of background work.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::postgres;
use crate::shop::{Shop, order_of};

const V3: &str = "application/vnd.spring-boot.actuator.v3+json";

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_the_actuator_is_linked_and_answers() {
    let shop = Shop::start().await;
    let admin = shop.admin.with("accept", format!("{V3}, application/json;q=0.5"));
    let links = admin.get("/actuator").await;
    assert_eq!(links.headers["content-type"], V3);
    let links = links.expect(200)["_links"].as_object().unwrap().clone();
    let names = [
        "self",
        "health",
        "info",
        "metrics",
        "prometheus",
        "loggers",
        "env",
        "configprops",
        "mappings",
        "scheduledtasks",
        "httpexchanges",
        "threaddump",
        "metrics-name",
        "health-component",
    ];
    for name in names {
        assert!(links.contains_key(name), "{name}: {links:?}");
    }
    for (name, link) in &links {
        let path = link["href"].as_str().unwrap().split_once("/actuator").unwrap().1;
        assert_eq!(link["templated"], path.contains('{'), "{name}");
        let path =
            path.replace("{name}", "process.uptime").replace("{component}", "storage").replace("{key}", "log.level");
        let client = if name == "prometheus" { &shop.admin.with("accept", "*/*") } else { &admin };
        let answer = client.get(&format!("/actuator{path}")).await;
        answer.expect(200);
        if name != "prometheus" {
            assert_eq!(answer.headers["content-type"], V3, "{name}");
        }
        let is_open = name.starts_with("health") || name == "prometheus";
        let anonymous = shop.anyone.with("accept", "*/*").get(&format!("/actuator{path}")).await;
        assert_eq!(anonymous.status, if is_open { 200 } else { 401 }, "{name}");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_has_every_part() {
    let shop = Shop::start().await;
    let health = shop.anyone.get("/actuator/health").await.expect(200);
    let parts: Vec<&String> = health["components"].as_object().unwrap().keys().collect();
    let expected: &[&str] = if postgres::is_on() {
        &["consumers", "disk", "mail", "payments", "sagas", "storage"]
    } else {
        &["consumers", "disk", "journal", "mail", "payments", "sagas", "storage"]
    };
    assert_eq!(parts, expected);
    for part in parts {
        let one = shop.anyone.get(&format!("/actuator/health/{part}")).await.expect(200);
        assert!(one["status"] == "UP" && one["details"].is_object(), "{part}: {one}");
    }
    assert!(health["components"]["disk"]["details"]["free"].as_u64().unwrap() > 0);
    shop.anyone.get("/actuator/health/nothing").await.refused(404, "NOT_FOUND");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_micrometers_names_and_tags() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    shop.anyone.get("/api/products").await.expect(200);
    shop.anyone.get("/api/products/999999").await.expect(404);
    let names = shop.admin.get("/actuator/metrics").await.expect(200)["names"].clone();
    for name in ["http.server.requests", "process.uptime", "process.cpu.time", "process.files.open", "store.groups"] {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{name}: {names}");
    }
    let metric = async |query: &str| shop.admin.get(&format!("/actuator/metrics/{query}")).await;
    let all = metric("http.server.requests").await.expect(200);
    assert_eq!((&all["baseUnit"], &all["measurements"][0]["statistic"]), (&json!("seconds"), &json!("COUNT")));
    let tags: Vec<&str> =
        all["availableTags"].as_array().unwrap().iter().map(|it| it["tag"].as_str().unwrap()).collect();
    assert_eq!(tags, ["method", "operation", "outcome", "service", "status", "uri"]);
    let one = metric("http.server.requests?tag=uri:/api/products/%7Bid%7D,status:404").await.expect(200);
    assert_eq!(one["measurements"][0], json!({"statistic": "COUNT", "value": 1.0}));
    metric("http.server.requests?tag=uri:/nowhere").await.refused(404, "NOT_FOUND");
    metric("http.server.requests?tag=uri").await.refused(422, "VALIDATION_FAILED");
    metric("no.such.metric").await.refused(404, "NOT_FOUND");
    let uptime = metric("process.uptime").await.expect(200);
    assert!(uptime["measurements"][0]["value"].as_f64().unwrap() >= 0.0, "{uptime}");
    shop.close().await;
}

/// The linter of Debian's package `prometheus`, which `tests/clients/install` unpacks where it is not installed.
fn promtool() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = std::env::var_os("PROMOX_TEST_CLIENTS").map_or_else(|| root.join("target/clients"), Into::into);
    let unpacked = dir.join("prometheus/usr/bin/promtool");
    let mut command = Command::new(if unpacked.exists() { unpacked.as_path() } else { Path::new("promtool") });
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_finds_nothing_to_complain_about() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let text = shop.anyone.with("accept", "text/plain;version=0.0.4").get("/actuator/prometheus").await;
    assert_eq!(text.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let mut child = promtool().spawn().expect("run tests/clients/install, which unpacks promtool");
    child.stdin.take().unwrap().write_all(&text.bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}");
    let open = shop.anyone.with("accept", "application/openmetrics-text;version=1.0.0,*/*;q=0.1");
    let open = open.get("/actuator/prometheus").await;
    assert!(open.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(open.bytes.ends_with(b"# EOF\n"));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_tasks_threads_and_mappings_are_shown() {
    let shop = Shop::start().await;
    shop.anyone.get("/api/products?q=secret").await.expect(200);
    let get = async |name: &str| shop.admin.get(&format!("/actuator/{name}")).await.expect(200);
    let exchanges = get("httpexchanges").await["exchanges"].as_array().unwrap().clone();
    assert_eq!(exchanges[0]["request"]["uri"], "/api/products", "newest first, without the query");
    assert!(
        exchanges[0]["response"]["status"] == 200 && exchanges[0]["timeTaken"].as_str().unwrap().starts_with("PT0.")
    );
    let tasks = get("scheduledtasks").await["fixedDelay"].as_array().unwrap().clone();
    let evict = tasks.iter().find(|task| task["runnable"]["target"] == "discovery.evict").unwrap();
    assert_eq!(evict["interval"], 15_000);
    let threads = get("threaddump").await["threads"].as_array().unwrap().clone();
    assert!(threads.iter().any(|thread| thread["threadName"].as_str().unwrap().contains("writer")), "{threads:?}");
    let mappings = get("mappings").await;
    let handlers = &mappings["contexts"]["promox"]["mappings"]["dispatcherServlets"]["dispatcherServlet"];
    assert!(handlers.as_array().unwrap().iter().any(|it| it["predicate"] == "{POST [/api/orders]}"));
    let beans = get("configprops").await["contexts"]["promox"]["beans"].clone();
    assert_eq!(beans["server"]["properties"]["compression"], true);
    assert_eq!(beans["admin"]["properties"]["password"], "********");
    assert_eq!(get("info").await["build"]["artifact"], "promox");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn background_work_is_shown_to_operators() {
    let shop = Shop::start().await;
    shop.product("A", "1.00", 5).await;
    let waiting = shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_requires_action")).await.expect(201);
    let sagas = shop.all("/api/ops/sagas").await;
    assert_eq!((sagas.len(), &sagas[0]["orderId"], &sagas[0]["step"]), (1, &waiting["id"], &json!("AWAITING_ACTION")));
    let events = shop.all("/api/ops/events").await;
    let newest = events[0]["position"].as_i64().unwrap();
    assert!(events.iter().any(|event| event["type"] == "ORDER_CREATED" && event["data"].is_object()), "{events:?}");
    assert!(newest >= i64::try_from(events.len()).unwrap());
    shop.admin.get("/api/ops/events?database=PROMOX").await.expect(200);
    let consumers = shop.admin.get("/api/ops/consumers").await.expect(200)["items"].as_array().unwrap().clone();
    assert!(consumers.len() > 5 && consumers.iter().all(|it| it["deadLetters"] == 0), "{consumers:?}");
    let jobs = shop.admin.get("/api/ops/jobs").await.expect(200)["items"].as_array().unwrap().clone();
    assert!(jobs.iter().any(|job| job["name"] == "inventory.expire_holds" || job["name"] == "user.prune"), "{jobs:?}");
    assert_eq!(shop.all("/api/ops/dead-letters").await, [] as [Value; 0]);
    for id in ["nothing", "inventory.post_holds:1", "x:y"] {
        let path = format!("/api/ops/dead-letters/{id}/replay");
        shop.admin.post(&path, &json!({})).await.refused(404, "NOT_FOUND");
    }
    shop.close().await;
}

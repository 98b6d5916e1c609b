//! Traces: spans at a stand-in for a collector, and the context that other systems get.

use serde_json::{Value, json};

use crate::gateway::{Upstream, shop_with};
use crate::receiver::Receiver;
use crate::shop::{Shop, order_of};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The spans that the collector has received.
fn spans(collector: &Receiver) -> Vec<Value> {
    let received = collector.received.lock().clone();
    let bodies = received.iter().filter(|it| it.path == "/v1/traces").map(|it| {
        assert_eq!(it.headers["content-type"], "application/json");
        it.json()
    });
    let spans = bodies.flat_map(|body| {
        let resource = &body["resourceSpans"][0];
        let service = json!([{"key": "service.name", "value": {"stringValue": "shop-1"}}]);
        assert_eq!(resource["resource"]["attributes"], service);
        assert_eq!(resource["scopeSpans"][0]["scope"]["name"], "promox");
        resource["scopeSpans"][0]["spans"].as_array().unwrap().clone()
    });
    spans.collect()
}

/// Waits for a span of the trace with this name.
async fn span(collector: &Receiver, name: &str) -> Value {
    loop {
        let found = spans(collector).into_iter().find(|it| it["name"] == name && it["traceId"] == TRACE);
        if let Some(found) = found {
            return found;
        }
        tokio::task::yield_now().await;
    }
}

/// An attribute of a span.
fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let found = span["attributes"].as_array().unwrap().iter().find(|it| it["key"] == name);
    found.map_or(&Value::Null, |it| &it["value"])
}

fn nanos(span: &Value, name: &str) -> u128 {
    span[name].as_str().unwrap().parse().unwrap()
}

/// Checks that one span began and ended within another that is its parent.
fn assert_within(child: &Value, parent: &Value) {
    assert_eq!(child["parentSpanId"], parent["spanId"], "{child} {parent}");
    let (start, end) = ("startTimeUnixNano", "endTimeUnixNano");
    assert!(nanos(child, start) >= nanos(parent, start) && nanos(child, end) <= nanos(parent, end));
    assert!(nanos(child, end) >= nanos(child, start));
}

fn settings(url: &str) -> [(&'static str, String); 3] {
    [
        ("PROMOX_TRACING__OTLP_URL", url.to_owned()),
        ("PROMOX_TRACING__SERVICE_NAME", "shop-1".to_owned()),
        ("PROMOX_WEBHOOKS__NETWORKS", "127.0.0.0/8".to_owned()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_its_operations_and_its_webhooks_are_one_trace() {
    let collector = Receiver::start().await;
    let settings = settings(&collector.url(""));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let shop = Shop::start_with(&settings).await;
    shop.product("A", "10.00", 100).await;
    let hook = json!({"url": collector.url("/hook"), "events": ["ORDER_CONFIRMED"]});
    shop.admin.post("/api/webhooks", &hook).await.expect(201);
    let client = shop.anyone.with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    client.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    let server = span(&collector, "POST /api/orders").await;
    assert_eq!((&server["parentSpanId"], &server["kind"]), (&json!(PARENT), &json!(2)));
    assert_eq!(attribute(&server, "http.response.status_code"), &json!({"intValue": "201"}));
    assert_eq!(attribute(&server, "url.path"), &json!({"stringValue": "/api/orders"}));
    assert_eq!(server["status"], json!({}));
    let order = span(&collector, "order.place").await;
    assert_eq!(order["kind"], 1);
    assert_within(&order, &server);
    let profile = span(&collector, "store.current_settings").await;
    assert_eq!(profile["traceId"], TRACE);
    // The webhook continues the trace in which its event was made.
    let posted = collector.wait_for("/hook", 1).await.remove(0);
    let traceparent = posted.headers["traceparent"].as_str().unwrap().to_owned();
    let post = span(&collector, "POST").await;
    assert_eq!(
        (post["kind"].as_i64(), attribute(&post, "http.response.status_code")),
        (Some(3), &json!({"intValue": "204"}))
    );
    assert_eq!(traceparent, format!("00-{TRACE}-{}-01", post["spanId"].as_str().unwrap()));
    let parent = span(&collector, "notification.post_webhook").await;
    assert_within(&post, &parent);
    let all = spans(&collector);
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|it| it["spanId"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "each span is sent once");
    assert!(
        all.iter().all(|it| it["spanId"].as_str().unwrap().len() == 16 && it["traceId"].as_str().unwrap().len() == 32)
    );
    let metrics = String::from_utf8(shop.admin.get("/actuator/prometheus").await.bytes.to_vec()).unwrap();
    assert!(metrics.contains("promox_trace_spans_dropped_total 0"), "{metrics}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_through_the_gateway_and_one_that_is_not_recorded() {
    let (app, collector) = (Upstream::start("blog").await, Receiver::start().await);
    let settings = settings(&collector.url(""));
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let shop = shop_with(&app, &settings).await;
    let unrecorded = format!("00-{}-{PARENT}-00", "1".repeat(32));
    let echoed = shop.anyone.with("traceparent", unrecorded.clone()).get("/api/blog/posts").await.expect(200);
    assert_eq!(echoed["headers"]["traceparent"], unrecorded);
    let client = shop.anyone.with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let echoed = client.get("/api/blog/posts").await.expect(200);
    let server = span(&collector, "GET /api/blog").await;
    let hop = span(&collector, "GET").await;
    assert_within(&hop, &server);
    assert_eq!((hop["kind"].as_i64(), attribute(&hop, "server.address")), (Some(3), &json!({"stringValue": "BLOG"})));
    assert_eq!(echoed["headers"]["traceparent"], format!("00-{TRACE}-{}-01", hop["spanId"].as_str().unwrap()));
    assert!(spans(&collector).iter().all(|it| it["traceId"] != "1".repeat(32)), "the caller does not record it");
    // A refusal has its code, and a request without a trace begins one.
    client.get("/api/products/999999").await.expect(404);
    let refused = span(&collector, "product.get").await;
    assert_eq!(attribute(&refused, "error.type"), &json!({"stringValue": "NOT_FOUND"}));
    assert!(spans(&collector).iter().any(|it| it["parentSpanId"] == Value::Null && it["kind"] == 2));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    // Nothing listens there.
    let settings = [("PROMOX_TRACING__OTLP_URL", "http://127.0.0.1:9")];
    let shop = Shop::start_with(&settings).await;
    shop.product("A", "10.00", 100).await;
    shop.anyone.post("/api/orders", &order_of(&[("A", 1)], "tok_visa")).await.expect(201);
    loop {
        let metrics = String::from_utf8(shop.admin.get("/actuator/prometheus").await.bytes.to_vec()).unwrap();
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("promox_trace_spans_dropped_total "));
        if dropped.is_some_and(|count| count != "0") {
            assert!(metrics.contains("promox_trace_spans_exported_total 0"));
            break;
        }
        tokio::task::yield_now().await;
    }
    shop.close().await;
}

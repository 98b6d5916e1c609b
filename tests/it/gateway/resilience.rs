//! Instances that fail, and what the gateway makes of it.

use serde_json::{Value, json};

use super::routes::ROUTES;
use super::upstream::{OwnProcess, Upstream};
use crate::shop::Shop;

async fn shop_with(instances: &[String], settings: &[(&str, &str)]) -> Shop {
    let instances = instances.join(",");
    let common = [
        ("PROMOX_GATEWAY__APPS__BLOG__ACCESS", "anyone"),
        ("PROMOX_GATEWAY__APPS__BLOG__INSTANCES", instances.as_str()),
        ("PROMOX_GATEWAY__APPS__BLOG__REWRITE", "/"),
    ];
    Shop::start_with(&[&common, settings].concat()).await
}

async fn blog(shop: &Shop) -> Value {
    let listed = shop.admin.get(ROUTES).await.expect(200);
    listed["items"].as_array().unwrap().iter().find(|item| item["service"] == "BLOG").unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_instance_is_killed_the_next_request_is_answered_by_another() {
    let (first, second) = (OwnProcess::start("first").await, OwnProcess::start("second").await);
    let shop = shop_with(&[first.address.to_string(), second.address.to_string()], &[]).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(shop.anyone.get("/api/blog/posts").await.expect(200)["app"].as_str().unwrap().to_owned());
    }
    first.kill().await;
    for _ in 0..50 {
        assert_eq!(shop.anyone.get("/api/blog/posts").await.expect(200)["app"], "second");
    }
    let posted = shop.anyone.post("/api/blog/posts", &json!({})).await.expect(200);
    assert_eq!(posted["app"], "second");
    second.kill().await;
    assert!([502, 503].contains(&shop.anyone.get("/api/blog/posts").await.status));
    let refused = shop.anyone.get("/api/blog/posts").await;
    refused.refused(503, "NO_INSTANCE");
    assert_eq!(refused.headers["retry-after"], "1");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_comes_back_gets_requests_again() {
    let steady = Upstream::start("steady").await;
    let gone = Upstream::start("gone").await;
    let address = gone.address;
    drop(gone);
    let shop = shop_with(&[steady.address.to_string(), address.to_string()], &[]).await;
    while blog(&shop).await["instances"].as_array().unwrap().iter().all(|it| it["reachability"] == "IN") {
        assert_eq!(shop.anyone.get("/api/blog/posts").await.expect(200)["app"], "steady");
    }
    let listener = loop {
        if let Ok(listener) = tokio::net::TcpListener::bind(address).await {
            break listener;
        }
        tokio::task::yield_now().await;
    };
    let _back = Upstream::on(listener, "back");
    while shop.anyone.get("/api/blog/posts").await.expect(200)["app"] != "back" {
        tokio::task::yield_now().await;
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_opens_at_half_of_its_window_and_closes_again() {
    let app = Upstream::start("blog").await;
    let settings = [
        ("PROMOX_GATEWAY__BREAKER_WINDOW", "10"),
        ("PROMOX_GATEWAY__BREAKER_MINIMUM_CALLS", "10"),
        ("PROMOX_GATEWAY__BREAKER_OPEN_MS", "300"),
        ("PROMOX_GATEWAY__BREAKER_HALF_OPEN_CALLS", "2"),
    ];
    let shop = shop_with(&[app.address.to_string()], &settings).await;
    for number in 0..10 {
        let path = if number % 2 == 0 { "/api/blog/fail" } else { "/api/blog/posts" };
        shop.anyone.get(path).await;
    }
    let before = app.requests();
    let refused = shop.anyone.get("/api/blog/posts").await;
    refused.refused(503, "CIRCUIT_OPEN");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(app.requests(), before, "an open breaker spares the application");
    assert_eq!(blog(&shop).await["breaker"]["state"], "OPEN");
    shop.anyone.get("/api/products").await.expect(200);
    while shop.anyone.get("/api/blog/posts").await.status != 200 {
        tokio::task::yield_now().await;
    }
    shop.anyone.get("/api/blog/posts").await.expect(200);
    assert_eq!(blog(&shop).await["breaker"]["state"], "CLOSED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_route_is_refused_and_a_fallback_takes_over() {
    let (app, spare) = (Upstream::start("blog").await, Upstream::start("spare").await);
    let settings = [("PROMOX_GATEWAY__APPS__BLOG__CONCURRENT", "2")];
    let shop = shop_with(&[app.address.to_string()], &settings).await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let client = shop.anyone.own_connection();
            tokio::spawn(async move { client.get("/api/blog/wait").await.status })
        })
        .collect();
    app.wait_for(2).await;
    assert_eq!(blog(&shop).await["figures"]["inFlight"], 2);
    shop.anyone.get("/api/blog/posts").await.refused(503, "SERVICE_BUSY");
    app.release(2);
    for task in waiting {
        assert_eq!(task.await.unwrap(), 200);
    }
    shop.anyone.get("/api/blog/posts").await.expect(200);
    let spare_route = json!({"app": "spare", "path": "/api/spare", "instances": [spare.address.to_string()]});
    shop.admin.post(ROUTES, &spare_route).await.expect(201);
    let empty = json!({"app": "empty", "path": "/api/empty", "access": "ANYONE", "fallback": "spare"});
    shop.admin.post(ROUTES, &empty).await.expect(201);
    assert_eq!(shop.anyone.get("/api/empty/x").await.expect(200)["app"], "spare");
    shop.close().await;
}

/// Registers an instance of the application as a client of Eureka does.
async fn register(shop: &Shop, id: &str, app: &Upstream) {
    let port = json!({"$": app.address.port(), "@enabled": "true"});
    let data_center = json!({"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"});
    let instance = json!({
        "instanceId": id, "app": "BLOG", "hostName": "127.0.0.1", "ipAddr": "127.0.0.1", "status": "UP", "port": port,
        "dataCenterInfo": data_center,
    });
    assert_eq!(shop.anyone.post("/eureka/apps/BLOG", &json!({"instance": instance})).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_instances_get_requests_and_draining_ones_get_none() {
    let (first, second) = (Upstream::start("first").await, Upstream::start("second").await);
    let shop = Shop::start_with(&[("PROMOX_DISCOVERY__OPEN", "true")]).await;
    let route = json!({"app": "blog", "path": "/api/blog", "access": "ANYONE"});
    shop.admin.post(ROUTES, &route).await.expect(201);
    shop.anyone.get("/api/blog/x").await.refused(503, "NO_INSTANCE");
    register(&shop, "one", &first).await;
    assert_eq!(shop.anyone.get("/api/blog/x").await.expect(200)["app"], "first");
    register(&shop, "two", &second).await;
    let drain = "/eureka/apps/BLOG/one/status?value=OUT_OF_SERVICE";
    assert_eq!(shop.anyone.put(drain, &json!({})).await.status, 200);
    for _ in 0..20 {
        assert_eq!(shop.anyone.get("/api/blog/x").await.expect(200)["app"], "second");
    }
    let shown = blog(&shop).await;
    assert_eq!(
        (&shown["instances"][0]["id"], &shown["instances"][0]["status"]),
        (&json!("one"), &json!("OUT_OF_SERVICE"))
    );
    assert_eq!(shop.anyone.delete("/eureka/apps/BLOG/two").await.status, 200);
    shop.anyone.get("/api/blog/x").await.refused(503, "NO_INSTANCE");
    shop.close().await;
}

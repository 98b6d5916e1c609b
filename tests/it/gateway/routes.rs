//! Routes: made at run time and in the configuration, their conditions, and what they must not take.

use serde_json::{Value, json};

use super::upstream::Upstream;
use crate::shop::Shop;

pub(super) const ROUTES: &str = "/api/gateway/routes";

/// A shop with an application at `/api/blog` that anyone may call.
pub(crate) async fn shop_with(app: &Upstream, settings: &[(&str, &str)]) -> Shop {
    let address = app.address.to_string();
    let common = [
        ("PROMOX_GATEWAY__APPS__BLOG__ACCESS", "anyone"),
        ("PROMOX_GATEWAY__APPS__BLOG__INSTANCES", address.as_str()),
        ("PROMOX_GATEWAY__APPS__BLOG__REWRITE", "/"),
    ];
    Shop::start_with(&[&common, settings].concat()).await
}

fn route(app: &str, path: &str, upstream: &Upstream) -> Value {
    json!({"app": app, "path": path, "access": "ANYONE", "instances": [upstream.address.to_string()]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_made_at_run_time_survives_a_restart_and_ends_when_it_is_deleted() {
    let app = Upstream::start("blog").await;
    let shop = Shop::start().await;
    shop.anyone.get("/api/blog/posts").await.refused(404, "NO_SUCH_ROUTE");
    let created = shop.admin.post(ROUTES, &route("blog", "/api/blog", &app)).await.expect(201);
    assert_eq!((&created["service"], &created["source"]), (&json!("BLOG"), &json!("RUNTIME")));
    let echoed = shop.anyone.get("/api/blog/posts?page=2").await.expect(200);
    assert_eq!(echoed["target"], "/api/blog/posts?page=2");
    shop.admin.post(ROUTES, &route("Blog", "/api/blog", &app)).await.refused(409, "ROUTE_EXISTS");
    let shop = shop.restart().await;
    shop.anyone.get("/api/blog/posts").await.expect(200);
    let listed = shop.admin.get(ROUTES).await.expect(200);
    let blog = listed["items"].as_array().unwrap().iter().find(|item| item["service"] == "BLOG").unwrap().clone();
    assert_eq!((&blog["id"], &blog["figures"]["requests"]), (&created["id"], &json!(1)));
    assert_eq!(blog["instances"][0]["address"], app.address.to_string());
    assert!(listed["items"].as_array().unwrap().iter().any(|item| item["path"] == "/api/orders"));
    let path = format!("{ROUTES}/{}", created["id"]);
    assert_eq!(shop.admin.delete(&path).await.status, 204);
    shop.admin.delete(&path).await.refused(404, "NOT_FOUND");
    shop.anyone.get("/api/blog/posts").await.refused(404, "NO_SUCH_ROUTE");
    let actions = ["gateway.create_route", "gateway.delete_route"];
    for action in actions {
        while shop.all(&format!("/api/audit?action={action}")).await.is_empty() {
            tokio::task::yield_now().await;
        }
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_names_and_addresses_of_promox_cannot_be_taken() {
    let shop = Shop::start().await;
    let table = [
        (json!({"app": "blog", "path": "/api/orders"}), "/path"),
        (json!({"app": "blog", "path": "/api"}), "/path"),
        (json!({"app": "blog", "path": "/api/order-service"}), "/path"),
        (json!({"app": "blog", "path": "/actuator/x"}), "/path"),
        (json!({"app": "order-service", "path": "/api/blog"}), "/app"),
        (json!({"app": "blog", "path": "/api/blog", "access": "nobody:ever"}), "/access"),
        (json!({"app": "blog", "path": "/api/blog", "instances": ["169.254.169.254:80"]}), "/instances/0"),
        (
            json!({"app": "blog", "path": "/api/blog", "networks": ["0.0.0.0/0"], "instances": ["169.254.1.1:80"]}),
            "/instances/0",
        ),
        (json!({"app": "blog", "path": "/api/blog", "instances": ["9.9.9.9:80"]}), "/instances/0"),
    ];
    for (body, pointer) in table {
        let refused = shop.admin.post(ROUTES, &body).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
    }
    let refused =
        shop.admin.post(ROUTES, &json!({"path": "/api/x", "weigth": 3})).await.refused(422, "VALIDATION_FAILED");
    let mut pointers: Vec<&str> =
        refused["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/app", "/weigth"]);
    let routes = json!({"app": "blog", "path": "/api/blog"});
    shop.anyone.post(ROUTES, &routes).await.refused(401, "UNAUTHENTICATED");
    shop.customer("me@example.com").await.post(ROUTES, &routes).await.refused(403, "FORBIDDEN");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_route_gets_the_request_and_weights_divide_equal_ones() {
    let (blog, next, phone) =
        (Upstream::start("blog").await, Upstream::start("next").await, Upstream::start("phone").await);
    let shop = Shop::start().await;
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let bodies = [
        with(route("blog", "/api/blog", &blog), "weight", json!(3)),
        route("next", "/api/blog", &next),
        with(route("phone", "/api/blog", &phone), "headers", json!({"X-Device": "phone"})),
        with(route("phone", "/api/blog/posts", &phone), "methods", json!(["POST"])),
        with(route("phone", "/api/by-host", &phone), "host", json!("phone.example")),
    ];
    for body in &bodies {
        shop.admin.post(ROUTES, body).await.expect(201);
    }
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..400 {
        let app = shop.anyone.get("/api/blog/posts").await.expect(200)["app"].as_str().unwrap().to_owned();
        *counts.entry(app).or_insert(0) += 1;
    }
    assert!((240..360).contains(&counts["blog"]) && counts["blog"] + counts["next"] == 400, "{counts:?}");
    let phone = shop.anyone.with("x-device", "phone").get("/api/blog").await.expect(200);
    assert_eq!(phone["app"], "phone");
    let posted = shop.anyone.post("/api/blog/posts", &json!({"a": 1})).await.expect(200);
    assert_eq!((&posted["app"], &posted["body"]), (&json!("phone"), &json!(r#"{"a":1}"#)));
    shop.anyone.get("/api/by-host").await.refused(404, "NO_SUCH_ROUTE");
    assert_eq!(shop.anyone.with("host", "Phone.Example:8080").get("/api/by-host").await.expect(200)["app"], "phone");
    shop.anyone.get("/api/blogs").await.refused(404, "NO_SUCH_ROUTE");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_admits_its_declared_callers_only() {
    let app = Upstream::start("blog").await;
    let shop = Shop::start().await;
    for (path, access) in [("/api/for-users", Value::Null), ("/api/for-staff", json!("order:read"))] {
        let mut body = route("blog", path, &app);
        body["access"] = access;
        shop.admin.post(ROUTES, &body).await.expect(201);
    }
    let customer = shop.customer("me@example.com").await;
    shop.anyone.get("/api/for-users").await.refused(401, "UNAUTHENTICATED");
    shop.anyone.bearer("rubbish").get("/api/for-users").await.expect(401);
    customer.get("/api/for-users").await.expect(200);
    customer.get("/api/for-staff").await.refused(403, "FORBIDDEN");
    shop.admin.get("/api/for-staff").await.expect(200);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_outside_the_networks_gets_nothing() {
    let app = Upstream::start("blog").await;
    let shop = Shop::start().await;
    // The name is checked when it is resolved, not when the route is made.
    let named = format!("localhost:{}", app.address.port());
    for (path, networks) in [("/api/near", json!(["127.0.0.0/8"])), ("/api/far", json!(["10.0.0.0/8"]))] {
        let app = path.trim_start_matches("/api/");
        let body = json!({"app": app, "path": path, "access": "ANYONE", "networks": networks, "instances": [named]});
        shop.admin.post(ROUTES, &body).await.expect(201);
    }
    shop.anyone.get("/api/near").await.expect(200);
    shop.anyone.get("/api/far").await.refused(503, "NO_INSTANCE");
    assert_eq!(app.requests(), 1);
    shop.close().await;
}

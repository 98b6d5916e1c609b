//! The registry of applications as Eureka's clients use it, who may register what, and the ports of services.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::shop::Shop;

/// A key that may register these applications.
pub(crate) async fn registering_key(shop: &Shop, applications: &[&str]) -> String {
    let body = json!({"name": "registers", "permissions": ["discovery:register"], "applications": applications});
    let created = shop.admin.post("/api/api-keys", &body).await.expect(201);
    created["key"].as_str().unwrap().to_owned()
}

/// A client that sends a key as Eureka's clients do, and prefers JSON.
fn registering(client: &Client, key: &str) -> Client {
    let basic = format!("Basic {}", STANDARD.encode(format!("eureka:{key}")));
    client.with("authorization", basic).with("accept", "application/json")
}

fn instance(app: &str, id: &str, port: u16) -> Value {
    json!({"instance": {
        "instanceId": id, "hostName": "127.0.0.1", "app": app, "ipAddr": "127.0.0.1", "status": "UP",
        "port": {"$": port, "@enabled": "true"}, "vipAddress": app.to_lowercase(), "secureVipAddress": app.to_lowercase(),
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "somethingNew": {"is": "ignored"},
    }})
}

async fn put(client: &Client, path: &str) -> Answer {
    client.send("PUT", path, "", Bytes::new()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_registers_renews_changes_and_cancels() {
    let shop = Shop::start().await;
    let client = registering(&shop.anyone, &registering_key(&shop, &["reviews"]).await);
    assert_eq!(put(&client, "/eureka/apps/REVIEWS/r1").await.status, 404, "unknown, so that it registers");
    assert_eq!(client.post("/eureka/apps/REVIEWS", &instance("reviews", "r1", 8090)).await.status, 204);
    assert_eq!(put(&client, "/eureka/v2/apps/reviews/r1?status=UP&lastDirtyTimestamp=1&x=y").await.status, 200);
    for (address, code) in [("order-service", "APPLICATION_RESERVED"), ("reviews,others", "APPLICATION_NOT_YOURS")] {
        let mut taken = instance("reviews", "r2", 6666);
        taken["instance"]["vipAddress"] = json!(address);
        client.post("/eureka/apps/REVIEWS", &taken).await.refused(403, code);
    }
    let one = client.get("/eureka/apps/REVIEWS/r1").await.expect(200)["instance"].clone();
    assert_eq!((&one["app"], &one["port"]), (&json!("REVIEWS"), &json!({"$": 8090, "@enabled": "true"})));
    assert_eq!(one["leaseInfo"]["durationInSecs"], 90);
    // A later change of the instance is not known here, so it has to register again.
    assert_eq!(put(&client, "/eureka/apps/REVIEWS/r1?lastDirtyTimestamp=9999999999999").await.status, 404);
    assert_eq!(put(&client, "/eureka/apps/REVIEWS/r1/status?value=OUT_OF_SERVICE").await.status, 200);
    let status = || async { client.get("/eureka/instances/r1").await.expect(200)["instance"]["status"].clone() };
    assert_eq!(status().await, "OUT_OF_SERVICE");
    client.post("/eureka/apps/REVIEWS", &instance("reviews", "r1", 8090)).await;
    assert_eq!(status().await, "OUT_OF_SERVICE", "an override outlives a registration");
    assert_eq!(client.delete("/eureka/apps/REVIEWS/r1/status").await.status, 200);
    assert_eq!(status().await, "UP");
    put(&client, "/eureka/apps/REVIEWS/r1/status?value=BROKEN").await.refused(422, "VALIDATION_FAILED");
    assert_eq!(put(&client, "/eureka/apps/REVIEWS/r1/metadata?zone=a&management.port=9").await.status, 200);
    let metadata = client.get("/eureka/apps/REVIEWS/r1").await.expect(200)["instance"]["metadata"].clone();
    assert_eq!(metadata, json!({"zone": "a", "management.port": "9"}));
    for (path, found) in [
        ("/eureka/vips/reviews", 200),
        ("/eureka/vips/other", 404),
        ("/eureka/svips/reviews", 200),
        ("/eureka/svips/secure", 404),
        ("/eureka/apps/OTHER", 404),
        ("/eureka/instances/r2", 404),
    ] {
        assert_eq!(client.get(path).await.status, found, "{path}");
    }
    let delta = client.get("/eureka/v2/apps/delta").await.expect(200)["applications"].clone();
    let whole = client.get("/eureka/apps/").await.expect(200)["applications"].clone();
    assert_eq!(delta["apps__hashcode"], whole["apps__hashcode"]);
    assert_eq!(delta["application"][0]["instance"][0]["actionType"], "MODIFIED");
    assert_eq!(client.delete("/eureka/apps/REVIEWS/r1").await.status, 200);
    client.delete("/eureka/apps/REVIEWS/r1").await.refused(404, "NOT_FOUND");
    let delta = client.get("/eureka/apps/delta").await.expect(200)["applications"].clone();
    assert_eq!(delta["application"][0]["instance"][0]["actionType"], "DELETED");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_is_read_and_written_without_types_and_entities() {
    let shop = Shop::start().await;
    let key = registering_key(&shop, &["REVIEWS"]).await;
    let client = registering(&shop.anyone, &key).with("accept", "application/xml");
    let send = |body: String| async {
        client.send("POST", "/eureka/apps/REVIEWS", "application/xml", body.into()).await.unwrap()
    };
    let document = |host: &str| {
        format!(
            "<?xml version=\"1.0\"?><instance><hostName>{host}</hostName><app>REVIEWS</app><ipAddr>10.0.0.5</ipAddr>\
             <port enabled=\"true\">8090</port><metadata><note>a &amp; b</note></metadata></instance>"
        )
    };
    assert_eq!(send(document("reviews.local")).await.status, 204);
    let answer = client.get("/eureka/apps").await;
    assert_eq!(answer.headers["content-type"], "application/xml");
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    for part in [
        "<applications><versions__delta>1</versions__delta><apps__hashcode>UP_14_</apps__hashcode>",
        "<application><name>REVIEWS</name><instance>",
        "<hostName>reviews.local</hostName>",
        "<instanceId>reviews.local</instanceId>",
        "<port enabled=\"true\">8090</port>",
        "<note>a &amp; b</note>",
        "<name>ORDER-SERVICE</name>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let bomb = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><instance><hostName>&b;</hostName></instance>";
    send(bomb.to_owned()).await.refused(400, "MALFORMED_XML");
    assert_eq!(send(document(&"x".repeat(70_000))).await.status, 413);
    assert_eq!(send(document("169.254.169.254")).await.status, 422);
    let wrong = client.send("POST", "/eureka/apps/REVIEWS", "text/plain", "x".into()).await.unwrap();
    assert_eq!(wrong.status, 415);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_registers_its_own_applications_only() {
    let shop = Shop::start().await;
    let reviews = registering(&shop.anyone, &registering_key(&shop, &["REVIEWS"]).await);
    let blog = registering(&shop.anyone, &registering_key(&shop, &["BLOG", "ORDER-SERVICE"]).await);
    assert_eq!(reviews.post("/eureka/apps/REVIEWS", &instance("reviews", "r1", 8090)).await.status, 204);
    blog.post("/eureka/apps/REVIEWS", &instance("reviews", "r2", 8091)).await.refused(403, "APPLICATION_NOT_YOURS");
    for path in
        ["/eureka/apps/REVIEWS/r1", "/eureka/apps/REVIEWS/r1/status?value=DOWN", "/eureka/apps/REVIEWS/r1/metadata?a=b"]
    {
        put(&blog, path).await.refused(403, "APPLICATION_NOT_YOURS");
    }
    blog.delete("/eureka/apps/REVIEWS/r1").await.refused(403, "APPLICATION_NOT_YOURS");
    // Reading is not bound to applications, and our own services belong to nobody.
    blog.get("/eureka/apps/REVIEWS").await.expect(200);
    for client in [&blog, &shop.admin] {
        let own = instance("order-service", "o", 1);
        client.post("/eureka/apps/ORDER-SERVICE", &own).await.refused(403, "APPLICATION_RESERVED");
    }
    let refused = shop.anyone.get("/eureka/apps").await;
    refused.refused(401, "UNAUTHENTICATED");
    let offered: Vec<_> = refused.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(offered, ["Bearer", "Basic realm=\"promox\""]);
    let (key, _) = crate::api_keys::create(&shop.admin, &["product:read"]).await;
    shop.anyone.bearer(&key).get("/eureka/apps").await.refused(403, "FORBIDDEN");
    shop.admin.post("/eureka/apps/REVIEWS", &instance("reviews", "r3", 8092)).await.expect(204);
    shop.close().await;
    let open = Shop::start_with(&[("PROMOX_DISCOVERY__OPEN", "true")]).await;
    assert_eq!(open.anyone.post("/eureka/apps/REVIEWS", &instance("reviews", "r1", 8090)).await.status, 204);
    assert_eq!(open.anyone.get("/eureka/apps").await.status, 200);
    open.anyone.delete("/eureka/apps/CART-SERVICE/x").await.refused(403, "APPLICATION_RESERVED");
    open.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_promox_and_odd_ones_cannot_be_registered() {
    let open = Shop::start_with(&[("PROMOX_DISCOVERY__OPEN", "true")]).await;
    for client in [&open.anyone, &open.admin] {
        for app in ["PROMOX", "order", "Order", "gateway", "EUREKA", "discovery-service", "store", "CART"] {
            let refused = client.post(&format!("/eureka/apps/{app}"), &instance(app, "x", 1)).await;
            refused.refused(403, "APPLICATION_RESERVED");
        }
    }
    let long = "A".repeat(64);
    for (app, path) in [("A B", "A%20B"), ("A/B", "A%2FB"), ("\u{dc}", "%C3%9C"), (&long, &long)] {
        let refused = open.anyone.post(&format!("/eureka/apps/{path}"), &instance(app, "x", 1)).await;
        let refused = refused.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused["errors"][0]["pointer"], "/instance/app", "{refused}");
    }
    let longest = "A".repeat(63);
    open.anyone.post(&format!("/eureka/apps/{longest}"), &instance(&longest, "x", 1)).await.expect(204);
    open.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_registered_in_one_spelling_and_within_the_networks_of_their_routes() {
    let settings = [("PROMOX_DISCOVERY__OPEN", "true"), ("PROMOX_GATEWAY__APPS__REVIEWS__NETWORKS", "10.7.0.0/16")];
    let shop = Shop::start_with(&settings).await;
    let client = shop.anyone.with("accept", "application/json");
    let register = |app: &'static str, host: &str, ip: &str| {
        let mut body = instance(app, "x", 8090);
        body["instance"]["hostName"] = json!(host);
        body["instance"]["ipAddr"] = json!(ip);
        let client = client.clone();
        async move { client.post(&format!("/eureka/apps/{app}"), &body).await }
    };
    for ip in ["168230919", "012.7.0.7", "0xa.7.0.7", "10.7", "10.7.0.7:80", "somewhere"] {
        let refused = register("BLOG", "blog.local", ip).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused["errors"][0]["pointer"], "/instance/ipAddr", "{refused}");
    }
    for host in ["2130706433", "0177.0.0.1", "0x7f000001"] {
        let refused = register("BLOG", host, "").await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused["errors"][0]["pointer"], "/instance/hostName", "{refused}");
    }
    for ip in ["10.8.0.1", "::ffff:10.8.0.1", "127.0.0.1"] {
        let refused = register("REVIEWS", "reviews.local", ip).await.refused(422, "VALIDATION_FAILED");
        assert_eq!(refused["errors"][0]["code"], "ADDRESS_REFUSED", "{refused}");
    }
    register("REVIEWS", "10.8.0.1", "").await.refused(422, "VALIDATION_FAILED");
    register("REVIEWS", "reviews.local", "::ffff:10.7.0.7").await.expect(204);
    let stored = client.get("/eureka/apps/REVIEWS/x").await.expect(200);
    assert_eq!(stored["instance"]["ipAddr"], "10.7.0.7");
    // An application without a route is checked when it gets one.
    register("BLOG", "blog.local", "127.0.0.1").await.expect(204);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_has_a_port_of_its_own_with_a_page() {
    let shop = Shop::start_with(&[("PROMOX_DISCOVERY__LISTEN", "127.0.0.1:0")]).await;
    let key = registering_key(&shop, &["REVIEWS"]).await;
    let port = registering(&shop.at_port_of("discovery"), &key);
    let odd = json!({"instance": {"instanceId": "<b>", "hostName": "shop.local", "app": "REVIEWS", "ipAddr": "127.0.0.1", "status": "DOWN"}});
    assert_eq!(port.post("/eureka/apps/REVIEWS", &odd).await.status, 204);
    port.get("/api/products").await.refused(404, "NO_SUCH_ROUTE");
    port.get("/actuator/health").await.expect(200);
    for (client, path) in [(&port, "/"), (&registering(&shop.anyone, &key), "/eureka")] {
        let page = client.with("accept", "text/html").get(path).await;
        let html = String::from_utf8(page.bytes.to_vec()).unwrap();
        assert!(page.status == 200 && html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
        for part in ["Renewals threshold", "REVIEWS", "DOWN", "ORDER-SERVICE"] {
            assert!(html.contains(part), "{part}\n{html}");
        }
    }
    assert_eq!(port.with("authorization", "").get("/").await.status, 401);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_the_gateway_makes_of_each_instance() {
    let settings = [
        ("PROMOX_DISCOVERY__OPEN", "true"),
        ("PROMOX_GATEWAY__BREAKER_WINDOW", "2"),
        ("PROMOX_GATEWAY__BREAKER_MINIMUM_CALLS", "2"),
        ("PROMOX_GATEWAY__APPS__REVIEWS__ACCESS", "anyone"),
    ];
    let shop = Shop::start_with(&settings).await;
    // A port that was just closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    shop.anyone.post("/eureka/apps/REVIEWS", &instance("reviews", "r1", closed)).await.expect(204);
    shop.anyone.post("/eureka/apps/BLOG", &instance("blog", "b1", closed)).await.expect(204);
    let row = async |app: &str| {
        let page = shop.anyone.with("accept", "text/html").get("/eureka").await;
        let html = String::from_utf8(page.bytes.to_vec()).unwrap();
        html.split("<tr>").find(|row| row.contains(&format!("<td>{app}</td>"))).unwrap().to_owned()
    };
    assert!(row("BLOG").await.contains("<td>no route</td>"));
    assert!(row("ORDER-SERVICE").await.contains("<td>IN</td><td>CLOSED</td>"));
    for _ in 0..2 {
        assert_eq!(shop.anyone.get("/api/reviews/x").await.status, 503);
    }
    let reviews = row("REVIEWS").await;
    assert!(reviews.contains("<td class=\"warn\">OUT</td><td class=\"warn\">OPEN</td>"), "{reviews}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_have_ports_of_their_own_at_which_clients_find_them() {
    // All of 127.0.0.0/8 is loopback, so each process has an address whose ports are free.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{b}.{c}", 100 + a % 100);
    let settings = [("PROMOX_SERVER__SERVICE_PORTS", "true"), ("PROMOX_SERVER__SERVICE_ADDRESS", address.as_str())];
    let shop = Shop::start_with(&settings).await;
    shop.product("A", "1.00", 1).await;
    let found = shop.admin.with("accept", "application/json").get("/eureka/apps/PRODUCT-SERVICE").await.expect(200);
    let instance = &found["application"]["instance"][0];
    assert_eq!((&instance["ipAddr"], &instance["port"]["$"]), (&json!(address), &json!(8001)));
    let product = shop.at_port_of("product");
    assert_eq!(product.get("/api/products").await.expect(200)["items"][0]["sku"], "A");
    product.get("/api/orders").await.refused(404, "NO_SUCH_ROUTE");
    product.get("/api/ops/runs").await.refused(404, "NO_SUCH_ROUTE");
    product.get("/actuator/health").await.expect(200);
    let order = shop.at_port_of("order");
    order.get("/api/orders").await.refused(401, "UNAUTHENTICATED");
    let services =
        ["inventory", "payment", "user", "cart", "notification", "campaign", "promotion", "flashsale", "coupon"];
    for service in services.into_iter().chain(["reward", "analytics"]) {
        shop.at_port_of(service).get("/actuator/health/readiness").await.expect(200);
    }
    shop.close().await;
}

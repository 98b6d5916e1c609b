//! What passes through the gateway, and what does not.

use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::routes::{ROUTES, shop_with};
use super::upstream::{OF_THE_ORIGIN, Upstream};
use crate::process::Process;
use crate::shop::Shop;

/// The claims of a token, without a check of its signature.
fn claims(token: &str, part: usize) -> Value {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token.split('.').nth(part).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_stay_here_and_identity_is_passed_on() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[]).await;
    let customer = shop.customer("me@example.com").await;
    let me = customer.get("/api/users/me").await.expect(200);
    let secrets =
        ["cookie", "x-cart-token", "x-order-token", "x-promox-identity", "x-promox-node", "proxy-authorization"];
    let client = secrets.into_iter().fold(customer.clone(), |client, name| client.with(name, "secret"));
    let client = client
        .with("x-forwarded-for", "6.6.6.6")
        .with("forwarded", "for=6.6.6.6")
        .with("connection", "x-hop")
        .with("x-hop", "1")
        .with("x-kept", "yes");
    let echoed = client.get("/api/blog/posts?x=1").await.expect(200);
    let headers = &echoed["headers"];
    assert_eq!(echoed["target"], "/posts?x=1");
    for name in
        secrets.iter().filter(|name| **name != "x-promox-identity").chain(&["authorization", "connection", "x-hop"])
    {
        assert_eq!(headers[*name], Value::Null, "{name}");
    }
    assert_eq!(headers["x-kept"], "yes");
    assert_eq!(headers["host"], app.address.to_string());
    assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-prefix"], "/api/blog");
    assert!(headers["forwarded"].as_str().unwrap().starts_with("for=127.0.0.1;proto=http;host="));
    assert_eq!(headers["traceparent"].as_str().unwrap().len(), 55);
    let token = headers["x-promox-identity"].as_str().unwrap();
    let identity = claims(token, 1);
    assert_eq!(claims(token, 0)["typ"], "identity+jwt");
    assert_eq!(
        (&identity["aud"], &identity["method"], &identity["path"]),
        (&json!("BLOG"), &json!("GET"), &json!("/posts"))
    );
    assert_eq!(identity["sub"], format!("user:{}", me["id"]));
    assert!(identity["exp"].as_i64().unwrap() - identity["iat"].as_i64().unwrap() <= 60);
    let keys = shop.anyone.get("/.well-known/identity-jwks.json").await.expect(200);
    assert_eq!(keys["keys"][0]["kid"], claims(token, 0)["kid"]);
    let access_keys = shop.anyone.get("/.well-known/jwks.json").await.expect(200);
    assert_ne!(keys["keys"][0]["x"], access_keys["keys"][0]["x"]);
    shop.anyone.bearer(token).get("/api/users/me").await.expect(401);
    let again = client.get("/api/blog/posts?x=2").await.expect(200);
    assert_eq!(again["headers"]["x-promox-identity"], token, "it is kept for a moment");
    let other = shop.anyone.get("/api/blog/posts").await.expect(200);
    assert_eq!(claims(other["headers"]["x-promox-identity"].as_str().unwrap(), 1)["sub"], "anonymous");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_of_a_trusted_proxy_are_kept() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[("PROMOX_SERVER__TRUSTED_PROXIES", "127.0.0.1")]).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let proxied =
        shop.anyone.with("x-forwarded-for", "5.5.5.5").with("x-forwarded-proto", "https").with("traceparent", trace);
    let headers = proxied.get("/api/blog/posts").await.expect(200)["headers"].clone();
    assert_eq!(headers["x-forwarded-for"], "5.5.5.5, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert!(headers["forwarded"].as_str().unwrap().starts_with("for=5.5.5.5;proto=https"));
    assert_eq!(headers["traceparent"], trace);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_come_without_what_is_meant_for_the_whole_origin() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[("PROMOX_SERVER__CORS_ORIGINS", "https://a.example")]).await;
    let answer = shop.anyone.with("origin", "https://a.example").get("/api/blog/cookie").await;
    assert_eq!(answer.status, 200);
    for name in ["x-promox-secret", "keep-alive"].into_iter().chain(OF_THE_ORIGIN.map(|(name, _)| name)) {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    assert_eq!(answer.headers["x-app"], "kept");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers["access-control-allow-origin"], "https://a.example");
    assert!(answer.headers.contains_key("x-request-id") && !answer.headers.contains_key("cache-control"));
    let challenge = shop.anyone.get("/api/blog/login").await;
    let offered: Vec<_> = challenge.headers.get_all("www-authenticate").iter().map(|it| it.to_str().unwrap()).collect();
    assert_eq!((challenge.status, offered), (401, vec!["Bearer"]));
    let preflight = shop.anyone.with("origin", "https://a.example").with("access-control-request-method", "PUT");
    let preflight = preflight.send("OPTIONS", "/api/blog/posts", "", Bytes::new()).await.unwrap();
    assert_eq!(preflight.status, 204);
    assert!(preflight.headers["access-control-allow-methods"].to_str().unwrap().contains("PUT"));
    let head = shop.anyone.send("HEAD", "/api/blog/posts", "", Bytes::new()).await.unwrap();
    assert!(head.status == 200 && head.bytes.is_empty() && head.headers["content-length"] != "0");
    for path in ["/api/blog/../orders", "/api/blog/%2e%2e/x", "/api/blog/a%2Fb"] {
        shop.anyone.get(path).await.refused(400, "MALFORMED_PATH");
    }
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_and_connect_reach_no_application() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[]).await;
    for line in
        ["TRACE /api/blog/posts", "CONNECT /api/blog/posts", "TRACE /api/orders", "TRACE /nowhere", "CONNECT shop:80"]
    {
        let mut stream = TcpStream::connect(shop.address()).await.unwrap();
        let head = format!("{line} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("\r\nallow: GET"), "{line}: {answer}");
        assert!(answer.contains("METHOD_NOT_ALLOWED"), "{line}: {answer}");
    }
    assert_eq!(app.requests(), 0);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_before_the_stream_ends() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[]).await;
    let mut events = shop.anyone.follow("/api/blog/events").await;
    let mut seen = String::new();
    while !seen.ends_with("data: 2\n\n") {
        seen += std::str::from_utf8(&events.frame().await.unwrap().unwrap().into_data().unwrap()).unwrap();
    }
    drop(events);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_and_bodies_pass_both_ways() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[]).await;
    for _ in 0..20 {
        shop.anyone.get("/api/blog/posts").await.expect(200);
    }
    assert_eq!(app.connections(), 1);
    let large = shop.anyone.get("/api/blog/large").await;
    assert!(large.bytes.len() == 160 * 65_536 && large.bytes.iter().all(|byte| *byte == 7));
    let body = Bytes::from(vec![1; 3 << 20]);
    let counted = shop.anyone.send("POST", "/api/blog/count", "application/octet-stream", body).await.unwrap();
    assert_eq!(counted.bytes, (3 << 20).to_string());
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_in_front_becomes_http_1_behind() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[]).await;
    let pool = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<Bytes>>();
    let request = hyper::Request::post(format!("{}/api/blog/count", shop.url()));
    let response = pool.request(request.body(Full::new(Bytes::from(vec![1; 200_000]))).unwrap()).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "200000");
    shop.close().await;
}

/// Sends a request to switch to `protocol` and returns the connection with what arrived of the response's head.
async fn switch(shop: &Shop, protocol: &str, origin: &str) -> (TcpStream, String) {
    let address = shop.url().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "GET /api/blog/socket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\
         Origin: {origin}\r\nSec-WebSocket-Key: x\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut seen, mut byte) = (Vec::new(), [0; 1]);
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.unwrap();
        seen.push(byte[0]);
    }
    (stream, String::from_utf8(seen).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_passes_for_pages_of_known_origins() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &[("PROMOX_SERVER__CORS_ORIGINS", "https://a.example")]).await;
    for origin in [shop.url(), "https://a.example".to_owned()] {
        let (mut stream, head) = switch(&shop, "websocket", &origin).await;
        assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-accept"), "{head}");
        let sent = b"HTTP/1.1 is only the beginning of these bytes";
        stream.write_all(sent).await.unwrap();
        let mut back = vec![0; sent.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, sent);
    }
    let (_, head) = switch(&shop, "websocket", "https://evil.example").await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    let (_, head) = switch(&shop, "h2c", &shop.url()).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_cannot_lead_to_promox_itself() {
    let shop = Shop::start().await;
    let own = shop.url().trim_start_matches("http://127.0.0.1").to_owned();
    let route = |host: &str| json!({"app": "loop", "path": "/api/loop", "access": "ANYONE", "instances": [format!("{host}{own}")]});
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]"] {
        let refused = shop.admin.post(ROUTES, &route(host)).await.refused(422, "VALIDATION_FAILED");
        let fault = &refused["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/instances/0"), &json!("ADDRESS_REFUSED")), "{host}");
    }
    shop.close().await;
}

/// Uploads `mib` MiB through the gateway, piece by piece.
async fn upload(address: std::net::SocketAddr, mib: usize) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = mib << 20;
    let head =
        format!("POST /api/blog/count HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![1; 1 << 20];
    for _ in 0..mib {
        stream.write_all(&piece).await.unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&length.to_string()), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_takes_no_memory() {
    let app = Upstream::start("blog").await;
    let dir = tempfile::tempdir().unwrap();
    let address = app.address.to_string();
    let settings = [("ACCESS", "anyone"), ("INSTANCES", address.as_str())]
        .map(|(name, value)| (format!("PROMOX_GATEWAY__APPS__BLOG__{name}"), value.to_owned()));
    let process = Process::start_with(dir.path(), &settings).await;
    upload(process.address, 4).await;
    let before = process.settled_kib().await;
    upload(process.address, 200).await;
    let peak = process.memory_kib().1;
    assert!(peak < before + 5 * 1024, "{before} KiB became {peak} KiB");
    process.stop().await;
}

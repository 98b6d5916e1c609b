//! Streams and tunnels end with the access of their callers.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::routes::{ROUTES, shop_with};
use super::upstream::Upstream;
use crate::api_keys;
use crate::client::Client;
use crate::shop::{PASSWORD, Shop};

/// Today's figures, as a stream.
const FIGURES: &str = "/api/analytics/live";
/// A stream of an application that sends two events and then nothing.
const EVENTS: &str = "/api/blog/events";
/// Routes of the application take a logged-in user or a key.
const PROTECTED: [(&str, &str); 1] = [("PROMOX_GATEWAY__APPS__BLOG__ACCESS", "analytics:read")];

/// Follows a stream until its first frame.
async fn follow(client: &Client, path: &str) -> Incoming {
    let mut stream = client.follow(path).await;
    stream.frame().await.unwrap().unwrap();
    stream
}

/// Reads a stream to its end, whether it is closed or cut.
async fn wait_for_end(mut stream: Incoming) {
    while let Some(Ok(_)) = stream.frame().await {}
}

/// Opens a WebSocket to the application.
async fn tunnel(shop: &Shop, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    let head = format!(
        "GET /api/blog/socket HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Authorization: Bearer {token}\r\nSec-WebSocket-Key: x\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut seen, mut byte) = (Vec::new(), [0; 1]);
    while !seen.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.unwrap();
        seen.push(byte[0]);
    }
    assert!(seen.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&seen));
    stream.write_all(b"ping").await.unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
    stream
}

async fn wait_for_close(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_tunnels_end_when_their_key_is_revoked() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &PROTECTED).await;
    let (revoked, stored) = api_keys::create(&shop.admin, &["analytics:read"]).await;
    let (kept, _) = api_keys::create(&shop.admin, &["analytics:read"]).await;
    let key = shop.anyone.bearer(&revoked);
    let streams = [follow(&key, FIGURES).await, follow(&key, EVENTS).await];
    let open = tunnel(&shop, &revoked).await;
    let mut other = tunnel(&shop, &kept).await;
    assert_eq!(shop.admin.delete(&format!("/api/api-keys/{}", stored["id"])).await.status, 204);
    for stream in streams {
        wait_for_end(stream).await;
    }
    wait_for_close(open).await;
    // The other caller's tunnel goes on.
    other.write_all(b"pong").await.unwrap();
    let mut back = [0; 4];
    other.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"pong");
    drop(other);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_their_key_expires() {
    let shop = Shop::start().await;
    let expires = promox_kernel::Timestamp::from_seconds(shop.seconds() + 2).to_string();
    let body = json!({"name": "short", "permissions": ["analytics:read"], "expiresAt": expires});
    let created = shop.admin.post("/api/api-keys", &body).await.expect(201);
    let key = shop.anyone.bearer(created["key"].as_str().unwrap());
    wait_for_end(follow(&key, FIGURES).await).await;
    key.get(FIGURES).await.refused(401, "KEY_INVALID");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_session_or_the_role_that_admitted_them() {
    let app = Upstream::start("blog").await;
    let shop = shop_with(&app, &PROTECTED).await;
    let role = json!({"name": "ANALYST", "permissions": ["analytics:read"]});
    shop.admin.post("/api/roles", &role).await.expect(201);
    let credentials = json!({"email": "ada@example.com", "password": PASSWORD});
    let ada = shop.anyone.post("/api/auth/register", &credentials).await.expect(201);
    let own = format!("/api/users/{}", ada["user"]["id"]);
    shop.admin.patch(&own, &json!({"roles": ["ANALYST"]})).await.expect(200);
    let log_in = || async {
        let login: Value = shop.anyone.post("/api/auth/login", &credentials).await.expect(200);
        login["accessToken"].as_str().unwrap().to_owned()
    };
    let (leaving, staying) = (log_in().await, log_in().await);
    let first = follow(&shop.anyone.bearer(&leaving), FIGURES).await;
    let second = follow(&shop.anyone.bearer(&staying), EVENTS).await;
    let open = tunnel(&shop, &staying).await;
    let done = shop.anyone.bearer(&leaving).post("/api/auth/logout", &json!({})).await;
    assert_eq!(done.status, 204);
    wait_for_end(first).await;
    shop.admin.patch(&own, &json!({"roles": ["CUSTOMER"]})).await.expect(200);
    wait_for_end(second).await;
    wait_for_close(open).await;
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_tunnels_end_when_their_route_is_removed() {
    let app = Upstream::start("blog").await;
    let shop = Shop::start().await;
    let route =
        |path: &str| json!({"app": "blog", "path": path, "access": "ANYONE", "instances": [app.address.to_string()]});
    let removed = shop.admin.post(ROUTES, &route("/api/blog")).await.expect(201);
    let mut kept = route("/api/news");
    kept["rewrite"] = json!("/api/blog");
    shop.admin.post(ROUTES, &kept).await.expect(201);
    let stream = follow(&shop.anyone, EVENTS).await;
    let signed_in = follow(&shop.admin, EVENTS).await;
    let (key, _) = api_keys::create(&shop.admin, &["analytics:read"]).await;
    let open = tunnel(&shop, &key).await;
    let mut going_on = follow(&shop.anyone, "/api/news/events").await;
    // Another change of the routes ends nothing.
    shop.admin.post(ROUTES, &route("/api/more")).await.expect(201);
    shop.admin.delete(&format!("{ROUTES}/{}", removed["id"])).await.expect(204);
    wait_for_end(stream).await;
    wait_for_end(signed_in).await;
    wait_for_close(open).await;
    assert!(futures_util::FutureExt::now_or_never(going_on.frame()).is_none_or(|frame| frame.is_some()));
    drop(going_on);
    shop.close().await;
}

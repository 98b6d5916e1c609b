//! Instances that are reached by HTTPS: their certificates must be trusted and have their names.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::routes::ROUTES;
use super::upstream::Upstream;
use crate::shop::Shop;

/// An application that speaks HTTPS with a certificate for `localhost`, and the directory with the file that trusts it.
async fn secure_app(name: &str) -> (Upstream, TempDir) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("roots.pem"), made.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Upstream::with_tls(listener, name, Some(TlsAcceptor::from(Arc::new(config)))), dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stated_instance_is_reached_by_https_under_the_name_of_its_certificate() {
    let (app, dir) = secure_app("blog").await;
    let port = app.address.port();
    let roots = dir.path().join("roots.pem").to_str().unwrap().to_owned();
    let shop = Shop::start_with(&[("PROMOX_GATEWAY__ROOTS", &roots)]).await;
    for (app, address) in [
        ("named", format!("https://localhost:{port}")),
        ("numbered", format!("https://127.0.0.1:{port}")),
        ("plain", format!("localhost:{port}")),
    ] {
        let body = json!({"app": app, "path": format!("/api/{app}"), "access": "ANYONE", "instances": [address]});
        shop.admin.post(ROUTES, &body).await.expect(201);
    }
    for _ in 0..3 {
        let echoed = shop.anyone.get("/api/named/x").await.expect(200);
        assert_eq!(echoed["headers"]["host"], format!("localhost:{port}"));
    }
    let counted = shop.anyone.send("POST", "/api/named/count", "x/y", vec![1; 100_000].into()).await.unwrap();
    assert_eq!(counted.bytes, "100000");
    // The certificate is not for this address.
    shop.anyone.get("/api/numbered/x").await.refused(503, "NO_INSTANCE");
    assert!([502, 503].contains(&shop.anyone.get("/api/plain/x").await.status));
    let listed = shop.admin.get(ROUTES).await.expect(200);
    let named = listed["items"].as_array().unwrap().iter().find(|item| item["service"] == "NAMED").unwrap();
    assert_eq!(named["instances"][0]["secure"], true);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_instance_with_a_secure_port_only_is_reached_by_https() {
    let (app, dir) = secure_app("blog").await;
    let roots = dir.path().join("roots.pem").to_str().unwrap().to_owned();
    let open = [("PROMOX_DISCOVERY__OPEN", "true"), ("PROMOX_GATEWAY__APPS__BLOG__ACCESS", "anyone")];
    let instance = json!({"instance": {
        "instanceId": "b1", "hostName": "localhost", "app": "BLOG", "ipAddr": "127.0.0.1", "status": "UP",
        "port": {"$": 80, "@enabled": "false"}, "securePort": {"$": app.address.port(), "@enabled": "true"},
    }});
    let trusting = Shop::start_with(&[&open[..], &[("PROMOX_GATEWAY__ROOTS", &roots)]].concat()).await;
    trusting.anyone.post("/eureka/apps/BLOG", &instance).await.expect(204);
    assert_eq!(trusting.anyone.get("/api/blog/x").await.expect(200)["app"], "blog");
    trusting.close().await;
    // Nobody vouches for its certificate.
    let other = Shop::start_with(&open).await;
    other.anyone.post("/eureka/apps/BLOG", &instance).await.expect(204);
    other.anyone.get("/api/blog/x").await.refused(503, "NO_INSTANCE");
    other.close().await;
    assert_eq!(app.requests(), 1);
}

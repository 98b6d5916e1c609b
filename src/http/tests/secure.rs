//! TLS with generated certificates, their renewal, and HTTP/2 with and without TLS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Rig;

/// Writes a new self-signed certificate and its key.
fn write_certificate(dir: &Path) -> CertificateDer<'static> {
    let generated = rcgen::generate_simple_self_signed(vec!["shop.test".to_owned()]).unwrap();
    std::fs::write(dir.join("key.pem"), generated.signing_key.serialize_pem()).unwrap();
    std::fs::write(dir.join("cert.pem"), generated.cert.pem()).unwrap();
    generated.cert.der().clone()
}

async fn connect_tls(rig: &Rig, root: &CertificateDer<'static>) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("shop.test").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, rig.connect().await).await
}

async fn status_over_h2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, scheme: &str) -> (u16, Bytes) {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(connection);
    let request = http::Request::get(format!("{scheme}://shop.test/things/7")).body(Full::<Bytes>::default()).unwrap();
    let reply = sender.send_request(request).await.unwrap();
    (reply.status().as_u16(), reply.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn http2_works_without_tls() {
    let rig = Rig::start(&[]).await;
    let (status, body) = status_over_h2(rig.connect().await, "http").await;
    assert_eq!(status, 200);
    assert!(body.starts_with(b"{\"id\":7"));
}

#[tokio::test]
async fn a_renewed_certificate_is_loaded_while_the_server_runs() {
    let dir = tempfile::tempdir().unwrap();
    let first = write_certificate(dir.path());
    let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let rig = Rig::start(&[
        ("PROMOX_TLS__CERTIFICATE", certificate.to_str().unwrap()),
        ("PROMOX_TLS__KEY", key.to_str().unwrap()),
        ("PROMOX_TLS__RELOAD_MS", "10"),
    ])
    .await;
    let stream = connect_tls(&rig, &first).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(status_over_h2(stream, "https").await.0, 200);
    std::fs::write(&certificate, "rubbish").unwrap();
    let second = write_certificate(dir.path());
    let renewed = async {
        while connect_tls(&rig, &second).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), renewed).await.is_ok());
    assert!(connect_tls(&rig, &first).await.is_err(), "the old certificate is no longer used");
}

#[tokio::test]
async fn an_unusable_certificate_is_reported_with_its_file() {
    let loaded = crate::config::load(
        None,
        [
            ("PROMOX_TLS__CERTIFICATE".to_owned(), "/nowhere/cert.pem".to_owned()),
            ("PROMOX_TLS__KEY".to_owned(), "/nowhere/key.pem".to_owned()),
        ],
        &[],
    );
    let error = crate::http::Server::bind(&loaded.unwrap(), crate::log::Levels::detached()).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/cert.pem"), "{error}");
}

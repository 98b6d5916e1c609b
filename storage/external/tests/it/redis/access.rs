//! Users, passwords and TLS.

use std::fs;
use std::time::Duration;

use promox_external::redis::{Redis, RedisCache, RedisGates, RedisOptions, RedisProblem};
use promox_kernel::{Entropy, Timestamp};
use promox_storage::{CacheEngine as _, CacheEntry, CacheSpace, Expected, GateEngine as _, GateMark};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::server::{PATIENT, Server, free_port};

const SPACE: CacheSpace = CacheSpace { name: "test", max_entries: 10, max_bytes: 1 << 10 };

fn connect(url: String) -> Redis {
    Redis::connect(&RedisOptions { timeout: PATIENT, ..RedisOptions::new(url) }).unwrap()
}

fn set_user(server: &Server, password: &str) {
    let mut command = ::redis::cmd("ACL");
    command.arg("SETUSER").arg("shop").arg("reset").arg("on").arg(format!(">{password}"));
    server.run::<()>(command.arg("~promox:*").arg("+@all").arg("-@dangerous").arg("+info"));
}

/// Uses the gates and the cache.
async fn use_all(redis: &Redis) {
    let gates = RedisGates::new(redis.clone(), Entropy::system());
    assert_ne!(gates.mark().await, GateMark(0));
    let cache = RedisCache::new(redis.clone());
    let (now, until) = (Timestamp::from_seconds(0), Timestamp::from_seconds(100));
    let entry = CacheEntry { value: b"value".to_vec(), until };
    cache.set(SPACE, b"key", now, Expected::Anything, Some(entry)).await.unwrap();
    assert_eq!(cache.get(SPACE, b"key", now).await, Some(b"value".to_vec()));
}

#[tokio::test]
async fn a_user_needs_its_password_and_few_permissions() {
    let server = Server::start();
    set_user(&server, "first");
    let redis = connect(format!("{}?user=shop&pass=second", server.url()));
    let problem = redis.health().await.unwrap_err();
    let RedisProblem::Refused(why) = &problem else { panic!("{problem:?}") };
    assert!(why.contains("refuses the user or the password") && !why.contains("second"), "{why}");
    set_user(&server, "second");
    redis.health().await.expect("the password is right now, and the node need not be restarted");
    use_all(&redis).await;
    server.run::<()>(::redis::cmd("ACL").arg("SETUSER").arg("shop").arg("-info"));
    let problem = redis.health().await.unwrap_err();
    assert!(matches!(&problem, RedisProblem::Refused(why) if why.contains("info")), "{problem}");
}

/// Writes the certificates of an authority and of a server named `localhost`.
fn write_certificates(dir: &TempDir) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
    fs::write(dir.path().join("server.pem"), server.pem()).unwrap();
    fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn a_server_is_trusted_by_the_certificate_of_a_private_authority() {
    let dir = tempfile::tempdir().unwrap();
    write_certificates(&dir);
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (ca, certificate, key, port) =
        (path("ca.pem"), path("server.pem"), path("server.key"), free_port().to_string());
    let tls = ["--tls-ca-cert-file", &ca, "--tls-cert-file", &certificate, "--tls-key-file", &key];
    let args = [&["--save", "", "--tls-auth-clients", "no", "--tls-port", &port], &tls[..]].concat();
    let url = format!("rediss://localhost:{port}");
    let server = Server::within(tempfile::tempdir().unwrap(), &args);
    let options = RedisOptions { ca_file: Some(ca.clone().into()), timeout: PATIENT, ..RedisOptions::new(url.clone()) };
    let redis = Redis::connect(&options).unwrap();
    redis.health().await.unwrap();
    use_all(&redis).await;
    let problem = connect(url).health().await.unwrap_err();
    assert!(matches!(&problem, RedisProblem::Unreachable(why) if why.contains("certificate")), "{problem}");
    let other_name = RedisOptions { url: format!("rediss://127.0.0.1:{port}"), ..options };
    Redis::connect(&other_name).unwrap().health().await.unwrap_err();
    drop(server);
}

#[tokio::test]
async fn invalid_options_are_refused_at_the_start() {
    let refused = |options: RedisOptions| match Redis::connect(&options) {
        Err(RedisProblem::InvalidOptions(why)) => why,
        other => panic!("{other:?}"),
    };
    let valid = || RedisOptions::new("redis://localhost");
    assert!(refused(RedisOptions::new("http://localhost")).contains("URL"));
    assert!(refused(RedisOptions { prefix: "{a}".to_owned(), ..valid() }).contains("prefix"));
    let missing =
        RedisOptions { ca_file: Some("/nonexistent/ca.pem".into()), ..RedisOptions::new("rediss://localhost") };
    assert!(refused(missing.clone()).contains("/nonexistent/ca.pem"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let without_tls = RedisOptions { ca_file: Some(file.path().into()), ..valid() };
    assert!(refused(without_tls).contains("rediss"));
    assert!(Redis::connect(&RedisOptions { timeout: Duration::ZERO, ..valid() }).is_ok());
}

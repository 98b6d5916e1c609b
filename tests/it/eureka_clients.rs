//! Eureka's public clients, unmodified: py_eureka_client and eureka-js-client register a server each, find ours, renew their
//! leases and cancel.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::client::Client;
use crate::discovery::registering_key;
use crate::shop::Shop;

/// Where `tests/clients/install` has installed the clients of others.
pub(crate) fn installed() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = std::env::var_os("PROMOX_TEST_CLIENTS").map_or_else(|| root.join("target/clients"), PathBuf::from);
    assert!(
        dir.join("installed").exists(),
        "run tests/clients/install, which installs the clients that this test runs"
    );
    dir
}

/// A program with a client; dropping it kills it.
pub(crate) struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// Starts it and waits until it is registered.
    async fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut program = Self { input: child.stdin.take().unwrap(), child, output };
        let ready = program.output.next_line().await.unwrap().unwrap_or_default();
        assert!(ready.starts_with("ready "), "{ready}");
        program
    }

    /// A Python program that registers this application.
    pub(crate) async fn python(shop: &Shop, key: &str, app: &str) -> Self {
        let mut command = Command::new(installed().join("venv/bin/python"));
        let url = shop.url().replacen("http://", &format!("http://any:{key}@"), 1) + "/eureka";
        command.arg(script("eureka.py")).args([&url, app]);
        Self::start(command).await
    }

    /// A program for Node.js that registers this application.
    pub(crate) async fn node(shop: &Shop, key: &str, app: &str) -> Self {
        let mut command = Command::new("node");
        let url = shop.url();
        let (host, port) = url.trim_start_matches("http://").split_once(':').unwrap();
        command.arg(script("eureka.mjs")).args([host, port, key, app]).arg(installed());
        Self::start(command).await
    }

    /// Kills it with SIGKILL, so that its lease goes on.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Makes it cancel its lease and end.
    async fn stop(mut self) {
        self.input.write_all(b"stop\n").await.unwrap();
        while let Some(line) = self.output.next_line().await.unwrap() {
            if line == "stopped" {
                return;
            }
        }
        panic!("the client did not cancel its lease");
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

async fn instances(client: &Client) -> Vec<Value> {
    let answer = client.with("accept", "application/json").get("/eureka/apps/REVIEWS").await;
    answer.json()["application"]["instance"].as_array().cloned().unwrap_or_default()
}

async fn renewed(client: &Client, id: &Value) -> bool {
    let path = format!("/eureka/apps/REVIEWS/{}", id.as_str().unwrap());
    let instance = client.with("accept", "application/json").get(&path).await.expect(200)["instance"].clone();
    let lease = &instance["leaseInfo"];
    lease["lastRenewalTimestamp"].as_i64() > lease["registrationTimestamp"].as_i64()
}

#[tokio::test(flavor = "multi_thread")]
async fn public_clients_register_find_renew_and_cancel() {
    let shop = Shop::start().await;
    let key = registering_key(&shop, &["REVIEWS"]).await;
    let python = Program::python(&shop, &key, "reviews").await;
    let node = Program::node(&shop, &key, "reviews").await;
    let registered = instances(&shop.admin).await;
    assert_eq!(registered.len(), 2, "{registered:?}");
    for instance in &registered {
        assert_eq!((&instance["app"], &instance["status"]), (&"REVIEWS".into(), &"UP".into()));
        while !renewed(&shop.admin, &instance["instanceId"]).await {
            tokio::task::yield_now().await;
        }
    }
    python.stop().await;
    assert_eq!(instances(&shop.admin).await.len(), 1);
    node.stop().await;
    assert_eq!(instances(&shop.admin).await, [] as [Value; 0]);
    shop.close().await;
}

/// Sends a request to the application and returns which program answered it.
async fn answered_by(client: &Client) -> Option<String> {
    let answer = client.get("/api/reviews/latest").await;
    let text = String::from_utf8(answer.bytes.to_vec()).unwrap();
    (answer.status == 200).then(|| text.split(' ').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_instance_costs_a_connection_at_most_one_request() {
    let shop = Shop::start_with(&[("PROMOX_GATEWAY__APPS__REVIEWS__ACCESS", "anyone")]).await;
    let key = registering_key(&shop, &["REVIEWS"]).await;
    for kills_python in [true, false] {
        let (python, node) =
            (Program::python(&shop, &key, "reviews").await, Program::node(&shop, &key, "reviews").await);
        let connections: Vec<Client> = (0..8).map(|_| shop.anyone.own_connection()).collect();
        for client in &connections {
            let mut seen = std::collections::BTreeSet::new();
            while seen.len() < 2 {
                seen.insert(answered_by(client).await.unwrap());
            }
        }
        let (killed, left, rest) = if kills_python { (python, node, "node") } else { (node, python, "python") };
        killed.kill().await;
        assert_eq!(instances(&shop.admin).await.len(), 2, "the killed one is still registered");
        for client in &connections {
            let first = answered_by(client).await;
            assert!(first.as_deref().is_none_or(|by| by == rest), "{first:?}");
            for _ in 0..20 {
                assert_eq!(answered_by(client).await.as_deref(), Some(rest));
            }
        }
        left.stop().await;
        for instance in instances(&shop.admin).await {
            let path = format!("/eureka/apps/REVIEWS/{}", instance["instanceId"].as_str().unwrap());
            assert_eq!(shop.admin.delete(&path).await.status, 200);
        }
    }
    shop.close().await;
}

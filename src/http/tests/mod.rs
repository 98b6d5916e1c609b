//! The edge over real sockets, with a small test service.

mod deadlines;
mod description;
mod keys;
mod probe;
mod responses;
mod secure;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use promox_kernel::{Clock, Entropy, Node, Registry, Timestamp};
use promox_storage::{Database, Db, MemoryEngine};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Server;
use crate::config::load;
use crate::log::Levels;
use probe::Probe;

/// A server on a free port with the probe's operations.
struct Rig {
    server: Server,
    address: SocketAddr,
    probe: Arc<Probe>,
    node: Arc<Node>,
}

impl Rig {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let keys = MemoryEngine::new().database(Database::Ecommerce);
        let rig = Self::starting(settings, Some(keys)).await;
        rig.server.open(&rig.node).unwrap();
        rig
    }

    /// A server that is listening but not yet open. `keys` is the database for idempotency keys.
    async fn starting(settings: &[(&str, &str)], keys: Option<Db>) -> Self {
        let listen = ("PROMOX_SERVER__LISTEN", "127.0.0.1:0");
        let environment = settings.iter().chain([&listen]).map(|(name, value)| ((*name).into(), (*value).into()));
        let loaded = load(None, environment, &[]).unwrap();
        let server = Server::bind(&loaded, Levels::detached()).await.unwrap();
        let node = Node::new(Clock::manual(Timestamp::from_seconds(1)), Entropy::seeded(7));
        let mut registry = Registry::default();
        let probe = Probe::new();
        probe.register(&mut registry);
        server.register(&mut registry);
        if let Some(keys) = keys {
            registry.keep_keys("probe", &crate::idempotency::keeper(keys));
        }
        node.install(registry);
        Self { address: server.address(), server, probe, node }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a request on a new connection and reads the whole response.
    async fn request(&self, head: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.send(&request(head, headers, body)).await
    }

    /// Sends `text` on a new connection and reads the whole response.
    async fn send(&self, text: &str) -> Reply {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        Reply::parse(&bytes)
    }

    async fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path}"), &[], "").await
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let json = ("content-type", "application/json");
        self.request(&format!("POST {path}"), &[&[json], headers].concat(), body).await
    }
}

fn request(head: &str, headers: &[(&str, &str)], body: &str) -> String {
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let headers: String = headers.iter().flat_map(|(name, value)| [*name, ": ", *value, "\r\n"]).collect();
    format!("{head} HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n{headers}{length}\r\n{body}")
}

/// A response as received.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Reply {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
        let mut headers: HashMap<String, String> = HashMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let known = headers.entry(name.to_lowercase()).or_default();
            *known = if known.is_empty() { value.to_owned() } else { format!("{known}, {value}") };
        }
        Self { status: status.unwrap_or(0), headers, body: body.to_owned() }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

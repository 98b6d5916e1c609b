//! The servers that keep data in place of the data directory. An empty text means "not set".

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A PostgreSQL server that keeps the data in place of the embedded engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Postgres {
    /// The server and the user, such as `postgres://promox@db.example:5432`, or `postgres://promox@/run/postgresql` for
    /// a Unix socket. If empty, the data is kept by the embedded engine.
    pub url: String,
    /// The user's password.
    pub password: String,
    /// The name of the shop's database.
    pub ecommerce_db: String,
    /// The name of the promotion engine's database.
    pub promox_db: String,
    /// Whether connections are encrypted, and the server's certificate is verified.
    pub tls: bool,
    /// A PEM file of the certificates that the server is trusted by. If empty, those of the machine.
    pub roots: PathBuf,
    /// Connections for reads, per database.
    pub readers: usize,
    /// The maximum time of a statement.
    pub timeout_ms: u64,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            url: String::new(),
            password: String::new(),
            ecommerce_db: "ecommerce_db".to_owned(),
            promox_db: "promox_db".to_owned(),
            tls: false,
            roots: PathBuf::new(),
            readers: 2,
            timeout_ms: 10_000,
        }
    }
}

impl Postgres {
    /// Whether the data is kept on a server.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }
}

/// A Redis server for the counters of flash sales, quotes and login throttles, which nodes share.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Redis {
    /// Its address, with the user and the password: `redis://user:password@host:6379/0`, `rediss://…` for TLS, or
    /// `unix:///path?user=…&pass=…`. If empty, the node keeps these in its memory and its data directory.
    pub url: String,
    /// A PEM file of the certificates that the server is trusted by. If empty, the public authorities.
    pub roots: PathBuf,
    /// The deadline of a call, after which the rows decide alone.
    pub timeout_ms: u64,
    /// The beginning of all keys. Shops that share a server need different ones.
    pub prefix: String,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: String::new(), roots: PathBuf::new(), timeout_ms: 50, prefix: "promox".to_owned() }
    }
}

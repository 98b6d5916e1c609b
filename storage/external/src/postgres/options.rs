//! How a node reaches its PostgreSQL server.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use promox_kernel::Clock;
use promox_storage::Database;
use rustls::ClientConfig;

/// The settings of the engine.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where the server listens.
    pub address: Address,
    /// The user that owns the tables.
    pub user: String,
    /// The user's password, if the server asks for one.
    pub password: Option<String>,
    /// The names of the two databases.
    pub databases: [String; 2],
    /// The TLS configuration, if connections are encrypted. Ignored on a Unix socket.
    pub tls: Option<Arc<ClientConfig>>,
    /// Connections for reads, per database.
    pub readers: usize,
    /// The memory for rows that were read, per database, in bytes.
    pub cache_bytes: usize,
    /// The maximum time of a statement, and of waiting for a lock.
    pub statement_timeout: Duration,
    /// The clock that ages queued transactions.
    pub clock: Clock,
    /// The name under which the node appears in the table of nodes.
    pub node: String,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or an IP address, with the port.
    Tcp(String, u16),
    /// The directory of a Unix socket, with the port that names it.
    Unix(PathBuf, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(directory, port) => write!(f, "{}/.s.PGSQL.{port}", directory.display()),
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.user, self.address)
    }
}

impl PostgresOptions {
    /// Creates options with the defaults for everything but the address and the user.
    pub fn new(address: Address, user: &str) -> Self {
        Self {
            address,
            user: user.to_owned(),
            password: None,
            databases: Database::ALL.map(|database| database.sql_name().to_owned()),
            tls: None,
            readers: 2,
            cache_bytes: 32 << 20,
            statement_timeout: Duration::from_secs(10),
            clock: Clock::real(Clock::wall()),
            node: String::from("node"),
        }
    }

    /// Returns the name of a database on the server.
    pub fn database(&self, database: Database) -> &str {
        let [ecommerce, promox] = &self.databases;
        match database {
            Database::Ecommerce => ecommerce,
            Database::Promox => promox,
        }
    }
}

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
    /// Whether the node must be the only one. Then another one cannot be opened, and if this one loses the databases to
    /// another, it stops.
    pub exclusive: bool,
    /// Called when the engine has stopped because another node has taken over.
    pub on_stop: Arc<dyn Fn() + Send + Sync>,
}

/// The address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name or an IP address, with the port.
    Tcp(String, u16),
    /// The directory of a Unix socket, with the port that names it.
    Unix(PathBuf, u16),
}

/// The port of a server unless another one is given.
const DEFAULT_PORT: u16 = 5432;

impl Address {
    /// Reads a URL, `postgres://user@host:port` or `postgres://user@/directory/of/the/socket`. Returns the address and
    /// the user, or what is wrong with the URL.
    pub fn from_url(url: &str) -> Result<(Self, String), &'static str> {
        let rest = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let rest = rest.ok_or("must begin with postgres://")?;
        let (user, place) = rest.rsplit_once('@').ok_or("must name a user, as in postgres://promox@db.example")?;
        if user.contains(':') {
            return Err("must not contain a password; put it in postgres.password");
        }
        if user.is_empty() || user.contains(['/', '%', '?']) {
            return Err("must name a user, as in postgres://promox@db.example");
        }
        if place.starts_with('/') {
            return Ok((Self::Unix(PathBuf::from(place), DEFAULT_PORT), user.to_owned()));
        }
        let place = place.trim_end_matches('/');
        if place.is_empty() || place.contains(['/', '?']) {
            return Err("must end with the host and its port; the names of the databases have settings of their own");
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !host.ends_with(':') && !port.contains(']') => {
                (host, port.parse().map_err(|_| "has a port that is not a number up to 65535")?)
            }
            _ => (place, DEFAULT_PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok((Self::Tcp(host.to_owned(), port), user.to_owned()))
    }
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
            exclusive: false,
            on_stop: Arc::new(|| {}),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_server_and_a_user() {
        let tcp = |host: &str, port| Ok((Address::Tcp(host.to_owned(), port), "shop".to_owned()));
        assert_eq!(Address::from_url("postgres://shop@db.example"), tcp("db.example", 5432));
        assert_eq!(Address::from_url("postgresql://shop@db.example:6543/"), tcp("db.example", 6543));
        assert_eq!(Address::from_url("postgres://shop@[::1]:6543"), tcp("::1", 6543));
        assert_eq!(Address::from_url("postgres://shop@[::1]"), tcp("::1", 5432));
        let socket = Address::Unix(PathBuf::from("/run/postgresql"), 5432);
        assert_eq!(Address::from_url("postgres://shop@/run/postgresql"), Ok((socket, "shop".to_owned())));
        for wrong in ["mysql://shop@db", "postgres://db", "postgres://shop:hush@db", "postgres://@db"] {
            assert!(Address::from_url(wrong).is_err(), "{wrong}");
        }
        assert!(Address::from_url("postgres://shop@db:65536").is_err());
        assert!(Address::from_url("postgres://shop@db/ecommerce_db").is_err());
    }
}

//! The settings of discovery.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The registry of applications.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Discovery {
    /// An additional address and port for Eureka's clients, usually port 8761.
    pub listen: OptionalAddress,
    /// Whether anyone may register applications and read the registry, for a network that admits only trusted machines.
    pub open: bool,
    /// The host name or address under which the services of this process are shown.
    pub host: String,
    /// Whether instances are kept while too few of them renew their leases.
    pub self_preservation: bool,
    /// The share of expected renewals, in per cent, at or below which instances are kept.
    pub renewal_percent: u64,
    /// Maximum number of registered instances.
    pub max_instances: usize,
}

impl Default for Discovery {
    fn default() -> Self {
        Self {
            listen: OptionalAddress(None),
            open: false,
            host: String::new(),
            self_preservation: true,
            renewal_percent: 85,
            max_instances: 10_000,
        }
    }
}

/// An address and a port, or an empty text for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OptionalAddress(pub Option<SocketAddr>);

impl FromStr for OptionalAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let fault = |_| format!("must be an address and a port such as 127.0.0.1:8761; got \"{text}\"");
        text.parse().map(|address| Self(Some(address))).map_err(fault)
    }
}

impl TryFrom<String> for OptionalAddress {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for OptionalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| address.fmt(f))
    }
}

impl From<OptionalAddress> for String {
    fn from(address: OptionalAddress) -> Self {
        address.to_string()
    }
}

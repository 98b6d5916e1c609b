//! Connects to instances, at addresses that their route permits.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use promox_gateway::{Instance, Traffic, is_allowed};
use promox_kernel::Subnet;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::cluster::trust::Trust;

/// Maximum number of addresses of a host name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Why an instance could not be connected to.
#[derive(Debug)]
pub(crate) enum DialFault {
    /// None of its addresses may be connected to.
    Refused,
    /// TLS failed, because its certificate is not trusted or has another name, or because it speaks none.
    Untrusted(io::Error),
    /// It could not be reached.
    Unreachable(io::Error),
}

/// A connection to an instance.
pub(crate) enum Link {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// Connects to instances.
#[derive(Debug)]
pub(crate) struct Dialer {
    limit: Duration,
    trust: Trust,
    /// Knows the addresses that promox itself listens on.
    traffic: Arc<Traffic>,
}

impl Dialer {
    /// A dialer that waits for `limit`, from the host's name to the connection.
    pub(crate) fn new(limit: Duration, trust: Trust, traffic: Arc<Traffic>) -> Self {
        Self { limit, trust, traffic }
    }

    /// Whether an instance at this address may be connected to.
    pub(crate) fn permits(&self, address: SocketAddr, networks: &[Subnet]) -> bool {
        is_allowed(address.ip(), networks) && !self.traffic.own().contains(address)
    }

    /// Connects to an instance at an address in `networks`. Also returns the address.
    pub(crate) async fn connect(
        &self,
        instance: &Instance,
        networks: &[Subnet],
    ) -> Result<(Link, SocketAddr), DialFault> {
        let late = |_| Err(DialFault::Unreachable(io::ErrorKind::TimedOut.into()));
        let connecting = async {
            let (stream, address) = self.connect_any(instance, networks).await?;
            Ok((self.secure(instance, stream).await?, address))
        };
        timeout(self.limit, connecting).await.unwrap_or_else(late)
    }

    /// Does the TLS handshake with an instance that is reached by HTTPS.
    async fn secure(&self, instance: &Instance, stream: TcpStream) -> Result<Link, DialFault> {
        if !instance.is_secure {
            return Ok(Link::Plain(stream));
        }
        let name = ServerName::try_from(instance.name.clone());
        let name = name.map_err(|error| DialFault::Untrusted(io::Error::other(error)))?;
        let stream = self.trust.connector().connect(name, stream).await.map_err(DialFault::Untrusted)?;
        Ok(Link::Secure(Box::new(stream)))
    }

    async fn connect_any(
        &self,
        instance: &Instance,
        networks: &[Subnet],
    ) -> Result<(TcpStream, SocketAddr), DialFault> {
        let (host, port) = (instance.host.as_str(), instance.port);
        let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => lookup_host((host, port)).await.map_err(DialFault::Unreachable)?.take(MAX_ADDRESSES).collect(),
        };
        let mut fault = DialFault::Refused;
        for address in addresses.into_iter().filter(|address| self.permits(*address, networks)) {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, address));
                }
                Err(error) => fault = DialFault::Unreachable(error),
            }
        }
        Err(fault)
    }
}

//! The addresses that instances of applications may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::OnceLock;

use promox_kernel::{Subnet, embedded_v4, is_never_reachable};
use promox_outbound::is_own;

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u32) -> Subnet {
    Subnet::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(head: [u16; 2], bits: u32) -> Subnet {
    Subnet::new(IpAddr::V6(Ipv6Addr::new(head[0], head[1], 0, 0, 0, 0, 0, 0)), bits)
}

/// The networks of a route that names none: loopback and private networks (RFC 1918, RFC 4193).
const DEFAULT_NETWORKS: [Subnet; 6] = [
    v4(127, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    Subnet::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
    v6([0xfc00, 0], 7),
];

/// Whether an instance at `address` may get requests of a route with these networks; with none, of the default ones.
pub fn is_allowed(address: IpAddr, networks: &[Subnet]) -> bool {
    let address = embedded_v4(address);
    let networks = if networks.is_empty() { &DEFAULT_NETWORKS } else { networks };
    !is_never_reachable(address) && networks.iter().any(|network| network.contains(address))
}

/// The addresses that promox itself listens on, which are never instances of an application.
#[derive(Debug, Default)]
pub struct OwnAddresses(OnceLock<Vec<SocketAddr>>);

impl OwnAddresses {
    /// States the addresses, once.
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        let _ = self.0.set(addresses);
    }

    /// Whether a connection to this address would reach promox itself. Before the addresses are stated, none would.
    pub fn contains(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let is_reached = |own: &SocketAddr| {
            let is_here = || ip.is_loopback() || ip == own.ip() || (own.ip().is_unspecified() && is_own(address));
            own.port() == address.port() && is_here()
        };
        self.0.get().is_some_and(|own| own.iter().any(is_reached))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_recognised_in_every_form() {
        let own = OwnAddresses::default();
        let is_own = |address: &str| own.contains(address.parse().unwrap());
        assert!(!is_own("127.0.0.1:8080"), "nothing is known yet");
        own.set(vec!["0.0.0.0:8080".parse().unwrap(), "10.0.0.7:8761".parse().unwrap()]);
        for address in ["127.0.0.1:8080", "127.1.2.3:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080", "10.0.0.7:8761"] {
            assert!(is_own(address), "{address}");
        }
        for address in ["127.0.0.1:8081", "10.0.0.8:8761", "192.0.2.1:8080"] {
            assert!(!is_own(address), "{address}");
        }
    }

    #[test]
    fn addresses_outside_the_networks_are_refused() {
        let table = [
            ("127.0.0.1", "", true),
            ("10.1.2.3", "", true),
            ("172.31.0.1", "", true),
            ("192.168.7.7", "", true),
            ("::1", "", true),
            ("fd12::7", "", true),
            ("::ffff:10.0.0.1", "", true),
            ("8.8.8.8", "", false),
            ("100.64.0.1", "", false),
            ("172.32.0.1", "", false),
            ("64:ff9b::808:808", "", false),
            ("8.8.8.8", "8.8.8.0/24", true),
            ("127.0.0.1", "10.0.0.0/8", false),
            ("64:ff9b::a00:1", "10.0.0.0/8", true),
        ];
        for (address, network, allowed) in table {
            let networks: Vec<Subnet> = network.parse().into_iter().collect();
            assert_eq!(is_allowed(address.parse().unwrap(), &networks), allowed, "{address} {network}");
        }
    }

    #[test]
    fn no_network_permits_metadata_link_local_or_multicast() {
        let all: Vec<Subnet> = ["0.0.0.0/0", "::/0"].iter().map(|text| text.parse().unwrap()).collect();
        let never = [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
        ];
        for address in never {
            assert!(!is_allowed(address.parse().unwrap(), &all), "{address}");
        }
        assert!(is_allowed("9.9.9.9".parse().unwrap(), &all) && is_allowed("2620:fe::fe".parse().unwrap(), &all));
    }
}

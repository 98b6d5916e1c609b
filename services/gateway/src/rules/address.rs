//! The addresses that instances of applications may have.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use promox_kernel::Subnet;

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

/// Networks that no route can permit: "this" network, link-local with the metadata services of clouds, multicast,
/// reserved and broadcast.
const NEVER: [Subnet; 9] = [
    v4(0, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(224, 0, 0, 0, 3),
    v4(100, 100, 100, 200, 32),
    v4(168, 63, 129, 16, 32),
    v4(192, 0, 0, 192, 32),
    v6([0xfe80, 0], 10),
    v6([0xff00, 0], 8),
    Subnet::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)), 128),
];

/// The IPv4 address inside a NAT64 address (RFC 6052), otherwise the address, IPv4 also if it is mapped into IPv6.
fn effective(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => match v6.segments() {
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
            }
            _ => IpAddr::V6(v6),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// Whether an instance at `address` may get requests of a route with these networks; with none, of the default ones.
pub fn is_allowed(address: IpAddr, networks: &[Subnet]) -> bool {
    let address = effective(address);
    let networks = if networks.is_empty() { &DEFAULT_NETWORKS } else { networks };
    let is_never = address.is_unspecified() || NEVER.iter().any(|network| network.contains(address));
    !is_never && networks.iter().any(|network| network.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;

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

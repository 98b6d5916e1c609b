//! Addresses: which count as one client, and which nobody may reach through promox.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Subnet;

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u32) -> Subnet {
    Subnet::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(address: u128, bits: u32) -> Subnet {
    Subnet::new(IpAddr::V6(Ipv6Addr::from_bits(address)), bits)
}

/// "This" network, link-local addresses with the metadata services of clouds, other addresses of such services, multicast,
/// reserved and broadcast addresses.
const UNREACHABLE: [Subnet; 10] = [
    v4(0, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(224, 0, 0, 0, 3),
    v4(100, 100, 100, 200, 32),
    v4(168, 63, 129, 16, 32),
    v4(192, 0, 0, 192, 32),
    v6(0, 128),
    v6(0xfe80 << 112, 10),
    v6(0xff00 << 112, 8),
    v6(0xfd00_0ec2_0000_0000_0000_0000_0000_0254, 128),
];

/// Whether no setting can permit connections to an address for a URL or an instance that somebody names.
pub fn is_never_reachable(address: IpAddr) -> bool {
    let address = embedded_v4(address);
    UNREACHABLE.iter().any(|network| network.contains(address))
}

/// The network of one client: its IPv4 address, or the /64 of its IPv6 address, which one subscriber has. An IPv4
/// address that is written as IPv6 (`::ffff:192.0.2.1`) counts as IPv4.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped (`::ffff:0:0/96`), translated (NAT64, `64:ff9b::/96` and
/// `64:ff9b:1::/48`), 6to4 (`2002::/16`) or compatible (`::/96`). Other addresses are returned unchanged.
pub fn embedded_v4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return v4.into();
    }
    let v4_of = |high: u16, low: u16| IpAddr::from(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] | [0x2002, high, low, ..] => {
            v4_of(high, low)
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => v4_of(high, low),
        _ => ip,
    }
}

/// Whether a resolver may read a host as an IPv4 address although it is not written as one: in decimal, octal or
/// hexadecimal, such as `2130706433`, `0177.0.0.1` or `0x7f.1`. As in URLs, that is so if its last label is a number.
pub fn is_disguised_address(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()),
    };
    is_number && host.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_ipv4_address_or_a_64() {
        for (address, network) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
        ] {
            assert_eq!(client_network(address.parse().unwrap()).to_string(), network);
        }
    }

    #[test]
    fn addresses_in_disguise_are_recognised() {
        for host in
            ["2130706433", "0177.0.0.1", "127.1", "0x7f000001", "0X7F.1", "127.0.0.1.", "010.0.0.1", "a.1", "1.0x"]
        {
            assert!(is_disguised_address(host), "{host}");
        }
        for host in ["127.0.0.1", "::1", "::ffff:10.0.0.1", "localhost", "a1", "web-1", "7.example", "0xg.x", ""] {
            assert!(!is_disguised_address(host), "{host}");
        }
    }

    #[test]
    fn metadata_services_are_unreachable_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::",
            "168.63.129.16",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "255.255.255.255",
        ] {
            assert!(is_never_reachable(address.parse().unwrap()), "{address}");
        }
        for address in ["127.0.0.1", "::1", "10.0.0.1", "8.8.8.8", "2606:4700::1"] {
            assert!(!is_never_reachable(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_subscriber_has_one_key_for_limits() {
        let node = crate::Node::new(crate::Clock::manual(crate::Timestamp::EPOCH), crate::Entropy::seeded(1));
        let key = |client: &str| {
            let client = Some(client.parse().unwrap());
            let limit = std::time::Duration::from_secs(1);
            crate::Cx { client, ..crate::Cx::system(&node, "test", limit) }.network_key()
        };
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}

//! Which addresses a client may connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use http::Uri;
use promox_kernel::{Subnet, embedded_v4, is_never_reachable};

/// What is shown in place of credentials.
const HIDDEN: &str = "********";

/// The addresses that a client may connect to.
#[derive(Clone, Debug)]
pub enum Reach {
    /// Any address, for URLs that only the operator of the server can set.
    Anywhere,
    /// Public addresses, for URLs that are entered in the shop. Private, local and reserved addresses are refused, and
    /// so are this server's own ports.
    Public {
        /// Networks that are allowed although they are not public.
        networks: Vec<Subnet>,
        /// The ports that this server listens on.
        own_ports: Vec<u16>,
    },
}

impl Reach {
    /// Refuses an address outside the reach; the error says why.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), String> {
        let Self::Public { networks, own_ports } = self else { return Ok(()) };
        let ip = embedded_v4(address.ip());
        let is_allowed = networks.iter().any(|network| network.contains(ip));
        if is_never_reachable(ip) || (!is_public(ip) && !is_allowed) {
            return Err(format!("the address {} is neither public nor in `webhooks.networks`", address.ip()));
        }
        if own_ports.contains(&address.port()) && is_own(address) {
            return Err(format!("{address} is this server"));
        }
        Ok(())
    }

    /// Resolves the host of a URL and refuses it if one of its addresses is outside the reach. The error says why.
    pub async fn check_host(&self, uri: &Uri) -> Result<(), String> {
        let (host, port) = host_and_port(uri)?;
        let found = tokio::net::lookup_host((host.as_str(), port)).await;
        let addresses = found.map_err(|error| format!("the host {host} cannot be resolved: {error}"))?;
        for address in addresses {
            self.check(address)?;
        }
        Ok(())
    }
}

/// A text in which the credentials of URLs are replaced: the user and password before the host, and the values in the
/// query.
pub fn hide_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>`".contains(c)).unwrap_or(after.len());
        let (url, following) = after.split_at_checked(end).unwrap_or((after, ""));
        let (url, query) = url.split_once('?').map_or((url, None), |(url, query)| (url, Some(query)));
        // A password can contain what ends a host, so the last @ counts.
        let host = url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, host)| format!("{HIDDEN}@{host}"));
        shown = shown + before + "://" + &host;
        for (place, pair) in query.iter().flat_map(|query| query.split('&')).enumerate() {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            shown = shown + if place == 0 { "?" } else { "&" } + name;
            if pair.contains('=') {
                shown = shown + "=" + HIDDEN;
            }
        }
        rest = following;
    }
    shown + rest
}

/// Parses a URL for requests: `https`, or `http` to this machine's loopback, without credentials or fragment.
/// `allow_http` permits `http` to every host.
pub fn check_url(text: &str, allow_http: bool) -> Result<Uri, String> {
    let shown = hide_credentials(text);
    let fault = || format!("must be a URL such as https://api.example.com; got \"{shown}\"");
    let uri: Uri = text.parse().map_err(|_| fault())?;
    if text.contains('@') {
        return Err(format!("must be a URL without a user name and a password; got \"{shown}\""));
    }
    if text.len() > 2048 || text.contains('#') {
        return Err(fault());
    }
    let (host, _) = host_and_port(&uri).map_err(|_| fault())?;
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback || allow_http => Ok(uri),
        Some("http") => Err(format!("must begin with https://; got \"{shown}\"")),
        _ => Err(fault()),
    }
}

/// The host of a URL, without the brackets of an IPv6 address, and its port.
pub(crate) fn host_and_port(uri: &Uri) -> Result<(String, u16), String> {
    let host = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']')).unwrap_or_default();
    if host.is_empty() {
        return Err(format!("{uri} names no host"));
    }
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Ok((host.to_owned(), uri.port_u16().unwrap_or(default)))
}

/// Whether an address belongs to this machine: it is one of its loopback addresses, or a packet to it would have it as its
/// source. Nothing is sent.
pub fn is_own(address: SocketAddr) -> bool {
    if address.ip().to_canonical().is_loopback() {
        return true;
    }
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let source = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    source.is_ok_and(|source| source.ip() == address.ip())
}

/// Whether an address is public: in no network that IANA lists as private, shared, reserved or for documentation.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_documentation()
                || a == 0
                || a >= 224
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19)))
        }
        IpAddr::V6(v6) => {
            let [a, b, ..] = v6.segments();
            // Only 2000::/3 is routed, less documentation, benchmarks, ORCHID and Teredo.
            (a & 0xe000) == 0x2000 && !(a == 0x2001 && (b < 0x200 || b == 0xdb8)) && a != 0x3fff
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_not_shown() {
        for (text, shown) in [
            (
                "at https://ada:hush@h.example/x?key=k1&flag, and more",
                "at https://********@h.example/x?key=********&flag, and more",
            ),
            ("\"http://u:p@ss@h\" http://other:1", "\"http://********@h\" http://other:1"),
            ("no URL: ada@example.com?x=1", "no URL: ada@example.com?x=1"),
        ] {
            assert_eq!(hide_credentials(text), shown);
        }
        for url in ["http://ada:hush@h.example", "ftp://h.example?token=hush", "https://ada:hush@[::1"] {
            assert!(!check_url(url, false).unwrap_err().contains("hush"), "{url}");
        }
    }

    fn public() -> Reach {
        Reach::Public { networks: Vec::new(), own_ports: Vec::new() }
    }

    #[test]
    fn only_public_addresses_can_be_reached() {
        let refused = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "192.0.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "3fff::1",
            "100::1",
        ];
        for text in refused {
            let address = SocketAddr::new(text.parse().unwrap(), 443);
            assert!(public().check(address).is_err(), "{text}");
            assert!(Reach::Anywhere.check(address).is_ok());
        }
        for text in ["1.1.1.1", "93.184.216.34", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101"] {
            assert!(public().check(SocketAddr::new(text.parse().unwrap(), 443)).is_ok(), "{text}");
        }
    }

    #[test]
    fn networks_can_be_allowed_but_not_link_local_ones_and_never_the_own_ports() {
        let all: Vec<Subnet> = ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap()).into();
        let reach = Reach::Public { networks: all, own_ports: vec![8080] };
        let check = |text: &str| reach.check(text.parse().unwrap());
        for allowed in ["127.0.0.1:9000", "10.0.0.1:8080", "[::1]:443"] {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
        for refused in ["127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", "169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:1"]
        {
            assert!(check(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn urls_use_tls_except_to_loopback() {
        for good in
            ["https://api.example.com", "https://api.example.com:8443/v1?x=1", "http://127.0.0.1:80/a", "http://[::1]/"]
        {
            assert!(check_url(good, false).is_ok(), "{good}");
        }
        for bad in
            ["http://example.com", "ftp://example.com", "example.com", "https://", "https://u:p@example.com", "/x", ""]
        {
            assert!(check_url(bad, false).is_err(), "{bad}");
        }
        assert!(check_url("http://example.com", true).is_ok());
    }
}

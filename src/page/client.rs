//! Who asks: the address that requests are counted by.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a request's connection leads to.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The address of whoever asks, by the `proxies` last entries of X-Forwarded-For: each proxy that is believed has added
/// the address that it was asked from. Without proxies the header is what anybody may write, and is not read.
pub fn find_client(peer: IpAddr, headers: &HeaderMap, proxies: usize) -> IpAddr {
    // Whatever bytes somebody has put in front, what a proxy has added is read.
    let lines: Vec<_> =
        headers.get_all(FORWARDED_FOR).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    let entries: Vec<_> = lines.iter().flat_map(|line| line.split(',')).map(str::trim).collect();
    // Fewer entries than proxies have all been added by them, and the first of them is the farthest.
    let trusted = entries.len().saturating_sub(proxies);
    let entry = (proxies > 0).then(|| entries.get(trusted)).flatten();
    entry.and_then(|entry| parse(entry)).unwrap_or(peer)
}

/// An address, with a port or without.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']')).unwrap_or(entry);
    bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

/// What counts as one client: an IPv4 address, or the 64 bits of an IPv6 one that a network gives to one subscriber.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(lines: &[&'static str], proxies: usize) -> String {
        let values = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        find_client([192, 0, 2, 9].into(), &headers, proxies).to_string()
    }

    #[test]
    fn no_byte_in_front_hides_what_a_proxy_has_added() {
        let mut headers = HeaderMap::new();
        headers.append(FORWARDED_FOR, HeaderValue::from_bytes(b"\xff, 198.51.100.2").unwrap());
        assert_eq!(find_client([192, 0, 2, 9].into(), &headers, 1).to_string(), "198.51.100.2");
    }

    #[test]
    fn only_what_proxies_that_are_believed_have_added_is_believed() {
        let forged = "198.51.100.1, 198.51.100.2";
        for (lines, proxies, expected) in [
            (&[forged][..], 0, "192.0.2.9"),
            (&[][..], 1, "192.0.2.9"),
            (&[forged], 1, "198.51.100.2"),
            (&[forged], 2, "198.51.100.1"),
            (&["198.51.100.1", "198.51.100.2 ,203.0.113.7"], 2, "198.51.100.2"),
            (&["203.0.113.7"], 3, "203.0.113.7"),
            (&["203.0.113.7:4711"], 1, "203.0.113.7"),
            (&["[2001:db8::1]:4711"], 1, "2001:db8::1"),
            (&["[2001:db8::1]"], 1, "2001:db8::1"),
            (&["2001:db8::1"], 1, "2001:db8::1"),
            (&["198.51.100.1, unknown"], 1, "192.0.2.9"),
            (&["198.51.100.1,"], 1, "192.0.2.9"),
        ] {
            assert_eq!(client(lines, proxies), expected, "{lines:?} {proxies}");
        }
    }

    #[test]
    fn a_subscriber_is_one_client_whatever_addresses_it_has() {
        let network = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
    }
}

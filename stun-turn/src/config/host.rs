//! Host names where addresses are expected: resolved when the options are read.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

/// An IP address, or a name that stands for its first IPv4 address, or its first IPv6 address if it has
/// no other.
///
/// # Errors
/// What is wrong, in words; `expected` says what the option needs.
pub(super) fn ip(text: &str, expected: &str) -> Result<IpAddr, String> {
    if let Ok(ip) = text.parse() {
        return Ok(ip);
    }
    if !is_name(text) {
        return Err(expected.to_owned());
    }
    let found = (text, 0).to_socket_addrs();
    let found = found
        .map_err(|error| format!("the name {text} can't be resolved ({error}); {expected}"))?;
    let ips: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    let ipv4 = ips.iter().find(|ip| ip.is_ipv4());
    let first = ipv4.or_else(|| ips.first()).copied();
    first.ok_or_else(|| format!("the name {text} has no address; {expected}"))
}

/// `ADDR:PORT` with an address or a name.
///
/// # Errors
/// As [`ip`].
pub(super) fn socket_address(text: &str, expected: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let port = port.parse().map_err(|_| expected)?;
    if host.contains(':') {
        // An IPv6 address stands in brackets.
        return Err(expected.to_owned());
    }
    Ok(SocketAddr::new(ip(host, expected)?, port))
}

/// Whether a text may be a host name. One that ends with a number is none, or else a mistyped address
/// would be asked for (`10.0.0` is an address to some resolvers).
fn is_name(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let mut labels = text.trim_end_matches('.').split('.');
    let last = labels.clone().next_back().unwrap_or_default();
    text.len() <= 253
        && labels.all(|label| !label.is_empty() && label.chars().all(is_letter))
        && last.chars().any(|letter| letter.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_themselves_and_names_are_looked_up() {
        let of = |text| socket_address(text, "expected ADDR:PORT");
        assert_eq!(of("[::1]:3478").unwrap(), "[::1]:3478".parse().unwrap());
        let localhost = of("localhost:3478").unwrap();
        assert!(localhost.ip().is_loopback() && localhost.port() == 3478);
        for wrong in [
            "",
            "localhost",
            "localhost:",
            "::1:3478",
            "10.0.0:1",
            "10.0.0.256:1",
            "a b:1",
            "a..b:1",
        ] {
            assert_eq!(of(wrong).unwrap_err(), "expected ADDR:PORT", "{wrong}");
        }
    }
}

//! By which addresses and names others reach this host.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::{Config, HttpUrl};

/// What people open, when the page is bound to `page`, and by which host clients on this way know the
/// relay.
pub(super) fn url_and_host(
    config: &Config,
    page: SocketAddr,
    addresses: &[IpAddr],
) -> (String, String) {
    if let Some(url) = &config.public_url {
        return (format!("{url}/"), url.host().to_owned());
    }
    let reachable = reachable(page, addresses, config.lan);
    let url = format!("{}://{reachable}/", config.tls.scheme());
    (url, bracketed(reachable.ip()))
}

/// An address that a browser can be given for `bound`.
fn reachable(bound: SocketAddr, addresses: &[IpAddr], lan: bool) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    // Without TLS only this host's own browsers may use a camera.
    let ip = addresses.first().filter(|_| lan).copied();
    SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), bound.port())
}

/// An address as a host in a URL.
fn bracketed(address: IpAddr) -> String {
    HttpUrl::of_authority("http", &SocketAddr::new(address, 80).to_string())
        .map_or_else(|| address.to_string(), |url| url.host().to_owned())
}

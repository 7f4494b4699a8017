//! By which addresses and names others reach this host.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::config::{Config, HttpUrl, Tls};
use crate::relay::Page;

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

/// What the bundled relay is told of the page.
pub(super) fn page(config: &Config, address: SocketAddr) -> Page {
    // A proxy that speaks HTTP passes nothing else on.
    let is_behind_http = !config.trusted_proxies.is_empty() && !config.proxy_protocol;
    let public = config.public_url.as_ref();
    let is_shared = !matches!(config.tls, Tls::Off) && !is_behind_http;
    let port = public.map_or(address.port(), HttpUrl::port);
    Page {
        address,
        tls_port: is_shared.then_some(port),
        has_public_url: public.is_some(),
    }
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

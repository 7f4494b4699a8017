//! How other devices on the network find this one.

use std::net::{IpAddr, Ipv4Addr};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

/// Addresses of this host that others can reach, the likeliest first.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let mut addresses: Vec<IpAddr> = interfaces
        .into_iter()
        .filter(|interface| !interface.is_loopback() && !interface.is_link_local())
        .map(|interface| interface.ip())
        .collect();
    addresses.sort_by_key(|address| match address {
        IpAddr::V4(address) => (!is_home_network(*address), 0),
        IpAddr::V6(_) => (true, 1),
    });
    addresses
}

/// 172.16.0.0/12 is private too, but mostly that of containers.
fn is_home_network(address: Ipv4Addr) -> bool {
    matches!(address.octets(), [192, 168, ..] | [10, ..])
}

/// `url` for a phone's camera, in characters.
pub(crate) fn qr_code(url: &str) -> Option<String> {
    let code = QrCode::new(url).ok()?;
    // Terminals are dark more often than light.
    Some(
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_fits_a_terminal() {
        let code = qr_code("https://192.168.178.100:8443/").expect("a short text");
        assert!(code.lines().count() < 24, "{code}");
        assert!(code.lines().all(|line| line.chars().count() < 80));
    }
}

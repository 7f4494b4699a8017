//! The relay that an operator asks for.

use std::net::{IpAddr, SocketAddr};

use stun_turn::config::{Listen, Protocol};

use super::{IceUrl, Turn};

/// Relayed addresses that a browser may ask for towards one other participant: over UDP, TCP,
/// TLS and TLS on the page's port, from two interfaces.
const ALLOCATIONS_A_CONNECTION: u32 = 8;

/// Unless told otherwise the relay listens where the page listens, and its quotas let a full room
/// meet, even if all of it sits behind one address.
pub(super) fn bundled(
    mut relay: stun_turn::config::Options,
    secret: Option<String>,
    page: IpAddr,
    max_room: usize,
) -> Turn {
    let room = u32::try_from(max_room).unwrap_or(u32::MAX);
    let of_user = room.saturating_mul(ALLOCATIONS_A_CONNECTION);
    relay.user_quota.get_or_insert(of_user);
    relay
        .source_quota
        .get_or_insert(of_user.saturating_mul(room));
    if relay.listen.is_empty() && !page.is_unspecified() {
        let address = SocketAddr::new(page, 3478);
        relay.listen = [Protocol::Udp, Protocol::Tcp]
            .map(|protocol| Listen { protocol, address })
            .into();
    }
    Turn::Bundled {
        relay: Box::new(relay.into()),
        secret,
    }
}

/// Elsewhere, where somebody must say where that is.
pub(super) fn external(urls: Vec<IceUrl>, secret: Option<String>) -> Result<Turn, String> {
    if urls.is_empty() {
        return Err("--turn-mode external needs at least one --turn-url".into());
    }
    if secret.is_none() && urls.iter().any(IceUrl::needs_credential) {
        return Err("--turn-url needs --auth-secret, the same one that the relay has".into());
    }
    Ok(Turn::External { urls, secret })
}

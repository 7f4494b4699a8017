//! The relay that an operator asks for.

use std::net::{IpAddr, SocketAddr};

use stun_turn::config::{Listen, Protocol};

use super::{IceUrl, Turn};

/// Unless told otherwise the relay listens where the page listens, and its quotas let a full room
/// meet, even if all of it sits behind one address.
pub(super) fn bundled(
    mut relay: stun_turn::config::Options,
    secret: Option<String>,
    page: IpAddr,
    max_room: usize,
) -> Turn {
    let room = u32::try_from(max_room).unwrap_or(u32::MAX);
    // Several small rooms may sit behind one address, too.
    let room = room.max(stun_turn::config::DEFAULT_ROOM);
    let (of_user, of_source) = stun_turn::config::quotas_of_room(room);
    relay.user_quota.get_or_insert(of_user);
    relay.source_quota.get_or_insert(of_source);
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

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command};

    use super::super::{Config, Options, with_relay_options};

    /// A separate relay refused the fifth person in a room.
    #[test]
    fn a_relay_of_its_own_has_the_quotas_of_the_largest_room() {
        let command = with_relay_options(Options::augment_args(Command::new("signaling")));
        let matches = command.try_get_matches_from(["signaling"]).unwrap();
        let config = Config::from_matches(&matches).unwrap();
        assert_eq!(
            config.hub.max_room,
            stun_turn::config::DEFAULT_ROOM as usize
        );
        let super::Turn::Bundled { relay, .. } = config.turn else {
            panic!("the relay is bundled by default");
        };
        let alone = stun_turn::config::Config::from(stun_turn::config::Options::default());
        assert_eq!(alone.quotas, relay.quotas);
    }
}

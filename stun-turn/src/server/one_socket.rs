//! One socket for all relayed ports of a worker, where that is asked for and permitted.

use std::ops::RangeInclusive;

use stun_turn_proto::Settings;

use crate::config::Config;
use crate::worker::{self, Shared};

/// The sockets that stand for all relayed ports, one set for each worker; none where that is not
/// asked for, or where the system does not permit it.
pub(super) fn share_sockets(config: &Config, settings: &Settings) -> Vec<Shared> {
    if !config.one_socket {
        return Vec::new();
    }
    let addresses = settings.relay_addresses.iter();
    let addresses = addresses.map(|address| address.local).collect();
    match worker::share(addresses, config.workers) {
        Ok(shared) => {
            tracing::info!("one socket a worker for all relayed ports");
            warn_about_other_programs(&config.relay_ports);
            shared
        }
        Err(error) => {
            tracing::warn!(%error, "--one-socket is not possible here, each allocation gets its own");
            Vec::new()
        }
    }
}

/// No socket of ours holds the relayed ports, so the system may give one of them to a program that
/// asks for any port, whose datagrams would come to us.
fn warn_about_other_programs(relayed: &RangeInclusive<u16>) {
    let read = |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
    let (range, reserved) = (read("ip_local_port_range"), read("ip_local_reserved_ports"));
    // A service that is shut off from /proc/sys can't know.
    let is_safe = range
        .and_then(|range| Ok(!may_be_given_away(relayed, &range, &reserved?)))
        .unwrap_or(false);
    if !is_safe {
        let (first, last) = (relayed.start(), relayed.end());
        tracing::warn!(
            "other programs may get relayed ports and lose their datagrams, unless \
             net.ipv4.ip_local_reserved_ports is {first}-{last}"
        );
    }
}

/// Whether the system gives any of these ports to whoever asks for any: `range` is "FIRST LAST",
/// `reserved` a list of ports and ranges with commas.
fn may_be_given_away(relayed: &RangeInclusive<u16>, range: &str, reserved: &str) -> bool {
    let mut limits = range.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (limits.next(), limits.next()) else {
        return false;
    };
    let reserved: Vec<RangeInclusive<u16>> = reserved
        .trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .collect();
    let is_reserved = |port: &u16| reserved.iter().any(|range| range.contains(port));
    let mut common = first.max(*relayed.start())..=last.min(*relayed.end());
    !common.all(|port| is_reserved(&port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_the_system_gives_away_are_noticed() {
        let relayed = 49_152..=65_535;
        assert!(may_be_given_away(&relayed, "32768\t60999\n", "\n"));
        assert!(may_be_given_away(
            &relayed,
            "32768 60999",
            "49152-60000,60002"
        ));
        assert!(!may_be_given_away(
            &relayed,
            "32768 60999",
            "8080,49152-60999\n"
        ));
        assert!(!may_be_given_away(&relayed, "32768 49151", ""));
    }
}

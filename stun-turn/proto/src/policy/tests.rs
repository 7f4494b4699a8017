//! The default table at its edges, the embeddings, the operator's exceptions and our own ports.

use proptest::prelude::*;

use super::PeerProtocol::{Tcp, Udp};
use super::*;

fn policy() -> PeerPolicy {
    PeerPolicy::new(
        Vec::new(),
        Vec::new(),
        vec!["9.9.9.9".parse().unwrap()],
        vec!["9.9.9.9:3478".parse().unwrap()],
    )
}

fn no_ports() -> Ports {
    Ports::new(Vec::new(), 49_152..=65_535)
}

fn check(policy: &PeerPolicy, ip: &str) -> Result<(), Denial> {
    let peer = canonical(SocketAddr::new(ip.parse().unwrap(), 5000));
    policy.check(Udp, peer, peer, &no_ports())
}

#[test]
fn first_last_and_middle_of_every_ipv4_range_are_refused_and_neighbours_are_not() {
    let policy = policy();
    for (name, net) in special::IPV4 {
        let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
        for bits in [first, last, first + (last - first) / 2] {
            let ip = Ipv4Addr::from_bits(bits);
            let denial = policy.check_address(ip.into()).unwrap_err();
            assert!(
                [Denial::Special(name), Denial::NotUnicast].contains(&denial),
                "{ip}"
            );
        }
        for bits in [first.checked_sub(1), last.checked_add(1)]
            .into_iter()
            .flatten()
        {
            let ip = Ipv4Addr::from_bits(bits);
            let elsewhere = special::IPV4.iter().any(|(_, other)| other.contains(&ip));
            assert_eq!(policy.check_address(ip.into()).is_err(), elsewhere, "{ip}");
        }
    }
}

#[test]
fn first_and_last_of_every_ipv6_range_are_refused_and_neighbours_are_not() {
    let policy = policy();
    for (_, net) in special::IPV6 {
        let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
        for bits in [first, last, first + (last - first) / 2] {
            let ip = Ipv6Addr::from_bits(bits);
            assert!(policy.check_address(ip.into()).is_err(), "{ip}");
        }
    }
    for ip in [
        "2001:200::",
        "2001:db7:ffff::1",
        "2001:db9::1",
        "2003::1",
        "2620:4f:7fff::1",
        "2620:4f:8001::1",
        "3ffe:ffff::1",
        "2606:4700::1",
    ] {
        assert_eq!(check(&policy, ip), Ok(()), "{ip}");
    }
}

/// Not one of the registry's networks may be reached; also those that it calls reachable serve
/// protocols, not people.
#[test]
fn no_special_purpose_network_of_the_registry_is_reached() {
    let registry = include_str!("../../tests/iana/special_purpose.csv");
    let rows = registry.lines().filter(|line| !line.starts_with('#'));
    let mut count = 0;
    for row in rows {
        let net: IpNet = row.split(',').next().unwrap().parse().unwrap();
        let middle = match net {
            IpNet::V4(net) => {
                let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                IpAddr::V4(Ipv4Addr::from_bits(first + (last - first) / 2))
            }
            IpNet::V6(net) => {
                let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
                IpAddr::V6(Ipv6Addr::from_bits(first + (last - first) / 2))
            }
        };
        for ip in [net.network(), middle, net.broadcast()] {
            let denial = policy().check_address(ip);
            assert!(denial.is_err(), "{ip} of {row}");
        }
        count += 1;
    }
    assert_eq!(count, 51, "every row of both registries");
}

#[test]
fn addresses_that_reached_somebody_s_inside_before() {
    for ip in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1:a00:0:100::",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001:0:808:808::1",
        "fe80::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "ff02::1",
        "ff0e::1",
        "100::1",
        "5f00::1",
    ] {
        assert!(check(&policy(), ip).is_err(), "{ip}");
    }
    for ip in [
        "8.8.8.8",
        "1.1.1.1",
        "192.0.1.1",
        "2a00:1450::1",
        "::ffff:8.8.8.8",
    ] {
        assert_eq!(check(&policy(), ip), Ok(()), "{ip}");
    }
}

#[test]
fn an_embedded_address_must_pass_too() {
    let mut policy = policy();
    policy.allow = ["64:ff9b::/96", "64:ff9b:1::/48"]
        .map(|net| net.parse().unwrap())
        .to_vec();
    assert_eq!(check(&policy, "64:ff9b::8.8.8.8"), Ok(()));
    assert!(check(&policy, "64:ff9b::10.0.0.1").is_err());
    // 10.0.0.1 and 8.8.8.8 in the /48 form.
    assert!(check(&policy, "64:ff9b:1:a00:0:100::").is_err());
    assert_eq!(check(&policy, "64:ff9b:1:808:8:800::"), Ok(()));
    assert!(
        check(&policy, "2a00:1450::5efe:10.0.0.1").is_err(),
        "ISATAP"
    );
}

/// Linux sends what goes to 0.0.0.0 to itself, which once led to our own listener.
#[test]
fn what_is_no_single_host_stays_closed_whatever_is_allowed() {
    let mut policy = policy();
    policy.allow = ["0.0.0.0/0", "::/0"]
        .map(|net| net.parse().unwrap())
        .to_vec();
    for ip in [
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "::ffff:0.0.0.0",
    ] {
        assert_eq!(check(&policy, ip), Err(Denial::NotUnicast), "{ip}");
    }
}

#[test]
fn ipv6_loopback_opens_by_itself() {
    let mut policy = policy();
    policy.allow = vec!["::1/128".parse().unwrap()];
    assert_eq!(check(&policy, "::1"), Ok(()));
    assert!(check(&policy, "::2").is_err());
}

#[test]
fn the_operator_s_longest_prefix_decides_and_deny_wins_a_tie() {
    let mut policy = policy();
    policy.allow = ["10.0.0.0/8", "8.8.8.8/32", "1.1.1.0/24"]
        .map(|net| net.parse().unwrap())
        .to_vec();
    policy.deny = ["10.1.0.0/16", "8.8.0.0/16", "1.1.1.0/24"]
        .map(|net| net.parse().unwrap())
        .to_vec();
    assert_eq!(check(&policy, "10.2.0.1"), Ok(()));
    assert_eq!(
        check(&policy, "10.1.0.1"),
        Err(Denial::Operator("10.1.0.0/16".parse().unwrap()))
    );
    assert_eq!(check(&policy, "8.8.8.8"), Ok(()));
    assert!(check(&policy, "8.8.4.4").is_err());
    assert!(check(&policy, "1.1.1.1").is_err());
    assert!(check(&policy, "::ffff:10.1.0.1").is_err());
}

#[test]
fn our_own_addresses_are_closed_but_for_live_relayed_ports() {
    let policy = policy();
    let own: SocketAddr = "9.9.9.9:50000".parse().unwrap();
    let ports = Ports::new([own.ip()], 49_152..=65_535);
    assert_eq!(policy.check(Udp, own, own, &ports), Err(Denial::OwnAddress));
    assert!(ports.claim(own));
    assert_eq!(
        policy.check(Udp, own, own, &ports),
        Err(Denial::OwnAddress),
        "claimed is not live"
    );
    ports.go_live(Udp, own);
    assert_eq!(policy.check(Udp, own, own, &ports), Ok(()));
    assert_eq!(
        policy.check(Tcp, own, own, &ports),
        Err(Denial::OwnAddress),
        "what lives there has another protocol"
    );
    assert_eq!(policy.check_address(own.ip()), Err(Denial::OwnAddress));
}

#[test]
fn what_the_kernel_delivers_to_this_host_is_closed() {
    let nets = ["8.8.8.8/32", "8.8.4.0/24", "2620:fe::9/128"];
    let local = LocalAddresses::new(nets.map(|net| net.parse().unwrap()));
    let policy = policy().with_local(&local);
    for own in ["8.8.8.8", "8.8.4.1", "2620:fe::9", "9.9.9.9"] {
        let own = own.parse().unwrap();
        assert_eq!(policy.check_address(own), Err(Denial::OwnAddress), "{own}");
    }
    for other in ["8.8.8.9", "8.8.5.1", "2620:fe::8"] {
        assert_eq!(policy.check_address(other.parse().unwrap()), Ok(()));
    }
    let again = policy.with_local(&LocalAddresses::default());
    assert_eq!(again.check_address("8.8.8.8".parse().unwrap()), Ok(()));
    let served = again.check_address("9.9.9.9".parse().unwrap());
    assert_eq!(served, Err(Denial::OwnAddress), "relayed from");
}

#[test]
fn listeners_stay_closed_even_where_the_operator_allows_the_address() {
    let mut policy = policy();
    policy.allow = vec!["0.0.0.0/0".parse().unwrap()];
    policy.listeners.push("0.0.0.0:9641".parse().unwrap());
    let check = |peer: &str| {
        let peer = peer.parse().unwrap();
        policy.check(Udp, peer, peer, &no_ports())
    };
    assert_eq!(check("9.9.9.9:3478"), Err(Denial::OwnListener));
    assert_eq!(check("127.0.0.1:9641"), Err(Denial::OwnListener));
    assert_eq!(check("9.9.9.9:9641"), Err(Denial::OwnListener));
    assert_eq!(check("9.9.9.9:0"), Err(Denial::PortZero));
    assert_eq!(check("9.9.9.9:3479"), Ok(()));
}

proptest! {
    #[test]
    fn the_operator_s_rules_equal_a_reference_over_plain_integers(
        nets in prop::collection::vec((any::<u128>(), 0_u8..=128, any::<bool>()), 0..8),
        probe: u128,
        near in any::<prop::sample::Index>(),
        distance in 0_u128..4,
    ) {
        let mut policy = policy();
        for (bits, length, allow) in &nets {
            let net = IpNet::new(Ipv6Addr::from_bits(*bits).into(), *length).unwrap().trunc();
            if *allow { policy.allow.push(net) } else { policy.deny.push(net) }
        }
        // Half of the probes lie next to a prefix's edge.
        let probe = match nets.get(near.index(nets.len().max(1))) {
            Some((bits, _, _)) if probe % 2 == 0 => bits.wrapping_add(distance).wrapping_sub(2),
            _ => probe,
        };
        let mask = |length: u8| u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        let best = |wanted: bool| nets.iter()
            .filter(|(bits, length, allow)| *allow == wanted && (bits ^ probe) & mask(*length) == 0)
            .map(|(_, length, _)| *length)
            .max();
        let expected = match (best(true), best(false)) {
            (None, None) => None,
            (allow, deny) => Some(allow > deny),
        };
        let ip = IpAddr::V6(Ipv6Addr::from_bits(probe));
        if let Some(expected) = expected {
            prop_assert_eq!(policy.check_one(ip).is_ok(), expected);
        }
    }
}

/// RFC 6052 section 2.4 has these forms of 192.0.2.33 for its prefixes; here it is the first host of a
/// private network.
#[test]
fn an_operator_s_nat64_leads_to_no_private_network() {
    let forms = [
        ("2001:db9::/32", "2001:db9:a00:1::"),
        ("2001:db9:100::/40", "2001:db9:10a:0:1::"),
        ("2001:db9:122::/48", "2001:db9:122:a00:0:100::"),
        ("2001:db9:122:300::/56", "2001:db9:122:30a:0:1::"),
        ("2001:db9:122:344::/64", "2001:db9:122:344:a:0:100:0"),
        ("2001:db9:122:344::/96", "2001:db9:122:344::a00:1"),
    ];
    for (prefix, private) in forms {
        let prefix: Ipv6Net = prefix.parse().unwrap();
        assert_eq!(check(&policy(), private), Ok(()), "an address like others");
        let translating = policy().with_nat64(vec![prefix]);
        let denial = check(&translating, private);
        assert_eq!(
            denial,
            Err(Denial::Special("private (10.0.0.0/8)")),
            "{private}"
        );
        let embedded = nat64_embedded(private.parse().unwrap(), prefix.prefix_len());
        assert_eq!(embedded, Some(Ipv4Addr::new(10, 0, 0, 1)));
    }
    let translating = policy().with_nat64(vec!["2001:db9:122:344::/96".parse().unwrap()]);
    assert_eq!(
        check(&translating, "2001:db9:122:344::808:808"),
        Ok(()),
        "a public host"
    );
}

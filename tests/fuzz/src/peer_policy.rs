//! The peer policy against a second one that is written with nothing but numbers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::{Arbitrary, Unstructured};
use ipnet::IpNet;
use stun_turn_proto::policy::PeerPolicy;

#[derive(Debug, Arbitrary)]
struct Case {
    rules: Vec<Rule>,
    /// Within one of the special ranges, or anywhere.
    near: u8,
    bits: u128,
    is_ipv6: bool,
}

#[derive(Debug, Arbitrary)]
struct Rule {
    bits: u128,
    is_ipv6: bool,
    length: u8,
    is_allow: bool,
    /// Around the address that is asked for, else anywhere.
    is_near: bool,
}

/// First and last address, both as 128 bits; IPv4 ones mapped.
type Range = (u128, u128);

const MAPPED: u128 = 0xFFFF << 32;

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u32) -> Range {
    let first = MAPPED | u32::from_be_bytes([a, b, c, d]) as u128;
    (first, first + ((1_u128 << (32 - length)) - 1))
}

const fn v6(high: u128, length: u32) -> Range {
    (high, high + ((1_u128 << (128 - length)) - 1))
}

/// What is not public, from the registries of special-purpose addresses.
const SPECIAL: [Range; 24] = [
    v4(0, 0, 0, 0, 8),
    v4(10, 0, 0, 0, 8),
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
    v4(169, 254, 0, 0, 16),
    v4(172, 16, 0, 0, 12),
    v4(192, 0, 0, 0, 24),
    v4(192, 0, 2, 0, 24),
    v4(192, 31, 196, 0, 24),
    v4(192, 52, 193, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(192, 168, 0, 0, 16),
    v4(192, 175, 48, 0, 24),
    v4(198, 18, 0, 0, 15),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(224, 0, 0, 0, 3),
    v4(168, 63, 129, 16, 32),
    v6(0x2001_0000 << 96, 23),
    v6(0x2001_0DB8 << 96, 32),
    v6(0x2002 << 112, 16),
    v6(0x2620_004F_8000 << 80, 48),
    v6(0x3FFF << 112, 20),
    // Everything outside of global unicast, above it.
    v6(0x4000 << 112, 2),
];

pub(crate) fn run(input: &[u8]) {
    let Ok(case) = Case::arbitrary(&mut Unstructured::new(input)) else {
        return;
    };
    let address = address(&case);
    let rules: Vec<(IpNet, bool)> = case
        .rules
        .iter()
        .take(8)
        .map(|rule| net(rule, address))
        .collect();
    let of = |wanted: bool| -> Vec<IpNet> {
        rules
            .iter()
            .filter(|(_, allows)| *allows == wanted)
            .map(|(net, _)| *net)
            .collect()
    };
    let policy = PeerPolicy::new(of(true), of(false), Vec::new(), Vec::new());
    let verdict = policy.check_address(address);
    assert_eq!(
        verdict.is_ok(),
        reference(address, &rules),
        "{address} {rules:?} {verdict:?}"
    );
}

fn address(case: &Case) -> IpAddr {
    let bits = match SPECIAL.get(usize::from(case.near)) {
        Some((first, last)) => {
            // At the edges, just outside of them, or within.
            let within = first + case.bits % (last - first).saturating_add(1).max(1);
            let places = [
                *first,
                *last,
                within,
                first.wrapping_sub(1),
                last.wrapping_add(1),
            ];
            places[(case.bits % 5) as usize]
        }
        None if case.is_ipv6 => case.bits,
        None => MAPPED | u128::from(case.bits as u32),
    };
    if bits >> 32 == 0xFFFF {
        IpAddr::V4(Ipv4Addr::from_bits(bits as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(bits))
    }
}

fn net(rule: &Rule, address: IpAddr) -> (IpNet, bool) {
    let base = match (rule.is_near, rule.is_ipv6) {
        (true, _) => address,
        (false, true) => IpAddr::V6(Ipv6Addr::from_bits(rule.bits)),
        (false, false) => IpAddr::V4(Ipv4Addr::from_bits(rule.bits as u32)),
    };
    let longest = if base.is_ipv4() { 32 } else { 128 };
    let net = IpNet::new(base, rule.length % (longest + 1)).unwrap();
    (net.trunc(), rule.is_allow)
}

fn reference(ip: IpAddr, rules: &[(IpNet, bool)]) -> bool {
    let bits = number(ip);
    let never = bits == 0 || bits == MAPPED || bits == MAPPED | 0xFFFF_FFFF || is_multicast(bits);
    if never {
        return false;
    }
    let embedded = match ip {
        IpAddr::V6(_) => embedded(bits),
        IpAddr::V4(_) => None,
    };
    passes(bits, rules) && embedded.is_none_or(|ipv4| passes(MAPPED | u128::from(ipv4), rules))
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => MAPPED | u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn is_multicast(bits: u128) -> bool {
    let is_ipv4 = bits >> 32 == 0xFFFF && (bits as u32) >> 28 == 0xE;
    is_ipv4 || bits >> 120 == 0xFF
}

/// The longest rule decides, deny before allow; without one, only public addresses pass.
fn passes(bits: u128, rules: &[(IpNet, bool)]) -> bool {
    let is_ipv4 = bits >> 32 == 0xFFFF;
    let matching = rules.iter().filter(|(net, _)| {
        let first = number(net.network());
        let length = u32::from(net.prefix_len()) + if net.addr().is_ipv4() { 96 } else { 0 };
        let mask = if length == 0 {
            0
        } else {
            u128::MAX << (128 - length)
        };
        net.addr().is_ipv4() == is_ipv4 && bits & mask == first & mask
    });
    let best = matching.max_by_key(|(net, allows)| (net.prefix_len(), !allows));
    match best {
        Some((_, allows)) => *allows,
        None => {
            let is_global = is_ipv4 || bits >> 125 == 0b001;
            is_global
                && !SPECIAL
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&bits))
        }
    }
}

/// The IPv4 address inside of an IPv6 one.
fn embedded(bits: u128) -> Option<u32> {
    let low = bits as u32;
    let interface = (bits >> 32) as u32;
    let is_suffixed = [0, 0xFFFF_0000, 0x0064_FF9B << 64].contains(&(bits >> 32));
    let is_isatap = interface == 0x0000_5EFE || interface == 0x0200_5EFE;
    if bits <= 1 {
        None
    } else if is_suffixed || is_isatap {
        Some(low)
    } else if bits >> 112 == 0x2002 {
        Some((bits >> 80) as u32)
    } else if bits >> 96 == 0x2001_0000 {
        Some(!low)
    } else if bits >> 80 == 0x0064_FF9B_0001 {
        Some((((bits >> 64) as u32) & 0xFFFF) << 16 | ((bits >> 40) as u32) & 0xFFFF)
    } else {
        None
    }
}

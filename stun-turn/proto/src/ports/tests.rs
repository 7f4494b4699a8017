//! Claims, rest and set-aside ports, and every search against a plain model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::PeerProtocol::{Tcp, Udp};
use super::*;

fn address(port: u16) -> SocketAddr {
    SocketAddr::new("192.0.2.1".parse().unwrap(), port)
}

fn search(start: u16) -> Search {
    Search {
        ip: address(0).ip(),
        parity: Parity::Any,
        start,
        worst: Class::SetAside,
        tried: None,
    }
}

#[test]
fn a_port_is_claimed_once_and_live_only_after_it_was_said() {
    let ports = Ports::new([address(0).ip()], 50_000..=50_003);
    assert!(ports.claim(address(50_001)));
    assert!(!ports.claim(address(50_001)));
    assert!(!ports.is_live(Udp, address(50_001)));
    ports.go_live(Udp, address(50_001));
    assert!(ports.is_live(Udp, address(50_001)));
    assert!(!ports.is_live(Tcp, address(50_001)), "another protocol");
    ports.release(address(50_001));
    assert!(!ports.is_live(Udp, address(50_001)));
    assert!(ports.claim(address(50_001)));
}

#[test]
fn only_the_range_and_our_addresses_can_be_claimed() {
    let ports = Ports::new([address(0).ip()], 50_000..=50_003);
    assert!(!ports.claim(address(49_999)));
    assert!(!ports.claim(address(50_004)));
    assert!(!ports.claim("192.0.2.2:50000".parse().unwrap()));
    assert_eq!(ports.count(), 4);
    assert_eq!(
        [0, 3, 4, u32::MAX].map(|n| ports.at(n)),
        [50_000, 50_003, 50_000, 50_003]
    );
    let elsewhere = Search {
        ip: "192.0.2.2".parse().unwrap(),
        ..search(50_000)
    };
    assert_eq!(ports.take(elsewhere), None);
}

#[test]
fn a_port_that_was_used_rests_for_one_to_two_minutes() {
    for released_at in [0, 59, 60, 3599] {
        let ports = Ports::new([address(0).ip()], 50_000..=50_003);
        let pass = |seconds| ports.pass_time(Duration::from_secs(seconds));
        let class = |port| ports.class(address(port));
        pass(released_at);
        for port in [50_001, 50_002, 50_003] {
            assert!(ports.claim(address(port)));
        }
        ports.release(address(50_001));
        ports.give_back(address(50_002));
        ports.set_aside(address(50_003));
        assert_eq!(class(50_002), Class::Free, "it was not used");
        pass(released_at + 59);
        assert_eq!(class(50_001), Class::Resting);
        assert_eq!(class(50_003), Class::SetAside);
        assert!(ports.claim(address(50_001)), "where there is no other");
        pass(released_at + 120);
        assert_eq!(class(50_001), Class::Free);
        assert_eq!(class(50_003), Class::Free);
        // A worker whose clock was read earlier changes nothing.
        ports.release(address(50_001));
        pass(released_at);
        assert_eq!(class(50_001), Class::Resting);
        pass(released_at + 100_000);
        assert_eq!(class(50_001), Class::Free);
    }
}

#[test]
fn the_whole_range_of_ports_works() {
    let ports = Ports::new([address(0).ip()], 0..=u16::MAX);
    assert_eq!(ports.count(), 65_536);
    assert!(ports.claim(address(u16::MAX)));
    assert_eq!(ports.at(65_535), u16::MAX);
    let wrapped = ports.take(search(u16::MAX));
    assert_eq!(wrapped, Some((address(0), Class::Free)));
    let pair = Search {
        parity: Parity::EvenWithNext,
        ..search(65_533)
    };
    let first_pair = Some((address(2), Class::Free));
    assert_eq!(ports.take(pair), first_pair, "65535 and 0 are taken");
}

#[test]
fn a_pair_never_leaves_the_range() {
    let ports = Ports::new([address(0).ip()], 50_001..=50_004);
    let pair = |start| Search {
        parity: Parity::EvenWithNext,
        ..search(start)
    };
    let taken = ports.take(pair(50_004));
    assert_eq!(taken, Some((address(50_002), Class::Free)));
    assert!(!ports.claim(address(50_003)), "it belongs to the pair");
    assert_eq!(ports.take(pair(50_001)), None);
}

#[test]
fn addresses_come_and_go_and_what_is_in_use_stays_known() {
    let other = SocketAddr::new("192.0.2.2".parse().unwrap(), 50_000);
    let before = Ports::new([address(0).ip()], 50_000..=50_003);
    assert!(before.claim(address(50_000)));
    before.go_live(Udp, address(50_000));
    let after = before.with_addresses([other.ip()]);
    assert!(after.claim(other));
    assert!(!before.claim(other), "it came later");
    assert!(after.is_live(Udp, address(50_000)), "a call goes on");
    after.release(address(50_000));
    assert!(!before.is_live(Udp, address(50_000)), "for all workers");
    let both = after.with_addresses([address(0).ip(), other.ip()]);
    assert!(!both.claim(other));
    assert_eq!(both.class(address(50_000)), Class::Resting);
    let without = both.with_addresses([other.ip()]);
    assert!(!without.claim(address(50_001)), "nothing was in use there");
}

/// Claimed ports, and the period in which others were used or set aside.
#[derive(Debug, Default, Clone)]
struct Model {
    claimed: BTreeSet<u16>,
    resting: BTreeMap<u16, u64>,
    set_aside: BTreeMap<u16, u64>,
}

impl Model {
    fn class(&self, port: u16, period: u64) -> Class {
        let is_in =
            |lately: &BTreeMap<u16, u64>| lately.get(&port).is_some_and(|at| at + 1 >= period);
        match (is_in(&self.set_aside), is_in(&self.resting)) {
            (true, _) => Class::SetAside,
            (false, true) => Class::Resting,
            (false, false) => Class::Free,
        }
    }

    /// The ports that go with one.
    fn wanted(parity: Parity, port: u16) -> Vec<u16> {
        match parity {
            Parity::Any => vec![port],
            Parity::Even if port.is_multiple_of(2) => vec![port],
            Parity::EvenWithNext if port.is_multiple_of(2) => vec![port, port + 1],
            Parity::Even | Parity::EvenWithNext => Vec::new(),
        }
    }

    /// The best class first, then the order of the search.
    fn take(&self, search: Search, range: &RangeInclusive<u16>, period: u64) -> Option<u16> {
        let (low, high) = (*range.start(), *range.end());
        let order: Vec<u16> = (search.start..=high).chain(low..search.start).collect();
        let is_usable = |port: u16, class: Class| {
            let wanted = Self::wanted(search.parity, port);
            let fits = |it: &u16| {
                range.contains(it) && !self.claimed.contains(it) && self.class(*it, period) <= class
            };
            !wanted.is_empty() && wanted.iter().all(fits)
        };
        [Class::Free, Class::Resting, Class::SetAside]
            .into_iter()
            .filter(|class| *class <= search.worst)
            .find_map(|class| {
                let tried = search.tried.filter(|_| class == Class::SetAside);
                let skipped = tried.map_or(0, |tried| {
                    order.iter().position(|it| *it == tried).unwrap() + 1
                });
                let mut left = order.iter().skip(skipped);
                left.find(|port| is_usable(**port, class)).copied()
            })
    }
}

#[derive(Debug, Clone)]
enum Step {
    Take(Parity, u32, Class, Option<u32>),
    Release(usize),
    SetAside(usize),
    GiveBack(usize),
    Pass(u64),
}

fn parity() -> impl Strategy<Value = Parity> {
    prop_oneof![
        Just(Parity::Any),
        Just(Parity::Even),
        Just(Parity::EvenWithNext)
    ]
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Resting), Just(Class::SetAside)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (parity(), any::<u32>(), class(), prop::option::of(any::<u32>()))
            .prop_map(|(parity, start, worst, tried)| Step::Take(parity, start, worst, tried)),
        2 => any::<usize>().prop_map(Step::Release),
        2 => any::<usize>().prop_map(Step::SetAside),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => (0..100_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn a_search_finds_what_a_plain_one_finds(
        (low, length) in (49_990..50_200_u16, 0..150_u16),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let range = low..=low + length;
        let ports = Ports::new([address(0).ip()], range.clone());
        let mut model = Model::default();
        let mut seconds = 0;
        for step in steps {
            let period = seconds / REST.as_secs();
            let pick = |model: &Model, index: usize| {
                let claimed: Vec<u16> = model.claimed.iter().copied().collect();
                (!claimed.is_empty()).then(|| claimed[index % claimed.len()])
            };
            match step {
                Step::Take(parity, start, worst, tried) => {
                    let search = Search {
                        parity,
                        worst,
                        tried: tried.map(|it| ports.at(it)),
                        ..search(ports.at(start))
                    };
                    let expected = model.take(search, &range, period);
                    let taken = ports.take(search).map(|(address, _)| address.port());
                    prop_assert_eq!(taken, expected, "{:?}", search);
                    let taken = taken.into_iter();
                    model.claimed.extend(taken.flat_map(|it| Model::wanted(parity, it)));
                }
                Step::Release(index) => {
                    if let Some(port) = pick(&model, index) {
                        ports.release(address(port));
                        model.claimed.remove(&port);
                        model.set_aside.remove(&port);
                        model.resting.insert(port, period);
                    }
                }
                Step::SetAside(index) => {
                    if let Some(port) = pick(&model, index) {
                        ports.set_aside(address(port));
                        model.claimed.remove(&port);
                        model.set_aside.insert(port, period);
                    }
                }
                Step::GiveBack(index) => {
                    if let Some(port) = pick(&model, index) {
                        ports.give_back(address(port));
                        model.claimed.remove(&port);
                    }
                }
                Step::Pass(more) => {
                    seconds += more;
                    ports.pass_time(Duration::from_secs(seconds));
                }
            }
            for port in range.clone() {
                let expected = model.class(port, seconds / REST.as_secs());
                prop_assert_eq!(ports.class(address(port)), expected);
            }
        }
    }
}

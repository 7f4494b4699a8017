//! Which relayed ports of this server are taken, and which are live.
//!
//! One object for all workers: claiming a port is one atomic operation, asking whether a port is
//! live is one atomic load, and only peers on our own addresses are ever asked about.
//!
//! A port that was used rests before somebody else gets it, as long as there are others: peers may still be sending
//! to it, until they notice that nobody consents any more (30 s, RFC 7675).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::addr::PeerProtocol;

const WORDS: usize = 65_536 / 64;
/// How long a port rests at least; at most twice as long.
const REST: Duration = Duration::from_secs(60);

/// The relayed ports of every relay address.
#[derive(Debug)]
pub struct Ports {
    range: RangeInclusive<u16>,
    addresses: Box<[Address]>,
    /// Which time of [`REST`] it is, counted from the start.
    period: AtomicU64,
}

#[derive(Debug)]
struct Address {
    ip: IpAddr,
    /// Somebody is binding or holds it, whatever the protocol.
    claimed: Bitmap,
    /// An allocation answers on it, by protocol.
    live: [Bitmap; 2],
    /// Used until lately: in the periods with even and with odd numbers.
    resting: [Bitmap; 2],
}

impl Ports {
    /// All ports of `range` on each of `addresses` (local ones) are free.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>, range: RangeInclusive<u16>) -> Self {
        let address = |ip| Address {
            ip,
            claimed: Bitmap::default(),
            live: Default::default(),
            resting: Default::default(),
        };
        Self {
            range,
            addresses: addresses.into_iter().map(address).collect(),
            period: AtomicU64::new(0),
        }
    }

    /// Says what time it is since the start: ports that have rested long enough are as good as any.
    pub fn pass_time(&self, since_start: Duration) {
        let now = since_start.as_secs() / REST.as_secs();
        let before = self.period.fetch_max(now, Ordering::AcqRel);
        let over = now.saturating_sub(before).min(2);
        for period in (1..=over).map(|later| before.wrapping_add(later)) {
            for address in &self.addresses {
                address.rest_in(period).clear_all();
            }
        }
    }

    /// Whether a port should not be claimed while there are others.
    #[must_use]
    pub fn is_resting(&self, address: SocketAddr) -> bool {
        let found = self.find(address.ip());
        found.is_some_and(|found| found.resting.iter().any(|it| it.get(address.port())))
    }

    /// How many ports one address has.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::from(*self.range.end())
            .saturating_sub((*self.range.start()).into())
            .saturating_add(1)
    }

    /// The port at a position that wraps around, so that any random number names one.
    #[must_use]
    pub fn at(&self, position: u32) -> u16 {
        let offset = position % self.count().max(1);
        self.range
            .start()
            .saturating_add(u16::try_from(offset).unwrap_or_default())
    }

    /// Takes a port for the caller alone. False when it is taken, out of range or not ours.
    pub fn claim(&self, address: SocketAddr) -> bool {
        self.range.contains(&address.port())
            && self
                .find(address.ip())
                .is_some_and(|found| found.claimed.set(address.port()))
    }

    /// Peers on this server may send or connect to it from now on.
    pub fn go_live(&self, protocol: PeerProtocol, address: SocketAddr) {
        if let Some(found) = self.find(address.ip()) {
            found.live(protocol).set(address.port());
        }
    }

    /// Peers on this server may no longer reach it; it stays claimed until its socket is closed.
    pub fn withdraw(&self, address: SocketAddr) {
        if let Some(found) = self.find(address.ip()) {
            for live in &found.live {
                live.clear(address.port());
            }
        }
    }

    /// Gives a port back that was used, once no socket is bound to it.
    pub fn release(&self, address: SocketAddr) {
        if let Some(found) = self.find(address.ip()) {
            let period = self.period.load(Ordering::Acquire);
            found.rest_in(period).set(address.port());
        }
        self.give_back(address);
    }

    /// Gives a claimed port back that nobody has used.
    pub fn give_back(&self, address: SocketAddr) {
        self.withdraw(address);
        if let Some(found) = self.find(address.ip()) {
            found.claimed.clear(address.port());
        }
    }

    /// Whether an allocation of this protocol answers on this local address.
    #[must_use]
    pub fn is_live(&self, protocol: PeerProtocol, address: SocketAddr) -> bool {
        self.find(address.ip())
            .is_some_and(|found| found.live(protocol).get(address.port()))
    }

    fn find(&self, ip: IpAddr) -> Option<&Address> {
        self.addresses.iter().find(|address| address.ip == ip)
    }
}

impl Address {
    const fn rest_in(&self, period: u64) -> &Bitmap {
        let [even, odd] = &self.resting;
        if period.is_multiple_of(2) { even } else { odd }
    }

    const fn live(&self, protocol: PeerProtocol) -> &Bitmap {
        let [udp, tcp] = &self.live;
        match protocol {
            PeerProtocol::Udp => udp,
            PeerProtocol::Tcp => tcp,
        }
    }
}

/// One bit a port.
struct Bitmap(Box<[AtomicU64]>);

impl Default for Bitmap {
    fn default() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl std::fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let set: u32 = self
            .0
            .iter()
            .map(|word| word.load(Ordering::Relaxed).count_ones())
            .sum();
        write!(f, "{set} of 65536")
    }
}

impl Bitmap {
    fn word(&self, port: u16) -> (&AtomicU64, u64) {
        let word = self
            .0
            .get(usize::from(port) / 64)
            .expect("1024 words hold every port");
        (word, 1 << (port % 64))
    }

    /// False when it was set already.
    fn set(&self, port: u16) -> bool {
        let (word, bit) = self.word(port);
        word.fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    fn clear(&self, port: u16) {
        let (word, bit) = self.word(port);
        word.fetch_and(!bit, Ordering::AcqRel);
    }

    fn clear_all(&self) {
        for word in &self.0 {
            word.store(0, Ordering::Release);
        }
    }

    fn get(&self, port: u16) -> bool {
        let (word, bit) = self.word(port);
        word.load(Ordering::Acquire) & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::PeerProtocol::{Tcp, Udp};
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::new("192.0.2.1".parse().unwrap(), port)
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
    }

    #[test]
    fn a_port_that_was_used_rests_for_one_to_two_minutes() {
        for released_at in [0, 59, 60, 3599] {
            let ports = Ports::new([address(0).ip()], 50_000..=50_003);
            let pass = |seconds| ports.pass_time(Duration::from_secs(seconds));
            pass(released_at);
            for port in [50_001, 50_002] {
                assert!(ports.claim(address(port)));
            }
            ports.release(address(50_001));
            ports.give_back(address(50_002));
            assert!(!ports.is_resting(address(50_002)), "it was not used");
            pass(released_at + 59);
            assert!(ports.is_resting(address(50_001)));
            assert!(ports.claim(address(50_001)), "where there is no other");
            pass(released_at + 120);
            assert!(!ports.is_resting(address(50_001)));
            // A worker whose clock was read earlier changes nothing.
            ports.release(address(50_001));
            pass(released_at);
            assert!(ports.is_resting(address(50_001)));
            pass(released_at + 100_000);
            assert!(!ports.is_resting(address(50_001)));
        }
    }

    #[test]
    fn the_whole_range_of_ports_works() {
        let ports = Ports::new([address(0).ip()], 0..=u16::MAX);
        assert_eq!(ports.count(), 65_536);
        assert!(ports.claim(address(u16::MAX)));
        assert_eq!(ports.at(65_535), u16::MAX);
    }
}

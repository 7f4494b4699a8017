//! Relayed ports of this server: which are taken, which are live, which are better left alone.
//!
//! All workers share one [`Ports`]. Taking a port is one atomic operation, asking whether a port is
//! live is one atomic load, and only peers on the server's own addresses are ever asked about. A
//! search looks at 64 ports a step.
//!
//! Two kinds of ports are taken only when no other port is left, in this order:
//! 1. A port that was used rests: peers may be sending to it until they notice that nobody consents
//!    any more (30 s, RFC 7675).
//! 2. A port that another program holds is set aside: it could not be bound a moment ago.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::addr::PeerProtocol;

const WORDS: usize = 65_536 / 64;
/// How long a port rests or is set aside at least; at most twice as long.
const REST: Duration = Duration::from_secs(60);
/// Even ports within a word of a bitmap.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// The relayed ports of every relay address.
#[derive(Debug)]
pub struct Ports {
    range: RangeInclusive<u16>,
    addresses: Vec<Arc<Address>>,
    /// Number of the current period of [`REST`] since the start.
    period: Arc<AtomicU64>,
}

/// Shape of what is taken (RFC 8656 section 18.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// One port.
    Any,
    /// One even port.
    Even,
    /// An even port and the port above it.
    EvenWithNext,
}

/// How good a port is: the best class that has one is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Unused for a while.
    Free,
    /// Used a moment ago.
    Resting,
    /// Held by another program a moment ago.
    SetAside,
}

/// A search for a port.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    /// Local address to search on.
    pub ip: IpAddr,
    /// What is searched for.
    pub parity: Parity,
    /// Where the search begins; it wraps around at the end of the range.
    pub start: u16,
    /// The last class that is taken from.
    pub worst: Class,
    /// With [`Class::SetAside`]: ports up to this one, in the order of the search, were tried.
    pub tried: Option<u16>,
}

#[derive(Debug)]
struct Address {
    ip: IpAddr,
    /// Somebody is binding or holds it, whatever the protocol.
    claimed: Bitmap,
    /// An allocation answers on it, by protocol.
    live: [Bitmap; 2],
    resting: Lately,
    set_aside: Lately,
}

impl Ports {
    /// All ports of `range` on each of `addresses` (local ones) are free.
    #[must_use]
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>, range: RangeInclusive<u16>) -> Self {
        Self {
            range,
            addresses: addresses.into_iter().map(Address::new).collect(),
            period: Arc::default(),
        }
    }

    /// The ports of other addresses. What is known of an address that stays, or that has ports in
    /// use, is shared with these ports.
    #[must_use]
    pub fn with_addresses(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut all: Vec<Arc<Address>> = Vec::new();
        for ip in addresses {
            let known = self.addresses.iter().find(|known| known.ip == ip);
            all.push(known.map_or_else(|| Address::new(ip), Arc::clone));
        }
        for known in &self.addresses {
            if !known.claimed.is_empty() && all.iter().all(|other| other.ip != known.ip) {
                all.push(Arc::clone(known));
            }
        }
        Self {
            range: self.range.clone(),
            addresses: all,
            period: Arc::clone(&self.period),
        }
    }

    /// Says what time it is since the start: ports that have rested or were set aside for long
    /// enough are as good as any.
    pub fn pass_time(&self, since_start: Duration) {
        let now = since_start.as_secs() / REST.as_secs();
        let before = self.period.fetch_max(now, Ordering::AcqRel);
        let over = now.saturating_sub(before).min(2);
        for period in (1..=over).map(|later| before.wrapping_add(later)) {
            for address in &self.addresses {
                address.resting.of(period).clear_all();
                address.set_aside.of(period).clear_all();
            }
        }
    }

    /// The class of a port, if it is free to take.
    #[must_use]
    pub fn class(&self, address: SocketAddr) -> Class {
        let found = self.find(address.ip());
        let is_in = |lately: &Lately| lately.get(address.port());
        match found {
            Some(found) if is_in(&found.set_aside) => Class::SetAside,
            Some(found) if is_in(&found.resting) => Class::Resting,
            Some(_) | None => Class::Free,
        }
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

    /// Takes the first port of the best class, for the caller alone; with
    /// [`Parity::EvenWithNext`] also the port above it.
    #[must_use]
    pub fn take(&self, search: Search) -> Option<(SocketAddr, Class)> {
        let found = self.find(search.ip)?;
        let classes = [Class::Free, Class::Resting, Class::SetAside];
        for class in classes.into_iter().filter(|it| *it <= search.worst) {
            let tried = search.tried.filter(|_| class == Class::SetAside);
            for part in self.parts(search.start, tried).into_iter().flatten() {
                if let Some(port) = found.take((&self.range, &part), search.parity, class) {
                    return Some((SocketAddr::new(search.ip, port), class));
                }
            }
        }
        None
    }

    /// The range in the order of a search, without what was tried.
    fn parts(&self, start: u16, tried: Option<u16>) -> [Option<RangeInclusive<u16>>; 2] {
        let (low, high) = (*self.range.start(), *self.range.end());
        let upper = |from: Option<u16>| Some(from?..=high).filter(|part| !part.is_empty());
        let lower = |from: Option<u16>| {
            let part = from?..=start.checked_sub(1)?;
            (!part.is_empty()).then_some(part)
        };
        match tried {
            None => [upper(Some(start)), lower(Some(low))],
            Some(tried) if tried >= start => [upper(tried.checked_add(1)), lower(Some(low))],
            Some(tried) => [lower(tried.checked_add(1)), None],
        }
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
            found.set_aside.clear(address.port());
            found.resting.of(period).set(address.port());
        }
        self.give_back(address);
    }

    /// Gives a claimed port back that another program holds.
    pub fn set_aside(&self, address: SocketAddr) {
        if let Some(found) = self.find(address.ip()) {
            let period = self.period.load(Ordering::Acquire);
            found.set_aside.of(period).set(address.port());
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
        let mut addresses = self.addresses.iter().map(Arc::as_ref);
        addresses.find(|address| address.ip == ip)
    }
}

impl Address {
    fn new(ip: IpAddr) -> Arc<Self> {
        Arc::new(Self {
            ip,
            claimed: Bitmap::default(),
            live: Default::default(),
            resting: Lately::default(),
            set_aside: Lately::default(),
        })
    }

    const fn live(&self, protocol: PeerProtocol) -> &Bitmap {
        let [udp, tcp] = &self.live;
        match protocol {
            PeerProtocol::Udp => udp,
            PeerProtocol::Tcp => tcp,
        }
    }

    /// Takes the first port of a class, or of a better one, within a part of the range.
    fn take(
        &self,
        (range, part): (&RangeInclusive<u16>, &RangeInclusive<u16>),
        parity: Parity,
        class: Class,
    ) -> Option<u16> {
        (part.start() / 64..=part.end() / 64).find_map(|index| {
            let masks = (bits_of(range, index), bits_of(part, index));
            self.take_in_word(index, masks, parity, class)
        })
    }

    /// The same in one word: of the range's bits, those of the part may be the first of a pair.
    fn take_in_word(
        &self,
        index: u16,
        (range, part): (u64, u64),
        parity: Parity,
        class: Class,
    ) -> Option<u16> {
        let avoided = match class {
            Class::Free => self.resting.word(index) | self.set_aside.word(index),
            Class::Resting => self.set_aside.word(index),
            Class::SetAside => 0,
        };
        let claimed = self.claimed.0.get(usize::from(index))?;
        let mut taken = claimed.load(Ordering::Acquire);
        loop {
            let usable = range & !avoided & !taken;
            let candidates = match parity {
                Parity::Any => usable,
                Parity::Even => usable & EVEN,
                Parity::EvenWithNext => usable & usable >> 1 & EVEN,
            };
            let bit = (candidates & part).trailing_zeros();
            if bit == u64::BITS {
                return None;
            }
            let wanted = match parity {
                Parity::Any | Parity::Even => 1_u64 << bit,
                Parity::EvenWithNext => 3_u64 << bit,
            };
            let with_wanted = taken | wanted;
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match claimed.compare_exchange_weak(taken, with_wanted, success, failure) {
                Ok(_) => return Some(index * 64 + u16::try_from(bit).unwrap_or_default()),
                // Another worker has changed the word.
                Err(current) => taken = current,
            }
        }
    }
}

/// Bits of a word for the ports of a range.
fn bits_of(range: &RangeInclusive<u16>, index: u16) -> u64 {
    let (first, last) = (*range.start(), *range.end());
    let from_first = match first / 64 == index {
        true => u64::MAX << (first % 64),
        false => u64::MAX,
    };
    let up_to_last = match last / 64 == index {
        true => u64::MAX >> (63 - last % 64),
        false => u64::MAX,
    };
    from_first & up_to_last
}

/// Ports to which something happened in the current period or the one before: in those with even
/// and with odd numbers.
#[derive(Debug, Default)]
struct Lately([Bitmap; 2]);

impl Lately {
    const fn of(&self, period: u64) -> &Bitmap {
        let [even, odd] = &self.0;
        if period.is_multiple_of(2) { even } else { odd }
    }

    fn get(&self, port: u16) -> bool {
        self.0.iter().any(|bitmap| bitmap.get(port))
    }

    fn clear(&self, port: u16) {
        for bitmap in &self.0 {
            bitmap.clear(port);
        }
    }

    fn word(&self, index: u16) -> u64 {
        let words = self.0.iter().filter_map(|it| it.0.get(usize::from(index)));
        words.fold(0, |all, word| all | word.load(Ordering::Acquire))
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

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::Acquire) == 0)
    }
}

#[cfg(test)]
mod tests;

//! A relay under virtual time, whose promises are checked after every step.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stun_turn_proto::auth::Authenticator;
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::policy::PeerPolicy;
use stun_turn_proto::ports::Ports;
use stun_turn_proto::quotas::QuotaLimits;
use stun_turn_proto::relay::{Closed, RelayAddress, ReplyBuffer};
use stun_turn_proto::{
    FiveTuple, Now, OpenError, Outcome, Relay, Settings, Shared, Transport, limits,
};

pub(crate) const SERVER: &str = "9.9.9.9:3478";
pub(crate) const UNIX: u64 = 1_800_000_000;
/// Few, so that they run out.
const PORTS: std::ops::RangeInclusive<u16> = 50_000..=50_007;

pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) settings: Arc<Settings>,
    pub(crate) now: Now,
    /// Every so many bindings fail.
    pub(crate) bind_fails_each: u32,
    binds: u32,
}

/// What became of a message.
pub(crate) enum Sent {
    Nothing,
    Reply(Vec<u8>),
    ToPeer(SocketAddr, Vec<u8>),
}

impl World {
    pub(crate) fn new() -> Self {
        let [v4, v6]: [IpAddr; 2] = ["9.9.9.9", "2620:fe::9"].map(|ip| ip.parse().unwrap());
        let listeners = vec![SERVER.parse().unwrap(), SocketAddr::new(v6, 3478)];
        let users = [("alice", "wonder"), ("bob", "builder")];
        let users = users.map(|(name, password)| (name.to_owned(), password.to_owned()));
        let settings = Settings {
            quotas: QuotaLimits {
                total: Some(12),
                per_user: Some(9),
                per_source: Some(10),
            },
            mobility: true,
            ..Settings::new(
                Authenticator::new(
                    "callbox",
                    users,
                    ["north".to_owned()],
                    NonceKeys::new(&[1; 32]),
                ),
                PeerPolicy::new(Vec::new(), Vec::new(), vec![v4, v6], listeners),
                [v4, v6]
                    .map(|ip| RelayAddress {
                        local: ip,
                        public: ip,
                    })
                    .to_vec(),
                Arc::new(Shared::new(Ports::new([v4, v6], PORTS))),
            )
        };
        let settings = Arc::new(settings);
        Self {
            relay: Relay::new(Arc::clone(&settings), [2; 32]),
            settings,
            now: Now {
                monotonic: Duration::ZERO,
                unix_s: UNIX,
            },
            bind_fails_each: 0,
            binds: 0,
        }
    }

    pub(crate) fn client(number: u8, is_stream: bool) -> FiveTuple {
        FiveTuple {
            transport: if is_stream {
                Transport::Tcp
            } else {
                Transport::Udp
            },
            client: SocketAddr::new([198, 51, 100, number % 4].into(), 4000 + u16::from(number)),
            server: SERVER.parse().unwrap(),
        }
    }

    pub(crate) fn receive(&mut self, from: &FiveTuple, bytes: &[u8]) -> Sent {
        let mut buffer: ReplyBuffer = [0xAA; limits::MAX_REPLY_BYTES];
        let mut outcome = self.relay.handle_client(self.now, from, bytes, &mut buffer);
        let sent = loop {
            outcome = match outcome {
                Outcome::Drop(_) => break Sent::Nothing,
                Outcome::Reply(length) | Outcome::ReplyFrom { reply: length, .. } => {
                    break Sent::Reply(buffer[..length].to_vec());
                }
                Outcome::ToPeer { peer, payload, .. } => {
                    break Sent::ToPeer(peer, bytes[payload].to_vec());
                }
                Outcome::Open(open) => {
                    self.binds += 1;
                    let fails =
                        self.bind_fails_each > 0 && self.binds.is_multiple_of(self.bind_fails_each);
                    let error = if self.binds.is_multiple_of(2) {
                        OpenError::AddressInUse
                    } else {
                        OpenError::Failed
                    };
                    let result = if fails { Err(error) } else { Ok(()) };
                    self.relay
                        .handle_opened(self.now, open, result, &mut buffer)
                }
                Outcome::Opened { next, .. } => *next,
            };
        };
        if let Sent::ToPeer(peer, _) = &sent {
            self.assert_may_be_sent_to(*peer);
        }
        self.settle();
        sent
    }

    /// No packet ever leaves for an address that is not public, nor for a listener of ours.
    fn assert_may_be_sent_to(&self, peer: SocketAddr) {
        let is_own = self
            .settings
            .relay_addresses
            .iter()
            .any(|own| own.local == peer.ip());
        if is_own {
            assert!(
                self.settings.shared.ports.is_live(peer),
                "{peer} is ours, but no relayed port"
            );
        } else {
            assert!(
                self.settings.policy.check_address(peer.ip()).is_ok(),
                "{peer}"
            );
        }
        assert_ne!(peer.port(), 0);
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.unix_s += seconds;
        self.relay.handle_timeout(self.now);
        self.settle();
    }

    /// Closes what is to be closed, and checks what must hold between any two steps.
    pub(crate) fn settle(&mut self) {
        while let Some(closed) = self.relay.poll_closed() {
            let (Closed::Allocation { relayed, .. } | Closed::Reservation(relayed)) = closed;
            self.settings.shared.ports.release(relayed);
        }
        let places = self.settings.shared.quotas.total() as usize;
        let sessions: Vec<_> = self.relay.sessions(self.now).collect();
        let reserved = self.settings.shared.reservations.count();
        assert_eq!(places, sessions.len() + reserved, "who holds a place");
        for session in &sessions {
            assert!(session.permissions <= limits::MAX_PERMISSIONS);
            assert!(session.channels <= limits::MAX_CHANNELS);
        }
        assert_eq!(self.relay.allocations(), sessions.len());
    }
}

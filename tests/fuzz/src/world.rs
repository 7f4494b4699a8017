//! A relay under virtual time, whose promises are checked after every step.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stun_turn_proto::attribute::kind;
use stun_turn_proto::auth::Authenticator;
use stun_turn_proto::auth::nonce::NonceKeys;
use stun_turn_proto::message::Message;
use stun_turn_proto::policy::PeerPolicy;
use stun_turn_proto::ports::Ports;
use stun_turn_proto::quotas::QuotaLimits;
use stun_turn_proto::relay::{Closed, RelayAddress, ReplyBuffer, TcpRelay};
use stun_turn_proto::{
    FiveTuple, Now, OpenError, Outcome, PeerProtocol, Relay, Settings, Transport, limits,
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
    connects: u32,
    /// The last one that a client was told.
    pub(crate) connection_id: Vec<u8>,
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
            tcp_relay: Some(TcpRelay::default()),
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
                Ports::new([v4, v6], PORTS),
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
            connects: 0,
            connection_id: Vec::new(),
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
                Outcome::Reply(length)
                | Outcome::ReplyFrom { reply: length, .. }
                | Outcome::Bound { reply: length, .. } => {
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
                Outcome::Connect { id, from, peer } => {
                    assert_ne!(from, peer, "nobody connects to itself");
                    self.assert_may_be_reached(PeerProtocol::Tcp, peer);
                    // Most peers answer, some don't, and now and then there is no socket.
                    self.connects += 1;
                    match self.connects % 4 {
                        0 => self.relay.handle_no_socket(id, &mut buffer),
                        1 => break Sent::Nothing,
                        _ => {
                            assert!(self.relay.handle_connected(self.now, id));
                            break Sent::Nothing;
                        }
                    }
                }
                Outcome::Elsewhere { worker } => panic!("there is no worker {worker}"),
            };
        };
        if let Sent::ToPeer(peer, _) = &sent {
            self.assert_may_be_reached(PeerProtocol::Udp, *peer);
        }
        self.settle();
        sent
    }

    /// No packet ever leaves for an address that is not public, nor for a listener of ours.
    fn assert_may_be_reached(&self, protocol: PeerProtocol, peer: SocketAddr) {
        let is_own = self
            .settings
            .relay_addresses
            .iter()
            .any(|own| own.local == peer.ip());
        if is_own {
            assert!(
                self.settings.ports.is_live(protocol, peer),
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
        let mut buffer: ReplyBuffer = [0xAA; limits::MAX_REPLY_BYTES];
        while let Some((_, length)) = self.relay.poll_reply(&mut buffer) {
            let message = Message::parse(&buffer[..length]).unwrap();
            if let Some(id) = message.first(kind::CONNECTION_ID) {
                self.connection_id = id.to_vec();
            }
        }
        while let Some(closed) = self.relay.poll_closed() {
            match closed {
                Closed::Allocation { relayed, .. } | Closed::Reservation(relayed) => {
                    self.settings.ports.release(relayed);
                }
                Closed::Connection(_) => {}
            }
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
        let connections = self.settings.shared.connection_ids.count();
        assert!(connections <= sessions.len() * limits::MAX_PEER_CONNECTIONS);
    }
}

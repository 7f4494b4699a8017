//! The state machine from outside: requests in, decoded replies and outcomes out, virtual time.

mod allocate;
mod authentication;
mod clock;
mod data;
mod dual;
mod icmp;
mod loss;
mod mobility;
mod model;
mod nat_discovery;
mod operator;
mod reasons;
mod tcp;
mod tcp_model;
mod unpredictable;

use super::*;
use crate::addr::Transport;
use crate::attribute::{decode_xor_address, encode_xor_address, kind};
use crate::auth::nonce::NonceKeys;
use crate::auth::{Authenticator, credential, long_term_key};
use crate::connection_ids::ConnectionId;
use crate::integrity::{Hash, Key, Signer};
use crate::message::{TransactionId, Writer};
use crate::policy::PeerPolicy;
use crate::ports::Ports;

const RELAY_V4: &str = "9.9.9.9";
const RELAY_V6: &str = "2620:fe::9";
const PUBLIC_V4: &str = "5.5.5.5";
const PEER: &str = "8.8.8.8:5000";
const UNIX: u64 = 1_800_000_000;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A relay under virtual time, whose sockets can always be bound unless a test says otherwise.
struct World {
    relay: Relay,
    settings: Arc<Settings>,
    now: Now,
    /// What binding answers.
    bind: fn(SocketAddr) -> Result<(), OpenError>,
    /// What was to be bound, in this order.
    binds: Vec<SocketAddr>,
    transactions: u32,
}

/// One client with its credentials and the nonce it was given last.
#[derive(Clone)]
struct Client {
    five_tuple: FiveTuple,
    username: String,
    key: Key,
    nonce: Vec<u8>,
}

/// A decoded reply.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reply {
    /// 0 for success.
    code: u16,
    attributes: Vec<(u16, Vec<u8>)>,
    is_signed: bool,
    bytes: Vec<u8>,
}

impl Reply {
    fn get(&self, wanted: u16) -> Option<&[u8]> {
        self.attributes
            .iter()
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| &value[..])
    }

    fn address(&self, wanted: u16) -> SocketAddr {
        let id = Message::parse(&self.bytes).unwrap().transaction();
        decode_xor_address(self.get(wanted).unwrap(), id).unwrap()
    }

    /// An address that is not XORed.
    fn plain_address(&self, wanted: u16) -> SocketAddr {
        match self.get(wanted).unwrap() {
            [0, 1, p0, p1, a, b, c, d] => {
                SocketAddr::from(([*a, *b, *c, *d], u16::from_be_bytes([*p0, *p1])))
            }
            other => panic!("no IPv4 address: {other:?}"),
        }
    }

    fn lifetime(&self) -> u32 {
        u32::from_be_bytes(self.get(kind::LIFETIME).unwrap().try_into().unwrap())
    }
}

/// An attribute to send: an address is encoded with the transaction that it travels in.
#[derive(Clone)]
enum Part {
    Raw(u16, Vec<u8>),
    Address(u16, SocketAddr),
}

fn raw(kind: u16, value: &[u8]) -> Part {
    Part::Raw(kind, value.to_vec())
}

fn peer(text: &str) -> Part {
    Part::Address(kind::XOR_PEER_ADDRESS, address(text))
}

fn channel(number: u16) -> Part {
    let [high, low] = number.to_be_bytes();
    raw(kind::CHANNEL_NUMBER, &[high, low, 0, 0])
}

fn udp() -> Part {
    raw(kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0])
}

impl Client {
    /// Goes on with a credential made with the secret of [`World`].
    fn become_time_limited(&mut self, expires_at: u64, id: &str) {
        let minted = credential::mint(b"north", id, expires_at);
        let (name, password) = (minted.username.as_bytes(), minted.password.as_bytes());
        self.key = long_term_key(name, b"callbox", password);
        self.username = minted.username;
    }
}

impl World {
    fn new() -> Self {
        Self::with_policy(Vec::new())
    }

    fn with_policy(allow: Vec<ipnet::IpNet>) -> Self {
        let [v4, v6, public]: [IpAddr; 3] =
            [RELAY_V4, RELAY_V6, PUBLIC_V4].map(|ip| ip.parse().unwrap());
        let relay_addresses = vec![
            RelayAddress { local: v4, public },
            RelayAddress {
                local: v6,
                public: v6,
            },
        ];
        let users = [("alice", "wonder"), ("bob", "builder")];
        let users = users.map(|(name, password)| (name.to_owned(), password.to_owned()));
        let listeners = vec![SocketAddr::new(v4, 3478), SocketAddr::new(v6, 3478)];
        let keys = NonceKeys::new(&[1; 32]);
        let settings = Settings::new(
            Authenticator::new("callbox", users, ["north".to_owned()], keys),
            PeerPolicy::new(allow, Vec::new(), vec![v4, v6, public], listeners),
            relay_addresses,
            Ports::new([v4, v6], 50_000..=50_999),
        );
        let settings = Arc::new(settings);
        Self {
            relay: Relay::new(Arc::clone(&settings), [2; 32]),
            settings,
            now: Now {
                monotonic: Duration::ZERO,
                unix_s: UNIX,
            },
            bind: |_| Ok(()),
            binds: Vec::new(),
            transactions: 0,
        }
    }

    /// Replaces the settings as a reload does.
    fn reconfigure(&mut self, change: impl FnOnce(&mut Settings)) {
        let mut new = Settings::clone(&self.settings);
        change(&mut new);
        self.settings = Arc::new(new);
        self.relay.reconfigure(Arc::clone(&self.settings));
    }

    /// A client whose nonce is fresh.
    fn client(&self, from: &str, name: &str) -> Client {
        let five_tuple = FiveTuple {
            transport: Transport::Udp,
            client: address(from),
            server: SocketAddr::new(RELAY_V4.parse().unwrap(), 3478),
        };
        let password = if name == "alice" { "wonder" } else { "builder" };
        Client {
            five_tuple,
            username: name.to_owned(),
            key: long_term_key(name.as_bytes(), b"callbox", password.as_bytes()),
            nonce: nonce(&self.settings, &five_tuple, self.now.unix_s),
        }
    }

    /// A client with a credential by the TURN REST convention.
    fn time_limited(&self, from: &str, expires_at: u64, id: &str) -> Client {
        let mut client = self.client(from, "alice");
        client.become_time_limited(expires_at, id);
        client
    }

    fn advance(&mut self, seconds: u64) {
        self.now.monotonic += Duration::from_secs(seconds);
        self.now.unix_s += seconds;
        self.relay.handle_timeout(self.now);
        self.settle();
        while self
            .relay
            .poll_timeout()
            .is_some_and(|at| at <= self.now.monotonic)
        {
            self.relay.handle_timeout(self.now);
            self.settle();
        }
    }

    /// Closes what is to be closed, as a driver does.
    fn settle(&mut self) -> Vec<Closed> {
        let mut all = Vec::new();
        while let Some(closed) = self.relay.poll_closed() {
            match closed {
                Closed::Allocation { relayed, .. } | Closed::Reservation(relayed) => {
                    self.settings.ports.release(relayed);
                }
                Closed::Connection(_) => {}
            }
            all.push(closed);
        }
        self.relay.table.assert_consistent();
        let ids = &self.settings.shared.connection_ids;
        self.relay.connections.assert_consistent(ids);
        all
    }

    /// Hands bytes in and carries out what comes back; `None` when nothing is answered.
    fn receive(&mut self, from: &FiveTuple, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = [0xAA; limits::MAX_REPLY_BYTES];
        let mut outcome = self.relay.handle_client(self.now, from, bytes, &mut buffer);
        loop {
            outcome = match outcome {
                Outcome::Open(open) => {
                    let bound = self.bind_socket(&open);
                    self.relay.handle_opened(self.now, open, bound, &mut buffer)
                }
                Outcome::Opened { next, .. } => *next,
                Outcome::ReplyFrom { reply, .. }
                | Outcome::Reply(reply)
                | Outcome::Bound { reply, .. } => {
                    return Some(buffer[..reply].to_vec());
                }
                Outcome::Drop(_)
                | Outcome::ToPeer { .. }
                | Outcome::Connect { .. }
                | Outcome::Elsewhere { .. } => return None,
            };
        }
    }

    /// Binds an address and the next one, as a driver does.
    fn bind_socket(&mut self, open: &Open) -> Result<(), OpenError> {
        self.binds.push(open.address);
        (self.bind)(open.address)?;
        let next = open.next_address().map_or(Ok(()), self.bind);
        next.map_err(|error| match error {
            OpenError::AddressInUse => OpenError::NextAddressInUse,
            other => other,
        })
    }

    fn id(&mut self) -> TransactionId {
        self.transactions += 1;
        let mut id = [0; 12];
        id[..4].copy_from_slice(&self.transactions.to_be_bytes());
        TransactionId(id)
    }

    /// An authenticated request and its reply. A stale nonce is renewed as a client would.
    fn request(&mut self, client: &mut Client, method: Method, parts: &[Part]) -> Reply {
        let id = self.id();
        let bytes = signed(client, method, id, parts);
        let reply = decode(
            &self.receive(&client.five_tuple, &bytes).unwrap(),
            &client.key,
        );
        self.settle();
        if reply.code != 438 {
            return reply;
        }
        client.nonce = reply.get(kind::NONCE).unwrap().to_vec();
        self.request(client, method, parts)
    }

    /// Allocates with nothing special; panics unless it works.
    fn allocate(&mut self, client: &mut Client) -> SocketAddr {
        let reply = self.request(client, Method::Allocate, &[udp()]);
        assert_eq!(reply.code, 0, "{reply:?}");
        reply.address(kind::XOR_RELAYED_ADDRESS)
    }

    fn relay_id(&self, client: &Client) -> RelayId {
        self.relay.table.find(&client.five_tuple).unwrap().first
    }

    /// What a client's datagram becomes at the peer.
    fn relay_to_peer(
        &mut self,
        client: &Client,
        bytes: &[u8],
    ) -> Result<(SocketAddr, Vec<u8>), DropReason> {
        let mut buffer = [0; limits::MAX_REPLY_BYTES];
        match self
            .relay
            .handle_client(self.now, &client.five_tuple, bytes, &mut buffer)
        {
            Outcome::ToPeer { peer, payload, .. } => Ok((peer, bytes[payload].to_vec())),
            Outcome::Drop(reason) => Err(reason),
            other => panic!("{other:?}"),
        }
    }

    /// What a peer's datagram becomes at the client.
    fn relay_from_peer(
        &mut self,
        client: &Client,
        from: &str,
        data: &[u8],
    ) -> Result<Vec<u8>, DropReason> {
        let relay = self.relay_id(client);
        let mut buffer = vec![0xEE; limits::HEADROOM + data.len() + limits::TAILROOM];
        let payload = limits::HEADROOM..limits::HEADROOM + data.len();
        buffer[payload.clone()].copy_from_slice(data);
        let datagram = PeerDatagram {
            buffer: &mut buffer,
            payload,
        };
        match self
            .relay
            .handle_peer(self.now, relay, address(from), datagram)
        {
            FromPeer::ToClient {
                client: to,
                message,
            } => {
                assert_eq!(to, client.five_tuple);
                Ok(buffer[message].to_vec())
            }
            FromPeer::Drop(reason) => Err(reason),
        }
    }
}

/// The nonce out of a challenge.
fn nonce(settings: &Settings, client: &FiveTuple, unix_s: u64) -> Vec<u8> {
    let mut buffer = [0; 512];
    let mut writer = Writer::new(
        &mut buffer,
        Class::Error,
        Method::Allocate,
        TransactionId([0; 12]),
    );
    settings
        .authenticator
        .challenge(&mut writer, 100, client, unix_s);
    let length = writer.finish(None, false).unwrap();
    Message::parse(&buffer[..length])
        .unwrap()
        .first(kind::NONCE)
        .unwrap()
        .to_vec()
}

fn write_parts(writer: &mut Writer<'_>, id: TransactionId, parts: &[Part]) {
    for part in parts {
        match part {
            Part::Raw(kind, value) => {
                writer.attribute(*kind, value);
            }
            Part::Address(kind, address) => {
                let (value, length) = encode_xor_address(*address, id);
                writer.attribute(*kind, &value[..length]);
            }
        }
    }
}

fn signed(client: &Client, method: Method, id: TransactionId, parts: &[Part]) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let mut writer = Writer::new(&mut buffer, Class::Request, method, id);
    write_parts(&mut writer, id, parts);
    writer.attribute(kind::USERNAME, client.username.as_bytes());
    writer
        .attribute(kind::REALM, b"callbox")
        .attribute(kind::NONCE, &client.nonce);
    let length = writer
        .finish(
            Some(&Signer {
                key: client.key,
                hash: Hash::Sha1,
            }),
            false,
        )
        .unwrap();
    buffer[..length].to_vec()
}

fn unsigned(class: Class, method: Method, parts: &[Part], fingerprint: bool) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let id = TransactionId([5; 12]);
    let mut writer = Writer::new(&mut buffer, class, method, id);
    write_parts(&mut writer, id, parts);
    let length = writer.finish(None, fingerprint).unwrap();
    buffer[..length].to_vec()
}

fn decode(bytes: &[u8], key: &Key) -> Reply {
    let message = Message::parse(bytes).unwrap();
    let code = message.first(kind::ERROR_CODE).map_or(0, |value| {
        assert_eq!(message.class(), Class::Error);
        u16::from(value[2]) * 100 + u16::from(value[3])
    });
    Reply {
        code,
        attributes: message
            .attributes()
            .map(|a| (a.kind, a.value.to_vec()))
            .collect(),
        is_signed: message.is_signed_with(key),
        bytes: bytes.to_vec(),
    }
}

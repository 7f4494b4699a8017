//! Clients with good keys who do anything: attribute soup in every request, clocks that jump, peers
//! that talk, binds that fail. The promises of [`World`] hold after every step.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use stun_turn_proto::attribute::{encode_xor_address, kind};
use stun_turn_proto::auth::long_term_key;
use stun_turn_proto::integrity::{Hash, Key, Signer};
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};
use stun_turn_proto::relay::{Direction, FromPeer, Icmp, PeerDatagram};
use stun_turn_proto::{ConnectionId, FiveTuple, RelayId, limits};

use crate::world::{Sent, World};

#[derive(Debug, Arbitrary)]
enum Step {
    Request {
        client: u8,
        is_bob: bool,
        method: u8,
        attributes: Vec<Attribute>,
        repeats: bool,
    },
    Indication {
        client: u8,
        attributes: Vec<Attribute>,
    },
    ChannelData {
        client: u8,
        number: u8,
        bytes: Vec<u8>,
    },
    FromPeer {
        relay: u8,
        peer: u8,
        bytes: Vec<u8>,
    },
    Icmp {
        relay: u8,
        peer: u8,
        kind: u8,
    },
    Advance(u16),
    JumpWallClock(i16),
    Leave(u8),
    End(u8),
    BindFailsEach(u8),
    PeerConnects {
        relay: u8,
        peer: u8,
    },
    Carry {
        bytes: u16,
        finishes: bool,
    },
}

#[derive(Debug, Arbitrary)]
enum Attribute {
    /// Any type among the low numbers that have a meaning, with any value.
    Raw {
        kind: u8,
        is_optional: bool,
        value: Vec<u8>,
    },
    Peer(u8),
    Channel(u8),
    Udp,
    Lifetime(u32),
    Family(u8),
    Additional,
    EvenPort(bool),
    Token,
    Ticket,
    Data(Vec<u8>),
    Tcp,
    Connection,
}

/// Good peers, bad ones, and some of our own.
const PEERS: [&str; 10] = [
    "8.8.8.8:1",
    "8.8.8.8:2",
    "1.1.1.1:1",
    "10.0.0.1:1",
    "127.0.0.1:3478",
    "9.9.9.9:50001",
    "9.9.9.9:3478",
    "[2620:fe::fe]:1",
    "[::ffff:10.0.0.1]:1",
    "[2002:0a00:0001::1]:1",
];

fn peer(number: u8) -> std::net::SocketAddr {
    PEERS[usize::from(number) % PEERS.len()].parse().unwrap()
}

/// What clients remember between steps.
#[derive(Default)]
struct Memory {
    nonces: Vec<(FiveTuple, Vec<u8>)>,
    token: Vec<u8>,
    ticket: Vec<u8>,
    connection: Vec<u8>,
    transaction: u32,
}

pub(crate) fn run(input: &[u8]) {
    let mut world = World::new();
    let mut memory = Memory::default();
    let mut source = Unstructured::new(input);
    for _ in 0..200 {
        let Ok(step) = Step::arbitrary(&mut source) else {
            break;
        };
        apply(&mut world, &mut memory, step);
        if source.is_empty() {
            break;
        }
    }
    // Whatever happened, in the end everything is given back.
    world.advance(4000);
    world.advance(4000);
    assert_eq!(world.relay.allocations(), 0);
    assert_eq!(world.settings.shared.quotas.total(), 0);
    assert_eq!(world.settings.shared.connection_ids.count(), 0);
    assert_eq!(world.relay.poll_timeout(), None);
    for port in 50_000..=50_007 {
        for own in &world.settings.relay_addresses {
            let address = std::net::SocketAddr::new(own.local, port);
            assert!(
                world.settings.ports.claim(address),
                "{address} is free again"
            );
        }
    }
}

fn apply(world: &mut World, memory: &mut Memory, step: Step) {
    memory.connection.clone_from(&world.connection_id);
    match step {
        Step::Request {
            client,
            is_bob,
            method,
            attributes,
            repeats,
        } => {
            let from = client_of(client);
            let user = if is_bob {
                ("bob", "builder")
            } else {
                ("alice", "wonder")
            };
            let methods = [
                Method::Allocate,
                Method::Refresh,
                Method::CreatePermission,
                Method::ChannelBind,
                Method::Binding,
                Method::Connect,
                Method::ConnectionBind,
            ];
            let method = methods[usize::from(method) % methods.len()];
            for _ in 0..=u8::from(repeats) {
                request(world, memory, &from, user, method, &attributes);
            }
        }
        Step::Indication { client, attributes } => {
            let message = write(memory, Class::Indication, Method::Send, &attributes, None);
            let sent = message.map(|message| world.receive(&client_of(client), &message));
            assert!(
                !matches!(sent, Some(Sent::Reply(_))),
                "indications have no answer"
            );
        }
        Step::ChannelData {
            client,
            number,
            bytes,
        } => {
            let length = (bytes.len() as u16).to_be_bytes();
            let message = [&[0x40, number % 8, length[0], length[1]][..], &bytes].concat();
            let sent = world.receive(&client_of(client), &message);
            if let Sent::ToPeer(_, data) = sent {
                assert_eq!(data, bytes);
            }
        }
        Step::FromPeer {
            relay,
            peer: from,
            bytes,
        } => from_peer(world, relay, from, &bytes),
        Step::Icmp {
            relay,
            peer: about,
            kind,
        } => {
            let mut buffer = [0; limits::MAX_REPLY_BYTES];
            let icmp = Icmp {
                kind,
                code: 1,
                data: 7,
            };
            let relay = RelayId::of_index(usize::from(relay % 16));
            let told = world
                .relay
                .handle_icmp(world.now, relay, peer(about), icmp, &mut buffer);
            assert!(told.is_none_or(|(_, length)| Message::parse(&buffer[..length]).is_ok()));
        }
        Step::Advance(seconds) => world.advance(seconds.into()),
        Step::JumpWallClock(seconds) => {
            world.now.unix_s = world.now.unix_s.saturating_add_signed(seconds.into());
        }
        Step::Leave(client) => {
            world
                .relay
                .handle_client_gone(world.now, &client_of(client));
            world.settle();
        }
        Step::End(number) => {
            let id = world
                .relay
                .sessions(world.now)
                .nth(number.into())
                .map(|it| it.id);
            let ended = id.map(|id| world.relay.end_session(world.now, id));
            assert_ne!(ended, Some(false));
            world.settle();
        }
        Step::PeerConnects { relay, peer: from } => {
            let relay = RelayId::of_index(usize::from(relay % 16));
            world.relay.handle_incoming(world.now, relay, peer(from));
            world.settle();
        }
        Step::Carry { bytes, finishes } => {
            let Some(id) = ConnectionId::of_bytes(&world.connection_id) else {
                return;
            };
            let bytes = bytes.into();
            world
                .relay
                .handle_carried(world.now, id, Direction::ToPeer, bytes);
            if finishes {
                world.relay.handle_half_closed(world.now, id);
            } else if bytes == 0 {
                world.relay.handle_connection_ended(id);
            }
            world.settle();
        }
        Step::BindFailsEach(each) => world.bind_fails_each = u32::from(each % 4),
    }
}

fn client_of(number: u8) -> FiveTuple {
    World::client(number % 6, number & 0x80 != 0)
}

fn request(
    world: &mut World,
    memory: &mut Memory,
    from: &FiveTuple,
    (name, password): (&str, &str),
    method: Method,
    attributes: &[Attribute],
) {
    let key = long_term_key(name.as_bytes(), b"callbox", password.as_bytes());
    for _ in 0..2 {
        let known = memory.nonces.iter().find(|(client, _)| client == from);
        let nonce = known.map(|(_, nonce)| nonce.clone()).unwrap_or_default();
        let signed = Some((name, key, &nonce[..]));
        let Some(message) = write(memory, Class::Request, method, attributes, signed) else {
            return;
        };
        let Sent::Reply(reply) = world.receive(from, &message) else {
            return;
        };
        let reply = Message::parse(&reply).unwrap();
        assert_eq!(reply.method(), method);
        remember(memory, from, &reply);
        if reply.first(kind::NONCE).is_none() {
            return;
        }
    }
}

fn remember(memory: &mut Memory, from: &FiveTuple, reply: &Message<'_>) {
    if let Some(nonce) = reply.first(kind::NONCE) {
        memory.nonces.retain(|(client, _)| client != from);
        memory.nonces.push((*from, nonce.to_vec()));
    }
    if let Some(token) = reply.first(kind::RESERVATION_TOKEN) {
        memory.token = token.to_vec();
    }
    if let Some(ticket) = reply.first(kind::MOBILITY_TICKET) {
        memory.ticket = ticket.to_vec();
    }
}

/// `None` when the attributes make it larger than anybody sends.
fn write(
    memory: &mut Memory,
    class: Class,
    method: Method,
    attributes: &[Attribute],
    signed: Option<(&str, Key, &[u8])>,
) -> Option<Vec<u8>> {
    memory.transaction += 1;
    let mut id = TransactionId([0; 12]);
    id.0[..4].copy_from_slice(&memory.transaction.to_be_bytes());
    let mut buffer = [0; 4096];
    let mut writer = Writer::new(&mut buffer, class, method, id);
    for attribute in attributes {
        let (kind, value) = value_of(memory, attribute, id);
        writer.attribute(kind, &value);
    }
    let signer = signed.map(|(name, key, nonce)| {
        writer.attribute(kind::USERNAME, name.as_bytes());
        writer
            .attribute(kind::REALM, b"callbox")
            .attribute(kind::NONCE, nonce);
        Signer {
            key,
            hash: Hash::Sha1,
        }
    });
    let length = writer.finish(signer.as_ref(), memory.transaction.is_multiple_of(2))?;
    Some(buffer[..length].to_vec())
}

fn value_of(memory: &Memory, attribute: &Attribute, id: TransactionId) -> (u16, Vec<u8>) {
    match attribute {
        Attribute::Raw {
            kind,
            is_optional,
            value,
        } => {
            let high = if *is_optional { 0x8000 } else { 0 };
            (u16::from(*kind % 0x40) | high, value.clone())
        }
        Attribute::Peer(number) => {
            let (value, length) = encode_xor_address(peer(*number), id);
            (kind::XOR_PEER_ADDRESS, value[..length].to_vec())
        }
        Attribute::Channel(number) => (kind::CHANNEL_NUMBER, vec![0x40, number % 8, 0, 0]),
        Attribute::Udp => (kind::REQUESTED_TRANSPORT, vec![17, 0, 0, 0]),
        Attribute::Lifetime(seconds) => (kind::LIFETIME, (seconds % 5000).to_be_bytes().to_vec()),
        Attribute::Family(family) => (kind::REQUESTED_ADDRESS_FAMILY, vec![family % 4, 0, 0, 0]),
        Attribute::Additional => (kind::ADDITIONAL_ADDRESS_FAMILY, vec![2, 0, 0, 0]),
        Attribute::EvenPort(next) => (kind::EVEN_PORT, vec![u8::from(*next) << 7]),
        Attribute::Token => (kind::RESERVATION_TOKEN, memory.token.clone()),
        Attribute::Ticket => (kind::MOBILITY_TICKET, memory.ticket.clone()),
        Attribute::Tcp => (kind::REQUESTED_TRANSPORT, vec![6, 0, 0, 0]),
        Attribute::Connection => (kind::CONNECTION_ID, memory.connection.clone()),
        Attribute::Data(bytes) => (kind::DATA, bytes.clone()),
    }
}

fn from_peer(world: &mut World, relay: u8, from: u8, bytes: &[u8]) {
    let payload = limits::HEADROOM..limits::HEADROOM + bytes.len();
    let mut buffer = vec![0xEE; payload.end + limits::TAILROOM];
    buffer[payload.clone()].copy_from_slice(bytes);
    let datagram = PeerDatagram {
        buffer: &mut buffer,
        payload,
    };
    let relay = RelayId::of_index(usize::from(relay % 16));
    let taken = world
        .relay
        .handle_peer(world.now, relay, peer(from), datagram);
    if let FromPeer::ToClient { message, .. } = taken {
        let message = &buffer[message];
        let is_channel_data = message[0] & 0xC0 == 0x40;
        assert!(is_channel_data || Message::parse(message).is_ok());
    }
    world.now.monotonic += Duration::from_millis(1);
}

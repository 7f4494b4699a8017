//! Makes allocations, many at a time, over the one socket of all clients.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use stun_turn_proto::attribute::{decode_xor_address, encode_xor_address, kind};
use stun_turn_proto::auth::long_term_key;
use stun_turn_proto::integrity::{Hash, Key, Signer};
use stun_turn_proto::message::{Class, Message, Method, TransactionId, Writer};

use super::batch::{BATCH, Departure, HEADROOM, Incoming, Outgoing, SMALL, Slots};
use super::lab::Lab;

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "wonder";
pub(crate) const REALM: &str = "callbox";
/// The channel of every allocation.
pub(crate) const CHANNEL: u16 = 0x4000;

/// Requests under way at a time: the server always has the next, none waits long.
const WINDOW: usize = 64;
/// How long an answer may take before the request is sent again.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: u32 = 10;

/// How far each allocation is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Binding only: nothing is made.
    Bound,
    /// An Allocate without and one with credentials.
    Allocated,
    /// A permission and a channel more, as data needs.
    Channel,
    /// A permission for a second peer more.
    ChannelAndPermission,
}

/// What is sent next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Binding,
    Challenge,
    Allocate,
    Permission,
    Channel,
    SecondPermission,
    Done,
}

impl Goal {
    const fn first(self) -> Step {
        match self {
            Self::Bound => Step::Binding,
            Self::Allocated | Self::Channel | Self::ChannelAndPermission => Step::Challenge,
        }
    }

    fn after(self, step: Step) -> Step {
        match step {
            Step::Challenge => Step::Allocate,
            Step::Allocate if self != Self::Allocated => Step::Permission,
            Step::Permission => Step::Channel,
            Step::Channel if self == Self::ChannelAndPermission => Step::SecondPermission,
            Step::Binding
            | Step::Allocate
            | Step::Channel
            | Step::SecondPermission
            | Step::Done => Step::Done,
        }
    }
}

/// A client on its way to the goal.
pub(crate) struct Enrolee {
    pub(crate) step: Step,
    nonce: Vec<u8>,
    pub(crate) relayed: Option<SocketAddrV4>,
    asked: Instant,
    tries: u32,
}

impl Enrolee {
    pub(crate) fn new(goal: Goal) -> Self {
        Self {
            step: goal.first(),
            nonce: Vec::new(),
            relayed: None,
            asked: Instant::now(),
            tries: 0,
        }
    }

    /// Takes the answer to its last request; false for what is none.
    pub(crate) fn hear(&mut self, message: &Message<'_>, goal: Goal) -> anyhow::Result<bool> {
        let TransactionId([_, _, _, _, step, ..]) = message.transaction();
        if self.step as u8 != step || self.step == Step::Done {
            return Ok(false);
        }
        let code = match (message.class(), message.first(kind::ERROR_CODE)) {
            (Class::Success, _) => 0,
            (_, Some([_, _, class, number, ..])) => u16::from(*class) * 100 + u16::from(*number),
            _ => return Ok(false),
        };
        self.tries = 0;
        match (code, self.step) {
            (401, Step::Challenge) | (438, _) => {
                self.nonce = message.first(kind::NONCE).context("no NONCE")?.to_vec();
                if code == 438 {
                    return Ok(true);
                }
            }
            (0, Step::Allocate) => {
                let value = message.first(kind::XOR_RELAYED_ADDRESS);
                let value = value.context("no XOR-RELAYED-ADDRESS")?;
                if let Some(SocketAddr::V4(address)) =
                    decode_xor_address(value, message.transaction())
                {
                    self.relayed = Some(address);
                }
            }
            (0, _) => {}
            (code, step) => bail!("{step:?} was answered with {code}"),
        }
        self.step = goal.after(self.step);
        Ok(true)
    }
}

/// Takes some flows to the goal; their relayed addresses.
pub(crate) fn enrol(
    lab: &Lab,
    socket: &UdpSocket,
    flows: Range<usize>,
    goal: Goal,
) -> anyhow::Result<Vec<SocketAddrV4>> {
    let count = flows.len();
    let mut enrolment = Enrolment {
        lab,
        socket,
        first: flows.start,
        goal,
        key: long_term_key(USER.as_bytes(), REALM.as_bytes(), PASSWORD.as_bytes()),
        enrolees: Vec::with_capacity(count),
        slots: Slots::new(SMALL),
        outgoing: Outgoing::new(),
    };
    enrolment.run(count)?;
    let nowhere = SocketAddrV4::new(lab.relay, 0);
    let relayed = enrolment
        .enrolees
        .iter()
        .map(|it| it.relayed.unwrap_or(nowhere));
    Ok(relayed.collect())
}

struct Enrolment<'a> {
    lab: &'a Lab,
    socket: &'a UdpSocket,
    /// Number of the first flow; they are counted from it.
    first: usize,
    goal: Goal,
    key: Key,
    enrolees: Vec<Enrolee>,
    slots: Slots,
    outgoing: Outgoing,
}

impl Enrolment<'_> {
    fn run(&mut self, count: usize) -> anyhow::Result<()> {
        let mut incoming = Incoming::new();
        let mut answers = Slots::new(SMALL);
        let mut under_way: Vec<usize> = Vec::with_capacity(WINDOW);
        let mut last_look = Instant::now();
        while self.enrolees.len() < count || !under_way.is_empty() {
            while self.enrolees.len() < count && under_way.len() < WINDOW {
                under_way.push(self.enrolees.len());
                self.enrolees.push(Enrolee::new(self.goal));
                self.ask(self.enrolees.len() - 1)?;
            }
            self.flush()?;
            let received = incoming.receive(self.socket.as_fd(), &mut answers)?;
            for index in 0..received {
                let length = incoming.get(index).length;
                let bytes = &answers.slot(index)[HEADROOM..HEADROOM + length];
                let Some(flow) = self.hear(bytes)? else {
                    continue;
                };
                match self.enrolees[flow].step {
                    Step::Done => under_way.retain(|other| *other != flow),
                    _ => self.ask(flow)?,
                }
            }
            if received == 0 && last_look.elapsed() > PATIENCE / 4 {
                last_look = Instant::now();
                for flow in &under_way {
                    self.ask_again(*flow)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.outgoing.flush(self.socket.as_fd(), &self.slots)?;
        Ok(())
    }

    fn ask_again(&mut self, flow: usize) -> anyhow::Result<()> {
        let enrolee = &mut self.enrolees[flow];
        if enrolee.asked.elapsed() < PATIENCE {
            return Ok(());
        }
        enrolee.tries += 1;
        if enrolee.tries > TRIES {
            bail!("no answer to {:?}", enrolee.step);
        }
        self.ask(flow)
    }

    fn ask(&mut self, flow: usize) -> anyhow::Result<()> {
        if self.outgoing.len() == BATCH {
            self.flush()?;
        }
        let slot = self.outgoing.len();
        let enrolee = &mut self.enrolees[flow];
        enrolee.asked = Instant::now();
        let peer = self.lab.peer(self.first + flow);
        let length = write(enrolee, flow, peer, &self.key, self.slots.slot(slot))
            .context("a request that is too long")?;
        self.outgoing.push(Departure {
            slot,
            part: 0..length,
            from: Some(self.lab.client(self.first + flow)),
            to: Some(self.lab.server),
            segment: None,
        });
        Ok(())
    }

    /// Takes an answer; whose it was, if it was awaited.
    fn hear(&mut self, bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let Ok(message) = Message::parse(bytes) else {
            return Ok(None);
        };
        let TransactionId([f0, f1, f2, f3, ..]) = message.transaction();
        let flow = u32::from_be_bytes([f0, f1, f2, f3]) as usize;
        let Some(enrolee) = self.enrolees.get_mut(flow) else {
            return Ok(None);
        };
        let is_awaited = enrolee.hear(&message, self.goal)?;
        Ok(is_awaited.then_some(flow))
    }
}

/// Writes a client's next request; its length.
pub(crate) fn write(
    enrolee: &Enrolee,
    flow: usize,
    peer: SocketAddrV4,
    key: &Key,
    buffer: &mut [u8],
) -> Option<usize> {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&(flow as u32).to_be_bytes());
    id[4] = enrolee.step as u8;
    let id = TransactionId(id);
    let method = match enrolee.step {
        Step::Binding | Step::Done => Method::Binding,
        Step::Challenge | Step::Allocate => Method::Allocate,
        Step::Permission | Step::SecondPermission => Method::CreatePermission,
        Step::Channel => Method::ChannelBind,
    };
    let mut writer = Writer::new(buffer, Class::Request, method, id);
    let mut peer = SocketAddr::V4(peer);
    match enrolee.step {
        Step::Binding | Step::Done => return writer.finish(None, false),
        Step::Challenge | Step::Allocate => {
            writer.attribute(kind::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
        }
        Step::Channel => {
            let [high, low] = CHANNEL.to_be_bytes();
            writer.attribute(kind::CHANNEL_NUMBER, &[high, low, 0, 0]);
        }
        // A neighbour's address: it is never sent to.
        Step::SecondPermission => peer.set_ip(std::net::Ipv4Addr::new(10, 103, 0, 1).into()),
        Step::Permission => {}
    }
    if !matches!(enrolee.step, Step::Challenge | Step::Allocate) {
        let (value, length) = encode_xor_address(peer, id);
        writer.attribute(kind::XOR_PEER_ADDRESS, &value[..length]);
    }
    if enrolee.step == Step::Challenge {
        return writer.finish(None, false);
    }
    writer
        .attribute(kind::USERNAME, USER.as_bytes())
        .attribute(kind::REALM, REALM.as_bytes())
        .attribute(kind::NONCE, &enrolee.nonce);
    let signer = Signer {
        key: *key,
        hash: Hash::Sha1,
    };
    writer.finish(Some(&signer), false)
}

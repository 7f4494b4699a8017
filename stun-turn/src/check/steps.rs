//! The steps of one way, in the order in which a client takes them.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use stun_turn_proto::ChannelNumber;
use stun_turn_proto::attribute::kind;
use stun_turn_proto::message::Method;

use super::client::{Attribute, Client, Fault, Reply, Value};
use super::explain::{self, Context, Explanation};
use super::looping::{self, Side, Wrapping};
use super::report::{Report, Verdict};
use super::transport::{self, Link};
use super::{Plan, Via};

/// REQUESTED-TRANSPORT: UDP.
const UDP: Attribute<'_> = (kind::REQUESTED_TRANSPORT, Value::Bytes(&[17, 0, 0, 0]));
/// REQUESTED-ADDRESS-FAMILY: IPv6.
const IPV6: Attribute<'_> = (kind::REQUESTED_ADDRESS_FAMILY, Value::Bytes(&[2, 0, 0, 0]));
/// LIFETIME: none any more.
const GONE: Attribute<'_> = (kind::LIFETIME, Value::Bytes(&[0; 4]));
/// The channel of both sides.
const CHANNEL: u16 = 0x4000;

/// Steps with a relay, in order; Binding comes before.
const RELAY_STEPS: [&str; 8] = [
    "challenge",
    "Allocate",
    "second Allocate",
    "CreatePermission",
    "Send and Data",
    "ChannelBind",
    "ChannelData",
    "Refresh",
];

/// Takes every step of one way, as far as the one before allows.
pub(super) fn check(
    plan: &Plan,
    via: Via,
    server: SocketAddr,
    report: &mut Report<'_>,
) -> io::Result<()> {
    let mut way = Way {
        plan,
        via,
        server,
        report,
        realm: String::new(),
        done: 0,
    };
    let Some(mut first) = way.connect()? else {
        return way.skip_rest();
    };
    if way.binding(&mut first)? && plan.url.scheme.is_turn() {
        way.relay(first)?;
    }
    way.skip_rest()
}

struct Way<'w, 'o> {
    plan: &'w Plan,
    via: Via,
    server: SocketAddr,
    report: &'w mut Report<'o>,
    realm: String,
    /// How many of [`RELAY_STEPS`] have been told of.
    done: usize,
}

/// What a step found out: a value to go on with and what to say of it.
type Found<T> = Result<(T, String), Explanation>;

impl Way<'_, '_> {
    /// Tells of a step that took place.
    fn tell<T>(
        &mut self,
        name: &'static str,
        start: Instant,
        found: Found<T>,
    ) -> io::Result<Option<T>> {
        if RELAY_STEPS.get(self.done) == Some(&name) {
            self.done += 1;
        }
        let (value, verdict) = match found {
            Ok((value, detail)) => (Some(value), Verdict::Passed(detail)),
            Err(explanation) => (None, Verdict::Failed(explanation)),
        };
        self.report.step(name, start.elapsed(), &verdict)?;
        Ok(value)
    }

    /// What can't be tried any more.
    fn skip_rest(&mut self) -> io::Result<()> {
        if !self.plan.url.scheme.is_turn() {
            return Ok(());
        }
        let rest = RELAY_STEPS.get(self.done..).unwrap_or_default();
        self.done = RELAY_STEPS.len();
        self.report.not_tried(rest)
    }

    fn context(&self) -> Context<'_> {
        Context {
            via: self.via,
            server: self.server,
            host: &self.plan.url.host,
            is_minted: self.plan.account.as_ref().is_some_and(|it| it.is_minted),
            realm: &self.realm,
            peer: None,
        }
    }

    fn explain(&self, fault: &Fault, method: Method) -> Explanation {
        explain::fault(fault, method, self.context())
    }

    fn client(&self, link: Link) -> Client {
        Client::new(link, self.plan.account.clone(), self.plan.patience)
    }

    /// The first link, with its steps; `None` when there is none.
    fn connect(&mut self) -> io::Result<Option<Client>> {
        let (start, patience) = (Instant::now(), self.plan.patience);
        let link = match transport::connect(self.via, self.server, patience) {
            Err(error) if explain::is_no_route(&error) => {
                let why = format!("this computer has no way to such addresses ({error})");
                self.done = RELAY_STEPS.len();
                self.report
                    .step("connect", start.elapsed(), &Verdict::Skipped(why))?;
                return Ok(None);
            }
            Err(error) => {
                let found = Err(self.explain(&Fault::Io(error), Method::Binding));
                return self.tell("connect", start, found);
            }
            Ok(link) => link,
        };
        if !self.via.is_stream() {
            return Ok(Some(self.client(link)));
        }
        let from = format!("from {}", link.local);
        self.tell("connect", start, Ok(((), from)))?;
        if self.via != Via::Tls {
            return Ok(Some(self.client(link)));
        }
        let start = Instant::now();
        let (host, trust) = (&self.plan.url.host, &self.plan.trust);
        let found = link
            .encrypt(trust, host, patience)
            .map_err(|error| explain::handshake(&error, self.context()));
        let link = self.tell("TLS", start, found)?;
        Ok(link.map(|link| self.client(link)))
    }

    /// Another link like the first, whose steps need no telling.
    fn connect_again(&self) -> io::Result<Client> {
        let patience = self.plan.patience;
        let link = transport::connect(self.via, self.server, patience)?;
        if self.via != Via::Tls {
            return Ok(self.client(link));
        }
        let encrypted = link.encrypt(&self.plan.trust, &self.plan.url.host, patience);
        encrypted.map(|(link, _)| self.client(link))
    }

    /// Whether it makes sense to go on.
    fn binding(&mut self, client: &mut Client) -> io::Result<bool> {
        let start = Instant::now();
        let reply = client.ask(Method::Binding, &[]);
        // A server may serve TURN alone: an error is an answer too.
        let goes_on = reply
            .as_ref()
            .map_or_else(|fault| fault.code(), |_| Some(0));
        let found = reply
            .map_err(|fault| self.explain(&fault, Method::Binding))
            .and_then(|reply| {
                let mapped = address(&reply, kind::XOR_MAPPED_ADDRESS, "XOR-MAPPED-ADDRESS")?;
                Ok(((), seen_as(mapped, client.link.local)))
            });
        self.tell("Binding", start, found)?;
        Ok(goes_on.is_some())
    }

    fn relay(&mut self, mut first: Client) -> io::Result<()> {
        if !self.challenge(&mut first)? {
            return Ok(());
        }
        let Some(mut near) = self.allocate("Allocate", first)? else {
            return Ok(());
        };
        let start = Instant::now();
        let second = match self.connect_again() {
            Ok(client) => client,
            Err(error) => {
                let found = Err(self.explain(&Fault::Io(error), Method::Allocate));
                self.tell::<()>("second Allocate", start, found)?;
                return self.release(&mut [&mut near]);
            }
        };
        let Some(mut far) = self.allocate("second Allocate", second)? else {
            return self.release(&mut [&mut near]);
        };
        self.loops(&mut near, &mut far)?;
        self.skip_to("Refresh")?;
        self.release(&mut [&mut near, &mut far])
    }

    fn challenge(&mut self, client: &mut Client) -> io::Result<bool> {
        let start = Instant::now();
        let reply = client.ask(Method::Allocate, &[UDP]);
        let challenge = client.challenge.as_ref();
        if let Some(challenge) = challenge {
            self.realm = String::from_utf8_lossy(&challenge.realm).into_owned();
        }
        let wanted = self.plan.realm.as_ref();
        let found = match (reply, challenge) {
            (Ok(_), _) => Err(Explanation::new(
                "the server allocates without asking who we are",
                "Everybody on the internet can relay through it, at your expense: give it --user or --auth-secret (coturn: lt-cred-mech \
                 or use-auth-secret, and never no-auth).",
            )),
            (Err(fault), Some(challenge)) if fault.code() == Some(401) => {
                match wanted.filter(|wanted| **wanted != self.realm) {
                    Some(wanted) => Err(Explanation::new(
                        format!("the server's realm is \"{}\", not \"{wanted}\"", self.realm),
                        "Passwords of static users are good for one realm: set the server's --realm, or ask the right server.",
                    )),
                    None => Ok((
                        (),
                        format!(
                            "realm \"{}\", password hashed by {}",
                            self.realm,
                            challenge.algorithm()
                        ),
                    )),
                }
            }
            (Err(fault), _) if fault.code() == Some(401) => {
                Err(self.explain(&Fault::Incomplete("REALM and NONCE"), Method::Allocate))
            }
            (Err(fault), _) => Err(self.explain(&fault, Method::Allocate)),
        };
        Ok(self.tell("challenge", start, found)?.is_some())
    }

    fn allocate(&mut self, name: &'static str, mut client: Client) -> io::Result<Option<Side>> {
        let start = Instant::now();
        let relayed = self.allocated(&mut client);
        let relayed = self.tell(name, start, relayed)?;
        Ok(relayed.map(|relayed| Side { client, relayed }))
    }

    fn allocated(&self, client: &mut Client) -> Found<SocketAddr> {
        let explain = |fault| self.explain(&fault, Method::Allocate);
        if client.challenge.is_none() {
            match client.ask(Method::Allocate, &[UDP]) {
                Err(fault) if fault.code() != Some(401) => return Err(explain(fault)),
                _ => {}
            }
        }
        // Browsers name no family, which asks for IPv4.
        let mut reply = client.ask_signed(Method::Allocate, &[UDP]);
        let mut note = "";
        if reply.as_ref().is_err_and(|fault| fault.code() == Some(440)) {
            reply = client.ask_signed(Method::Allocate, &[UDP, IPV6]);
            note = ", IPv6 only: browsers, which ask for IPv4, get none";
        }
        let reply = reply.map_err(explain)?;
        let relayed = address(&reply, kind::XOR_RELAYED_ADDRESS, "XOR-RELAYED-ADDRESS")?;
        if let Some(explanation) = explain::relayed(relayed, self.server) {
            return Err(explanation);
        }
        let lifetime = reply.bytes(kind::LIFETIME);
        let lifetime = lifetime.and_then(|value| value.try_into().ok());
        let lifetime = lifetime.map(u32::from_be_bytes).ok_or_else(|| {
            explain::fault(
                &Fault::Incomplete("LIFETIME"),
                Method::Allocate,
                self.context(),
            )
        })?;
        Ok((
            relayed,
            format!("relayed address {relayed} for {lifetime} s{note}"),
        ))
    }

    /// Permissions, indications, channels, ChannelData.
    fn loops(&mut self, near: &mut Side, far: &mut Side) -> io::Result<()> {
        let permit = |side: &mut Side, peer| {
            let attributes = [(kind::XOR_PEER_ADDRESS, Value::Address(peer))];
            let method = Method::CreatePermission;
            side.client.ask_signed(method, &attributes).map(|_| ())
        };
        if !self.on_both(
            "CreatePermission",
            Method::CreatePermission,
            near,
            far,
            permit,
        )? {
            return Ok(());
        }
        self.send_through("Send and Data", near, far, Wrapping::Indications)?;
        let Some(channel) = ChannelNumber::new(CHANNEL) else {
            return Ok(());
        };
        let [high, low] = CHANNEL.to_be_bytes();
        let bind = |side: &mut Side, peer| {
            let attributes = [
                (kind::CHANNEL_NUMBER, Value::Bytes(&[high, low, 0, 0])),
                (kind::XOR_PEER_ADDRESS, Value::Address(peer)),
            ];
            let method = Method::ChannelBind;
            side.client.ask_signed(method, &attributes).map(|_| ())
        };
        if !self.on_both("ChannelBind", Method::ChannelBind, near, far, bind)? {
            return Ok(());
        }
        self.send_through("ChannelData", near, far, Wrapping::Channel(channel))
    }

    /// Does the same on both sides, each towards the other; false when one is refused.
    fn on_both(
        &mut self,
        name: &'static str,
        method: Method,
        near: &mut Side,
        far: &mut Side,
        mut act: impl FnMut(&mut Side, SocketAddr) -> Result<(), Fault>,
    ) -> io::Result<bool> {
        let start = Instant::now();
        let (near_relayed, far_relayed) = (near.relayed, far.relayed);
        let both = [(near, far_relayed), (far, near_relayed)];
        let refused = both
            .into_iter()
            .find_map(|(side, peer)| Some((act(side, peer).err()?, peer)));
        let found = match refused {
            None => Ok(((), format!("between {near_relayed} and {far_relayed}"))),
            Some((fault, peer)) => {
                let context = Context {
                    peer: Some(peer),
                    ..self.context()
                };
                Err(explain::fault(&fault, method, context))
            }
        };
        Ok(self.tell(name, start, found)?.is_some())
    }

    fn send_through(
        &mut self,
        name: &'static str,
        near: &mut Side,
        far: &mut Side,
        wrapping: Wrapping,
    ) -> io::Result<()> {
        let start = Instant::now();
        let found = match looping::run(near, far, wrapping, self.plan.patience) {
            Err(fault) => Err(self.explain(&fault, Method::Send)),
            Ok(outcome) if outcome.changed > 0 => Err(Explanation::new(
                format!(
                    "{} of {} messages came back changed",
                    outcome.changed, outcome.sent
                ),
                "The relay, or something in front of it, alters what it forwards: media will not be decrypted.",
            )),
            Ok(outcome) if outcome.is_bad() => {
                Err(explain::lost(far.relayed, outcome.size_limit()))
            }
            Ok(outcome) => Ok(((), outcome.describe())),
        };
        self.tell(name, start, found).map(|_| ())
    }

    /// Marks what lies between as not tried.
    fn skip_to(&mut self, name: &'static str) -> io::Result<()> {
        let rest = RELAY_STEPS.get(self.done..).unwrap_or_default();
        let skipped = rest.iter().position(|next| *next == name).unwrap_or(0);
        self.done += skipped;
        self.report
            .not_tried(rest.get(..skipped).unwrap_or_default())
    }

    /// Gives the allocations back, so that a check leaves nothing behind.
    fn release(&mut self, sides: &mut [&mut Side]) -> io::Result<()> {
        self.skip_to("Refresh")?;
        let start = Instant::now();
        let refused = sides
            .iter_mut()
            .find_map(|side| side.client.ask_signed(Method::Refresh, &[GONE]).err());
        let found = match refused {
            None => Ok(((), "the allocations are given back".to_owned())),
            Some(fault) => Err(self.explain(&fault, Method::Refresh)),
        };
        self.tell("Refresh", start, found).map(|_| ())
    }
}

fn address(reply: &Reply, kind: u16, name: &'static str) -> Result<SocketAddr, Explanation> {
    reply.address(kind).ok_or_else(|| {
        Explanation::new(
            format!("the reply lacks {name}"),
            "This is no (whole) STUN server: look at what listens on this port.",
        )
    })
}

fn seen_as(mapped: SocketAddr, local: SocketAddr) -> String {
    if mapped == local {
        format!("this computer is seen as {mapped}, its own address")
    } else if local.ip().is_loopback() == mapped.ip().is_loopback() && mapped.ip() == local.ip() {
        format!("this computer is seen as {mapped}")
    } else {
        format!("this computer is seen as {mapped}, behind a NAT")
    }
}

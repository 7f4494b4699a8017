//! The steps behind Binding: two allocations, and messages between them.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use stun_turn_proto::ChannelNumber;
use stun_turn_proto::attribute::kind;
use stun_turn_proto::message::Method;

use super::super::client::{Attribute, Client, Fault, Value};
use super::super::explain::{self, Context, Explanation};
use super::super::looping::{self, Side, Wrapping};
use super::{Found, RELAY_STEPS, Way, address};

/// REQUESTED-TRANSPORT: UDP.
const UDP: Attribute<'_> = (kind::REQUESTED_TRANSPORT, Value::Bytes(&[17, 0, 0, 0]));
/// REQUESTED-ADDRESS-FAMILY: IPv6.
const IPV6: Attribute<'_> = (kind::REQUESTED_ADDRESS_FAMILY, Value::Bytes(&[2, 0, 0, 0]));
/// LIFETIME: none any more.
const GONE: Attribute<'_> = (kind::LIFETIME, Value::Bytes(&[0; 4]));
/// The channel of both sides.
const CHANNEL: u16 = 0x4000;

impl Way<'_, '_> {
    pub(super) fn relay(&mut self, mut first: Client) -> io::Result<()> {
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

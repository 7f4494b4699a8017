//! The steps of one way, in the order in which a client takes them.

mod relay;

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use stun_turn_proto::attribute::kind;
use stun_turn_proto::message::Method;

use super::client::{Client, Fault, Reply};
use super::explain::{self, Context, Explanation};
use super::report::{Report, Verdict};
use super::transport::{self, Link};
use super::{Plan, Via};

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

//! What a case gets: the server's addresses, users, and source addresses of its own.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::case::{Carrier, Outcome, not_applicable};
use crate::client::Client;
use crate::codec::unspecified;
use crate::credential::User;
use crate::link::Link;
use crate::options::Options;
use crate::peer::Peer;
use crate::tls;

/// Datagrams sent before the server counts as dead.
const TRIES: usize = 3;

/// How long names by the TURN REST convention are good.
const TTL: Duration = Duration::from_secs(3600);

/// A case's own view of the run.
pub(crate) struct Context<'a> {
    pub(crate) options: &'a Options,
    pub(crate) carrier: Carrier,
    /// The case's number within the run.
    number: u16,
    /// The run's number: two runs shortly after each other do not share sources.
    run: u8,
    /// When the case began: a user keeps one name all through it.
    began: SystemTime,
    sources: Cell<u8>,
    notes: RefCell<Vec<String>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(options: &'a Options, carrier: Carrier, number: u16, run: u8) -> Self {
        Self {
            options,
            carrier,
            number,
            run,
            began: SystemTime::now(),
            sources: Cell::new(0),
            notes: RefCell::default(),
        }
    }

    /// Something worth telling that is no failure.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.notes.borrow_mut().push(text.into());
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.take()
    }

    /// Where the server listens for this case's carrier.
    pub(crate) fn server(&self) -> Outcome<SocketAddr> {
        let address = match self.carrier {
            Carrier::Udp => Some(self.options.server),
            Carrier::Tcp => self.options.tcp,
            Carrier::Tls => self.options.tls,
        };
        match address {
            Some(address) => Ok(address),
            None => not_applicable(format_args!("no --{} given", self.carrier.name())),
        }
    }

    /// Whether every client can have a source address of its own.
    fn has_sources(&self) -> bool {
        matches!(self.options.server.ip(), IpAddr::V4(ip) if ip.is_loopback())
    }

    /// An address that no other client has used; on loopback only, else the machine's.
    pub(crate) fn source(&self) -> IpAddr {
        if !self.has_sources() {
            return unspecified(self.options.server.is_ipv4());
        }
        let last = self.sources.get() % 254 + 1;
        self.sources.set(last);
        // 127.0.0.0/8 as six bits for the run, ten for the case, eight for the client.
        let bits = u32::from(self.run) << 18 | u32::from(self.number) << 8 | u32::from(last);
        Ipv4Addr::from_bits(127 << 24 | bits).into()
    }

    /// Sources of their own for a case that is about sources.
    pub(crate) fn needs_sources(&self) -> Outcome {
        if self.has_sources() {
            return Ok(());
        }
        not_applicable("only on loopback a client has many addresses")
    }

    pub(crate) fn link(&self) -> Outcome<Link> {
        self.link_from(self.source())
    }

    pub(crate) fn link_from(&self, source: IpAddr) -> Outcome<Link> {
        self.link_from_port(source, 0)
    }

    /// From a port of the caller's choice; 0: any.
    pub(crate) fn link_from_port(&self, source: IpAddr, port: u16) -> Outcome<Link> {
        let (source, server) = (SocketAddr::new(source, port), self.server()?);
        Ok(match self.carrier {
            Carrier::Udp => Link::udp(source, server)?,
            Carrier::Tcp => Link::tcp(source, server)?,
            Carrier::Tls => Link::tls(source, server, &tls::Offer::ANY)?.0,
        })
    }

    /// A client without credentials.
    pub(crate) fn stranger(&self) -> Outcome<Client> {
        Ok(Client::new(self.link()?, User::new("stranger", "")))
    }

    /// A client of the case's own user, from a source address of its own.
    pub(crate) fn client(&self) -> Outcome<Client> {
        self.client_from(self.source())
    }

    pub(crate) fn client_from(&self, source: IpAddr) -> Outcome<Client> {
        Ok(Client::new(self.link_from(source)?, self.user(0)?))
    }

    pub(crate) fn client_of(&self, user: User) -> Outcome<Client> {
        Ok(Client::new(self.link()?, user))
    }

    /// A user. With a shared secret each case has as many as it likes, which no quota can mix up.
    pub(crate) fn user(&self, index: u8) -> Outcome<User> {
        if let Some(secret) = &self.options.auth_secret {
            let id = format!("c{}-{}-{index}", self.run, self.number);
            return Ok(User::expiring(&id, self.began, TTL, secret));
        }
        match index {
            0 => self.static_user(),
            1 => match (&self.options.other_user, &self.options.other_password) {
                (Some(name), Some(password)) => Ok(User::new(name, password)),
                _ => not_applicable("needs a second user: --auth-secret or --other-user"),
            },
            _ => not_applicable("needs many users: --auth-secret"),
        }
    }

    /// The user with a password that does not depend on the name.
    pub(crate) fn static_user(&self) -> Outcome<User> {
        match (&self.options.user, &self.options.password) {
            (Some(name), Some(password)) => Ok(User::new(name, password)),
            _ => not_applicable("needs --user and --password"),
        }
    }

    pub(crate) fn secret(&self) -> Outcome<&str> {
        match &self.options.auth_secret {
            Some(secret) => Ok(secret),
            None => not_applicable("needs --auth-secret"),
        }
    }

    pub(crate) fn peer(&self) -> Outcome<Peer> {
        Peer::new(self.options.peer_ip)
    }

    pub(crate) fn peer_ipv6(&self) -> Outcome<Peer> {
        match self.options.peer_ip6 {
            Some(ip) => Peer::new(ip),
            None => not_applicable("no --peer-ip6 given"),
        }
    }

    /// The server still does all it is there for: an allocation, and a datagram there and back.
    pub(crate) fn alive(&self) -> Outcome {
        let (mut client, peer) = (self.client()?, self.peer()?);
        let relayed = client.allocate()?.relayed;
        client.permit(peer.address.ip())?;
        // After a flood the server's queue may still be full, and nobody repeats a datagram.
        let mut arrived = Ok(());
        for _ in 0..TRIES {
            client.send_to(peer.address, b"alive?")?;
            arrived = peer.expect(relayed, b"alive?");
            if arrived.is_ok() {
                break;
            }
        }
        arrived?;
        peer.send(relayed, b"alive")?;
        match client.expect_data()? {
            (from, data) if from == peer.address && data == b"alive" => Ok(()),
            (from, _) => crate::case::fail("what the peer sent", format_args!("data of {from}")),
        }
    }
}

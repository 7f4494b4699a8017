//! `turn-client-proto` is a client without sockets: here they are, and its clock, which can be put forward.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use stun_turn::config::Protocol;
use stun_turn::proto::attribute::kind;
use stun_turn::proto::message::Message;
use turn_client_proto::api::{TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::*;
use turn_client_proto::stun::Instant as RiceInstant;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::tcp::TurnClientTcp;
use turn_client_proto::types::TransportType;
use turn_client_proto::udp::TurnClientUdp;
use turn_client_rustls::TurnClientRustls;

use crate::relay::{NAME, Relay};
use patience::patience;

turn_client_proto::impl_client!(
    Client,
    (Udp, TurnClientUdp),
    (Tcp, TurnClientTcp),
    (Tls, TurnClientRustls)
);

/// The TLS client takes at most 2048 bytes of plaintext from what it is handed at once, and leaves the rest until more
/// comes: it is handed less.
const MOUTHFUL: usize = 1024;

/// How long to wait for the relay before the client is asked again.
const GLANCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
enum Wire {
    Datagrams(UdpSocket),
    Stream(TcpStream),
}

/// A client with its connection to the relay.
pub(crate) struct Rice {
    client: Client,
    wire: Wire,
    started: Instant,
    put_forward: Duration,
    /// What the client has reported and nobody has asked for yet.
    events: VecDeque<TurnEvent>,
    /// Data and ICMP messages likewise, with the peers that they are from.
    data: VecDeque<(SocketAddr, Vec<u8>)>,
    icmp: VecDeque<(SocketAddr, u8, u8)>,
    is_closed: bool,
    /// Messages that the client did not take for its own.
    ignored: Vec<Vec<u8>>,
}

impl Rice {
    pub(crate) fn new(relay: &Relay, protocol: Protocol, config: TurnConfig) -> Self {
        let to = relay.address(protocol);
        let (wire, from) = match protocol {
            Protocol::Udp => {
                let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                socket.connect(to).expect("connecting");
                let from = socket.local_addr();
                (Wire::Datagrams(socket), from)
            }
            Protocol::Tcp | Protocol::Tls => {
                let stream = TcpStream::connect(to).expect("connecting");
                stream.set_nodelay(true).expect("an option");
                let from = stream.local_addr();
                (Wire::Stream(stream), from)
            }
        };
        let from = from.expect("a local address");
        let client = match protocol {
            Protocol::Udp => Client::Udp(TurnClientUdp::allocate(from, to, config)),
            Protocol::Tcp => Client::Tcp(TurnClientTcp::allocate(from, to, config)),
            Protocol::Tls => {
                let name = ServerName::try_from(NAME).expect("a name");
                let tls = Arc::new(trusting(relay));
                Client::Tls(TurnClientRustls::allocate(from, to, config, name, tls))
            }
        };
        Self {
            client,
            wire,
            started: Instant::now(),
            put_forward: Duration::ZERO,
            events: VecDeque::new(),
            data: VecDeque::new(),
            icmp: VecDeque::new(),
            is_closed: false,
            ignored: Vec::new(),
        }
    }

    /// Puts the client's clock forward, and lets it finish what is then due; the relay's clock goes on as before.
    pub(crate) fn put_forward(&mut self, by: Duration) {
        self.put_forward += by;
        let deadline = Instant::now() + patience();
        // A client with an open request looks again within a second.
        loop {
            let wait = self.work();
            if wait > Duration::from_secs(2) || self.is_closed {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "requests without answer for {:?}",
                patience()
            );
            self.read(wait);
        }
    }

    pub(crate) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The client has ignored an error response with this code, and reported nothing.
    pub(crate) fn has_ignored_error(&self, code: u16) {
        let value = [0, 0, (code / 100) as u8, (code % 100) as u8];
        let is_it = |bytes: &Vec<u8>| {
            let message = Message::parse(bytes).ok()?;
            Some(message.first(kind::ERROR_CODE)?.starts_with(&value))
        };
        assert!(
            self.ignored.iter().any(|bytes| is_it(bytes) == Some(true)),
            "{:02x?}",
            self.ignored
        );
        assert!(self.events.is_empty(), "{:?}", self.events);
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> TurnEvent {
        self.until("event", |rice| rice.events.pop_front())
    }

    /// The next data, and the peer that it is from.
    pub(crate) fn receive(&mut self) -> (SocketAddr, Vec<u8>) {
        self.until("data", |rice| rice.data.pop_front())
    }

    /// The next ICMP message: the peer, the type and the code.
    pub(crate) fn icmp(&mut self) -> (SocketAddr, u8, u8) {
        self.until("ICMP message", |rice| rice.icmp.pop_front())
    }

    pub(crate) fn send(&mut self, to: SocketAddr, data: &[u8]) {
        let now = self.now();
        let sent = self.client.send_to(TransportType::Udp, to, data, now);
        if let Some(transmit) = sent.expect("a permission") {
            let transmit = transmit.build();
            self.write(&transmit.data);
        }
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) {
        let now = self.now();
        let asked = self
            .client
            .create_permission(TransportType::Udp, peer.ip(), now);
        asked.expect("an allocation");
    }

    pub(crate) fn bind_channel(&mut self, peer: SocketAddr) {
        let now = self.now();
        let asked = self.client.bind_channel(TransportType::Udp, peer, now);
        asked.expect("an allocation");
    }

    pub(crate) fn delete(&mut self) {
        let now = self.now();
        self.client.delete(now).expect("an allocation");
    }

    /// Lets the client work until `find` finds something.
    pub(crate) fn until<T>(&mut self, what: &str, find: impl Fn(&mut Self) -> Option<T>) -> T {
        let deadline = Instant::now() + patience();
        loop {
            let wait = self.work();
            if let Some(found) = find(self) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = (&self.events, &self.ignored);
            assert!(
                !left.is_zero(),
                "no {what} within {:?}: {seen:02x?}",
                patience()
            );
            // The client does not always say that it has changed its mind about the time.
            self.read(wait.min(left).min(GLANCE));
        }
    }

    fn now(&self) -> RiceInstant {
        let since_start = self.started.elapsed() + self.put_forward;
        RiceInstant::from_nanos(i64::try_from(since_start.as_nanos()).expect("not that long"))
    }

    /// Sends what is to be sent, notes what has happened, and returns how long there is nothing else to do.
    fn work(&mut self) -> Duration {
        let now = self.now();
        let polled = self.client.poll(now);
        while let Some(transmit) = self.client.poll_transmit(now) {
            self.write(&transmit.data);
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push_back(event);
        }
        while let Some(data) = self.client.poll_recv(now) {
            self.data.push_back((data.peer, data.data().to_vec()));
        }
        match polled {
            TurnPollRet::WaitUntil(then) => then.saturating_duration_since(now),
            TurnPollRet::Closed => {
                self.is_closed = true;
                Duration::ZERO
            }
            other @ (TurnPollRet::AllocateTcpSocket { .. } | TurnPollRet::TcpClose { .. }) => {
                panic!("{other:?} from a client of UDP allocations")
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Datagrams(socket) => {
                assert_eq!(socket.send(bytes).expect("sending"), bytes.len())
            }
            Wire::Stream(stream) => stream.write_all(bytes).expect("sending"),
        }
    }

    /// Hands the client what comes within this time.
    fn read(&mut self, wait: Duration) {
        // A timeout of zero would be none at all.
        let wait = Some(wait.max(Duration::from_millis(1)));
        let mut buffer = vec![0; 65_536];
        let (outcome, transport) = match &mut self.wire {
            Wire::Datagrams(socket) => {
                socket.set_read_timeout(wait).expect("a timeout");
                (socket.recv(&mut buffer), TransportType::Udp)
            }
            Wire::Stream(stream) => {
                stream.set_read_timeout(wait).expect("a timeout");
                (stream.read(&mut buffer[..MOUTHFUL]), TransportType::Tcp)
            }
        };
        let length = match outcome {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return;
            }
            Err(error) => panic!("reading from the relay: {error}"),
        };
        let now = self.now();
        let (from, to) = (self.client.remote_addr(), self.client.local_addr());
        let transmit = Transmit::new(&buffer[..length], transport, from, to);
        match self.client.recv(transmit, now) {
            TurnRecvRet::Handled => {}
            TurnRecvRet::PeerData(data) => self.data.push_back((data.peer, data.data().to_vec())),
            TurnRecvRet::PeerIcmp {
                peer,
                icmp_type,
                icmp_code,
                ..
            } => {
                self.icmp.push_back((peer, icmp_type, icmp_code));
            }
            TurnRecvRet::Ignored(_) => self.ignored.push(buffer[..length].to_vec()),
        }
    }
}

/// Trusts this relay alone.
fn trusting(relay: &Relay) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(relay.certificate().clone())
        .expect("a certificate");
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

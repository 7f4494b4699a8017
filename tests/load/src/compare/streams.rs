//! Clients that come over TCP or TLS: each a connection of its own.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use stun_turn_proto::auth::long_term_key;
use stun_turn_proto::message::Message;

use super::enrol::{Enrolee, Goal, PASSWORD, REALM, Step, USER, write};
use super::lab::{Lab, Place};

/// How long an answer may take while allocations are made.
const PATIENCE: Duration = Duration::from_secs(5);
/// What may wait for the server to read; more is lost at once.
const MOST_WAITING: usize = 1 << 20;

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
}

/// Bytes in and out.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

struct Connection {
    wire: Box<dyn Wire>,
    arrived: Vec<u8>,
    waiting: Vec<u8>,
}

/// One connection for each flow.
pub(crate) struct Streams {
    connections: Vec<Connection>,
    poll: OwnedFd,
    ready: Vec<epoll::Event>,
}

impl Streams {
    /// Connects and allocates; the relayed addresses too.
    pub(crate) fn connect(
        lab: &Lab,
        transport: Transport,
        flows: usize,
    ) -> anyhow::Result<(Self, Vec<SocketAddrV4>)> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let config = Arc::new(trusting(lab.certificate())?);
        let (mut connections, mut relayed) = (Vec::new(), Vec::new());
        for flow in 0..flows {
            let server = match transport {
                Transport::Tcp => lab.server,
                Transport::Tls => lab.tls(),
            };
            let socket = lab.within(Place::Clients, || Ok(TcpStream::connect(server)?))?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            let control = socket.try_clone()?;
            let mut wire: Box<dyn Wire> = match transport {
                Transport::Tcp => Box::new(socket),
                Transport::Tls => {
                    let name = ServerName::try_from("localhost")?;
                    let session = ClientConnection::new(Arc::clone(&config), name)?;
                    Box::new(StreamOwned::new(session, socket))
                }
            };
            relayed.push(allocate(lab, &mut *wire, flow).context("allocating over a stream")?);
            control.set_nonblocking(true)?;
            let data = EventData::new_u64(flow as u64);
            epoll::add(&poll, control.as_fd(), data, EventFlags::IN)?;
            connections.push(Connection {
                wire,
                arrived: Vec::new(),
                waiting: Vec::new(),
            });
        }
        let ready = Vec::with_capacity(flows);
        let streams = Self {
            connections,
            poll,
            ready,
        };
        Ok((streams, relayed))
    }

    /// Sends a message, padded to four bytes as streams want it.
    pub(crate) fn send(&mut self, flow: usize, message: &[u8]) -> anyhow::Result<()> {
        let connection = &mut self.connections[flow];
        if connection.waiting.len() < MOST_WAITING {
            connection.waiting.extend_from_slice(message);
            let length = connection.waiting.len();
            let padding = message.len().next_multiple_of(4) - message.len();
            connection.waiting.resize(length + padding, 0);
        }
        connection.flush()
    }

    /// Hands every whole message that has arrived to `take`; false when there was nothing.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(&[u8])) -> anyhow::Result<bool> {
        self.ready.clear();
        let at_once = rustix::event::Timespec::default();
        let room = rustix::buffer::spare_capacity(&mut self.ready);
        epoll::wait(&self.poll, room, Some(&at_once))?;
        for event in &self.ready {
            let data = event.data;
            let connection = &mut self.connections[data.u64() as usize];
            connection.flush()?;
            connection.receive(&mut take)?;
        }
        Ok(!self.ready.is_empty())
    }
}

impl Connection {
    fn flush(&mut self) -> anyhow::Result<()> {
        let mut done = 0;
        while done < self.waiting.len() {
            match self.wire.write(&self.waiting[done..]) {
                Ok(more) => done += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("sending over a stream"),
            }
        }
        self.waiting.drain(..done);
        Ok(())
    }

    fn receive(&mut self, take: &mut impl FnMut(&[u8])) -> anyhow::Result<()> {
        let mut buffer = [0; 16_384];
        loop {
            match self.wire.read(&mut buffer) {
                Ok(0) => anyhow::bail!("the server closed a connection"),
                Ok(length) => self.arrived.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("receiving over a stream"),
            }
        }
        let mut done = 0;
        while let Some([_, _, high, low]) = self.arrived[done..].first_chunk() {
            let length = 4 + usize::from(u16::from_be_bytes([*high, *low]));
            let Some(message) = self.arrived[done..].get(..length.next_multiple_of(4)) else {
                break;
            };
            take(&message[..length]);
            done += message.len();
        }
        self.arrived.drain(..done);
        Ok(())
    }
}

/// Trusts the lab's certificate alone.
fn trusting(certificate: &CertificateDer<'static>) -> anyhow::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// Takes one client to its channel, one request after the other.
fn allocate(lab: &Lab, wire: &mut dyn Wire, flow: usize) -> anyhow::Result<SocketAddrV4> {
    let key = long_term_key(USER.as_bytes(), REALM.as_bytes(), PASSWORD.as_bytes());
    let mut enrolee = Enrolee::new(Goal::Channel);
    let mut buffer = [0; 2048];
    while enrolee.step != Step::Done {
        let length = write(&enrolee, flow, lab.peer(flow), &key, &mut buffer)
            .context("a request that is too long")?;
        wire.write_all(&buffer[..length])?;
        wire.read_exact(&mut buffer[..20])?;
        let length = 20 + usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
        wire.read_exact(
            buffer
                .get_mut(20..length)
                .context("an answer that is too long")?,
        )?;
        let message = Message::parse(&buffer[..length])
            .map_err(|reason| anyhow::anyhow!("malformed answer: {reason:?}"))?;
        enrolee.hear(&message, Goal::Channel)?;
    }
    enrolee.relayed.context("no relayed address")
}

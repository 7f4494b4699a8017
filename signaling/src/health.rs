//! Watches the relays that clients are told of: one that stops answering is told no more, and everybody
//! is told that it is lost.
//!
//! Each URL is tried by itself once a second: with up to three STUN Bindings over UDP, with a connection
//! and a Binding over TCP, with a connection where it would be TLS. A relay that has never answered from
//! here is told all the same: clients may reach what this host does not.
//!
//! The bundled relay is in this process: its threads are asked for a sign of life. One that panics ends the
//! process, and everybody comes back to the next one. One that hangs does not, so it is told as a lost relay
//! is; its URLs stay, because the other threads serve them too.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use signaling_proto::message::server::IceServersReason;
use stun_turn::check::{ServerUrl, Via};
use stun_turn::proto::message::{Class, Message, Method, TransactionId, Writer};
use stun_turn::pulse::{self, Change, Pulse};
use stun_turn::refusals::Refusals;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::config::IceUrl;
use crate::hub_task::HubHandle;
use crate::ice_servers::Told;

/// Between two trials of one URL, from beginning to beginning.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long a Binding may take before it is sent again,
const RETRANSMISSION: Duration = Duration::from_millis(250);
/// how often it is sent,
const TRANSMISSIONS: u32 = 3;
/// and so how long a trial takes at most. A relay that dies is noticed within [`INTERVAL`] and this.
const DEADLINE: Duration = RETRANSMISSION.saturating_mul(TRANSMISSIONS);
/// How long the address of a host name is remembered.
const NAME_LIFETIME: Duration = Duration::from_secs(60);
/// A reply to a Binding is shorter.
const MAX_REPLY_BYTES: usize = 1500;

/// Watches whatever `told` has, also after reloads, until the service stops.
pub(crate) async fn watch(told: Told, hub: HubHandle, mut stopping: watch::Receiver<bool>) {
    let mut watched: HashMap<String, AbortHandle> = HashMap::new();
    loop {
        let urls = told.watched_urls();
        watched.retain(|watched, task| {
            let stays = urls.iter().any(|url| url.as_str() == watched);
            if !stays {
                task.abort();
            }
            stays
        });
        for url in urls {
            watched.entry(url.as_str().to_owned()).or_insert_with(|| {
                tokio::spawn(watch_one(url, told.clone(), hub.clone())).abort_handle()
            });
        }
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => break,
            () = sleep(INTERVAL) => {}
        }
    }
    watched.values().for_each(AbortHandle::abort);
}

/// Watches the bundled relay until the service stops.
pub(crate) async fn watch_bundled(
    relay: stun_turn::Handle,
    hub: HubHandle,
    mut stopping: watch::Receiver<bool>,
) {
    let mut refusals = Refusals::new(relay.clone());
    let mut pulse = Pulse::new(relay);
    loop {
        refusals.look();
        match pulse.look() {
            Some(Change::Hangs) => hub.relay_changed(IceServersReason::RelayLost).await,
            Some(Change::Lives) => hub.relay_changed(IceServersReason::Renewal).await,
            None => {}
        }
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(pulse::INTERVAL) => {}
        }
    }
}

async fn watch_one(url: IceUrl, told: Told, hub: HubHandle) {
    let mut target = Target::of(&url);
    let url = url.as_str();
    let mut has_answered = false;
    loop {
        let begun = Instant::now();
        let answers = target.answers().await;
        has_answered |= answers;
        if has_answered && told.set_lost(url, !answers) {
            if answers {
                tracing::info!(url, "a relay answers again");
                hub.relay_changed(IceServersReason::Renewal).await;
            } else {
                tracing::warn!(url, "a relay does not answer any more: peers are told");
                hub.relay_changed(IceServersReason::RelayLost).await;
            }
        }
        sleep(INTERVAL.saturating_sub(begun.elapsed())).await;
    }
}

/// Where a URL leads.
#[derive(Debug)]
struct Target {
    server: ServerUrl,
    known: Option<(SocketAddr, Instant)>,
}

impl Target {
    fn of(url: &IceUrl) -> Self {
        Self {
            server: url.server().clone(),
            known: None,
        }
    }

    /// The first of its ways: a `turn:` URL without `?transport` is UDP to browsers (RFC 7065).
    fn via(&self) -> Via {
        self.server.vias().first().copied().unwrap_or(Via::Udp)
    }

    async fn address(&mut self) -> Option<SocketAddr> {
        let fresh = |(_, since): &(SocketAddr, Instant)| since.elapsed() < NAME_LIFETIME;
        if !self.known.as_ref().is_some_and(fresh) {
            let found = lookup_host((self.server.host.as_str(), self.server.port))
                .await
                .ok();
            let found = found.and_then(|mut addresses| addresses.next());
            // A name that can't be looked up just now is where it was.
            if let Some(found) = found {
                self.known = Some((found, Instant::now()));
            }
        }
        self.known.map(|(address, _)| address)
    }

    async fn answers(&mut self) -> bool {
        let Some(address) = self.address().await else {
            return false;
        };
        let trial = async {
            match self.via() {
                Via::Udp => over_udp(address).await,
                Via::Tcp => over_tcp(address).await,
                // Only whether somebody accepts connections: certificates are for clients to judge.
                Via::Tls => TcpStream::connect(address).await.map(drop),
            }
        };
        matches!(timeout(DEADLINE, trial).await, Ok(Ok(())))
    }
}

async fn over_udp(address: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    // A refused datagram is told then.
    socket.connect(address).await?;
    let binding = Binding::new()?;
    let mut reply = [0; MAX_REPLY_BYTES];
    loop {
        socket.send(binding.request()).await?;
        let received = timeout(RETRANSMISSION, socket.recv(&mut reply)).await;
        if let Ok(length) = received
            && binding.is_answered_by(&reply[..length?])
        {
            return Ok(());
        }
    }
}

async fn over_tcp(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let binding = Binding::new()?;
    stream.write_all(binding.request()).await?;
    let mut reply = Vec::new();
    loop {
        if stream.read_buf(&mut reply).await? == 0 || reply.len() > MAX_REPLY_BYTES {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if binding.is_answered_by(&reply) {
            return Ok(());
        }
    }
}

struct Binding {
    id: TransactionId,
    bytes: [u8; 64],
    length: usize,
}

impl Binding {
    fn new() -> std::io::Result<Self> {
        let mut id = TransactionId([0; 12]);
        getrandom::fill(&mut id.0).map_err(std::io::Error::other)?;
        let mut bytes = [0; 64];
        let writer = Writer::new(&mut bytes, Class::Request, Method::Binding, id);
        let length = writer.finish(None, false);
        let length = length.ok_or(std::io::ErrorKind::InvalidData)?;
        Ok(Self { id, bytes, length })
    }

    fn request(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Whatever it answers, it is there.
    fn is_answered_by(&self, reply: &[u8]) -> bool {
        let reply = Message::parse(reply);
        reply.is_ok_and(|reply| reply.transaction() == self.id && reply.class() != Class::Request)
    }
}

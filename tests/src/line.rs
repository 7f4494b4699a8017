//! A line between a browser and its relay that is longer, or sooner tired, than loopback: datagrams both ways over one address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

/// More than any datagram has.
const LARGEST: usize = 65_536;

/// What a line is like.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// How long each datagram takes, in each direction.
    pub delay: Duration,
    /// How much a browser may send; what exceeds it is lost.
    pub allowance: Option<Allowance>,
}

/// A line that is fast for a moment, as those are that are sold by their peak.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Bytes that pass at once.
    pub burst: f64,
    /// Bytes that pass each second from then on.
    pub per_second: f64,
}

impl Line {
    /// Lays it to a server, for as long as the test runs. Returns the address of its near end.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn lay_to(self, server: SocketAddr) -> anyhow::Result<SocketAddr> {
        let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = near.local_addr()?;
        tokio::spawn(self.carry(near, server));
        Ok(address)
    }

    async fn carry(self, near: Arc<UdpSocket>, server: SocketAddr) -> std::io::Result<()> {
        let mut clients = HashMap::<SocketAddr, UnboundedSender<(Instant, Vec<u8>)>>::new();
        let mut left = self.allowance.map_or(0.0, |allowance| allowance.burst);
        let mut before = Instant::now();
        let mut buffer = vec![0; LARGEST];
        loop {
            // That a client's port is closed is told here, and is none of the others' business.
            let Ok((length, client)) = near.recv_from(&mut buffer).await else {
                continue;
            };
            let now = Instant::now();
            if let Some(Allowance { burst, per_second }) = self.allowance {
                let earned = (now - before).as_secs_f64() * per_second;
                left = (left + earned).min(burst);
                before = now;
                let costs = length as f64;
                if costs > left {
                    continue;
                }
                left -= costs;
            }
            let there = match clients.entry(client) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(self.connect(&near, client, server).await?),
            };
            // It takes what it is given as long as the runtime lives.
            let _ = there.send((now + self.delay, buffer[..length].to_vec()));
        }
    }

    /// For the server each client is one of its own. Returns what takes datagrams there.
    async fn connect(
        self,
        near: &Arc<UdpSocket>,
        client: SocketAddr,
        server: SocketAddr,
    ) -> std::io::Result<UnboundedSender<(Instant, Vec<u8>)>> {
        let far = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        far.connect(server).await?;
        let there = delayed(Arc::clone(&far), None);
        let back = delayed(Arc::clone(near), Some(client));
        tokio::spawn(async move {
            let mut buffer = vec![0; LARGEST];
            while let Ok(length) = far.recv(&mut buffer).await {
                let due = Instant::now() + self.delay;
                if back.send((due, buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
        });
        Ok(there)
    }
}

/// What sends each datagram when it is due, in their order.
fn delayed(socket: Arc<UdpSocket>, to: Option<SocketAddr>) -> UnboundedSender<(Instant, Vec<u8>)> {
    let (sender, mut waiting) = unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((due, datagram)) = waiting.recv().await {
            sleep_until(due).await;
            // Who is not there any more misses nothing.
            let _ = match to {
                Some(client) => socket.send_to(&datagram, client).await,
                None => socket.send(&datagram).await,
            };
        }
    });
    sender
}

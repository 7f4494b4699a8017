//! What the streams of all workers share: their limits, TLS, whom they trust, and what is counted.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ipnet::IpNet;

use crate::control::Mailbox;
use crate::file_limit;
use crate::tls::Tls;

/// How long a client's connection may take for what, and how many may be in between.
#[derive(Debug, Clone)]
pub struct StreamLimits {
    /// From the connection to the end of a PROXY header, and from the first byte of a TLS handshake to
    /// its end.
    pub handshake: Duration,
    /// From the connection to the end of the first message, with all that comes before it.
    pub first_message: Duration,
    /// From the first byte of a message to its last. Any link that can carry a call carries the largest
    /// message, 64 KiB, in less.
    pub message: Duration,
    /// From one message to the next on a connection without an allocation. As long as an allocation
    /// lives without a refresh: a client that let it go has had the time to ask for another one.
    pub idle: Duration,
    /// TLS handshakes that one worker has under way at once; one more ends the oldest of the source
    /// that has most.
    pub handshakes: usize,
    /// Connections without an allocation that one worker keeps of one source; one more ends the
    /// source's oldest.
    pub strangers_a_source: usize,
    /// Connections without an allocation that all workers keep, each an equal part; one more ends the
    /// oldest of the source that has most.
    pub strangers: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            first_message: Duration::from_secs(10),
            message: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            handshakes: 128,
            strangers_a_source: 128,
            // Allocations need descriptors too, most of them one, those of streams two.
            strangers: file_limit::in_force().map_or(usize::MAX, |limit| {
                usize::try_from(limit / 4).unwrap_or(usize::MAX)
            }),
        }
    }
}

/// What happened to streams since the start.
#[derive(Debug, Default)]
pub struct StreamTotals {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections closed, for whatever reason.
    pub closed: AtomicU64,
    /// TLS handshakes completed.
    pub tls_handshakes: AtomicU64,
    /// TLS handshakes and connections that broke TLS.
    pub tls_failures: AtomicU64,
    /// TLS handshakes cut short because too many were under way.
    pub tls_evicted: AtomicU64,
    /// Connections without an allocation closed because there were too many.
    pub strangers_evicted: AtomicU64,
    /// Connections closed because they gave no valid credentials, again and again.
    pub unauthenticated: AtomicU64,
    /// Connections closed because something did not come in time.
    pub timed_out: AtomicU64,
    /// Connections closed because they spoke neither STUN nor TLS.
    pub garbage: AtomicU64,
    /// Connections of plain clients closed because their listener is for TLS alone.
    pub plain_refused: AtomicU64,
    /// Connections of trusted proxies closed for want of a good PROXY header.
    pub proxy_malformed: AtomicU64,
    /// Connections closed because a client let replies pile up.
    pub overflowed: AtomicU64,
    /// Messages of peers dropped because a client took others too slowly.
    pub media_dropped: AtomicU64,
}

/// Counts one more.
pub(crate) fn count(total: &AtomicU64) {
    total.fetch_add(1, Ordering::Relaxed);
}

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) limits: StreamLimits,
    pub(crate) tls: Tls,
    /// Whether listeners for TLS refuse plain clients; a reload changes it.
    pub(crate) tls_only: AtomicBool,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) totals: StreamTotals,
    /// Of all workers, for connections that are another one's to serve.
    pub(crate) mailboxes: OnceLock<Vec<Arc<Mailbox>>>,
}

impl Streams {
    /// Whether listeners for TLS refuse plain clients.
    pub(crate) fn is_tls_only(&self) -> bool {
        self.tls_only.load(Ordering::Relaxed)
    }

    /// Whether a PROXY header must come first from there.
    pub(crate) fn is_trusted_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(&address))
    }
}

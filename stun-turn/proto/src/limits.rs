//! Every cap and duration of the relay, with its unit.

use std::time::Duration;

/// Lifetime of an allocation when the client names none, and the least that is granted
/// (RFC 8656 section 7.2).
pub const DEFAULT_LIFETIME_S: u32 = 600;
/// The longest lifetime granted at once (RFC 8656 section 7.2).
pub const MAX_LIFETIME_S: u32 = 3600;
/// How much further ahead than `--max-credential-ttl` an expiry may lie, in seconds: the clock of the
/// application that mints credentials may differ.
pub const CREDENTIAL_LEEWAY_S: u64 = 300;
/// Lifetime of a permission (RFC 8656 section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel binding (RFC 8656 section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// How long an expired channel number or peer stays unusable for another pairing
/// (RFC 8656 section 12).
pub const CHANNEL_QUARANTINE: Duration = Duration::from_secs(300);
/// How long a port reserved by EVEN-PORT waits for its RESERVATION-TOKEN
/// (RFC 8656 section 7.2).
pub const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);
/// Permissions one allocation may hold; more are answered with 508.
pub const MAX_PERMISSIONS: usize = 64;
/// Channels one allocation may hold, expired ones in quarantine included.
pub const MAX_CHANNELS: usize = 64;
/// How long a peer may take to be connected to (RFC 6062 section 5.2 asks for 30 s at least). Every
/// failure is answered after this very time, so that no answer tells a closed port from a filtered
/// one.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a peer's connection waits for its ConnectionBind (RFC 6062 sections 5.2 and 5.3).
pub const BIND_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a spliced pair of connections of which one side has finished may stay without a byte
/// from the other one.
pub const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections to peers that one allocation may have or attempt at once; more are answered with 508,
/// or closed when peers make them. Together with [`CONNECT_TIMEOUT`] it bounds how many closed ports
/// can be probed.
pub const MAX_PEER_CONNECTIONS: usize = 32;
/// Connects of one allocation in any second; more are answered with 508.
pub const MAX_CONNECTS_PER_S: usize = 5;
/// ICMP errors are told to a client at most this often, for all of an allocation's peers together.
pub const ICMP_INTERVAL: Duration = Duration::from_millis(100);
/// Allocations that one call may end because their time is over.
pub const MAX_EXPIRIES: usize = 256;
/// Ports that one Allocate tries before it is answered with 508, all different; a failed attempt
/// takes some microseconds.
pub const MAX_PORT_ATTEMPTS: u32 = 256;
/// The same where all ports that are left were held by other programs a moment ago.
pub const MAX_SET_ASIDE_ATTEMPTS: u32 = 16;

/// How long a nonce is accepted (RFC 8656 section 5 asks for an hour at most).
pub const NONCE_LIFETIME_S: u64 = 600;
/// How far ahead of our clock a nonce's time may lie.
pub const NONCE_FUTURE_SKEW_S: u64 = 5;
/// The smallest first request of a real client: an Allocate with REQUESTED-TRANSPORT.
pub const MIN_REAL_REQUEST_BYTES: usize = 28;
/// Longest USERNAME (RFC 8489 section 14.3: fewer than 509 bytes).
pub const MAX_USERNAME_BYTES: usize = 508;
/// Longest realm that an operator may set, so that every reply fits [`MAX_REPLY_BYTES`].
pub const MAX_REALM_BYTES: usize = 127;

/// Largest STUN message accepted from a stream.
pub const MAX_STUN_MESSAGE_BYTES: usize = 4096;
/// Size of the buffer for a reply; the largest is a 401 with the longest realm.
pub const MAX_REPLY_BYTES: usize = 512;
/// Unknown attributes listed in a 420, so that a reply never grows beyond its request.
pub const MAX_UNKNOWN_ATTRIBUTES: usize = 8;
/// Room to keep in front of a peer's datagram, for a ChannelData header or a Data indication.
pub const HEADROOM: usize = 48;
/// Room to keep behind a peer's datagram, for padding.
pub const TAILROOM: usize = 3;

const _: () = assert!(MAX_REALM_BYTES + 256 < MAX_REPLY_BYTES);
const _: () = assert!(CONNECT_TIMEOUT.as_secs() >= 30 && BIND_TIMEOUT.as_secs() >= 30);
const _: () = assert!(RESERVATION_LIFETIME.as_secs() >= 30);

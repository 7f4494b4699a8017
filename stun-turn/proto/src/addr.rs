//! Who talks to whom: transports, five-tuples, channel numbers.

use std::net::SocketAddr;

/// Transport protocol between client and server (RFC 8656 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream, framed by [`crate::framing`].
    Tcp,
    /// The same stream inside of TLS.
    Tls,
}

impl Transport {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// The name in records and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// Whether messages arrive as a stream, so that ChannelData must be padded.
    #[must_use]
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }
}

/// Transport protocol between the server and peers: what REQUESTED-TRANSPORT names
/// (RFC 8656 section 18.7, RFC 6062 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum PeerProtocol {
    /// Datagrams.
    Udp,
    /// Connections, each spliced with one of the client's.
    Tcp,
}

/// The five-tuple that identifies an allocation (RFC 8656 section 2.2): client and server
/// transport address and the protocol between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiveTuple {
    /// Protocol between client and server.
    pub transport: Transport,
    /// The client as the server sees it (server-reflexive).
    pub client: SocketAddr,
    /// Where the client's packet arrived.
    pub server: SocketAddr,
}

/// A channel number, always within 0x4000-0x7FFF.
///
/// RFC 8656 section 12 ends the numbers at 0x4FFF ([`ChannelNumber::is_rfc8656`]), so that RTP and
/// DTLS on the same port can be told apart; nothing but TURN arrives on ours. Clients of RFC 5766
/// (section 11) choose from the whole range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelNumber(u16);

impl ChannelNumber {
    /// The lowest number a client may bind.
    pub const MIN: u16 = 0x4000;
    /// The highest number a client may bind.
    pub const MAX: u16 = 0x7FFF;

    /// `None` outside of 0x4000-0x7FFF.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (Self::MIN..=Self::MAX)
            .contains(&number)
            .then_some(Self(number))
    }

    /// The number on the wire.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Within 0x4000-0x4FFF.
    #[must_use]
    pub const fn is_rfc8656(self) -> bool {
        self.0 <= 0x4FFF
    }
}

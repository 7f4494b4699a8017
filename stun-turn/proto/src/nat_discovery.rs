//! RFC 5780: a client asks to be answered from another address or port, or at another port, and
//! learns from what arrives how its NAT maps and filters.
//!
//! ```text
//!                 primary port   alternate port
//! primary IP           ●               ○          asked at ●, "change IP" is answered from ▲,
//! alternate IP         ▲               ■          "change port" from ○, both from ■
//! ```

use std::net::SocketAddr;

use crate::attribute::{ErrorCode, kind};
use crate::message::Message;

/// Attributes that a Binding request may have besides, where discovery is offered.
pub(crate) const UNDERSTOOD: [u16; 2] = [kind::CHANGE_REQUEST, kind::RESPONSE_PORT];

/// "Change IP" and "change port" of CHANGE-REQUEST (section 7.2).
const CHANGE_IP: u8 = 0x04;
const CHANGE_PORT: u8 = 0x02;

/// Two addresses and two ports of a server, which listens on all four pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatDiscovery {
    primary: SocketAddr,
    alternate: SocketAddr,
}

/// How one request is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// RESPONSE-ORIGIN.
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// OTHER-ADDRESS: where address and port differ from those that were asked.
    pub(crate) other: SocketAddr,
}

impl NatDiscovery {
    /// `None` unless both differ in address and port and are of one family.
    #[must_use]
    pub fn new(primary: SocketAddr, alternate: SocketAddr) -> Option<Self> {
        let differ = primary.ip() != alternate.ip() && primary.port() != alternate.port();
        let is_one_family = primary.is_ipv4() == alternate.is_ipv4();
        (differ && is_one_family).then_some(Self { primary, alternate })
    }

    /// All pairs of address and port, the primary one first.
    #[must_use]
    pub fn pairs(&self) -> [SocketAddr; 4] {
        let Self { primary, alternate } = *self;
        [
            primary,
            SocketAddr::new(primary.ip(), alternate.port()),
            SocketAddr::new(alternate.ip(), primary.port()),
            alternate,
        ]
    }

    /// Whether discovery is offered where this request arrived.
    pub(crate) fn is_at(&self, server: SocketAddr) -> bool {
        self.pairs().contains(&server)
    }

    /// Where a request that arrived at `server` is answered from and at.
    ///
    /// # Errors
    /// 400 when an attribute has the wrong length.
    pub(crate) fn answer(
        &self,
        request: &Message<'_>,
        client: SocketAddr,
        server: SocketAddr,
    ) -> Result<Answer, ErrorCode> {
        let flags = match request.first(kind::CHANGE_REQUEST) {
            None => 0,
            Some([_, _, _, flags]) => *flags,
            Some(_) => return Err(ErrorCode::BadRequest),
        };
        let port = match request.first(kind::RESPONSE_PORT) {
            None => client.port(),
            Some([high, low] | [high, low, _, _]) => u16::from_be_bytes([*high, *low]),
            Some(_) => return Err(ErrorCode::BadRequest),
        };
        if port == 0 {
            return Err(ErrorCode::BadRequest);
        }
        let other = self.opposite(server);
        let mut from = server;
        if flags & CHANGE_IP != 0 {
            from.set_ip(other.ip());
        }
        if flags & CHANGE_PORT != 0 {
            from.set_port(other.port());
        }
        Ok(Answer {
            from,
            to: SocketAddr::new(client.ip(), port),
            other,
        })
    }

    /// The pair of which both differ.
    fn opposite(&self, server: SocketAddr) -> SocketAddr {
        let Self { primary, alternate } = *self;
        let ip = if server.ip() == primary.ip() {
            alternate.ip()
        } else {
            primary.ip()
        };
        let port = if server.port() == primary.port() {
            alternate.port()
        } else {
            primary.port()
        };
        SocketAddr::new(ip, port)
    }
}

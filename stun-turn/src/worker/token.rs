//! What an event of the kernel is about.

use mio::Token;

/// The sockets of a worker, by their places in its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// Another thread has sent a command.
    Mailbox,
    /// The kernel tells of this host's addresses.
    Host,
    /// A UDP listener.
    Udp(usize),
    /// A TCP listener.
    Tcp(usize),
    /// A relayed socket.
    Relayed(usize),
    /// The socket of all relayed ports of a family.
    Shared(usize),
    /// What the network says about datagrams from there.
    Icmp(usize),
    /// A client's connection.
    Stream(usize),
    /// A relayed address that peers connect to.
    PeerListener(usize),
    /// A peer's connection.
    Peer(usize),
    /// The client's connection that is spliced with a peer's, by the place of that.
    Data(usize),
}

/// How many kinds of source there are: the remainder tells the kind, the quotient the place.
const KINDS: usize = 11;

impl Source {
    pub(super) const fn token(self) -> Token {
        let (kind, place) = match self {
            Self::Mailbox => (0, 0),
            Self::Udp(place) => (1, place),
            Self::Tcp(place) => (2, place),
            Self::Relayed(place) => (3, place),
            Self::Stream(place) => (4, place),
            Self::PeerListener(place) => (5, place),
            Self::Peer(place) => (6, place),
            Self::Data(place) => (7, place),
            Self::Shared(place) => (8, place),
            Self::Icmp(place) => (9, place),
            Self::Host => (10, 0),
        };
        Token(place * KINDS + kind)
    }

    /// Whether its turn is a matter of microseconds, and ends with something to send.
    pub(super) const fn is_of_datagrams(self) -> bool {
        matches!(
            self,
            Self::Udp(_) | Self::Relayed(_) | Self::Shared(_) | Self::Icmp(_)
        )
    }

    pub(super) const fn of(token: Token) -> Self {
        let place = token.0 / KINDS;
        match token.0 % KINDS {
            0 => Self::Mailbox,
            1 => Self::Udp(place),
            2 => Self::Tcp(place),
            3 => Self::Relayed(place),
            4 => Self::Stream(place),
            5 => Self::PeerListener(place),
            6 => Self::Peer(place),
            7 => Self::Data(place),
            8 => Self::Shared(place),
            9 => Self::Icmp(place),
            _ => Self::Host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_tell_kind_and_place() {
        let sources = [
            Source::Mailbox,
            Source::Host,
            Source::Udp(0),
            Source::Tcp(3),
            Source::Relayed(70_000),
            Source::Stream(1),
            Source::PeerListener(2),
            Source::Peer(0),
            Source::Data(0),
            Source::Shared(1),
            Source::Icmp(1),
        ];
        for source in sources {
            assert_eq!(Source::of(source.token()), source);
        }
    }
}

//! Reasons for refused requests, for the operator: the client learns only the code.

use std::fmt;

use crate::quotas::Exceeded;

/// What was wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCause {
    /// 401: the credential opens no new allocations since so many seconds.
    Expired(u64),
    /// 401: a static user's password is another one.
    WrongPassword,
    /// 401: no secret makes this password for this time-limited name.
    WrongSecret,
    /// 401: neither a static user nor a time-limited name.
    UnknownUser,
    /// 401: REALM is not this server's.
    WrongRealm,
    /// 401: the operator has revoked the account.
    Revoked,
    /// 486 or 508: a quota or a rate of allocations.
    Quota(Exceeded),
    /// 508: the server takes no new allocations.
    Draining,
    /// 508: no port that could be tried is left.
    NoPort,
    /// 508: no socket could be bound, for another reason than a port in use.
    NoSocket,
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(since_s) => write!(f, "the credential expired {since_s} s ago"),
            Self::WrongPassword => write!(f, "wrong password of a static user"),
            Self::WrongSecret => {
                write!(f, "no --auth-secret makes this password for this user name")
            }
            Self::UnknownUser => {
                write!(
                    f,
                    "no --user has this name, and it is no time-limited name (EXPIRY[:ID])"
                )
            }
            Self::WrongRealm => write!(f, "the realm is not that of --realm"),
            Self::Revoked => write!(f, "the account is revoked"),
            Self::Quota(exceeded) => exceeded.fmt(f),
            Self::Draining => write!(f, "the relay is draining"),
            Self::NoPort => write!(f, "no relayed port is left"),
            Self::NoSocket => write!(f, "no socket could be bound"),
        }
    }
}

//! Reasons for refused requests, for the operator: the client learns only the code.

use std::fmt;

use crate::attribute::ErrorCode;
use crate::quotas::Exceeded;

/// What was wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCause {
    /// 401: the credential opens no new allocations since so many seconds.
    Expired(u64),
    /// 401: the expiry lies this many seconds ahead, more than the operator allows.
    TooFarAhead(u64),
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
    /// 508: no reserved port has this RESERVATION-TOKEN, or another user's has.
    NoReservation,
}

impl fmt::Display for RefusalCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(since_s) => write!(f, "the credential expired {since_s} s ago"),
            Self::TooFarAhead(ahead_s) => write!(
                f,
                "the expiry of the credential lies {ahead_s} s ahead, more than --max-credential-ttl permits \
                 (is it in milliseconds?)"
            ),
            Self::WrongPassword => write!(f, "wrong password of a static user"),
            Self::WrongSecret => {
                write!(f, "no --auth-secret makes this password for this user name")
            }
            Self::UnknownUser => {
                write!(
                    f,
                    "no --user has this name, and it is no time-limited name (EXPIRY[:ID] or ID:EXPIRY)"
                )
            }
            Self::WrongRealm => write!(f, "the realm is not that of --realm"),
            Self::Revoked => write!(f, "the account is revoked"),
            Self::Quota(exceeded) => exceeded.fmt(f),
            Self::Draining => write!(f, "the relay is draining"),
            Self::NoPort => write!(f, "no relayed port is left"),
            Self::NoSocket => write!(f, "no socket could be bound"),
            Self::NoReservation => write!(f, "no reserved port has this RESERVATION-TOKEN"),
        }
    }
}

/// A reason for refused requests, as the summary in the log and the metrics name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum RefusalKind {
    /// 401: [`RefusalCause::Expired`].
    Expired,
    /// 401: [`RefusalCause::TooFarAhead`].
    TooFarAhead,
    /// 401: [`RefusalCause::WrongPassword`].
    WrongPassword,
    /// 401: [`RefusalCause::WrongSecret`].
    WrongSecret,
    /// 401: [`RefusalCause::UnknownUser`].
    UnknownUser,
    /// 401: [`RefusalCause::WrongRealm`].
    WrongRealm,
    /// 401: [`RefusalCause::Revoked`].
    Revoked,
    /// 486: [`Exceeded::User`].
    UserQuota,
    /// 486: [`Exceeded::Source`] and [`Exceeded::Network`].
    SourceQuota,
    /// 486: [`Exceeded::UserRate`].
    UserRate,
    /// 486: [`Exceeded::SourceRate`] and [`Exceeded::NetworkRate`].
    SourceRate,
    /// 508: [`Exceeded::Total`].
    MaxAllocations,
    /// 508: [`RefusalCause::Draining`].
    Draining,
    /// 508: [`RefusalCause::NoPort`].
    NoPort,
    /// 508: [`RefusalCause::NoSocket`].
    NoSocket,
    /// 508: [`RefusalCause::NoReservation`].
    NoReservation,
    /// 508: a client's permissions, channels or connections are as many as they may be.
    ClientLimit,
    /// 403: the peer policy.
    Peer,
    /// 437: no allocation where one is needed, or one where none may be.
    Allocation,
    /// 441: the allocation is another user's.
    OtherUser,
    /// 440 and 443: no address of the family.
    Family,
    /// 442: a transport that is not relayed.
    Transport,
    /// 400 and 420: the request can't be understood.
    Request,
    /// 405, 446 and 447: mobility is off, or the connection to a peer failed.
    Other,
}

impl RefusalKind {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 24] = [
        Self::Expired,
        Self::TooFarAhead,
        Self::WrongPassword,
        Self::WrongSecret,
        Self::UnknownUser,
        Self::WrongRealm,
        Self::Revoked,
        Self::UserQuota,
        Self::SourceQuota,
        Self::UserRate,
        Self::SourceRate,
        Self::MaxAllocations,
        Self::Draining,
        Self::NoPort,
        Self::NoSocket,
        Self::NoReservation,
        Self::ClientLimit,
        Self::Peer,
        Self::Allocation,
        Self::OtherUser,
        Self::Family,
        Self::Transport,
        Self::Request,
        Self::Other,
    ];

    /// The reason of an answer with this code. `None` for answers that belong to every connection: the
    /// first challenge, an aged nonce, and the way to another server.
    #[must_use]
    pub(crate) const fn of(code: ErrorCode, cause: Option<RefusalCause>) -> Option<Self> {
        if let Some(cause) = cause {
            return Some(Self::of_cause(cause));
        }
        Some(match code {
            ErrorCode::TryAlternate | ErrorCode::Unauthenticated | ErrorCode::StaleNonce => {
                return None;
            }
            ErrorCode::BadRequest | ErrorCode::UnknownAttribute => Self::Request,
            ErrorCode::Forbidden => Self::Peer,
            ErrorCode::AllocationMismatch => Self::Allocation,
            ErrorCode::AddressFamilyNotSupported | ErrorCode::PeerAddressFamilyMismatch => {
                Self::Family
            }
            ErrorCode::WrongCredentials => Self::OtherUser,
            ErrorCode::UnsupportedTransport => Self::Transport,
            ErrorCode::AllocationQuotaReached => Self::UserQuota,
            ErrorCode::InsufficientCapacity => Self::ClientLimit,
            ErrorCode::MobilityForbidden
            | ErrorCode::ConnectionAlreadyExists
            | ErrorCode::ConnectionTimeoutOrFailure => Self::Other,
        })
    }

    const fn of_cause(cause: RefusalCause) -> Self {
        match cause {
            RefusalCause::Expired(_) => Self::Expired,
            RefusalCause::TooFarAhead(_) => Self::TooFarAhead,
            RefusalCause::WrongPassword => Self::WrongPassword,
            RefusalCause::WrongSecret => Self::WrongSecret,
            RefusalCause::UnknownUser => Self::UnknownUser,
            RefusalCause::WrongRealm => Self::WrongRealm,
            RefusalCause::Revoked => Self::Revoked,
            RefusalCause::Quota(Exceeded::Total) => Self::MaxAllocations,
            RefusalCause::Quota(Exceeded::User) => Self::UserQuota,
            RefusalCause::Quota(Exceeded::Source | Exceeded::Network) => Self::SourceQuota,
            RefusalCause::Quota(Exceeded::UserRate) => Self::UserRate,
            RefusalCause::Quota(Exceeded::SourceRate | Exceeded::NetworkRate) => Self::SourceRate,
            RefusalCause::Draining => Self::Draining,
            RefusalCause::NoPort => Self::NoPort,
            RefusalCause::NoSocket => Self::NoSocket,
            RefusalCause::NoReservation => Self::NoReservation,
        }
    }

    /// The name in the log and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "credential_expired",
            Self::TooFarAhead => "expiry_too_far_ahead",
            Self::WrongPassword => "wrong_password",
            Self::WrongSecret => "wrong_secret",
            Self::UnknownUser => "unknown_user",
            Self::WrongRealm => "wrong_realm",
            Self::Revoked => "revoked",
            Self::UserQuota => "user_quota",
            Self::SourceQuota => "source_quota",
            Self::UserRate => "user_rate",
            Self::SourceRate => "source_rate",
            Self::MaxAllocations => "max_allocations",
            Self::Draining => "draining",
            Self::NoPort => "no_port",
            Self::NoSocket => "no_socket",
            Self::NoReservation => "no_reservation",
            Self::ClientLimit => "client_limit",
            Self::Peer => "peer_forbidden",
            Self::Allocation => "allocation_mismatch",
            Self::OtherUser => "other_user",
            Self::Family => "address_family",
            Self::Transport => "transport",
            Self::Request => "bad_request",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_stands_at_its_discriminant_and_names_differ() {
        for (index, kind) in RefusalKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            let same = |other: &&RefusalKind| other.name() == kind.name();
            assert_eq!(RefusalKind::ALL.iter().filter(same).count(), 1);
        }
    }
}

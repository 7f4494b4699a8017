//! What an error means for whoever runs the server, and what to do about it, in plain words.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use rustls::CertificateError;
use stun_turn_proto::message::Method;

use super::Via;
use super::client::Fault;
use crate::server::is_public;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Explanation {
    /// What happened and what it means.
    pub(super) what: String,
    /// What to do.
    pub(super) advice: String,
}

impl Explanation {
    pub(super) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: advice.into(),
        }
    }
}

/// What is known where a fault occurred.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) via: Via,
    pub(super) server: SocketAddr,
    /// The host of the URL.
    pub(super) host: &'c str,
    /// The credential was made of a secret.
    pub(super) is_minted: bool,
    /// The server's realm, as far as it is known.
    pub(super) realm: &'c str,
    /// The peer of the request: another relayed address of the same server.
    pub(super) peer: Option<SocketAddr>,
}

/// Explains a request that was not carried out.
pub(super) fn fault(fault: &Fault, method: Method, context: Context<'_>) -> Explanation {
    let name = method.name();
    match fault {
        Fault::Silence => silence(context),
        Fault::Io(error) => broken(error, context),
        Fault::Incomplete(what) => Explanation::new(
            format!("the reply to {name} lacks {what}"),
            "This is no (whole) TURN server: look at what listens on this port.",
        ),
        Fault::Unsigned => Explanation::new(
            format!("the reply to {name} is not signed with this password"),
            "Somebody between here and the server answers for it, or the server does not sign its replies \
             (RFC 8489 section 9.2.4); browsers ignore such replies.",
        ),
        Fault::Refused {
            code,
            reason,
            alternate,
        } => {
            let reason = if reason.is_empty() {
                phrase(*code)
            } else {
                reason
            };
            let what = format!("{name} is refused with {code} {reason}");
            Explanation::new(what, refusal(*code, *alternate, method, context))
        }
    }
}

fn silence(context: Context<'_>) -> Explanation {
    let Context { via, server, .. } = context;
    let (port, ip) = (server.port(), server.ip());
    match via {
        Via::Udp => Explanation::new(
            format!("no answer from {server} over UDP"),
            format!(
                "Either a firewall (on the server, at its provider, or here) drops UDP to port {port}, or {ip} is the \
                 wrong address, or no STUN server listens there. On the server, see whether the requests arrive: \
                 tcpdump -n udp port {port}."
            ),
        ),
        Via::Tcp | Via::Tls => Explanation::new(
            format!("the connection to {server} stands, but no answer comes"),
            format!(
                "Something else than a STUN server seems to listen on port {port}, or one that waits for a PROXY header or for TLS."
            ),
        ),
    }
}

fn broken(error: &io::Error, context: Context<'_>) -> Explanation {
    let Context { via, server, .. } = context;
    let port = server.port();
    match error.kind() {
        ErrorKind::ConnectionRefused => Explanation::new(
            format!(
                "{server} is there, but nothing listens on {} port {port}",
                via.name()
            ),
            "Is the server running, and with a listener for this protocol and address (--listen)? Is the port right?",
        ),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Explanation::new(
            format!("no connection to {server} in time"),
            format!("A firewall drops TCP to port {port}, or the address is wrong."),
        ),
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted => Explanation::new(
            format!("{server} closes the connection"),
            "It does not take this client: look at the server's log; a listener for TLS alone, or one that wants a PROXY \
                 header, does this to a plain client.",
        ),
        ErrorKind::InvalidData => Explanation::new(
            format!("what {server} sends is no STUN"),
            "Another program listens on this port, or one that speaks TLS: try a turns: URL.",
        ),
        _ => Explanation::new(
            format!("talking to {server}: {error}"),
            "See whether this computer's network and firewall allow it.",
        ),
    }
}

/// Whether this computer itself has no way to addresses of this kind, which says nothing of the server.
pub(super) fn is_no_route(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::Unsupported
    )
}

/// Explains a handshake that failed.
pub(super) fn handshake(error: &io::Error, context: Context<'_>) -> Explanation {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    let host = context.host;
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => certificate(reason, host),
        Some(rustls::Error::InvalidMessage(_)) => Explanation::new(
            format!("{} does not speak TLS on this port", context.server),
            "Is the port right (5349 or 443 as a rule)? Does the server have a certificate (--tls-cert, --tls-key)?",
        ),
        Some(rustls::Error::AlertReceived(alert)) => Explanation::new(
            format!("the server refuses the handshake: {alert:?}"),
            format!("It may have no certificate for {host}, or speak no version of TLS since 1.2."),
        ),
        Some(other) => Explanation::new(
            format!("no TLS: {other}"),
            "Look at the server's log, and at openssl s_client -connect HOST:PORT.",
        ),
        None if matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ) =>
        {
            Explanation::new(
                format!("{} ends the TLS handshake", context.server),
                "It speaks no TLS on this port: is the port right, does it have a certificate (--tls-cert, --tls-key)?",
            )
        }
        None if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Explanation::new(
                format!("{} does not answer the TLS handshake", context.server),
                "Something else than TLS listens there, or a server that waits for a PROXY header.",
            )
        }
        None => broken(error, context),
    }
}

fn certificate(reason: &CertificateError, host: &str) -> Explanation {
    let what = format!("the certificate is refused: {reason}");
    let advice = match reason {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "It has expired: renew it and tell the server (stun-turn: SIGHUP). If it has not, this computer's clock is wrong.".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "It is not valid yet: compare the clocks.".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "It is for other names than {host}: put a name of the certificate into the URL, or get one for {host}. Browsers \
             check this too."
        ),
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "No authority that this computer trusts has signed it. If it comes from one, the server sends it without the \
             intermediate certificate: give --tls-cert the full chain. If it is your own, name it here by --ca FILE; \
             browsers will not take it."
                .to_owned()
        }
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "It is an authority's own, as openssl req -x509 makes them unless told -addext basicConstraints=critical,CA:FALSE. \
             Make it anew, or check with --insecure."
                .to_owned()
        }
        _ => "Get a new one; browsers refuse it too.".to_owned(),
    };
    Explanation::new(what, advice)
}

/// What to do about an error code.
fn refusal(
    code: u16,
    alternate: Option<SocketAddr>,
    method: Method,
    context: Context<'_>,
) -> String {
    match code {
        300 => match alternate {
            Some(other) => format!("The server sends its clients to {other}: check that one."),
            None => "The server sends its clients elsewhere, without saying where.".to_owned(),
        },
        401 => unauthenticated(context),
        403 => forbidden(context),
        437 => "The server already knows an allocation of this address, or has lost it: was it restarted? Try again.".to_owned(),
        438 => "The server finds its own nonce stale at once: are there several servers behind one address that don't \
                share their key, or does the NAT change addresses?"
            .to_owned(),
        440 => "The server has no relayed address of this family: give it one (--relay-address).".to_owned(),
        442 => "The server does not relay UDP (coturn: no-udp-relay). WebRTC needs it.".to_owned(),
        443 => "The peer's address is of another family than the relayed one, although both are this server's.".to_owned(),
        486 => "This user, or this address, has as many allocations as it may; the check needs two: raise --user-quota and \
                --source-quota (coturn: user-quota), or wait for old ones to end."
            .to_owned(),
        508 => "The server has no port, descriptor or place left: look at --relay-ports (coturn: min-port, max-port), \
                --max-allocations and the limit on open files."
            .to_owned(),
        500..=599 => "The server has failed: its log tells why.".to_owned(),
        _ => format!("The server does not carry out {}: its log may tell why.", method.name()),
    }
}

fn unauthenticated(context: Context<'_>) -> String {
    let realm = context.realm;
    if context.is_minted {
        format!(
            "The credential made of --auth-secret is not accepted: is it the secret that the server has, to the letter \
             (coturn: use-auth-secret and static-auth-secret)? Do the clocks agree? The server's realm is \"{realm}\"."
        )
    } else {
        format!(
            "Name or password are wrong, or the server has none of this name in its realm \"{realm}\". Does it take \
             time-limited credentials only? Then give --auth-secret."
        )
    }
}

fn forbidden(context: Context<'_>) -> String {
    match context.peer {
        Some(peer) if !is_public(peer.ip()) => format!(
            "The server does not relay to {peer}, an address of its own that is not public: behind a NAT it must be told its \
             public address (--external-address, coturn: external-ip); inside of a private network, that the network is \
             allowed (--allow-peer, coturn: allowed-peer-ip)."
        ),
        Some(peer) => format!(
            "The server does not relay to its own public address {}, so that two clients that both need the relay never \
             meet: take it out of the denied peers (--deny-peer, coturn: denied-peer-ip), and see that --external-address is right.",
            peer.ip()
        ),
        None => "The server's policy forbids it: this user may not allocate.".to_owned(),
    }
}

/// Explains a relayed address that no peer can reach; `None` if there is nothing wrong with it.
pub(super) fn relayed(relayed: SocketAddr, server: SocketAddr) -> Option<Explanation> {
    let (ip, reached) = (relayed.ip().to_canonical(), server.ip().to_canonical());
    if ip.is_unspecified() || relayed.port() == 0 {
        return Some(Explanation::new(
            format!("the relayed address is {relayed}, which is nobody's"),
            "Tell the server its address: --relay-address, behind a NAT --external-address (coturn: relay-ip, external-ip).",
        ));
    }
    let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
    if ip.is_loopback() && !reached.is_loopback() || is_link_local(ip) && !is_link_local(reached) {
        return Some(Explanation::new(
            format!(
                "only the server itself, or its own link, reaches the relayed address {relayed}"
            ),
            format!(
                "The server has no other {family} address: give it one and name it (--relay-address, coturn: relay-ip), or \
                 relay from the other family alone."
            ),
        ));
    }
    if !is_public(reached) || is_public(ip) {
        return None;
    }
    // The address that the server was reached at is of use for its own family only.
    let external = match ip.is_ipv4() == reached.is_ipv4() {
        true => format!("--external-address {reached}"),
        false => format!("--external-address and its public {family} address"),
    };
    Some(Explanation::new(
        format!(
            "the relayed address {relayed} is private, while the server is reached at {reached}"
        ),
        format!(
            "The server stands behind a NAT and does not know its public address: start it with {external} (coturn: \
             external-ip)."
        ),
    ))
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Explains messages that did not return.
pub(super) fn lost(relayed: SocketAddr, size_limit: Option<usize>) -> Explanation {
    if let Some(size) = size_limit {
        return Explanation::new(
            format!("messages of {size} bytes and more get lost, smaller ones do not"),
            "The path carries no packets of this size: look for a VPN or tunnel with a small MTU.",
        );
    }
    Explanation::new(
        format!("messages to the relayed address {relayed} do not arrive"),
        "Allocations stand, but nothing passes between them. Are the relayed ports open (UDP, --relay-ports, coturn: \
         min-port to max-port)? Behind a NAT: is --external-address right, and does the NAT let the server reach its own \
         public address (hairpinning)?",
    )
}

fn phrase(code: u16) -> &'static str {
    match code {
        300 => "Try Alternate",
        400 => "Bad Request",
        401 => "Unauthenticated",
        403 => "Forbidden",
        420 => "Unknown Attribute",
        437 => "Allocation Mismatch",
        438 => "Stale Nonce",
        440 => "Address Family not Supported",
        441 => "Wrong Credentials",
        442 => "Unsupported Transport Protocol",
        443 => "Peer Address Family Mismatch",
        446 => "Connection Already Exists",
        447 => "Connection Timeout or Failure",
        486 => "Allocation Quota Reached",
        500 => "Server Error",
        508 => "Insufficient Capacity",
        _ => "",
    }
}

#[cfg(test)]
mod tests;

//! One port for the page and the bundled relay: the first byte tells what a client speaks.
//!
//! Networks that let out 443/tcp alone reach both then. A STUN message begins with the bits 00, and
//! no stream begins with ChannelData (RFC 8656, 12.4). A request of HTTP/1.1 begins with a letter or
//! an empty line (RFC 9112, 2.2), HTTP/2 with `PRI`, a TLS handshake with its record's type. Browsers
//! offer no ALPN for `turns:`, others `stun.turn` (RFC 7443). The relay judges the rest, with its own
//! deadlines: the magic cookie, too.

use std::io;

use stun_turn::{ClientConnection, Handle};
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::linger::Lingering;
use crate::proxies::Remote;

/// ALPN of the page.
pub(crate) const ALPN_HTTP: &[u8] = b"http/1.1";
/// ALPN of the relay (RFC 7443).
pub(crate) const ALPN_TURN: &[u8] = b"stun.turn";

/// Content type of a TLS handshake's record.
const TLS_HANDSHAKE: u8 = 22;

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    Tls,
    Turn,
    Http,
}

/// Tells by the first byte of a connection, or of what TLS carries.
const fn of_first_byte(byte: u8) -> Speech {
    match byte {
        TLS_HANDSHAKE => Speech::Tls,
        // An empty line before a request.
        b'\r' | b'\n' => Speech::Http,
        0x00..=0x3F => Speech::Turn,
        _ => Speech::Http,
    }
}

/// Tells by the protocol that the handshake has chosen, if it has.
fn of_alpn(chosen: Option<&[u8]>) -> Option<Speech> {
    match chosen? {
        ALPN_TURN => Some(Speech::Turn),
        _ => Some(Speech::Http),
    }
}

/// What comes on a connection, of which nothing is taken; `None` when it ends before.
pub(crate) async fn spoken(stream: &TcpStream) -> io::Result<Option<Speech>> {
    let mut first = [0];
    let count = stream.peek(&mut first).await?;
    Ok((count > 0).then(|| of_first_byte(first[0])))
}

/// What comes inside of TLS, as [`spoken`].
pub(crate) async fn spoken_inside(stream: &mut TlsStream<Lingering>) -> io::Result<Option<Speech>> {
    if let Some(speech) = of_alpn(stream.get_ref().1.alpn_protocol()) {
        return Ok(Some(speech));
    }
    let first = stream.fill_buf().await?.first();
    Ok(first.map(|byte| of_first_byte(*byte)))
}

/// Hands a connection over to the relay.
pub(crate) fn hand_over(stream: TcpStream, remote: Remote, relay: &Handle) {
    serve(relay, stream.into_std(), remote, None);
}

/// Hands a connection with its TLS session over to the relay.
pub(crate) fn hand_over_tls(stream: TlsStream<Lingering>, remote: Remote, relay: &Handle) {
    let (stream, session) = stream.into_inner();
    serve(
        relay,
        stream.into_inner().into_std(),
        remote,
        Some(Box::new(session)),
    );
}

fn serve(
    relay: &Handle,
    socket: io::Result<std::net::TcpStream>,
    remote: Remote,
    tls: Option<Box<tokio_rustls::rustls::ServerConnection>>,
) {
    let client = std::net::SocketAddr::new(remote.0, remote.1);
    match socket {
        Ok(socket) => relay.serve(ClientConnection {
            socket,
            client,
            tls,
        }),
        Err(error) => tracing::debug!(%client, %error, "no hand-over to the relay"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_what_is_spoken() {
        for (first, speech) in [
            // Binding, Allocate, and an indication of Send.
            (&b"\x00\x01\x00\x00\x21\x12\xa4\x42"[..], Speech::Turn),
            (b"\x00\x03", Speech::Turn),
            (b"\x00\x16", Speech::Turn),
            (b"\x01\x01", Speech::Turn),
            (b"\x16\x03\x01", Speech::Tls),
            (b"GET / HTTP/1.1", Speech::Http),
            (b"PRI * HTTP/2.0", Speech::Http),
            (b"options * HTTP/1.1", Speech::Http),
            (b"\r\nGET / HTTP/1.1", Speech::Http),
            (b"\nGET / HTTP/1.1", Speech::Http),
            // ChannelData, which no stream begins with, is no HTTP either: it is answered with 400.
            (b"\x40\x00", Speech::Http),
            (b"\xff", Speech::Http),
        ] {
            assert_eq!(of_first_byte(first[0]), speech, "{first:?}");
        }
    }

    #[test]
    fn a_chosen_protocol_tells_before_any_byte() {
        assert_eq!(of_alpn(Some(b"stun.turn")), Some(Speech::Turn));
        assert_eq!(of_alpn(Some(b"http/1.1")), Some(Speech::Http));
        assert_eq!(of_alpn(None), None);
    }
}

//! What is asked of the kernel for a client's connection.

use std::io;

use socket2::{SockRef, TcpKeepalive};

use super::turns::SILENCE;

/// What the kernel may hold back for a client before writing waits, in bytes.
const MAX_UNSENT_BYTES: u32 = 32 * 1024;

/// Media must not wait for more media, nor pile up in the kernel where nothing is ever dropped; and a
/// client that vanished without a word must be noticed.
pub(super) fn tune(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES)?;
    socket.set_tcp_user_timeout(Some(SILENCE))?;
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(SILENCE / 3);
    socket.set_tcp_keepalive(&keepalive.with_retries(3))
}

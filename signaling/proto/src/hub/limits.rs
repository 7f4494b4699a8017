//! Every limit of the hub, with its unit.

use std::time::Duration;

/// How long a connection may take to say `hello`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// How long `delivered` gathers before it is sent.
pub const DELIVERED_DELAY: Duration = Duration::from_millis(50);
/// `delivered` does not gather more than this many ids.
pub const DELIVERED_IDS: usize = 256;
/// What one client may leave unacknowledged, in bytes, before it counts as a slow consumer. While it
/// is away this is what waits for it.
pub const REPLAY_BYTES: usize = 256 * 1024;
/// A `delivered` has about this many bytes at most, unless it tells of one message alone.
pub const DELIVERED_BYTES: usize = 16 * 1024;
/// What one client was told of its own messages and may not have heard, in bytes, before deliveries
/// wait for its acknowledgement. All of it is told again when it comes back.
pub const OUTCOME_WINDOW_BYTES: usize = 64 * 1024;
/// After this many bytes of it, without anything that would be acknowledged anyway, it is asked to.
pub const OUTCOME_ASK_BYTES: usize = 8 * 1024;
/// The same with errors, which don't wait, before the client counts as a slow consumer.
pub const OUTCOME_BYTES: usize = 256 * 1024;
/// What may wait to be told to one client, in bytes, before it counts as a slow consumer: more than
/// all that a full room left open when everybody but one client, which is away, leaves it.
pub const GATHERED_BYTES: usize = 2 * 1024 * 1024;
/// What a room that comes together again keeps for those who are not back yet, in bytes.
pub const REUNION_BYTES: usize = 256 * 1024;
/// Sessions whose end is remembered: those whose tickets another process has written, and those that a
/// host has ended.
pub const ENDED_SESSIONS: usize = 100_000;
/// Longest name of a room, in characters.
pub const ROOM_NAME_CHARS: usize = 128;
/// Longest name of a namespace, in characters.
pub const NAMESPACE_CHARS: usize = 64;
/// Longest name of a peer, in characters; longer ones are cut.
pub const PEER_NAME_CHARS: usize = 64;
/// Longest name of an application event, in characters.
pub const EVENT_NAME_CHARS: usize = 128;
/// When to try again if the server is at its caps.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);

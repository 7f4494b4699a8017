//! Every limit of the hub, with its unit.

use std::time::Duration;

/// How long a connection may take to say `hello`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// How long `delivered` gathers before it is sent.
pub const DELIVERED_DELAY: Duration = Duration::from_millis(50);
/// `delivered` does not gather more than this many ids.
pub const DELIVERED_IDS: usize = 256;
/// What one client may leave unacknowledged, in bytes. While it is away this is what waits for it.
/// More is not taken for it: its senders are held back or refused.
pub const REPLAY_BYTES: usize = 256 * 1024;
/// A client that leaves more than this unacknowledged is crowded: shares of its senders are measured,
/// news of its room is coalesced, and it must not stall. One message of the largest size is less.
pub const CROWDED_BYTES: usize = 65 * 1024;
/// A crowded client is no longer crowded below this, in bytes.
pub const RELIEVED_BYTES: usize = 32 * 1024;
/// How long a crowded client may take to acknowledge [`STALL_BYTES`] before it is a slow consumer.
pub const STALL: Duration = Duration::from_secs(20);
/// What a crowded client acknowledges within [`STALL`] at the least, in bytes.
pub const STALL_BYTES: usize = 16 * 1024;
/// What one client has sent and the hub holds back for slow recipients, in bytes. More is refused.
pub const HELD_BYTES: usize = 512 * 1024;
/// What is unacknowledged or held back in the whole hub, in bytes. Above it each client's share is
/// [`SHORT_REPLAY_BYTES`].
pub const KEPT_BYTES: usize = 256 * 1024 * 1024;
/// What one client may leave unacknowledged while [`KEPT_BYTES`] are used up, in bytes.
pub const SHORT_REPLAY_BYTES: usize = 16 * 1024;
/// When to send a message again that a recipient who is away has no room for.
pub const AWAY_RETRY: Duration = Duration::from_secs(2);
/// When to send a message again that was one too many to be held back.
pub const HELD_RETRY: Duration = Duration::from_millis(500);
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
/// Sessions whose end is remembered: as many that said goodbye, and as many that ended otherwise, by a
/// kick for one.
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

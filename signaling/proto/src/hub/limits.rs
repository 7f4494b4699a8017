//! Every limit of the hub, with its unit.

use std::time::Duration;

/// How long a connection may take to say `hello`.
pub const HELLO_DEADLINE: Duration = Duration::from_secs(5);
/// How long `delivered` gathers before it is sent.
pub const DELIVERED_DELAY: Duration = Duration::from_millis(50);
/// `delivered` does not gather more than this many ids.
pub const DELIVERED_IDS: usize = 256;
/// Frames that a client may leave unacknowledged before it counts as a slow consumer. A tab in the
/// background may be asleep for seconds; a full room's negotiation is some hundred frames.
pub const UNACKNOWLEDGED: usize = 2048;
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

//! What comes of what happens to a client.

use std::time::Duration;

use crate::id::{MessageId, PeerId};
use crate::message::ServerMessage;
use crate::message::server::{Error, Welcome};

/// What the driver has to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Open a WebSocket, then [`handle_open`](super::Client::handle_open) or
    /// [`handle_close`](super::Client::handle_close).
    Connect,
    /// Send this as a text frame.
    Send(String),
    /// Close the WebSocket; nothing that still comes from it matters.
    Disconnect,
    /// Tell the application.
    Event(Event),
}

/// What the application hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// In the room, for the first time or again: `resumed` tells whether it is the same session. Then
    /// those whom `room.peers` does not list are away; otherwise everybody is to be met anew.
    Welcome(Box<Welcome>),
    /// A message of the server that is neither a repetition nor about one of the application's own.
    Message(ServerMessage),
    /// This message has reached all its recipients but those who left before.
    Delivered {
        /// Which one.
        id: MessageId,
        /// Who left before.
        failed: Vec<PeerId>,
    },
    /// This message was refused; nobody got it. With `slow_recipient` somebody may have got it over an earlier
    /// connection.
    Refused {
        /// Which one.
        id: MessageId,
        /// Why.
        error: Error,
    },
    /// The session is over, and whether this message of it was delivered will never be known.
    Lost {
        /// Which one.
        id: MessageId,
    },
    /// The connection is lost.
    Waiting {
        /// How long until the next one.
        wait: Duration,
        /// What the server said, if it did.
        refusal: Option<Error>,
    },
    /// It is over: the server refused for good, or, without a refusal, the application left.
    Closed {
        /// What the server said.
        refusal: Option<Error>,
    },
}

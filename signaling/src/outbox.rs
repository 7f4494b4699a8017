//! What waits to be written to one client, bounded in bytes: a client that reads slowly must not
//! make the server remember without end.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use signaling_proto::frame::Frame;
use tokio::sync::Notify;

/// How much may wait for one client, in bytes.
pub(crate) const MAX_BYTES: usize = 512 * 1024;
/// What a waiting frame costs besides its text, in bytes.
const ITEM_BYTES: usize = 64;

/// One thing to write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Frame(Frame),
    Ping,
    /// The last item.
    Close {
        code: u16,
        reason: &'static str,
    },
}

#[cfg(test)]
impl Item {
    pub(crate) const fn is_frame(&self) -> bool {
        matches!(self, Self::Frame(_))
    }
}

/// A client would have to keep more than [`MAX_BYTES`] waiting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// Filled by the hub and the connection's reader, emptied by its writer.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    closed: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    closed: bool,
}

fn cost(item: &Item) -> usize {
    match item {
        Item::Frame(frame) => frame.cost() + ITEM_BYTES,
        Item::Ping | Item::Close { .. } => 0,
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, item: Item) -> Result<(), Full> {
        let mut state = self.state();
        let cost = cost(&item);
        if state.closed {
            return Ok(());
        }
        if state.bytes + cost > MAX_BYTES {
            return Err(Full);
        }
        state.bytes += cost;
        state.closed = matches!(item, Item::Close { .. });
        state.items.push_back(item);
        if state.closed {
            self.closed.notify_one();
        }
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Adds a frame; after a close it is dropped.
    pub(crate) fn push(&self, frame: Frame) -> Result<(), Full> {
        self.add(Item::Frame(frame))
    }

    /// Adds a ping.
    pub(crate) fn ping(&self) {
        self.add(Item::Ping).expect("a ping costs nothing");
    }

    /// Closes after everything that waits.
    pub(crate) fn close(&self, code: u16, reason: &'static str) {
        let close = Item::Close { code, reason };
        self.add(close).expect("a close costs nothing");
    }

    /// Drops everything that waits.
    pub(crate) fn clear(&self) {
        let mut state = self.state();
        state.items.clear();
        state.bytes = 0;
    }

    /// The next item, if one waits.
    pub(crate) fn try_next(&self) -> Option<Item> {
        let mut state = self.state();
        let item = state.items.pop_front()?;
        state.bytes -= cost(&item);
        if state.items.is_empty() {
            // An idle connection keeps no memory of a busy one.
            state.items.shrink_to(4);
        }
        Some(item)
    }

    /// Waits for the next item. One reader at a time.
    pub(crate) async fn next(&self) -> Item {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.filled.notified().await;
        }
    }

    /// Waits until a close was added. One waiter at a time.
    pub(crate) async fn closed(&self) {
        self.closed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use signaling_proto::message::ServerMessage;
    use signaling_proto::message::server::{Goaway, GoawayReason};

    use super::*;

    fn frame() -> Frame {
        Frame::plain(&ServerMessage::Goaway(Goaway {
            reason: GoawayReason::Shutdown,
            resume_in_ms: 1,
        }))
    }

    #[test]
    fn what_waits_is_bounded_and_reading_makes_room() {
        let outbox = Outbox::default();
        let mut pushed = 0;
        while outbox.push(frame()).is_ok() {
            pushed += 1;
        }
        assert!(pushed * (frame().cost() + ITEM_BYTES) <= MAX_BYTES);
        assert!(outbox.try_next().is_some());
        assert_eq!(outbox.push(frame()), Ok(()));
        assert_eq!(outbox.push(frame()), Err(Full));
    }

    #[test]
    fn nothing_follows_a_close() {
        let outbox = Outbox::default();
        outbox.push(frame()).expect("empty");
        outbox.clear();
        outbox.close(4430, "slow_consumer");
        outbox.push(frame()).expect("dropped");
        outbox.ping();
        let close = Item::Close {
            code: 4430,
            reason: "slow_consumer",
        };
        assert_eq!(outbox.try_next(), Some(close));
        assert_eq!(outbox.try_next(), None);
    }
}

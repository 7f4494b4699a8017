//! What a client will be told of its own messages, in frames that are not too large.

use std::collections::VecDeque;

use super::limits::{DELIVERED_BYTES, DELIVERED_IDS};
use crate::id::{MessageId, PeerId};
use crate::message::server::Delivered;

/// What an id costs: the digits of the largest one, quotes and a comma.
const ID_BYTES: usize = 20;
/// What the name of a peer costs besides its text.
const PEER_BYTES: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Only the last one still grows.
    frames: VecDeque<Delivered>,
    /// Of the last one, as it will be on the wire, at most.
    last_bytes: usize,
    bytes: usize,
}

impl Gathered {
    /// One message has its outcome; whether this is the first that waits.
    pub(super) fn push(&mut self, id: MessageId, failed: Vec<PeerId>) -> bool {
        let begins = self.frames.is_empty();
        let cost = cost(&failed);
        let fits = self.last_bytes + cost <= DELIVERED_BYTES;
        if begins || !fits || self.last_ids() >= DELIVERED_IDS {
            self.frames.push_back(Delivered::default());
            self.last_bytes = 0;
        }
        self.last_bytes += cost;
        self.bytes += cost;
        if let Some(last) = self.frames.back_mut() {
            last.ids.push(id);
            if !failed.is_empty() {
                last.failed.insert(id, failed);
            }
        }
        begins
    }

    /// Takes the first frame; `None` when there is nothing.
    pub(super) fn pop(&mut self) -> Option<Delivered> {
        let first = self.frames.pop_front()?;
        if self.frames.is_empty() {
            // An idle session keeps no memory of a busy one.
            *self = Self::default();
            return Some(first);
        }
        let costs = first.ids.iter().map(|id| {
            let failed = first.failed.get(id);
            cost(failed.map_or(&[], Vec::as_slice))
        });
        self.bytes -= costs.sum::<usize>();
        Some(first)
    }

    /// Whether a frame need not wait for more.
    pub(super) fn has_full_frame(&self) -> bool {
        self.frames.len() > 1 || self.last_ids() >= DELIVERED_IDS
    }

    /// What all of it costs on the wire, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn last_ids(&self) -> usize {
        self.frames.back().map_or(0, |last| last.ids.len())
    }
}

fn cost(failed: &[PeerId]) -> usize {
    if failed.is_empty() {
        return ID_BYTES;
    }
    let peers = failed.iter().map(|peer| peer.as_str().len() + PEER_BYTES);
    2 * ID_BYTES + PEER_BYTES + peers.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::ServerMessage;

    #[test]
    fn no_frame_is_too_large_and_no_outcome_is_missing() {
        let mut gathered = Gathered::default();
        let peer = PeerId::new("9f86d081884c7d659a2feaa0c55ad015");
        let largest = (1_u64 << 53) - 1;
        for id in 0..2000 {
            let failed = vec![peer.clone(); usize::try_from(id % 16).unwrap()];
            assert_eq!(gathered.push(MessageId(largest - id), failed), id == 0);
        }
        let mut told = 0;
        while let Some(delivered) = gathered.pop() {
            told += delivered.ids.len();
            assert!(delivered.ids.len() <= DELIVERED_IDS);
            let text = ServerMessage::Delivered(delivered).to_text();
            assert!(text.len() <= DELIVERED_BYTES + 64, "{}", text.len());
        }
        assert_eq!((told, gathered.bytes()), (2000, 0));
    }
}

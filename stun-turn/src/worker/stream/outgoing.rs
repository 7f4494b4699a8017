//! What waits for a client that reads more slowly than its peers send: bounded, and never half a
//! message. The oldest media go first, because late media are worth nothing.

use std::collections::VecDeque;

/// Media that wait; one message may be larger.
const MAX_MEDIA_BYTES: usize = 64 * 1024;
/// Replies that wait. A client that lets even these pile up does not read at all.
const MAX_REPLY_BYTES: usize = 32 * 1024;
/// How much leaves the queues at once: it can't be dropped any more.
const CHUNK_BYTES: usize = 16 * 1024;

/// Whole messages in order, without an allocation for each.
#[derive(Debug, Default)]
struct Messages {
    bytes: VecDeque<u8>,
    lengths: VecDeque<usize>,
}

impl Messages {
    fn push(&mut self, message: &[u8]) {
        self.bytes.extend(message);
        self.lengths.push_back(message.len());
    }

    fn has_room(&self, message: &[u8], limit: usize) -> bool {
        self.bytes.len() + message.len() <= limit
    }

    /// Takes the oldest one out.
    fn pop(&mut self) -> Option<impl Iterator<Item = u8>> {
        let length = self.lengths.pop_front()?;
        Some(self.bytes.drain(..length))
    }
}

/// Two queues: replies overtake media.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    replies: Messages,
    media: Messages,
}

impl Outgoing {
    pub(super) fn is_empty(&self) -> bool {
        self.replies.lengths.is_empty() && self.media.lengths.is_empty()
    }

    /// Returns how many older messages were dropped for it.
    pub(super) fn push_media(&mut self, message: &[u8]) -> u64 {
        let mut dropped = 0;
        while !self.media.has_room(message, MAX_MEDIA_BYTES) && self.media.pop().is_some() {
            dropped += 1;
        }
        self.media.push(message);
        dropped
    }

    /// False when there is no room.
    pub(super) fn push_reply(&mut self, message: &[u8]) -> bool {
        let has_room = self.replies.has_room(message, MAX_REPLY_BYTES);
        if has_room {
            self.replies.push(message);
        }
        has_room
    }

    /// The next whole messages to send; empty when there are none.
    pub(super) fn next_chunk(&mut self) -> Vec<u8> {
        let mut chunk = Vec::new();
        for queue in [&mut self.replies, &mut self.media] {
            while chunk.len() < CHUNK_BYTES
                && let Some(message) = queue.pop()
            {
                chunk.extend(message);
            }
        }
        if self.is_empty() {
            // A client that was slow once keeps no memory for it.
            *self = Self::default();
        }
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(number: usize) -> Vec<u8> {
        let mut message = vec![0; 1000];
        message[..8].copy_from_slice(&number.to_be_bytes());
        message
    }

    fn numbers(outgoing: &mut Outgoing) -> Vec<usize> {
        let mut all = Vec::new();
        loop {
            let chunk = outgoing.next_chunk();
            if chunk.is_empty() {
                return all;
            }
            assert!(chunk.len() < CHUNK_BYTES + 1000);
            let (messages, rest) = chunk.as_chunks::<1000>();
            assert!(rest.is_empty(), "whole messages alone");
            let number = |message: &[u8; 1000]| message.first_chunk().copied().unwrap();
            all.extend(messages.iter().map(number).map(usize::from_be_bytes));
        }
    }

    #[test]
    fn the_newest_media_stay_in_order() {
        let mut outgoing = Outgoing::default();
        let dropped: u64 = (0..500)
            .map(|number| outgoing.push_media(&media(number)))
            .sum();
        let left = numbers(&mut outgoing);
        assert_eq!(left, (500 - left.len()..500).collect::<Vec<_>>());
        assert_eq!((dropped, left.len()), (435, 65));
        assert!(outgoing.is_empty());
    }

    #[test]
    fn replies_overtake_media_and_are_never_dropped() {
        let mut outgoing = Outgoing::default();
        for number in 0..200 {
            outgoing.push_media(&media(number));
        }
        assert!(outgoing.push_reply(&media(1_000)));
        for number in 200..400 {
            outgoing.push_media(&media(number));
        }
        assert_eq!(numbers(&mut outgoing)[..2], [1_000, 335]);
        let taken = (0..100)
            .take_while(|number| outgoing.push_reply(&media(*number)))
            .count();
        assert_eq!(taken, MAX_REPLY_BYTES / 1000);
    }

    #[test]
    fn a_message_larger_than_the_queue_passes_alone() {
        let mut outgoing = Outgoing::default();
        outgoing.push_media(&media(1));
        let large = vec![7; MAX_MEDIA_BYTES + 100];
        assert_eq!(outgoing.push_media(&large), 1);
        assert_eq!(outgoing.next_chunk(), large);
        assert!(outgoing.is_empty());
    }
}

//! Messages through the relay and back: from one allocation to another one's relayed address, where
//! they are returned.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stun_turn_proto::attribute::{decode_xor_address, kind};
use stun_turn_proto::message::{Message, Method};
use stun_turn_proto::{ChannelNumber, channel_data};

use super::client::{Client, Fault};

/// How many messages are sent.
const MESSAGES: u32 = 20;
/// After so many without any success no more are tried.
const HOPELESS: u32 = 3;
/// How long one message may take there and back.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(1);
/// Sizes in turn; 1200 bytes is what WebRTC sends at most.
const SIZES: [usize; 4] = [16, 160, 700, 1200];

/// How messages are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// Send and Data indications.
    Indications,
    /// ChannelData, over this number on both sides.
    Channel(ChannelNumber),
}

/// An allocation and the address where peers reach it.
pub(super) struct Side {
    pub(super) client: Client,
    pub(super) relayed: SocketAddr,
}

/// How it went.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) sent: u32,
    pub(super) returned: u32,
    /// Came back, but not as they were sent.
    pub(super) changed: u32,
    round_trips: Vec<Duration>,
    largest_returned: usize,
    smallest_lost: Option<usize>,
}

impl Outcome {
    /// Loss and round-trip times.
    pub(super) fn describe(&self) -> String {
        let mut sorted = self.round_trips.clone();
        sorted.sort_unstable();
        let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e3);
        let (median, worst) = (ms(sorted.get(sorted.len() / 2)), ms(sorted.last()));
        let (returned, sent) = (self.returned, self.sent);
        let lost = sent.saturating_sub(returned) * 100 / sent.max(1);
        format!(
            "{returned} of {sent} came back ({lost} % lost), round trip {median:.1} ms, at worst {worst:.1} ms"
        )
    }

    /// Whether calls would suffer: half is lost, or all of one size.
    pub(super) fn is_bad(&self) -> bool {
        self.returned * 2 < self.sent || self.size_limit().is_some()
    }

    /// From which size on messages get lost, if only large ones do.
    pub(super) fn size_limit(&self) -> Option<usize> {
        let is_limit = |size: &usize| self.returned > 0 && *size > self.largest_returned;
        self.smallest_lost.filter(is_limit)
    }

    fn note(&mut self, size: usize, back: &Back, took: Duration) {
        self.sent += 1;
        match back {
            Back::Same => {
                self.returned += 1;
                self.round_trips.push(took);
                self.largest_returned = self.largest_returned.max(size);
            }
            Back::Changed => self.changed += 1,
            Back::Lost => {
                let smallest = self.smallest_lost.unwrap_or(size);
                self.smallest_lost = Some(smallest.min(size));
            }
        }
    }
}

/// What came of one message.
enum Back {
    Same,
    Changed,
    Lost,
}

/// Sends messages one after the other from `near` over `far` and back.
pub(super) fn run(
    near: &mut Side,
    far: &mut Side,
    wrapping: Wrapping,
    patience: Duration,
) -> Result<Outcome, Fault> {
    let patience = patience.min(MAX_ROUND_TRIP);
    let mut outcome = Outcome::default();
    for number in 0..MESSAGES {
        let size = SIZES
            .get(number as usize % SIZES.len())
            .copied()
            .unwrap_or(16);
        let message = payload(number, size);
        let start = Instant::now();
        let deadline = start + patience;
        near.send(far.relayed, wrapping, &message)?;
        let back = match far.receive(near.relayed, wrapping, number, deadline)? {
            None => Back::Lost,
            Some(arrived) => {
                far.send(near.relayed, wrapping, &arrived)?;
                match near.receive(far.relayed, wrapping, number, deadline)? {
                    None => Back::Lost,
                    Some(returned) if returned == message => Back::Same,
                    Some(_) => Back::Changed,
                }
            }
        };
        outcome.note(size, &back, start.elapsed());
        if outcome.sent == HOPELESS && outcome.returned + outcome.changed == 0 {
            break;
        }
    }
    Ok(outcome)
}

/// A number, and bytes that no relay makes up.
fn payload(number: u32, size: usize) -> Vec<u8> {
    let bytes = (0..size).map(|place| (place as u32).wrapping_mul(31).wrapping_add(number) as u8);
    let mut payload: Vec<u8> = bytes.collect();
    if let Some(head) = payload.first_chunk_mut::<4>() {
        *head = number.to_be_bytes();
    }
    payload
}

impl Side {
    fn send(&mut self, peer: SocketAddr, wrapping: Wrapping, data: &[u8]) -> Result<(), Fault> {
        match wrapping {
            Wrapping::Indications => self.client.send_indication(peer, data),
            Wrapping::Channel(channel) => self.client.send_channel_data(channel, data),
        }
    }

    /// The message of this number from this peer; earlier ones that come late are passed over.
    fn receive(
        &mut self,
        peer: SocketAddr,
        wrapping: Wrapping,
        number: u32,
        deadline: Instant,
    ) -> Result<Option<Vec<u8>>, Fault> {
        while let Some(message) = self.client.link.receive(deadline)? {
            let data = match wrapping {
                Wrapping::Indications => data_of_indication(&message, peer),
                Wrapping::Channel(channel) => channel_data::parse(&message)
                    .filter(|(found, _)| *found == channel)
                    .and_then(|(_, range)| message.get(range)),
            };
            if let Some(data) = data.filter(|data| data.starts_with(&number.to_be_bytes())) {
                return Ok(Some(data.to_vec()));
            }
        }
        Ok(None)
    }
}

fn data_of_indication(bytes: &[u8], peer: SocketAddr) -> Option<&[u8]> {
    let message = Message::parse(bytes).ok()?;
    let from = message.first(kind::XOR_PEER_ADDRESS)?;
    let from = decode_xor_address(from, message.transaction())?;
    (message.method() == Method::Data && from == peer)
        .then(|| message.first(kind::DATA))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gets_lost_by_its_size_is_noticed() {
        let mut outcome = Outcome::default();
        let took = Duration::from_millis(3);
        for (size, back) in [(16, Back::Same), (700, Back::Same), (1200, Back::Lost)] {
            outcome.note(size, &back, took);
        }
        assert_eq!(outcome.size_limit(), Some(1200));
        assert_eq!(
            outcome.describe(),
            "2 of 3 came back (33 % lost), round trip 3.0 ms, at worst 3.0 ms"
        );
        outcome.note(16, &Back::Lost, took);
        assert_eq!(outcome.size_limit(), None, "small ones too: not the size");
    }

    #[test]
    fn payloads_carry_their_number_and_differ() {
        let all: std::collections::HashSet<_> =
            (0..MESSAGES).map(|number| payload(number, 16)).collect();
        assert_eq!(all.len(), MESSAGES as usize);
        assert_eq!(payload(258, 16)[..4], [0, 0, 1, 2]);
    }
}

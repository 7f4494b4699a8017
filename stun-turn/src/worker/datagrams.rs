//! Reads datagrams of clients and peers, and what the network says about ours; each socket has a
//! bounded turn.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;

use stun_turn_proto::limits::{HEADROOM, TAILROOM};
use stun_turn_proto::relay::{DropReason, FromPeer, PeerDatagram};
use stun_turn_proto::source::Source;
use stun_turn_proto::{FiveTuple, Now, RelayId, Transport, demux};

use super::{Bound, Worker, listener_of};
use crate::udp::{self, BATCH};

/// Batches that one socket may take before the others have their turn.
const BATCHES_A_TURN: usize = 4;
/// The same for a socket that is behind, which drops most of what it takes
/// ([`FairShare`](super::fair_share::FairShare)).
const BATCHES_TO_CATCH_UP: usize = 16;
/// Datagrams after which a turn ends, where many come in one batch.
const DATAGRAMS_A_TURN: usize = 1024;
/// Where peers' datagrams come in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Inlet {
    /// The socket of one allocation.
    Own(usize),
    /// The socket of all of a family.
    Shared(usize),
}

impl Worker {
    /// Clients' datagrams to one listener.
    pub(super) fn read_clients(&mut self, now: Now, index: usize) -> bool {
        let batches = batches(self.udp[index].fair.is_behind());
        let is_full = self.read_client_batches(now, index, batches);
        let Bound { fair, requests, .. } = &mut self.udp[index];
        // Requests alone are all served: there is nobody to be protected from them.
        requests.end_turn(is_full && fair.has_counted());
        fair.end_turn(is_full);
        is_full
    }

    /// Whether there may be more after so many batches.
    fn read_client_batches(&mut self, now: Now, index: usize, batches: usize) -> bool {
        let (mut is_full, before) = (false, self.datagrams);
        for _ in 0..batches {
            self.make_room();
            let room = self.batch.room();
            let Bound {
                socket, address, ..
            } = &self.udp[index];
            let (address, received) = (*address, self.batch.receive(socket.as_fd()));
            let Some(slots) = self.received(received) else {
                return false;
            };
            let count = slots.len();
            is_full = count == room;
            for slot in slots {
                self.client_slot(now, index, address, slot);
            }
            self.close_relayed();
            if (1..room).contains(&count) {
                return false;
            }
            if self.datagrams - before > DATAGRAMS_A_TURN {
                return true;
            }
        }
        // A socket that ends its turn with an error waits for its next event: no error may spin.
        is_full
    }

    fn client_slot(&mut self, now: Now, listener: usize, address: SocketAddr, slot: usize) {
        let (received, _) = self.batch.get(slot);
        let server = SocketAddr::new(received.to.unwrap_or(address.ip()), address.port());
        if !may_be_answered(received.from, server) {
            return;
        }
        let client = FiveTuple {
            transport: Transport::Udp,
            client: received.from,
            server,
        };
        self.datagrams += received.count();
        let is_behind = self.udp[listener].fair.is_behind();
        let is_stranger = is_behind && !self.relay.has_allocation(&client);
        for index in 0..received.count() {
            let payload = received.payload(index);
            let (_, buffer) = self.batch.get(slot);
            let datagram = &buffer[payload.clone()];
            let Bound { fair, requests, .. } = &mut self.udp[listener];
            let is_admitted = if demux::is_request(datagram) {
                requests.admit(Source::of(received.from.ip()))
            } else {
                is_stranger || fair.admit(received.from)
            };
            if !is_admitted {
                self.relay.count_drop(DropReason::OverShare);
                continue;
            }
            let reply = &mut self.reply;
            let outcome = self.relay.handle_client(now, &client, datagram, reply);
            self.apply_to_datagram(now, outcome, listener, &client, (slot, payload.start));
        }
    }

    /// Peers' datagrams to one relayed socket, or to all of a family.
    pub(super) fn read_peers(&mut self, now: Now, inlet: Inlet) -> bool {
        let is_behind = match inlet {
            Inlet::Own(_) => false,
            Inlet::Shared(family) => self.relayed.fair(family).is_some_and(|it| it.is_behind()),
        };
        let is_full = self.read_peer_batches(now, inlet, batches(is_behind));
        if let Inlet::Shared(family) = inlet
            && let Some(fair) = self.relayed.fair(family)
        {
            fair.end_turn(is_full);
        }
        is_full
    }

    fn read_peer_batches(&mut self, now: Now, inlet: Inlet, batches: usize) -> bool {
        let (mut is_full, before) = (false, self.datagrams);
        for _ in 0..batches {
            self.make_room();
            let room = self.batch.room();
            let socket = match inlet {
                Inlet::Own(index) => self.relayed.socket(index).map(AsFd::as_fd),
                Inlet::Shared(family) => self.relayed.receiver(family).map(AsFd::as_fd),
            };
            let Some(socket) = socket else {
                return false;
            };
            let received = self.batch.receive(socket);
            let Some(slots) = self.received(received) else {
                return false;
            };
            let count = slots.len();
            is_full = count == room;
            for slot in slots {
                self.peer_slot(now, inlet, slot);
            }
            if (1..room).contains(&count) {
                return false;
            }
            if self.datagrams - before > DATAGRAMS_A_TURN {
                return true;
            }
        }
        // A socket that ends its turn with an error waits for its next event: no error may spin.
        is_full
    }

    fn peer_slot(&mut self, now: Now, inlet: Inlet, slot: usize) {
        let received = self.batch.get(slot).0;
        let segments = received.count();
        self.datagrams += segments;
        let relay = match inlet {
            Inlet::Own(index) => Some(RelayId::of_index(index)),
            Inlet::Shared(_) => received.original.and_then(|it| self.relayed.find(it)),
        };
        let Some(relay) = relay else {
            // The allocation may have ended while the datagram waited.
            self.relay.count_drop(DropReason::NoAllocation);
            return;
        };
        for segment in 0..segments {
            if self.is_over_share(now, inlet, relay, received.from) {
                self.relay.count_drop(DropReason::OverShare);
            } else {
                self.peer_datagram(now, relay, (slot, segment, segments));
            }
        }
    }

    /// Whether an allocation has more than its share of a socket that many have in common. What is
    /// dropped anyway, for it has no permission, takes nothing of the share: anybody can send it.
    fn is_over_share(&mut self, now: Now, inlet: Inlet, relay: RelayId, from: SocketAddr) -> bool {
        let Inlet::Shared(family) = inlet else {
            return false;
        };
        let fair = self.relayed.fair(family);
        fair.filter(|fair| fair.is_behind())
            .filter(|_| self.relay.has_permission(now, relay, from))
            .is_some_and(|fair| !fair.admit(relay))
    }

    /// One of the datagrams in a slot. Where there are several, the header of each lies on the end of
    /// the one before; so it is taken away from there, and sent from elsewhere.
    fn peer_datagram(
        &mut self,
        now: Now,
        relay: RelayId,
        (slot, segment, segments): (usize, usize, usize),
    ) {
        let (received, buffer) = self.batch.get(slot);
        let payload = received.payload(segment);
        let around = payload.start - HEADROOM..payload.end + TAILROOM;
        let neighbours = (segments > 1).then(|| Neighbours::of(&buffer[around.clone()]));
        let datagram = PeerDatagram {
            payload: payload.clone(),
            buffer: &mut *buffer,
        };
        match self.relay.handle_peer(now, relay, received.from, datagram) {
            FromPeer::Drop(reason) => {
                tracing::trace!(?reason, from = %received.from, "peer's datagram dropped");
            }
            FromPeer::ToClient { client, message } if client.transport.is_stream() => {
                self.connections.send_media(&client, &buffer[message]);
            }
            FromPeer::ToClient { client, message } => {
                if let Some(listener) = listener_of(&self.udp, client.server) {
                    let (to, from) = (client.client, self.udp[listener].source(client.server));
                    if neighbours.is_none() {
                        self.outbox.push_client(listener, slot, message, to, from);
                    } else {
                        let head = &buffer[message.start..payload.start];
                        let tail = &buffer[payload.end..message.end];
                        let parts = (head, slot, payload, tail);
                        self.outbox.push_client_between(listener, parts, to, from);
                    }
                }
            }
        }
        if let Some(neighbours) = neighbours {
            let (_, buffer) = self.batch.get(slot);
            neighbours.restore(&mut buffer[around]);
        }
    }

    /// What routers and hosts said about datagrams that a relayed socket sent.
    pub(super) fn read_icmp(&mut self, now: Now, index: usize) {
        for _ in 0..BATCH {
            let Some(socket) = self.relayed.socket(index) else {
                return;
            };
            let (peer, icmp) = match udp::receive_error(socket.as_fd()) {
                Ok(Some(error)) => error,
                Ok(None) => continue,
                Err(_) => return,
            };
            let relay = RelayId::of_index(index);
            let told = self
                .relay
                .handle_icmp(now, relay, peer, icmp, &mut self.reply);
            if let Some((client, length)) = told {
                self.tell_client(&client, length);
            }
        }
    }

    /// The same about what left through a socket that is shared; true when there may be more.
    pub(super) fn read_shared_icmp(&mut self, now: Now, family: usize) -> bool {
        for _ in 0..BATCH {
            let (from, peer, icmp) = match self.relayed.receive_icmp(family) {
                Ok(Some(error)) => error,
                Ok(None) => continue,
                Err(_) => return false,
            };
            let Some(relay) = self.relayed.find(from) else {
                continue;
            };
            let reply = &mut self.reply;
            if let Some((client, length)) = self.relay.handle_icmp(now, relay, peer, icmp, reply) {
                self.tell_client(&client, length);
            }
        }
        true
    }

    /// The slots that were filled; `None` when the socket has nothing (more).
    fn received(&self, received: io::Result<Range<usize>>) -> Option<Range<usize>> {
        match received {
            Ok(slots) => Some(slots),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            // An error of an earlier datagram, reported late: the caller asks again within its
            // turn's bounds.
            Err(error) => {
                self.tally.socket_errors.count(&error);
                Some(0..0)
            }
        }
    }
}

/// Nobody can be answered at port 0, and answering ourselves would never end.
fn may_be_answered(from: SocketAddr, server: SocketAddr) -> bool {
    from.port() != 0 && from != server
}

const fn batches(is_behind: bool) -> usize {
    if is_behind {
        BATCHES_TO_CATCH_UP
    } else {
        BATCHES_A_TURN
    }
}

/// Bytes before and behind a datagram that belong to others.
struct Neighbours {
    before: [u8; HEADROOM],
    behind: [u8; TAILROOM],
}

impl Neighbours {
    fn of(bytes: &[u8]) -> Self {
        let before = bytes.first_chunk().expect("there is room in front");
        let behind = bytes.last_chunk().expect("there is room behind");
        Self {
            before: *before,
            behind: *behind,
        }
    }

    fn restore(&self, bytes: &mut [u8]) {
        bytes[..HEADROOM].copy_from_slice(&self.before);
        let end = bytes.len() - TAILROOM;
        bytes[end..].copy_from_slice(&self.behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forged_senders_that_lead_nowhere_or_to_ourselves_get_no_answer() {
        let server = "192.0.2.1:3478".parse().unwrap();
        for (from, expected) in [
            ("198.51.100.1:4000", true),
            ("192.0.2.1:4000", true),
            ("198.51.100.1:3478", true),
            ("198.51.100.1:0", false),
            ("192.0.2.1:3478", false),
        ] {
            assert_eq!(
                may_be_answered(from.parse().unwrap(), server),
                expected,
                "{from}"
            );
        }
    }
}

//! Reads datagrams of clients and peers, and what the network says about ours; each socket has a
//! bounded turn.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::AsFd;

use stun_turn_proto::limits::{HEADROOM, TAILROOM};
use stun_turn_proto::relay::{DropReason, FromPeer, PeerDatagram};
use stun_turn_proto::source::Source;
use stun_turn_proto::{FiveTuple, Now, RelayId, Transport, demux};

use super::window::{TurnSoFar, Window};
use super::{Bound, Worker, listener_of};
use crate::udp::{self, BATCH, Received};

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
        let has_more = self.read_client_windows(now, index);
        let Bound { fair, requests, .. } = &mut self.udp[index];
        requests.end_turn(has_more);
        fair.end_turn(has_more);
        has_more
    }

    /// Whether there may be more after a turn's work.
    fn read_client_windows(&mut self, now: Now, index: usize) -> bool {
        let is_behind = self.udp[index].fair.is_behind();
        let mut turn = TurnSoFar::new(is_behind);
        loop {
            self.make_room();
            let Bound {
                socket, address, ..
            } = &self.udp[index];
            let (address, errors) = (*address, &self.tally.socket_errors);
            let window = Window::receive(&mut self.batch, socket.as_fd(), errors);
            self.datagrams += window.datagrams;
            if is_behind || window.is_crowded() {
                self.weigh_clients(index, address, window.slots.clone());
            }
            for slot in window.slots.clone() {
                self.client_slot(now, index, address, slot);
            }
            self.close_relayed();
            if let Some(has_more) = turn.ends_after(&window) {
                return has_more;
            }
        }
    }

    /// Counts what was read, so that nobody has more than a share of the turn.
    fn weigh_clients(&mut self, listener: usize, address: SocketAddr, slots: Range<usize>) {
        let Bound { fair, requests, .. } = &mut self.udp[listener];
        for slot in slots {
            let (received, buffer) = self.batch.get(slot);
            let asking = (0..received.count())
                .filter(|index| demux::is_request(&buffer[received.payload(*index)]))
                .count();
            if asking > 0 {
                requests.count(Source::of(received.from.ip()), asking);
            }
            let data = received.count() - asking;
            if data > 0 && self.relay.has_allocation(&client(address, received)) {
                fair.count(received.from, data);
            }
        }
        fair.draw();
        // Requests alone are all served: there is nobody to be protected from them.
        if fair.has_counted() {
            requests.draw();
        }
    }

    fn client_slot(&mut self, now: Now, listener: usize, address: SocketAddr, slot: usize) {
        let (received, _) = self.batch.get(slot);
        let client = client(address, received);
        if !may_be_answered(client.client, client.server) {
            return;
        }
        for index in 0..received.count() {
            let payload = received.payload(index);
            let (_, buffer) = self.batch.get(slot);
            let datagram = &buffer[payload.clone()];
            let Bound { fair, requests, .. } = &mut self.udp[listener];
            let is_admitted = if demux::is_request(datagram) {
                requests.admit(Source::of(received.from.ip()))
            } else {
                fair.admit(received.from)
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
        let has_more = self.read_peer_windows(now, inlet);
        if let Inlet::Shared(family) = inlet
            && let Some(fair) = self.relayed.fair(family)
        {
            fair.end_turn(has_more);
        }
        has_more
    }

    fn read_peer_windows(&mut self, now: Now, inlet: Inlet) -> bool {
        let is_behind = match inlet {
            Inlet::Own(_) => false,
            Inlet::Shared(family) => self.relayed.fair(family).is_some_and(|it| it.is_behind()),
        };
        let mut turn = TurnSoFar::new(is_behind);
        loop {
            self.make_room();
            let socket = match inlet {
                Inlet::Own(index) => self.relayed.socket(index).map(AsFd::as_fd),
                Inlet::Shared(family) => self.relayed.receiver(family).map(AsFd::as_fd),
            };
            let Some(socket) = socket else {
                return false;
            };
            let window = Window::receive(&mut self.batch, socket, &self.tally.socket_errors);
            self.datagrams += window.datagrams;
            if let Inlet::Shared(family) = inlet
                && (is_behind || window.is_crowded())
            {
                self.weigh_peers(now, family, window.slots.clone());
            }
            for slot in window.slots.clone() {
                self.peer_slot(now, inlet, slot);
            }
            if let Some(has_more) = turn.ends_after(&window) {
                return has_more;
            }
        }
    }

    /// Counts what was read, so that nobody has more than a share of the turn.
    fn weigh_peers(&mut self, now: Now, family: usize, slots: Range<usize>) {
        for slot in slots {
            let received = self.batch.get(slot).0;
            let relay = received.original.and_then(|it| self.relayed.find(it));
            if let Some(relay) = relay
                && self.relay.has_permission(now, relay, received.from)
                && let Some(fair) = self.relayed.fair(family)
            {
                fair.count(relay, received.count());
            }
        }
        if let Some(fair) = self.relayed.fair(family) {
            fair.draw();
        }
    }

    fn peer_slot(&mut self, now: Now, inlet: Inlet, slot: usize) {
        let received = self.batch.get(slot).0;
        let segments = received.count();
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
        fair.filter(|fair| fair.holds_back())
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
}

/// Whom a datagram to a listener is from.
fn client(listener: SocketAddr, received: Received) -> FiveTuple {
    FiveTuple {
        transport: Transport::Udp,
        client: received.from,
        server: SocketAddr::new(received.to.unwrap_or(listener.ip()), listener.port()),
    }
}

/// Nobody can be answered at port 0, and answering ourselves would never end.
fn may_be_answered(from: SocketAddr, server: SocketAddr) -> bool {
    from.port() != 0 && from != server
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

//! What has come: up to where, from whom, and who is there.

use std::collections::{BTreeSet, HashMap};

use crate::id::{MessageId, PeerId, Seq};
use crate::message::ServerMessage;
use crate::message::server::Welcome;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    received: Seq,
    /// Highest `id` of each sender. Peer ids are never given twice, so this outlives sessions.
    seen: HashMap<PeerId, MessageId>,
    /// Who is in the room besides
    peers: BTreeSet<PeerId>,
    /// this peer.
    own: Option<PeerId>,
}

impl Inbox {
    pub(super) fn received(&self) -> Seq {
        self.received
    }

    pub(super) fn peers(&self) -> Vec<PeerId> {
        self.peers.iter().cloned().collect()
    }

    /// A welcome: those whom it does not list stay, if the session goes on.
    pub(super) fn enter(&mut self, welcome: &Welcome) {
        let listed = welcome.room.peers.iter().map(|peer| peer.peer.clone());
        self.peers.extend(listed);
        self.own = Some(welcome.peer.clone());
    }

    pub(super) fn forget_session(&mut self) {
        self.received = Seq::default();
        self.peers.clear();
    }

    /// Takes a message; whether it is new.
    pub(super) fn take(&mut self, message: &ServerMessage) -> bool {
        if let Some(seq) = message.seq() {
            if seq <= self.received {
                return false;
            }
            self.received = seq;
        }
        match message {
            ServerMessage::Signal(signal) => self.is_first(&signal.from, signal.id),
            ServerMessage::Chat(chat) => self.is_first(&chat.from, chat.id),
            ServerMessage::Event(event) => self.is_first(&event.from, event.id),
            ServerMessage::PeerJoined(joined) => {
                self.peers.insert(joined.peer.peer.clone());
                true
            }
            ServerMessage::PeerLeft(left) => {
                self.peers.remove(&left.peer);
                true
            }
            // Everybody in the room was listed or has joined: this is about somebody who was there while
            // the connection was lost.
            ServerMessage::PeerUpdated(updated) => {
                let peer = &updated.peer.peer;
                self.own.as_ref() == Some(peer) || self.peers.contains(peer)
            }
            _ => true,
        }
    }

    /// Ids of one sender only grow; one that does not was sent again although it had arrived.
    fn is_first(&mut self, from: &PeerId, id: MessageId) -> bool {
        let seen = self.seen.entry(from.clone()).or_default();
        let is_first = id > *seen;
        *seen = id.max(*seen);
        is_first
    }
}

//! News of a room: who is in it, how its peers look, whether it is locked.
//!
//! News can't be refused, and others make it as often as they like. A client that leaves much
//! unacknowledged is owed it instead: it hears the newest state of each peer, once, when it has
//! acknowledged something.

use std::collections::BTreeMap;

use super::limits::{CROWDED_BYTES, REPLAY_BYTES};
use super::session::Origin;
use super::{Environment, Hub, SessionKey};
use crate::frame::Body;
use crate::id::{MessageId, PeerId, Seq};
use crate::message::ServerMessage;
use crate::message::server::{LeftReason, PeerJoined, PeerLeft, PeerUpdated, RoomUpdated};

/// What has happened to a peer.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    Joined,
    /// Came from another process.
    Returned,
    Updated,
    Left(LeftReason),
}

/// What one client is to be told of one peer.
#[derive(Debug)]
struct Entry {
    knows: Knows,
    left: Option<LeftReason>,
}

/// Whether a client knows a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Knows {
    No,
    /// It may have met that peer in another process.
    Perhaps,
    Yes,
}

/// What one client is to be told: of each peer once.
#[derive(Debug, Default)]
pub(super) struct Owed {
    peers: BTreeMap<PeerId, Entry>,
    lock: bool,
}

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty() && !self.lock
    }

    pub(super) fn concerns(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    fn note(&mut self, peer: &PeerId, news: News) {
        let known = self.peers.get(peer).map(|entry| entry.knows);
        let left = match news {
            News::Left(_) if known == Some(Knows::No) => {
                // It never hears of somebody who came and went.
                self.peers.remove(peer);
                return;
            }
            News::Left(reason) => Some(reason),
            News::Joined | News::Returned | News::Updated => None,
        };
        let knows = known.unwrap_or(match news {
            News::Joined => Knows::No,
            News::Returned => Knows::Perhaps,
            News::Updated | News::Left(_) => Knows::Yes,
        });
        self.peers.insert(peer.clone(), Entry { knows, left });
    }

    /// A welcome has listed those who are there.
    pub(super) fn note_roster(&mut self) {
        for entry in self.peers.values_mut() {
            entry.knows = Knows::Yes;
        }
    }
}

impl<E: Environment> Hub<E> {
    /// Tells one client something of a peer; whether it is told now.
    pub(super) fn tell(
        &mut self,
        to: SessionKey,
        about: &PeerId,
        news: News,
        body: &Body,
        origin: Option<Origin>,
    ) -> bool {
        let session = self.session_mut(to);
        if session.replay.bytes() > CROWDED_BYTES || session.owed.concerns(about) {
            session.owed.note(about, news);
            return false;
        }
        self.push(to, body, origin);
        true
    }

    /// Tells a client how it looks to others.
    pub(super) fn tell_own_entry(&mut self, key: SessionKey) {
        let body = self.updated(key, false);
        let peer = self.sessions[&key].peer.clone();
        self.tell(key, &peer, News::Updated, &body, None);
    }

    /// Tells a client whether its room is locked. It may know: then only its acknowledgement is wanted.
    pub(super) fn tell_lock(&mut self, key: SessionKey) {
        let session = self.session_mut(key);
        if session.replay.bytes() > CROWDED_BYTES {
            session.owed.lock = true;
            return;
        }
        let locked = self.rooms[&self.sessions[&key].room].locked;
        let seq = Seq::default();
        let body = Body::new(&ServerMessage::RoomUpdated(RoomUpdated { locked, seq }));
        self.push(key, &body, None);
    }

    /// Tells a client what it is owed, as far as there is room.
    pub(super) fn tell_owed(&mut self, key: SessionKey) {
        if self.sessions[&key].owed.is_empty() {
            return;
        }
        while self.sessions[&key].replay.bytes() <= REPLAY_BYTES
            && let Some((peer, entry)) = self.session_mut(key).owed.peers.pop_first()
        {
            let about = self.peers.get(&peer).copied();
            let body = match (entry.left, about) {
                (Some(reason), _) => left(peer, reason),
                (None, Some(about)) if entry.knows == Knows::Yes => {
                    self.updated(about, self.is_later(key, about))
                }
                (None, Some(about)) => self.joined(about, self.is_later(key, about)),
                // Its leaving would be here.
                (None, None) => continue,
            };
            self.push(key, &body, None);
        }
        let session = self.session_mut(key);
        if session.owed.peers.is_empty() && std::mem::take(&mut session.owed.lock) {
            let locked = self.rooms[&self.sessions[&key].room].locked;
            let seq = Seq::default();
            let body = Body::new(&ServerMessage::RoomUpdated(RoomUpdated { locked, seq }));
            self.push(key, &body, None);
        }
        self.send_delivered(key);
    }

    /// Whether `reader` came after `other`: of each pair, who came later is polite.
    fn is_later(&self, reader: SessionKey, other: SessionKey) -> bool {
        let members = self.members(&self.sessions[&reader].room);
        let place = |key| members.iter().position(|member| *member == key);
        place(reader) > place(other)
    }

    /// `peer_updated` about `key`, as those see it who have this role in negotiation towards it.
    fn updated(&self, key: SessionKey, polite: bool) -> Body {
        Body::new(&ServerMessage::PeerUpdated(PeerUpdated {
            peer: self.sessions[&key].roster_entry(polite),
            seq: Seq::default(),
        }))
    }

    /// The same with `peer_joined`.
    fn joined(&self, key: SessionKey, polite: bool) -> Body {
        Body::new(&ServerMessage::PeerJoined(PeerJoined {
            peer: self.sessions[&key].roster_entry(polite),
            seq: Seq::default(),
        }))
    }

    /// Tells the others in the room that `key` is there.
    pub(super) fn push_joined(&mut self, key: SessionKey) {
        let news = match self.sessions[&key].adopted {
            true => News::Returned,
            false => News::Joined,
        };
        self.push_entry(key, news, None);
    }

    /// Tells the others in the room how `key` looks; how many of them are owed it.
    pub(super) fn push_updated(&mut self, key: SessionKey, id: Option<MessageId>) -> usize {
        let origin = id.map(|id| Origin { sender: key, id });
        self.push_entry(key, News::Updated, origin)
    }

    /// Tells the others in the room something about `key`; how many of them are owed it. It is encoded
    /// at most twice: of each pair, who came later is polite.
    fn push_entry(&mut self, key: SessionKey, news: News, origin: Option<Origin>) -> usize {
        let about = self.sessions[&key].peer.clone();
        let members = self.members(&self.sessions[&key].room).to_vec();
        let place = members.iter().position(|member| *member == key);
        let (earlier, later) = members.split_at(place.expect("it is in its room"));
        let mut owed = 0;
        for (readers, polite) in [(earlier, false), (&later[1..], true)] {
            if readers.is_empty() {
                continue;
            }
            let body = match news {
                News::Joined | News::Returned => self.joined(key, polite),
                News::Updated | News::Left(_) => self.updated(key, polite),
            };
            for reader in readers {
                owed += usize::from(!self.tell(*reader, &about, news, &body, origin));
            }
        }
        owed
    }
}

/// `peer_left`.
pub(super) fn left(peer: PeerId, reason: LeftReason) -> Body {
    let seq = Seq::default();
    Body::new(&ServerMessage::PeerLeft(PeerLeft { peer, reason, seq }))
}

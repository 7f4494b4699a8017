//! What one client of the model sees, and what it must never see.

use std::collections::BTreeMap;

use signaling_proto::hub::ConnectionId;
use signaling_proto::id::{MessageId, PeerId, Seq};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::server::{ErrorCode, Peer, Role};

/// How a message ended, as its sender was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Delivered { failed: Vec<PeerId> },
    Refused,
}

/// What one client sees.
pub(super) struct Client {
    pub(super) connection: ConnectionId,
    pub(super) peer: PeerId,
    pub(super) room: usize,
    pub(super) viewer: bool,
    pub(super) audio: bool,
    pub(super) roster: BTreeMap<PeerId, Peer>,
    pub(super) next_id: u64,
    pub(super) seq: u64,
    pub(super) acknowledged: u64,
    /// Per `seq`, whose message it was; `None` for news of the room.
    pub(super) seen: Vec<Option<(PeerId, MessageId)>>,
    pub(super) outcomes: BTreeMap<MessageId, Outcome>,
}

impl Client {
    /// Takes one message; `mail` is what the others have sent to this client since it entered.
    pub(super) fn read(&mut self, message: ServerMessage, mail: &[(PeerId, MessageId)]) {
        if let Some(Seq(seq)) = message.seq() {
            self.seq += 1;
            assert_eq!(seq, self.seq, "no gap and no repetition");
            self.seen.push(None);
        }
        match message {
            ServerMessage::Chat(chat) => self.arrived(chat.from, Some(chat.id), mail),
            ServerMessage::Event(event) => self.arrived(event.from, Some(event.id), mail),
            ServerMessage::PeerJoined(joined) => {
                let known = self.roster.insert(joined.peer.peer.clone(), joined.peer);
                assert_eq!(known, None, "nobody joins twice");
            }
            ServerMessage::PeerUpdated(updated) if updated.peer.peer == self.peer => {
                assert_eq!(
                    updated.peer.role,
                    Role::Host,
                    "told of its own election only"
                );
            }
            ServerMessage::PeerUpdated(updated) => {
                let peer = updated.peer.peer.clone();
                let before = self.roster.insert(peer.clone(), updated.peer.clone());
                // An election changes the role and is nobody's message; an `update` leaves the role.
                if before.unwrap().role == updated.peer.role {
                    self.arrived(peer, None, mail);
                }
            }
            ServerMessage::PeerLeft(left) => assert!(self.roster.remove(&left.peer).is_some()),
            ServerMessage::Delivered(mut delivered) => {
                for id in delivered.ids {
                    let failed = delivered.failed.remove(&id).unwrap_or_default();
                    let earlier = self.outcomes.insert(id, Outcome::Delivered { failed });
                    assert_eq!(earlier, None, "told twice about {id}");
                }
                assert!(delivered.failed.is_empty(), "failed ids are among the ids");
            }
            ServerMessage::Error(error) => {
                assert_eq!(error.code, ErrorCode::NoSuchPeer);
                let earlier = self.outcomes.insert(error.id.unwrap(), Outcome::Refused);
                assert_eq!(earlier, None);
            }
            other => panic!("{other:?}"),
        }
    }

    /// A message of another peer is the next one in the mail; `peer_updated` does not tell its `id`.
    fn arrived(&mut self, from: PeerId, id: Option<MessageId>, mail: &[(PeerId, MessageId)]) {
        let (expected_from, expected_id) = &mail[self.arrivals()];
        assert_eq!(&from, expected_from);
        assert_eq!(id.unwrap_or(*expected_id), *expected_id);
        *self.seen.last_mut().unwrap() = Some((from, *expected_id));
    }

    pub(super) fn arrivals(&self) -> usize {
        self.seen.iter().flatten().count()
    }
}

//! What hosts may do to their room and its peers.

use std::time::Instant;

use super::relay::Denied;
use super::{Environment, Hub, Output, Refusal, SessionKey, totals};
use crate::id::PeerId;
use crate::message::client::{Action, Moderate};
use crate::message::server::{ErrorCode, LeftReason, Role};

/// What a kicked client is told.
pub(super) const PUT_OUT: &str = "A host has put you out of the room.";

impl<E: Environment> Hub<E> {
    pub(super) fn handle_moderate(
        &mut self,
        now: Instant,
        key: SessionKey,
        moderate: &Moderate,
    ) -> Result<(), Denied> {
        if self.sessions[&key].role != Role::Host {
            return Err(Denied::forbidden("Only hosts moderate."));
        }
        let target = moderate.peer.as_ref().map(|peer| self.roommate(key, peer));
        match (moderate.action, target.transpose()?) {
            (Action::Kick, Some(target)) => self.kick(now, target),
            (Action::Mute, Some(target)) => {
                self.session_mut(target).media.audio = false;
                self.push_updated(target, None);
                // What a client is told of itself it makes true.
                self.tell_own_entry(target);
            }
            (Action::Kick | Action::Mute, None) => unreachable!("refused when it was read"),
            (Action::Lock, _) => self.lock(key, true),
            (Action::Unlock, _) => self.lock(key, false),
        }
        // Done is done: nobody has to acknowledge it.
        self.expect_deliveries(now, key, moderate.id, 0);
        Ok(())
    }

    /// Another peer of the same room.
    fn roommate(&self, key: SessionKey, peer: &PeerId) -> Result<SessionKey, Denied> {
        let other = self.peers.get(peer).copied();
        let room = &self.sessions[&key].room;
        other
            .filter(|other| *other != key && self.sessions[other].room == *room)
            .ok_or_else(Denied::no_such_peer)
    }

    fn kick(&mut self, now: Instant, key: SessionKey) {
        let session = self.session_mut(key);
        let peer = session.peer.clone();
        if let Some(connection) = session.connection.take() {
            self.connections.remove(&connection);
            let code = ErrorCode::Forbidden;
            let refusal = Refusal::new(code, PUT_OUT);
            self.send_error(connection, refusal, None);
            self.outputs.push_back(Output::Close {
                connection,
                code: code.close_code().expect("it is fatal"),
                reason: totals::code_name(code),
            });
        }
        self.leave(now, key, LeftReason::Kicked);
        self.outputs.push_back(Output::Revoke { peer });
    }

    fn lock(&mut self, key: SessionKey, locked: bool) {
        let room_key = self.sessions[&key].room.clone();
        let room = self.rooms.get_mut(&room_key).expect("its host is in it");
        if std::mem::replace(&mut room.locked, locked) == locked {
            return;
        }
        for member in room.members.clone() {
            self.tell_lock(member);
        }
    }
}

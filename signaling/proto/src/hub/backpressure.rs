//! Backpressure: what a recipient has no room for is held back at its sender or refused, and never
//! ends the recipient's session.
//!
//! A recipient that leaves more than [`limits::CROWDED_BYTES`] unacknowledged is crowded. Of what is
//! left of its replay each sender gets at most as much as stays free, so that a message of another
//! sender always finds room. Above that the sender's messages wait, in order, until a connected
//! recipient acknowledges; a recipient that is away gets them refused with `slow_recipient`. Both are
//! to the sender what a slow network is.

use std::time::Instant;

use super::held::{cost, held_cost};
use super::relay::{self, Denied};
use super::{Environment, Hub, Refusal, SessionKey, limits};
use crate::id::{MessageId, PeerId};
use crate::message::ClientMessage;
use crate::message::client::Recipients;
use crate::message::server::{ErrorCode, LeftReason};

/// Watches that a crowded client acknowledges.
#[derive(Debug)]
pub(super) struct Watch {
    /// When it must have acknowledged [`limits::STALL_BYTES`].
    due: Instant,
    /// When the watch began.
    since: Instant,
    /// What it has acknowledged since then, in bytes.
    taken: usize,
}

/// Why a message does not pass.
enum Obstacle {
    /// This connected recipient acknowledges too slowly.
    Slow(SessionKey),
    /// There is nothing to wait for.
    Refused(Refusal),
}

impl<E: Environment> Hub<E> {
    /// Passes a message on, holds it back or refuses it. Acknowledgements, updates and what hosts do
    /// are never held back.
    pub(super) fn pass_on(
        &mut self,
        now: Instant,
        key: SessionKey,
        message: ClientMessage,
    ) -> Result<(), Denied> {
        let is_content = matches!(
            message,
            ClientMessage::Signal(_) | ClientMessage::Chat(_) | ClientMessage::Event(_)
        );
        if !is_content || self.is_free(key) {
            return self.dispatch(now, key, message);
        }
        if let ClientMessage::Event(event) = &message {
            relay::check_event(event)?;
        }
        let session = &self.sessions[&key];
        let is_behind = !session.held.is_empty();
        let is_too_much = session.held.bytes() + held_cost(&message) > limits::HELD_BYTES;
        let targets = self.targets(key, &message);
        let is_too_much = is_too_much || session.refusing.is_for_all();
        let obstacle = if session.refusing.is_for_all() {
            None
        } else if self.refuses(key, &targets) {
            Some(Obstacle::Refused(no_room()))
        } else if is_behind {
            None
        } else {
            self.obstacle(key, &message, &targets)
        };
        match obstacle {
            Some(Obstacle::Refused(refusal)) => {
                self.note_refusal(key, &targets);
                Err(Denied::Message(refusal))
            }
            _ if is_too_much => {
                let session = self.session_mut(key);
                session.refusing.note_all(session.replay.sent());
                Err(Denied::Message(too_much()))
            }
            None if !is_behind => self.dispatch(now, key, message),
            obstacle => {
                let cost = self.session_mut(key).held.push(message);
                self.kept_bytes += cost;
                if let Some(Obstacle::Slow(recipient)) = obstacle {
                    self.session_mut(recipient).waiting.push(key);
                }
                Ok(())
            }
        }
    }

    /// Whether nothing can hold a message of this client back.
    fn is_free(&self, key: SessionKey) -> bool {
        let session = &self.sessions[&key];
        self.crowded == 0
            && self.kept_bytes <= limits::KEPT_BYTES
            && session.held.is_empty()
            && session.refusing.is_empty()
    }

    /// Whether an earlier message for one of these was refused, and its sender may not know.
    fn refuses(&self, key: SessionKey, targets: &[SessionKey]) -> bool {
        let refusing = &self.sessions[&key].refusing;
        targets.iter().any(|target| refusing.concerns(*target))
    }

    fn note_refusal(&mut self, key: SessionKey, targets: &[SessionKey]) {
        let session = self.session_mut(key);
        session.refusing.note(targets, session.replay.sent());
    }

    /// What keeps a message from its recipients, whom it reaches all or none.
    fn obstacle(
        &self,
        sender: SessionKey,
        message: &ClientMessage,
        targets: &[SessionKey],
    ) -> Option<Obstacle> {
        let cost = cost(message);
        let limit = self.replay_limit();
        let mut slow = None;
        for target in targets {
            let is_full = !self.has_room(*target, sender, cost, limits::REPLAY_BYTES);
            if is_full && self.sessions[target].connection.is_some() {
                slow = slow.or(Some(*target));
            } else if is_full || !self.has_room(*target, sender, cost, limit) {
                return Some(Obstacle::Refused(no_room()));
            }
        }
        slow.map(Obstacle::Slow)
    }

    fn replay_limit(&self) -> usize {
        if self.kept_bytes > limits::KEPT_BYTES {
            limits::SHORT_REPLAY_BYTES
        } else {
            limits::REPLAY_BYTES
        }
    }

    /// Whether `sender` may leave `cost` bytes more with `recipient`: a sender's part is at most what
    /// stays free of `limit`.
    fn has_room(
        &self,
        recipient: SessionKey,
        sender: SessionKey,
        cost: usize,
        limit: usize,
    ) -> bool {
        let session = &self.sessions[&recipient];
        let bytes = session.replay.bytes();
        if bytes <= limits::CROWDED_BYTES && limit == limits::REPLAY_BYTES {
            return true;
        }
        // Who the sender is comes before what it says.
        if session.owed.concerns(&self.sessions[&sender].peer) {
            return false;
        }
        session.replay.bytes_of(sender) + cost <= limit.saturating_sub(bytes)
    }

    /// Whom a message is for, of those who are known here.
    fn targets(&self, sender: SessionKey, message: &ClientMessage) -> Vec<SessionKey> {
        let room = &self.sessions[&sender].room;
        let known = |peer: &PeerId| {
            let key = self.peers.get(peer).copied();
            key.filter(|key| *key != sender && self.sessions[key].room == *room)
        };
        let named = match message {
            ClientMessage::Signal(signal) => Some(std::slice::from_ref(&signal.to)),
            ClientMessage::Chat(chat) => chat.to.as_ref().map(std::slice::from_ref),
            ClientMessage::Event(event) => event.to.as_ref().map(|to| match to {
                Recipients::One(to) => std::slice::from_ref(to),
                Recipients::Many(to) => to.as_slice(),
            }),
            _ => None,
        };
        match named {
            Some(named) => named.iter().filter_map(known).collect(),
            None => self.rooms[room].others(sender).collect(),
        }
    }

    /// Passes on what was held back for this sender, as far as there is room.
    fn release(&mut self, now: Instant, key: SessionKey) {
        while let Some(session) = self.sessions.get_mut(&key)
            && let Some((message, cost)) = session.held.pop()
        {
            let id = message.id();
            let targets = self.targets(key, &message);
            let obstacle = match self.refuses(key, &targets) {
                true => Some(Obstacle::Refused(no_room())),
                false => self.obstacle(key, &message, &targets),
            };
            if let Some(Obstacle::Slow(recipient)) = obstacle {
                self.session_mut(key).held.put_back(message);
                self.session_mut(recipient).waiting.push(key);
                return;
            }
            self.kept_bytes -= cost;
            let result = match obstacle {
                Some(Obstacle::Refused(refusal)) => {
                    self.note_refusal(key, &targets);
                    Err(Denied::Message(refusal))
                }
                _ => self.dispatch(now, key, message),
            };
            if let Err(Denied::Message(refusal) | Denied::Connection(refusal)) = result {
                self.tell_refusal(key, refusal, id);
            }
        }
    }

    /// Tells a client that a message of its own was refused, now or when it comes back.
    pub(super) fn tell_refusal(
        &mut self,
        key: SessionKey,
        refusal: Refusal,
        id: Option<MessageId>,
    ) {
        let is_slow = refusal.code == ErrorCode::SlowRecipient;
        let frame = self.error_frame(refusal, id);
        self.send_outcome(key, frame);
        if is_slow {
            // Its acknowledgement shows that it has heard of it.
            self.tell_lock(key);
        }
    }

    /// Those who wait for this client may try again when the present input is done with.
    pub(super) fn unblock(&mut self, key: SessionKey) {
        let waiting = std::mem::take(&mut self.session_mut(key).waiting);
        self.unblocked.extend(waiting);
    }

    /// This client has acknowledged so many bytes.
    pub(super) fn note_acknowledged(&mut self, key: SessionKey, bytes: usize) {
        self.kept_bytes -= bytes;
        let session = self.session_mut(key);
        let Some(watch) = &mut session.crowded else {
            // Nobody waits for it, and it is owed nothing.
            return;
        };
        watch.taken += bytes;
        if session.replay.bytes() <= limits::RELIEVED_BYTES {
            session.crowded = None;
            self.crowded -= 1;
        }
        self.tell_owed(key);
        self.unblock(key);
    }

    /// A session is over: nothing is kept for it or of it any more.
    pub(super) fn forget_kept(&mut self, session: &mut super::Session) {
        self.kept_bytes -= session.replay.bytes() + session.held.bytes();
        self.crowded -= usize::from(session.crowded.is_some());
        self.unblocked.extend(session.waiting.drain(..));
    }

    /// A client is back. Who goes away and comes back without acknowledging anything has the resume
    /// window and [`limits::STALL`] in all.
    pub(super) fn watch_again(&mut self, now: Instant, key: SessionKey) {
        let longest = self.config.resume_window + limits::STALL;
        let Some(watch) = &mut self.session_mut(key).crowded else {
            return;
        };
        if watch.taken >= limits::STALL_BYTES {
            self.watch(now, key);
        } else if now >= watch.since + longest {
            self.overflowing.push(key);
        } else {
            watch.due = now + limits::STALL;
            let due = watch.due;
            self.stalls_due.push_back((due, key));
        }
    }

    fn watch(&mut self, now: Instant, key: SessionKey) {
        let due = now + limits::STALL;
        let session = self.session_mut(key);
        session.crowded = Some(Watch {
            due,
            since: now,
            taken: 0,
        });
        self.stalls_due.push_back((due, key));
    }

    /// Watches those who have become crowded, and passes on what there is room for.
    fn relieve(&mut self, now: Instant) {
        loop {
            while let Some(key) = self.newly_crowded.pop() {
                let session = self.sessions.get(&key);
                let is_new = session.is_some_and(|session| {
                    session.crowded.is_none() && session.replay.bytes() > limits::CROWDED_BYTES
                });
                if is_new {
                    self.crowded += 1;
                    self.watch(now, key);
                }
            }
            let Some(key) = self.unblocked.pop_front() else {
                return;
            };
            self.release(now, key);
        }
    }

    /// Ends the sessions of those who are connected and take nothing.
    pub(super) fn end_stalls(&mut self, now: Instant) {
        while self.stalls_due.front().is_some_and(|(due, _)| *due <= now) {
            let (due, key) = self.stalls_due.pop_front().expect("looked at above");
            let Some(session) = self.sessions.get(&key) else {
                continue;
            };
            let Some(watch) = session.crowded.as_ref().filter(|watch| watch.due == due) else {
                continue;
            };
            match session.connection {
                // Its watch begins anew when it comes back.
                None => {}
                Some(_) if watch.taken >= limits::STALL_BYTES => self.watch(now, key),
                Some(_) => self.overflowing.push(key),
            }
        }
    }

    /// Ends the sessions of those who took too little, and relieves the others; until nothing is left
    /// to be done for the present input.
    pub(super) fn finish(&mut self, now: Instant) {
        loop {
            self.relieve(now);
            let Some(key) = self.overflowing.pop() else {
                return;
            };
            let Some(session) = self.sessions.get(&key) else {
                continue;
            };
            match session.connection {
                None => self.leave(now, key, LeftReason::Timeout),
                Some(connection) => {
                    let why = "You acknowledge too slowly.";
                    let refusal = Refusal::new(ErrorCode::SlowConsumer, why);
                    self.refuse(now, connection, refusal);
                }
            }
        }
    }
}

fn no_room() -> Refusal {
    let why = "A recipient has no room for this message: send it again later.";
    Refusal::slow_recipient(why, limits::AWAY_RETRY)
}

fn too_much() -> Refusal {
    let why = "Too many of your messages wait for a slow recipient: send this one again later.";
    Refusal::slow_recipient(why, limits::HELD_RETRY)
}

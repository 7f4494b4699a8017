//! Entering and leaving.

use std::collections::hash_map::Entry;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use super::room::{Room, RoomKey};
use super::session::{Session, Settled};
use super::{Connection, ConnectionId, Environment, Hub, Output, Refusal, SessionKey};
use super::{limits, name};
use crate::frame::{Body, Frame};
use crate::id::{PeerId, Seq};
use crate::liveness::PING_INTERVAL;
use crate::message::client::{Hello, WantedRole};
use crate::message::server::{
    ErrorCode, LeftReason, Limits, PeerJoined, PeerLeft, Role, RoomState, Welcome,
};
use crate::message::{ClientMessage, MAX_FRAME_BYTES, Media, ParseError, ServerMessage};

/// The namespace of those who name none.
const DEFAULT_NAMESPACE: &str = "main";

impl<E: Environment> Hub<E> {
    /// The first frames of a connection.
    pub(super) fn handle_greeting(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        message: Result<ClientMessage, ParseError>,
    ) {
        let refusal = match message {
            Ok(ClientMessage::Hello(hello)) => match self.enter(connection, hello) {
                Ok(()) => return,
                Err(refusal) => refusal,
            },
            Ok(ClientMessage::Bye) => {
                self.connections.remove(&connection);
                self.close_normally(connection);
                return;
            }
            Ok(_) => Refusal::bad("The first message is `hello`."),
            Err(ParseError::BadMessage(why)) => Refusal::bad(why),
            Err(unknown @ ParseError::UnknownType { .. }) => {
                let refusal = Refusal::new(ErrorCode::UnknownType, unknown.to_string());
                self.send_error(connection, refusal, None);
                return;
            }
        };
        self.refuse(now, connection, refusal);
    }

    fn enter(&mut self, connection: ConnectionId, hello: Hello) -> Result<(), Refusal> {
        let room = self.admit(&hello)?;
        let Some(Connection::Greeting { reached_as }) = self.connections.remove(&connection) else {
            unreachable!("only a greeting connection enters")
        };
        let key = SessionKey(self.next_session);
        self.next_session += 1;
        let peer = PeerId::new(&self.random_hex::<16>());
        let role = match hello.role {
            WantedRole::Viewer => Role::Viewer,
            WantedRole::Participant if self.has_host(&room) => Role::Participant,
            WantedRole::Participant => Role::Host,
        };
        let name = hello.name.as_deref().map(name::clean).unwrap_or_default();
        let session = Session::new(
            peer.clone(),
            connection,
            room.clone(),
            name,
            role,
            hello.media,
        );

        let welcome = ServerMessage::Welcome(Box::new(Welcome {
            peer: peer.clone(),
            role,
            ticket: self.random_hex::<32>(),
            resumed: false,
            received: session.received,
            resume_window_s: 0,
            ping_interval_s: PING_INTERVAL.as_secs(),
            limits: Limits {
                frame_bytes: MAX_FRAME_BYTES,
                name_chars: limits::PEER_NAME_CHARS,
                unacknowledged: limits::UNACKNOWLEDGED,
            },
            ice_servers: self.environment.ice_servers(&peer, &reached_as),
            room: self.room_state(&room),
        }));
        self.send(connection, Frame::plain(&welcome));

        // Those who were there first are impolite towards the newcomer.
        let joined = Body::new(&ServerMessage::PeerJoined(PeerJoined {
            peer: session.roster_entry(false),
            seq: Seq::default(),
        }));
        self.connections
            .insert(connection, Connection::Carries(key));
        self.peers.insert(peer, key);
        self.sessions.insert(key, session);
        let members = &mut self.rooms.entry(room).or_default().members;
        members.push(key);
        let others = members[..members.len() - 1].to_vec();
        for other in others {
            self.push(other, &joined, None);
        }
        self.totals.sessions_opened += 1;
        Ok(())
    }

    /// Which room a `hello` may enter.
    fn admit(&self, hello: &Hello) -> Result<Arc<RoomKey>, Refusal> {
        if self.draining {
            return Err(Refusal::new(ErrorCode::Draining, "The server is stopping."));
        }
        if hello.resume.is_some() {
            return Err(Refusal::new(
                ErrorCode::ResumeFailed,
                "This server can't resume sessions: say `hello` without `resume`.",
            ));
        }
        let namespace = hello.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        for (what, text, longest) in [
            ("room", hello.room.as_str(), limits::ROOM_NAME_CHARS),
            ("namespace", namespace, limits::NAMESPACE_CHARS),
        ] {
            if !name::is_sound(text, longest) {
                return Err(Refusal::bad(format!(
                    "`{what}` has 1 to {longest} characters, none of them invisible, no space at the ends."
                )));
            }
        }
        if hello.role == WantedRole::Viewer && hello.media != Media::default() {
            let refusal = Refusal::new(ErrorCode::Forbidden, "A viewer sends no media.");
            return Err(refusal);
        }
        if self.sessions.len() >= self.config.max_sessions {
            return Err(Refusal::at_capacity(
                "The server has as many sessions as it may. Try again later.",
            ));
        }
        let key = RoomKey {
            namespace: namespace.into(),
            name: hello.room.as_str().into(),
        };
        match self.rooms.get_key_value(&key) {
            Some((_, room)) if room.members.len() >= self.config.max_room => Err(Refusal::new(
                ErrorCode::RoomFull,
                format!("This room holds {} and is full.", self.config.max_room),
            )),
            Some((key, _)) => Ok(key.clone()),
            None if self.rooms.len() >= self.config.max_rooms => Err(Refusal::at_capacity(
                "The server has as many rooms as it may. Try again later.",
            )),
            None => Ok(Arc::new(key)),
        }
    }

    fn members(&self, room: &RoomKey) -> &[SessionKey] {
        self.rooms
            .get(room)
            .map_or(&[], |room: &Room| room.members.as_slice())
    }

    fn has_host(&self, room: &RoomKey) -> bool {
        self.members(room)
            .iter()
            .any(|member| self.sessions[member].role == Role::Host)
    }

    /// The room as a newcomer sees it.
    fn room_state(&self, room: &RoomKey) -> RoomState {
        RoomState {
            name: room.name.to_string(),
            locked: false,
            capacity: self.config.max_room,
            peers: self
                .members(room)
                .iter()
                .map(|member| self.sessions[member].roster_entry(true))
                .collect(),
        }
    }

    fn random_hex<const BYTES: usize>(&mut self) -> String {
        let mut bytes = [0; BYTES];
        self.environment.random(&mut bytes);
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    }

    /// `bye`.
    pub(super) fn handle_bye(&mut self, now: Instant, key: SessionKey) {
        let connection = self.sessions[&key].connection;
        self.connections.remove(&connection);
        // What has been settled is still told.
        self.send_delivered(key);
        self.close_normally(connection);
        self.leave(now, key, LeftReason::Bye);
    }

    fn close_normally(&mut self, connection: ConnectionId) {
        self.outputs.push_back(Output::Close {
            connection,
            code: 1000,
            reason: "bye",
        });
    }

    /// Takes a session out of every table and tells those who are concerned. Its connection has been
    /// taken out already.
    pub(super) fn leave(&mut self, now: Instant, key: SessionKey, reason: LeftReason) {
        let mut session = self
            .sessions
            .remove(&key)
            .expect("a session leaves once, through its connection");
        self.totals.count_left(reason);
        self.peers.remove(&session.peer);
        let Entry::Occupied(mut room) = self.rooms.entry(session.room.clone()) else {
            unreachable!("a session is in a room")
        };
        room.get_mut().members.retain(|member| *member != key);
        let remaining = room.get().members.clone();
        if remaining.is_empty() {
            room.remove();
            return;
        }

        for origin in session.abandon() {
            self.settle(now, origin, Settled::LeftBefore(&session.peer));
        }
        let left = Body::new(&ServerMessage::PeerLeft(PeerLeft {
            peer: session.peer,
            reason,
            seq: Seq::default(),
        }));
        for member in &remaining {
            self.push(*member, &left, None);
        }
        if session.role == Role::Host {
            self.elect_host(&remaining);
        }
    }

    /// The participant who has been there longest becomes host, and the room is told.
    fn elect_host(&mut self, members: &[SessionKey]) {
        let role = |key: &SessionKey| self.sessions[key].role;
        if members.iter().any(|key| role(key) == Role::Host) {
            return;
        }
        let Some(next) = members.iter().find(|key| role(key) == Role::Participant) else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(next) {
            session.role = Role::Host;
        }
        self.push_updated(*next, None);
        self.push(*next, &self.updated(*next, false), None);
    }
}

//! Entering: the first frame of a connection, and what every welcome says.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use super::limits;
use super::room::{Room, RoomKey};
use super::session::{Beginning, Session};
use super::{Connection, ConnectionId, Environment, Grant, Hub, Refusal, SessionKey, Unauthorized};
use crate::frame::Frame;
use crate::id::PeerId;
use crate::message::client::{Hello, WantedRole};
use crate::message::server::{ErrorCode, Limits, Role, RoomState, Welcome};
use crate::message::{ClientMessage, MAX_FRAME_BYTES, Media, ParseError, ServerMessage};
use crate::name::{self, BadName};
use crate::source::Source;

impl<E: Environment> Hub<E> {
    /// The first frames of a connection.
    pub(super) fn handle_greeting(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        message: Result<ClientMessage, ParseError>,
    ) {
        let source = self.source_of(connection);
        let refusal = match message {
            Ok(ClientMessage::Hello(mut hello)) => {
                let named = use_canonical_names(&mut hello);
                let permitted = named.and_then(|()| self.check_page(connection, &hello));
                let entered = permitted.and_then(|()| match hello.resume.take() {
                    Some(resume) => self.resume(now, connection, hello, resume),
                    None => self.enter(now, connection, &hello),
                });
                match entered {
                    Ok(()) => return,
                    Err(refusal) => refusal,
                }
            }
            Ok(ClientMessage::Bye) => {
                self.session_of(connection);
                self.close_normally(connection);
                return;
            }
            Ok(_) => Refusal::bad("The first message is `hello`."),
            Err(ParseError::BadMessage(why)) => Refusal::bad(why),
            Err(ParseError::Unreadable { .. }) => Refusal::bad("The first message is `hello`."),
            Err(unknown @ ParseError::UnknownType { .. }) => {
                let refusal = Refusal::new(ErrorCode::UnknownType, unknown.to_string());
                self.send_error(connection, refusal, None);
                return;
            }
        };
        if matches!(
            refusal.code,
            ErrorCode::Unauthorized | ErrorCode::ResumeFailed
        ) {
            self.sources.note_failure(now, source);
        }
        self.refuse(now, connection, refusal);
    }

    fn enter(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        hello: &Hello,
    ) -> Result<(), Refusal> {
        let source = self.source_of(connection);
        let (room, grant) = self.admit(now, hello, source)?;
        let peer = PeerId::new(&self.random_hex::<16>());
        let role = match (hello.role, grant.role) {
            (WantedRole::Viewer, _) => Role::Viewer,
            (WantedRole::Participant, Some(granted)) => granted,
            // Who comes into a room that is coming together again can't know whether its host will.
            (WantedRole::Participant, None) if self.has_host(&room) || self.is_reuniting(&room) => {
                Role::Participant
            }
            (WantedRole::Participant, None) => Role::Host,
        };
        let name = grant.name.as_deref().or(hello.name.as_deref());
        let newest = self
            .members(&room)
            .last()
            .map(|key| self.sessions[key].entered_ms);
        let now_ms = self.unix_ms();
        let is_granted = grant.role.is_some();
        let is_elected = role == Role::Host && !is_granted;
        let session = Session::new(Beginning {
            peer,
            connection,
            reached_as: self.take_greeting(connection),
            source,
            room,
            name: name.map(name::person).unwrap_or_default(),
            is_named: grant.name.is_some(),
            role,
            is_granted,
            token_expires_at: grant.expires_at,
            host_since_ms: if is_elected { now_ms } else { 0 },
            media: hello.media,
            // Later than everybody else's, whatever clocks do.
            entered_ms: newest.map_or(now_ms, |newest| now_ms.max(newest.saturating_add(1))),
        });
        let key = self.seat(now, connection, session);
        self.send_welcome(now, connection, key, false);
        self.push_joined(key);
        self.totals.sessions_opened += 1;
        Ok(())
    }

    /// The connection says who it is; what was known of it before is taken.
    pub(super) fn take_greeting(&mut self, connection: ConnectionId) -> Box<str> {
        match self.connections.remove(&connection) {
            Some(Connection::Greeting(arrival)) => {
                self.end_greeting(arrival.source);
                arrival.reached_as
            }
            _ => unreachable!("only a greeting connection enters"),
        }
    }

    /// Where a connection that has not said `hello` comes from.
    pub(super) fn source_of(&self, connection: ConnectionId) -> Option<Source> {
        match self.connections.get(&connection) {
            Some(Connection::Greeting(arrival)) => arrival.source,
            _ => None,
        }
    }

    /// Whether the page that a `hello` comes from may enter its namespace.
    fn check_page(&mut self, connection: ConnectionId, hello: &Hello) -> Result<(), Refusal> {
        let page = match self.connections.get(&connection) {
            Some(Connection::Greeting(arrival)) => arrival.page.as_deref(),
            _ => None,
        };
        match page {
            Some(page) if !self.environment.permits(hello.namespace(), page) => {
                let why = "Pages of this origin may not enter this namespace.";
                Err(Refusal::new(ErrorCode::Forbidden, why))
            }
            _ => Ok(()),
        }
    }

    /// Which room a `hello` may enter, and as what.
    fn admit(
        &mut self,
        now: Instant,
        hello: &Hello,
        source: Option<Source>,
    ) -> Result<(Arc<RoomKey>, Grant), Refusal> {
        if self.draining {
            return Err(Refusal::new(ErrorCode::Draining, "The server is stopping."));
        }
        let namespace = hello.namespace();
        // Before anything that tells whether the room exists.
        self.sources
            .take_hello(now, source)
            .map_err(|wait| Refusal::too_fast("Your network enters too many rooms.", wait))?;
        let grant = self.environment.authorize(hello).map_err(|Unauthorized| {
            Refusal::new(ErrorCode::Unauthorized, "This needs a valid token.")
        })?;
        self.check_source(source)?;
        let role = match hello.role {
            WantedRole::Viewer => Role::Viewer,
            WantedRole::Participant => grant.role.unwrap_or(Role::Participant),
        };
        refuse_media_of_viewers(role, hello.media)?;
        let key = self.find_room(namespace, &hello.room)?;
        let places = self.max_room(namespace);
        match self.rooms.get(&key) {
            Some(room) if room.places_taken() >= places => Err(Refusal::room_full(places)),
            Some(room) if room.locked => Err(Refusal::new(
                ErrorCode::RoomLocked,
                "A host has locked this room.",
            )),
            _ => Ok((key, grant)),
        }
    }

    /// Whether a source may have one more session.
    pub(super) fn check_source(&self, source: Option<Source>) -> Result<(), Refusal> {
        if self.sources.is_at_cap(source) {
            let why = "Your network has as many sessions as it may. Try again later.";
            return Err(Refusal::at_capacity(why));
        }
        Ok(())
    }

    /// A room by its name, if there may be one more session, and it in that room.
    pub(super) fn find_room(&self, namespace: &str, name: &str) -> Result<Arc<RoomKey>, Refusal> {
        if self.sessions.len() >= self.config.max_sessions {
            return Err(Refusal::at_capacity(
                "The server has as many sessions as it may. Try again later.",
            ));
        }
        if !self.namespaces.may_have_one_more_session(namespace) {
            return Err(Refusal::at_capacity(
                "This application has as many sessions as it may. Try again later.",
            ));
        }
        let key = RoomKey::new(&self.room_hashes, namespace, name);
        match self.rooms.get_key_value(&key) {
            Some((key, _)) => Ok(key.clone()),
            None if self.rooms.len() >= self.config.max_rooms => Err(Refusal::at_capacity(
                "The server has as many rooms as it may. Try again later.",
            )),
            None if !self.namespaces.may_have_one_more_room(namespace) => {
                Err(Refusal::at_capacity(
                    "This application has as many rooms as it may. Try again later.",
                ))
            }
            None => Ok(Arc::new(key)),
        }
    }

    /// How many peers a room holds.
    pub(super) fn max_room(&self, namespace: &str) -> usize {
        let own = self.namespaces.max_room(namespace);
        own.unwrap_or(self.config.max_room)
    }

    /// Puts a session into every table.
    pub(super) fn seat(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        session: Session,
    ) -> SessionKey {
        let key = SessionKey(self.next_session);
        self.next_session += 1;
        let rank = (session.entered_ms, session.peer.clone());
        let namespace = &session.room.namespace;
        self.namespaces.note_session(namespace);
        if !self.rooms.contains_key(&session.room) {
            self.namespaces.note_room(namespace);
            let tag = self.random_hex::<8>().into();
            self.rooms.insert(session.room.clone(), Room::new(now, tag));
        }
        let sessions = &self.sessions;
        let room = self.rooms.get_mut(&session.room).expect("it is open");
        let place = room.members.partition_point(|member| {
            let other = &sessions[member];
            (other.entered_ms, &other.peer) < (rank.0, &rank.1)
        });
        room.members.insert(place, key);
        self.connections
            .insert(connection, Connection::Carries(key));
        self.peers.insert(rank.1, key);
        self.sources.enter(session.source);
        self.sessions.insert(key, Box::new(session));
        key
    }

    /// Greets a session over its new connection.
    pub(super) fn send_welcome(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        key: SessionKey,
        resumed: bool,
    ) {
        let ticket = self.ticket(key);
        let ice_servers = self.issue_ice_servers(now, key);
        let session = &self.sessions[&key];
        let welcome = Welcome {
            peer: session.peer.clone(),
            role: session.role,
            ticket,
            resumed,
            received: session.received,
            resume_window_s: self.config.resume_window.as_secs(),
            ping_interval_s: self.config.ping_interval.as_secs(),
            limits: Limits {
                frame_bytes: MAX_FRAME_BYTES,
                name_chars: limits::PEER_NAME_CHARS,
                replay_bytes: limits::REPLAY_BYTES,
            },
            ice_servers,
            room: self.room_state(key),
        };
        let welcome = ServerMessage::Welcome(Box::new(welcome));
        self.send(connection, Frame::plain(&welcome));
        self.schedule_refresh(now, key);
    }

    /// The room as one of its peers sees it.
    fn room_state(&self, key: SessionKey) -> RoomState {
        let room = &self.sessions[&key].room;
        let members = self.members(room);
        let place = members.iter().position(|member| *member == key);
        let entry = |(at, member)| {
            let polite = place.is_some_and(|place| at < place);
            self.sessions[member].roster_entry(polite)
        };
        let others = members.iter().enumerate();
        let others = others.filter(|(_, member)| **member != key);
        RoomState {
            name: room.name.to_string(),
            locked: self.rooms[room].locked,
            capacity: self.max_room(&room.namespace),
            peers: others.map(entry).collect(),
        }
    }

    pub(super) fn members(&self, room: &RoomKey) -> &[SessionKey] {
        self.rooms
            .get(room)
            .map_or(&[], |room: &Room| room.members.as_slice())
    }

    fn has_host(&self, room: &RoomKey) -> bool {
        self.members(room)
            .iter()
            .any(|member| self.sessions[member].role == Role::Host)
    }

    /// The time since 1970, in milliseconds.
    pub(super) fn unix_ms(&mut self) -> u64 {
        u64::try_from(self.environment.unix_time().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_reuniting(&self, room: &RoomKey) -> bool {
        let room = self.rooms.get(room);
        room.is_some_and(|room| room.reunion.is_some())
    }

    fn random_hex<const BYTES: usize>(&mut self) -> String {
        let mut bytes = [0; BYTES];
        self.environment.random(&mut bytes);
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes everything");
            text
        })
    }
}

/// Names the room as everybody does.
fn use_canonical_names(hello: &mut Hello) -> Result<(), Refusal> {
    let bad = |what: &str, why: BadName| Refusal::bad(format!("The {what}'s name {why}."));
    hello.room = name::room(&hello.room).map_err(|why| bad("room", why))?;
    if let Some(namespace) = &mut hello.namespace {
        *namespace = name::namespace(namespace).map_err(|why| bad("namespace", why))?;
    }
    Ok(())
}

pub(super) fn refuse_media_of_viewers(role: Role, media: Media) -> Result<(), Refusal> {
    if role == Role::Viewer && media != Media::default() {
        let refusal = Refusal::new(ErrorCode::Forbidden, "A viewer sends no media.");
        return Err(refusal);
    }
    Ok(())
}

//! A client process: the state machine, and an application that keeps a roster and a record.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::de::IgnoredAny;
use signaling_proto::client::{Client, Content, Event, Output};
use signaling_proto::id::{MessageId, PeerId};
use signaling_proto::message::client::{Hello, WantedRole};
use signaling_proto::message::server::{ErrorCode, Peer, Presence, Role, Welcome};
use signaling_proto::message::{ServerMessage, Verbatim};

use super::Random;
use super::history::{History, Outcome};

pub(crate) struct Actor {
    /// Never used twice.
    pub(crate) process: usize,
    pub(crate) client: Client,
    pub(crate) room: usize,
    /// Its present connection, by the network's number.
    pub(crate) link: Option<usize>,
    pub(crate) peer: Option<PeerId>,
    pub(crate) role: Role,
    pub(crate) roster: BTreeMap<PeerId, Peer>,
    /// Whether it is in the room, as far as it knows.
    pub(crate) open: bool,
    /// How much it has said.
    said: u64,
    /// What has no outcome, with its place in all that it has said.
    places: BTreeMap<MessageId, MessageId>,
}

/// What the network has to do for it.
pub(crate) enum Wish {
    Connect,
    Send(String),
    Disconnect,
}

impl Actor {
    pub(crate) fn new(process: usize, room: usize, now: Instant) -> Self {
        let hello = Hello {
            room: format!("room {room}"),
            name: None,
            namespace: None,
            role: WantedRole::Participant,
            token: None,
            media: Default::default(),
            resume: None,
        };
        let mut client = Client::new(hello);
        client.handle_start(now);
        Self {
            process,
            client,
            room,
            link: None,
            peer: None,
            role: Role::Participant,
            roster: BTreeMap::new(),
            open: false,
            said: 0,
            places: BTreeMap::new(),
        }
    }

    /// Says something of so many bytes to somebody or everybody whom it knows.
    pub(crate) fn send(&mut self, history: &mut History, bytes: usize, random: &mut Random) {
        let Some(own) = self.peer.clone() else {
            return;
        };
        let everybody: Vec<_> = self.roster.keys().cloned().collect();
        let direct = !everybody.is_empty() && random.below(2) == 0;
        let to = direct.then(|| everybody[random.below(everybody.len())].clone());
        let meant = to.clone().map_or(everybody, |to| vec![to]);
        let place = MessageId(self.said + 1);
        let taken = self.client.send(Content::Event {
            name: "probe".into(),
            data: Some(Verbatim::new(&(place, "x".repeat(bytes))).unwrap()),
            to: to.map(signaling_proto::message::client::Recipients::One),
        });
        match taken {
            Some(id) => {
                self.said += 1;
                self.places.insert(id, place);
                history.said((own, place), meant, direct);
            }
            None => assert!(bytes > 0, "little is waiting"),
        }
    }

    /// Takes what the client wants and tells; `None` when there is nothing more.
    pub(crate) fn poll(&mut self, history: &mut History) -> Option<Wish> {
        loop {
            match self.client.poll_output()? {
                Output::Connect => return Some(Wish::Connect),
                Output::Send(text) => return Some(Wish::Send(text)),
                Output::Disconnect => return Some(Wish::Disconnect),
                Output::Event(event) => self.handle(event, history),
            }
        }
    }

    fn handle(&mut self, event: Event, history: &mut History) {
        let own = |actor: &mut Self, id| {
            let place = actor.places.remove(&id).expect("it has no outcome yet");
            (actor.peer.clone().expect("it has a session"), place)
        };
        match event {
            Event::Welcome(welcome) => self.enter(*welcome, history),
            Event::Message(message) => self.read(message, history),
            Event::Delivered { id, failed } => {
                history.told(&own(self, id), Outcome::Delivered { failed });
            }
            // It may have been delivered where this client was before.
            Event::Refused { id, error } if error.code == ErrorCode::SlowRecipient => {
                history.told(&own(self, id), Outcome::Lost);
            }
            Event::Refused { id, .. } => history.told(&own(self, id), Outcome::Refused),
            Event::Lost { id } => history.told(&own(self, id), Outcome::Lost),
            Event::Waiting { refusal, .. } => {
                self.open = false;
                let over = [ErrorCode::ResumeFailed, ErrorCode::SlowConsumer];
                if refusal.is_some_and(|error| over.contains(&error.code)) {
                    // What it says now belongs to a session that has no name yet.
                    self.peer = None;
                }
            }
            Event::Closed { refusal } => {
                assert_eq!(refusal, None, "nobody is refused for good");
                self.open = false;
            }
        }
    }

    fn enter(&mut self, welcome: Welcome, history: &mut History) {
        self.open = true;
        self.role = welcome.role;
        if welcome.resumed {
            assert_eq!(self.peer.as_ref(), Some(&welcome.peer));
            for peer in self.roster.values_mut() {
                peer.state = Presence::Away;
            }
        } else {
            history.entered(self.process, &welcome.peer);
            self.peer = Some(welcome.peer);
            self.roster.clear();
        }
        for peer in welcome.room.peers {
            self.roster.insert(peer.peer.clone(), peer);
        }
    }

    fn read(&mut self, message: ServerMessage, history: &mut History) {
        match message {
            ServerMessage::Event(event) => {
                let data = event.data.expect("it says its place");
                let (place, _): (MessageId, IgnoredAny) = data.decode().unwrap();
                history.heard(self.process, (event.from, place), event.id);
            }
            ServerMessage::PeerJoined(joined) => {
                self.roster.insert(joined.peer.peer.clone(), joined.peer);
            }
            ServerMessage::PeerUpdated(updated)
                if Some(&updated.peer.peer) == self.peer.as_ref() =>
            {
                self.role = updated.peer.role;
            }
            ServerMessage::PeerUpdated(updated) => {
                self.roster.insert(updated.peer.peer.clone(), updated.peer);
            }
            ServerMessage::PeerLeft(left) => {
                self.roster.remove(&left.peer);
                let own = self.peer.as_ref().expect("it has a session");
                history.parted(own, &left.peer);
            }
            // Asks for an acknowledgement.
            ServerMessage::RoomUpdated(updated) => assert!(!updated.locked),
            ServerMessage::Goaway(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

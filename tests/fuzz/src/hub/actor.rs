//! A client that keeps to the protocol: it counts what it has received, comes back with its ticket, and
//! sends again what is not delivered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use signaling_proto::client::{Client, Content, Event, Output};
use signaling_proto::hub::ConnectionId;
use signaling_proto::id::{MessageId, PeerId};
use signaling_proto::message::ServerMessage;
use signaling_proto::message::client::{Hello, WantedRole};
use signaling_proto::message::server::ErrorCode;

/// What is on its way to it.
pub(super) enum Down {
    Frame(String),
    Close(u16),
}

/// What it wants of the network.
pub(super) enum Wish {
    Connect,
    Send(String),
    Disconnect,
}

/// A message that its sender was told to be delivered to this one peer.
pub(super) struct Claim {
    pub(super) from: PeerId,
    /// Its place in all that its sender has said.
    pub(super) place: MessageId,
    pub(super) to: PeerId,
}

pub(super) struct Actor {
    pub(super) client: Client,
    pub(super) connection: Option<ConnectionId>,
    pub(super) down: VecDeque<Down>,
    pub(super) peer: Option<PeerId>,
    /// All peers that it has been.
    pub(super) names: BTreeSet<PeerId>,
    said: u64,
    /// What has no outcome: its place in all that was said, and the peer that it is for if it is for one.
    pub(super) pending: BTreeMap<MessageId, (MessageId, Option<PeerId>)>,
    /// By place.
    pub(super) heard: BTreeSet<(PeerId, MessageId)>,
    /// The highest `id` of each peer.
    newest: BTreeMap<PeerId, MessageId>,
    pub(super) is_over: bool,
}

impl Actor {
    pub(super) fn new(now: Instant) -> Self {
        let mut client = Client::new(Hello {
            room: "r0".into(),
            name: None,
            namespace: None,
            role: WantedRole::Participant,
            token: None,
            media: Default::default(),
            resume: None,
        });
        client.handle_start(now);
        Self {
            client,
            connection: None,
            down: VecDeque::new(),
            peer: None,
            names: BTreeSet::new(),
            said: 0,
            pending: BTreeMap::new(),
            heard: BTreeSet::new(),
            newest: BTreeMap::new(),
            is_over: false,
        }
    }

    pub(super) fn say(&mut self, to: Option<PeerId>) {
        // Before its welcome it has no name that a message could be known by.
        if self.peer.is_none() || to == self.peer {
            return;
        }
        let place = MessageId(self.said + 1);
        let content = Content::Chat {
            text: place.to_string(),
            to: to.clone(),
        };
        if let Some(id) = self.client.send(content) {
            self.said += 1;
            let earlier = self.pending.insert(id, (place, to));
            assert_eq!(earlier, None, "an id was given twice");
        }
    }

    /// Takes what the client wants and tells; `None` when there is nothing more.
    pub(super) fn poll(&mut self, claims: &mut Vec<Claim>) -> Option<Wish> {
        loop {
            match self.client.poll_output()? {
                Output::Connect => return Some(Wish::Connect),
                Output::Send(text) => return Some(Wish::Send(text)),
                Output::Disconnect => return Some(Wish::Disconnect),
                Output::Event(event) => claims.extend(self.handle(event)),
            }
        }
    }

    fn handle(&mut self, event: Event) -> Option<Claim> {
        match event {
            Event::Welcome(welcome) => {
                let same = self.peer.as_ref() == Some(&welcome.peer);
                assert_eq!(same, welcome.resumed, "resumed as somebody else");
                self.names.insert(welcome.peer.clone());
                self.peer = Some(welcome.peer);
            }
            Event::Message(ServerMessage::Chat(chat)) => {
                let place = chat.text.parse().map_or(chat.id, MessageId);
                self.hear(chat.from, chat.id, place);
            }
            Event::Message(ServerMessage::Event(event)) => {
                self.hear(event.from, event.id, event.id);
            }
            Event::Message(_) => {}
            Event::Delivered { id, failed } => {
                let (place, to) = self.pending.remove(&id).expect("it has no outcome yet");
                let to = to?;
                let from = self.peer.clone().expect("it has a session");
                return (!failed.contains(&to)).then_some(Claim { from, place, to });
            }
            Event::Refused { id, .. } | Event::Lost { id } => {
                self.pending.remove(&id).expect("it has no outcome yet");
            }
            Event::Waiting { refusal, .. } => {
                let code = refusal.map(|refusal| refusal.code);
                if let Some(ErrorCode::ResumeFailed | ErrorCode::SlowConsumer) = code {
                    self.peer = None;
                }
            }
            Event::Closed { .. } => self.is_over = true,
        }
        None
    }

    fn hear(&mut self, from: PeerId, id: MessageId, place: MessageId) {
        let last = self.newest.insert(from.clone(), id);
        assert!(last.is_none_or(|last| last < id), "out of order");
        self.heard.insert((from, place));
    }
}

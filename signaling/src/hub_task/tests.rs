//! The task keeps its promises when the hub does not.

use std::collections::BTreeMap;

use signaling_proto::hub::{Config, Grant, SourceLimits, Unauthorized};
use signaling_proto::liveness::PING_INTERVAL;
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::IceServer;
use signaling_proto::pace::Rate;
use signaling_proto::ticket::TicketKey;

use super::*;
use crate::ice_servers::{HubEnvironment, Relay, Told};
use crate::outbox::Item;
use crate::room_token::Gates;

/// A hub without anybody in it.
pub(crate) fn hub() -> HubHandle {
    let environment = HubEnvironment {
        relay: Told::new(Relay::Nowhere),
        credential_ttl: Duration::from_secs(600),
        gates: Gates::default(),
        pages: Arc::default(),
    };
    let hub = Hub::new(config(), TicketKey::new(b"north"), environment);
    HubHandle::start(hub, |_| (), |_| ()).0
}

fn config() -> Config {
    Config {
        max_room: 2,
        max_rooms: 2,
        max_sessions: 2,
        namespaces: BTreeMap::new(),
        max_greeting: 2,
        source: SourceLimits {
            sessions: 2,
            hellos: Rate::with_burst_of_ten_seconds(1),
        },
        resume_window: Duration::ZERO,
        ping_interval: PING_INTERVAL,
        renew_ice_servers_after: Duration::from_secs(300),
    }
}

/// Fails where it is told to, in the middle of a welcome.
struct Planted;

impl Environment for Planted {
    fn random(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).unwrap();
    }

    fn unix_time(&mut self) -> Duration {
        Duration::from_secs(1_795_000_000)
    }

    fn permits(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn authorize(&mut self, _: &Hello) -> Result<Grant, Unauthorized> {
        Ok(Grant::default())
    }

    fn ice_servers(&mut self, _: &str, reached_as: &str, _: Option<u64>) -> Vec<IceServer> {
        assert_ne!(reached_as, "planted");
        Vec::new()
    }
}

/// Room for more than one client.
fn roomy() -> Hub<Planted> {
    let config = Config {
        max_sessions: 9,
        max_rooms: 9,
        max_greeting: 9,
        resume_window: Duration::from_secs(60),
        ..config()
    };
    Hub::new(config, TicketKey::new(b"north"), Planted)
}

fn hello(room: &str) -> Result<ClientMessage, ParseError> {
    ClientMessage::parse(&format!(r#"{{"type":"hello","room":"{room}"}}"#))
}

/// A panic that came again at each turn kept all frames from everybody, without an end.
#[tokio::test]
async fn panics_of_the_hub_itself_close_all_rooms_in_the_end_and_keep_no_frames() {
    let outbox = Arc::new(Outbox::default());
    let mut task = HubTask {
        hub: roomy(),
        outboxes: FxHashMap::default(),
        own_panics: 0,
        revoke: Box::new(|_| ()),
        keep: Box::new(|_| ()),
    };
    let (now, connection) = (Instant::now(), ConnectionId(1));
    let open = Input::Open(connection, Arrival::default(), outbox.clone());
    task.handle(now, open);
    task.handle(now, Input::Message(connection, hello("r")));
    let rooms = |task: &HubTask<Planted>| task.hub.snapshot().rooms;
    for panics in 1..=PANICS_BEFORE_ALL {
        assert_eq!(rooms(&task), 1, "before panic {panics}");
        assert!(!task.contain(now, None, |_| panic!("planted")));
        assert!(task.contain(now, None, |task| task.carry_out(now)));
        // Inputs of clients count for themselves.
        let other = Some(ConnectionId(2));
        assert!(!task.contain(now, other, |_| panic!("planted")));
    }
    assert!(outbox.next().await.is_frame(), "the welcome");
    assert_eq!(rooms(&task), 0);
}

#[tokio::test]
async fn a_panic_in_the_hub_costs_its_room_and_not_the_process() {
    let hub = roomy();
    let (handle, _task) = HubHandle::start(hub, |_| (), |_| ());
    let enter = async |room: &str, reached_as: &str| {
        let outbox = Arc::new(Outbox::default());
        let arrival = Arrival {
            reached_as: reached_as.into(),
            ..Arrival::default()
        };
        let connection = handle.open(arrival, outbox.clone()).await;
        handle.message(connection, hello(room)).await;
        outbox
    };
    assert!(enter("other", "").await.next().await.is_frame());
    let roommate = enter("r", "").await;
    assert!(roommate.next().await.is_frame());
    let _failing = enter("r", "planted").await;
    let text = match roommate.next().await {
        Item::Frame(frame) => frame.to_text(),
        _ => panic!("an error first"),
    };
    assert!(text.contains(r#""code":"internal""#), "{text}");
    assert!(!roommate.next().await.is_frame());
    // The others do not notice.
    assert!(enter("other", "").await.next().await.is_frame());
    let snapshot = handle.snapshot().await.unwrap();
    assert_eq!((snapshot.sessions, snapshot.rooms), (2, 1));
    assert_eq!(snapshot.totals.panics, 1);
}

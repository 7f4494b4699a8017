//! One client: what it sends goes to the hub, what the hub says goes to it.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use signaling_proto::hub::{Arrival, ConnectionId, Fault};
use signaling_proto::liveness::{Liveness, Verdict};
use signaling_proto::message::{ClientMessage, ParseError};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

use crate::hub_task::HubHandle;
use crate::incoming::TooManyFragments;
use crate::outbox::{Item, Outbox};
use crate::throttle::{Flood, Throttle};
use crate::upgrade::Socket;

/// How long a client that is being closed may take to read the reason, and to close its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a client may take to make room for what is written to it next. Who takes longer is gone:
/// its session waits for another connection.
const STALL: Duration = Duration::from_secs(20);

/// Why nothing more is read.
enum End {
    /// The client closed, the network broke, or nobody is there any more.
    Gone,
    /// The client did what it may not.
    Fault(Fault),
    /// The client breaks RFC 6455; with this close code.
    Violation(u16, &'static str),
}

/// Serves one client until it is gone.
pub(crate) async fn serve(
    (sink, stream): (SplitSink<Socket, Message>, SplitStream<Socket>),
    hub: HubHandle,
    arrival: Arrival,
    (throttle, liveness): (Throttle, Liveness),
) {
    let outbox = Arc::new(Outbox::default());
    // What is large or seldom needed is boxed, here and below: an idle connection costs what its task
    // could need at most.
    let id = Box::pin(hub.open(arrival, outbox.clone())).await;
    let reader = Box::pin(read(stream, &hub, id, &outbox, (throttle, liveness)));
    let writer = Box::pin(write(sink, &outbox));
    contain(&hub, id, converse(reader, writer, &hub, id, &outbox)).await;
}

/// Does what there is to do for one client. Should that panic, which is a mistake of ours, then it
/// ends this connection and no other.
async fn contain(hub: &HubHandle, id: ConnectionId, work: impl Future<Output = ()>) {
    // What it leaves behind nobody looks at again, except for the outbox, which can't be halfway.
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        hub.count_panic();
        tracing::error!(connection = ?id, "a connection has failed; please report this");
    }
    Box::pin(hub.close(id)).await;
}

async fn converse(
    mut reader: Pin<Box<impl Future<Output = End>>>,
    mut writer: Pin<Box<impl Future<Output = ()>>>,
    hub: &HubHandle,
    id: ConnectionId,
    outbox: &Outbox,
) {
    let end = tokio::select! {
        end = &mut reader => Some(end),
        () = &mut writer => None,
    };
    match end {
        // The writer has closed: the client gets a moment to close its end.
        None => {
            let _ = Box::pin(timeout(FAREWELL, &mut reader)).await;
        }
        Some(End::Gone) => {}
        Some(End::Fault(fault)) => {
            Box::pin(hub.fault(id, fault)).await;
            writer.await;
        }
        Some(End::Violation(code, reason)) => {
            outbox.close(code, reason);
            writer.await;
        }
    }
}

/// Reads until the client is gone.
async fn read(
    mut stream: SplitStream<Socket>,
    hub: &HubHandle,
    id: ConnectionId,
    outbox: &Outbox,
    (mut throttle, mut liveness): (Throttle, Liveness),
) -> End {
    // Set anew when it is over, not at each frame: then it is seen that there were some.
    let mut silence = pin!(sleep_until(liveness.deadline().into()));
    loop {
        let came = tokio::select! {
            biased;
            came = stream.next() => came,
            () = silence.as_mut() => {
                match liveness.poll(Instant::now()) {
                    Verdict::Wait => {}
                    Verdict::Ping => outbox.ping(),
                    Verdict::Gone => return End::Gone,
                }
                silence.as_mut().reset(liveness.deadline().into());
                continue;
            }
        };
        let message = match came {
            Some(Ok(message)) => message,
            Some(Err(error)) => return end_of(&error),
            None => return End::Gone,
        };
        if let Err(Flood) = throttle.pass(message.len()).await {
            return End::Fault(Fault::Flood);
        }
        liveness.handle_frame(Instant::now());
        match message {
            Message::Text(text) => {
                #[cfg(test)]
                tests::fail_on(&text);
                hub.message(id, ClientMessage::parse(&text)).await;
            }
            Message::Binary(_) => {
                let why = "Messages are text frames, this one was binary.".to_owned();
                hub.message(id, Err(ParseError::BadMessage(why))).await;
            }
            // Answered by the WebSocket itself.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }
}

fn end_of(error: &tungstenite::Error) -> End {
    use tungstenite::Error;
    match error {
        Error::Capacity(_) => End::Fault(Fault::TooLarge),
        Error::Io(error)
            if error
                .get_ref()
                .is_some_and(|inner| inner.is::<TooManyFragments>()) =>
        {
            End::Fault(Fault::TooLarge)
        }
        Error::Utf8(_) => End::Violation(1007, "not UTF-8"),
        // An abrupt end is reported as a violation too, but there is nobody to tell.
        Error::Protocol(violation)
            if *violation != tungstenite::error::ProtocolError::ResetWithoutClosingHandshake =>
        {
            End::Violation(1002, "protocol error")
        }
        _ => End::Gone,
    }
}

/// Writes until the last item, or until the client can't be written to.
async fn write(mut sink: SplitSink<Socket, Message>, outbox: &Outbox) {
    let farewell = async {
        outbox.closed().await;
        sleep(FAREWELL).await;
    };
    tokio::select! {
        // The client is gone: the reader notices too.
        _ = write_all(&mut sink, outbox) => {}
        () = farewell => {}
    }
}

async fn write_all(
    sink: &mut SplitSink<Socket, Message>,
    outbox: &Outbox,
) -> Result<(), Unwritable> {
    let mut item = outbox.next().await;
    loop {
        match item {
            Item::Frame(frame) => {
                in_time(sink.feed(Message::Text(frame.to_text().into()))).await?;
            }
            Item::Ping => in_time(sink.feed(Message::Ping(Vec::new().into()))).await?,
            Item::Close { code, reason } => {
                let (code, reason) = (code.into(), reason.into());
                let close = Message::Close(Some(CloseFrame { code, reason }));
                return in_time(sink.send(close)).await;
            }
        }
        item = match outbox.try_next() {
            Some(item) => item,
            None => {
                in_time(sink.flush()).await?;
                outbox.next().await
            }
        };
    }
}

/// The client is gone, or takes nothing.
struct Unwritable;

async fn in_time(
    write: impl Future<Output = Result<(), tungstenite::Error>>,
) -> Result<(), Unwritable> {
    match timeout(STALL, write).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Unwritable),
        Err(_) => {
            tracing::debug!("a client takes nothing off its connection");
            Err(Unwritable)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::{Args as _, Command};
    use signaling_proto::message::ServerMessage;
    use signaling_proto::message::server::{Presence, Welcome};
    use tokio::net::TcpStream;
    use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

    use super::*;
    use crate::Server;
    use crate::config::{Config, Options, with_namespace_options, with_relay_options};
    use crate::hub_task::tests::hub;

    /// What a mistake of ours would be: a frame that the task which reads it can't stand.
    const FATAL: &str = "a frame to fail on";

    pub(super) fn fail_on(text: &str) {
        assert_ne!(text, FATAL, "on purpose");
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_no_other() {
        let hub = hub();
        let mut ids = Vec::new();
        for _ in 0..2 {
            ids.push(hub.open(Arrival::default(), Arc::default()).await);
        }
        contain(&hub, ids[0], async { panic!("on purpose") }).await;
        let snapshot = hub.snapshot().await.unwrap();
        assert_eq!((snapshot.connections, hub.panics()), (1, 1));
        contain(&hub, ids[1], async {}).await;
        let snapshot = hub.snapshot().await.unwrap();
        assert_eq!((snapshot.connections, hub.panics()), (0, 1));
    }

    type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

    async fn hear(client: &mut WebSocket) -> ServerMessage {
        loop {
            let message = timeout(Duration::from_secs(30), client.next()).await;
            if let Message::Text(text) = message.unwrap().unwrap().unwrap() {
                return ServerMessage::parse(&text).unwrap();
            }
        }
    }

    async fn enter(server: &Server) -> (WebSocket, Box<Welcome>) {
        let url = format!("ws://{}/signal", server.page());
        let (mut client, _) = connect_async(url).await.unwrap();
        let hello = r#"{"type":"hello","room":"r"}"#;
        client.send(Message::text(hello)).await.unwrap();
        match hear(&mut client).await {
            ServerMessage::Welcome(welcome) => (client, welcome),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_panic_while_serving_ends_that_client_s_connection_and_the_others_go_on() {
        let command = with_relay_options(Options::augment_args(Command::new("signaling")));
        let command = with_namespace_options(command, &BTreeSet::new());
        let options = "signaling --listen 127.0.0.1:0 --admin 127.0.0.1:0 --turn-mode none";
        let matches = command.get_matches_from(options.split(' '));
        let config = Config::from_matches(&matches).unwrap();
        let server = Server::start(config).await.unwrap();
        let (mut first, _) = enter(&server).await;
        let (mut second, _) = enter(&server).await;
        let (mut fails, welcome) = enter(&server).await;
        fails.send(Message::text(FATAL)).await.unwrap();
        // Its TCP connection is gone, without a word.
        while let Some(Ok(_)) = timeout(Duration::from_secs(30), fails.next())
            .await
            .unwrap()
        {}
        loop {
            if let ServerMessage::PeerUpdated(updated) = hear(&mut first).await {
                assert_eq!(updated.peer.peer, welcome.peer);
                assert_eq!(updated.peer.state, Presence::Away);
                break;
            }
        }
        let chat = r#"{"type":"chat","id":1,"text":"still here"}"#;
        first.send(Message::text(chat)).await.unwrap();
        while !matches!(hear(&mut second).await, ServerMessage::Chat(_)) {}
        // Its session is as good as any whose connection broke.
        let url = format!("ws://{}/signal", server.page());
        let (mut again, _) = connect_async(url).await.unwrap();
        let hello = format!(
            r#"{{"type":"hello","room":"r","resume":{{"ticket":"{}","received":0}}}}"#,
            welcome.ticket
        );
        again.send(Message::text(hello)).await.unwrap();
        assert!(
            matches!(hear(&mut again).await, ServerMessage::Welcome(welcome) if welcome.resumed)
        );
        while !matches!(hear(&mut again).await, ServerMessage::Chat(_)) {}
        server.stop().await;
    }
}

//! One client: what it sends goes to the hub, what the hub says goes to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use signaling_proto::hub::{ConnectionId, Fault};
use signaling_proto::liveness::{Liveness, Verdict};
use signaling_proto::message::{ClientMessage, ParseError};
use tokio::time::{sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite;

use crate::hub_task::HubHandle;
use crate::outbox::{Item, Outbox};

/// How long a client that is being closed may take to read the reason, and to close its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why nothing more is read.
enum End {
    /// The client closed, the network broke, or nobody is there any more.
    Gone,
    /// A frame was too large.
    TooLarge,
    /// The client breaks RFC 6455; with this close code.
    Violation(u16, &'static str),
}

/// Serves one client until it is gone. `reached_as` is the host that it knows this server by.
pub(crate) async fn serve(socket: WebSocket, hub: HubHandle, reached_as: String) {
    let (sink, stream) = socket.split();
    let outbox = Arc::new(Outbox::default());
    let id = hub.open(reached_as, outbox.clone()).await;
    let mut reader = Box::pin(read(stream, &hub, id, &outbox));
    let mut writer = Box::pin(write(sink, &outbox));
    let end = tokio::select! {
        end = &mut reader => Some(end),
        () = &mut writer => None,
    };
    match end {
        // The writer has closed: the client gets a moment to close its end.
        None => {
            let _ = timeout(FAREWELL, &mut reader).await;
        }
        Some(End::Gone) => {}
        Some(End::TooLarge) => {
            hub.fault(id, Fault::TooLarge).await;
            writer.await;
        }
        Some(End::Violation(code, reason)) => {
            outbox.close(code, reason);
            writer.await;
        }
    }
    hub.close(id).await;
}

/// Reads until the client is gone.
async fn read(
    mut stream: SplitStream<WebSocket>,
    hub: &HubHandle,
    id: ConnectionId,
    outbox: &Outbox,
) -> End {
    let mut liveness = Liveness::new(Instant::now());
    loop {
        let message = match timeout_at(liveness.deadline().into(), stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => return end_of(error),
            Ok(None) => return End::Gone,
            Err(_) => {
                match liveness.poll(Instant::now()) {
                    Verdict::Wait => {}
                    Verdict::Ping => outbox.ping(),
                    Verdict::Gone => return End::Gone,
                }
                continue;
            }
        };
        liveness.handle_frame(Instant::now());
        match message {
            Message::Text(text) => hub.message(id, ClientMessage::parse(&text)).await,
            Message::Binary(_) => {
                let why = "Messages are text frames, this one was binary.".to_owned();
                hub.message(id, Err(ParseError::BadMessage(why))).await;
            }
            // Answered by the WebSocket itself.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
    }
}

fn end_of(error: axum::Error) -> End {
    use tungstenite::Error;
    match error.into_inner().downcast_ref::<Error>() {
        Some(Error::Capacity(_)) => End::TooLarge,
        Some(Error::Utf8(_)) => End::Violation(1007, "not UTF-8"),
        // An abrupt end is reported as a violation too, but there is nobody to tell.
        Some(Error::Protocol(violation))
            if *violation != tungstenite::error::ProtocolError::ResetWithoutClosingHandshake =>
        {
            End::Violation(1002, "protocol error")
        }
        _ => End::Gone,
    }
}

/// Writes until the last item, or until the client can't be written to.
async fn write(mut sink: SplitSink<WebSocket, Message>, outbox: &Outbox) {
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
    sink: &mut SplitSink<WebSocket, Message>,
    outbox: &Outbox,
) -> Result<(), axum::Error> {
    let mut item = outbox.next().await;
    loop {
        match item {
            Item::Frame(frame) => sink.feed(Message::Text(frame.to_text().into())).await?,
            Item::Ping => sink.feed(Message::Ping(Vec::new().into())).await?,
            Item::Close { code, reason } => {
                let reason = reason.into();
                return sink
                    .send(Message::Close(Some(CloseFrame { code, reason })))
                    .await;
            }
        }
        item = match outbox.try_next() {
            Some(item) => item,
            None => {
                sink.flush().await?;
                outbox.next().await
            }
        };
    }
}

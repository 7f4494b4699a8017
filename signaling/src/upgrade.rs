//! From an HTTP request to a WebSocket.
//!
//! Not with axum's extractor: what comes in passes an [`Incoming`] before the WebSocket sees it.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{HeaderMap, Response, StatusCode};
use futures_util::StreamExt as _;
use futures_util::stream::{SplitSink, SplitStream};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use signaling_proto::message::MAX_FRAME_BYTES;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::incoming::Incoming;
use crate::page::plain;

/// The WebSocket subprotocol.
const SUBPROTOCOL: &str = "signal.v1";
/// What the WebSocket takes at once of what [`Incoming`] has read, in bytes. It is what an idle
/// connection keeps; for a message that is larger, room is made and given back.
const READ_BUFFER_BYTES: usize = 256;
/// What is gathered before it is written, in bytes: an offer or an answer and its first candidates.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// What may wait inside the WebSocket, in bytes: a large frame and what was gathered before it. What
/// else waits is in the outbox.
const MAX_WRITE_BUFFER_BYTES: usize = 2 * MAX_FRAME_BYTES + WRITE_BUFFER_BYTES;

/// A client's WebSocket. There is no extension in it, so nothing is ever compressed.
pub(crate) type Socket = WebSocketStream<Incoming<TokioIo<Upgraded>>>;

/// The answer to a request for a WebSocket, and what becomes one when it was sent; `Err` is the answer
/// to a request that is none.
pub(crate) fn accept(
    mut request: Request,
) -> Result<(Response<Body>, OnUpgrade), Box<Response<Body>>> {
    let bad = |why: String| Box::new(plain(StatusCode::BAD_REQUEST, why));
    let mut response = create_response_with_body(&request, Body::empty)
        .map_err(|error| bad(format!("This is for WebSockets: {error}.\n")))?;
    if request.headers().contains_key(SEC_WEBSOCKET_PROTOCOL) {
        if !offers_subprotocol(request.headers()) {
            return Err(bad(format!(
                "The subprotocol of this service is {SUBPROTOCOL}.\n"
            )));
        }
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let upgrade =
        upgrade.ok_or_else(|| bad("This connection can't become a WebSocket.\n".into()))?;
    Ok((response, upgrade))
}

fn offers_subprotocol(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offers = offers.flat_map(|offer| offer.to_str().unwrap_or("").split(','));
    offers.any(|offer| offer.trim() == SUBPROTOCOL)
}

/// The two ends of the WebSocket, as soon as the answer was sent; `None` if the client is gone by then.
/// Whatever passed on the whole would keep room for it.
pub(crate) async fn websocket(
    upgrade: OnUpgrade,
) -> Option<(SplitSink<Socket, Message>, SplitStream<Socket>)> {
    let upgraded = match upgrade.await {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => {
            tracing::debug!(%error, "a client was gone before it had its WebSocket");
            return None;
        }
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let stream = Incoming::new(upgraded);
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    Some(socket.split())
}

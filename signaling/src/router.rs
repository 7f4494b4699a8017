//! What is served where.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse as _;
use axum::routing::get;
use signaling_proto::message::MAX_FRAME_BYTES;
use tokio::sync::mpsc;

use crate::hub_task::HubHandle;
use crate::origin::Origins;
use crate::{connection, page};

/// The WebSocket subprotocol.
const SUBPROTOCOL: &str = "signal.v1";
/// What a connection reads at once, in bytes. The default of 128 KiB would be what an idle
/// connection costs.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// What is gathered before it is written, in bytes.
const WRITE_BUFFER_BYTES: usize = 4 * 1024;
/// What may wait inside the WebSocket, in bytes: a large frame and what was gathered before it. What
/// else waits is in the outbox.
const MAX_WRITE_BUFFER_BYTES: usize = 2 * MAX_FRAME_BYTES + WRITE_BUFFER_BYTES;

/// What requests need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) hub: HubHandle,
    pub(crate) origins: Arc<Origins>,
    /// Tell browsers never to come without TLS.
    pub(crate) strict_tls: bool,
    /// Held by each WebSocket: when all are dropped, every client has been served.
    pub(crate) open: mpsc::Sender<()>,
}

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/room/{name}", get(index))
        .route("/check", get(index))
        .route("/signal", get(signal))
        .fallback_service(get(asset))
        .layer(from_fn_with_state(app.strict_tls, secure))
        .with_state(app)
}

async fn secure(State(strict_tls): State<bool>, request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    page::secure(response.headers_mut(), strict_tls);
    response
}

async fn index(headers: HeaderMap) -> Response<Body> {
    page::file("index.html", &headers)
}

async fn asset(uri: Uri, headers: HeaderMap) -> Response<Body> {
    page::file(uri.path().trim_start_matches('/'), &headers)
}

async fn signal(
    State(app): State<App>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response<Body> {
    if !app.origins.permit(&headers) {
        tracing::debug!(origin = ?headers.get("origin"), "origin refused");
        let why = "Pages of this origin may not connect: see --public-url and --allow-origin.\n";
        return page::plain(StatusCode::FORBIDDEN, why);
    }
    let offered = upgrade.requested_protocols().next().is_some();
    let upgrade = upgrade.protocols([SUBPROTOCOL]);
    if offered && upgrade.selected_protocol().is_none() {
        let why = "The subprotocol of this service is signal.v1.\n";
        return page::plain(StatusCode::BAD_REQUEST, why);
    }
    let reached_as = app.origins.reached_as(&headers);
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_FRAME_BYTES)
        .max_frame_size(MAX_FRAME_BYTES)
        .on_upgrade(move |socket| async move {
            connection::serve(socket, app.hub, reached_as).await;
            drop(app.open);
        })
        .into_response()
}

//! The admin address: `/metrics`, `/healthz`, `/readyz`, `/sessions`. It has a thread of its own, so
//! that no question of an operator ever waits for media or makes media wait.

mod guard;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::control::{Handle, SessionInfo};
use crate::metrics;
use crate::pulse::{self, Pulse};
use crate::refusals::Refusals;

pub use crate::metrics::CONTENT_TYPE as METRICS_CONTENT_TYPE;
pub use guard::{Guard, authorize};

/// Options of the admin address.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Address of /metrics, /healthz, /readyz and /sessions
    #[arg(
        long,
        value_name = "ADDR:PORT",
        value_parser = crate::config::parse_socket_address,
        default_value = "127.0.0.1:9641",
        help_heading = "Admin"
    )]
    pub admin: SocketAddr,
    /// Bearer token for the admin address; needed if that is not a loopback address
    #[arg(long, value_name = "TOKEN", help_heading = "Admin")]
    pub admin_token: Option<String>,
}

impl Options {
    /// The token, if the address may be used with it.
    ///
    /// # Errors
    /// What to do about an address that others reach, without a token.
    pub fn guard(&self) -> Result<Guard, String> {
        let token = self
            .admin_token
            .as_deref()
            .filter(|token| !token.is_empty());
        if token.is_none() && !self.admin.ip().is_loopback() {
            let admin = self.admin;
            return Err(format!(
                "--admin {admin}: an address that others reach needs --admin-token"
            ));
        }
        Ok(Guard::new(token.map(Arc::from)))
    }
}

/// Serves until the process ends, and sees whether the relay's threads live.
///
/// # Errors
/// When the system gives no thread or event queue.
pub fn start(listener: TcpListener, guard: Guard, relay: Handle) -> std::io::Result<()> {
    let (mut pulse, mut refusals) = (Pulse::new(relay.clone()), Refusals::new(relay.clone()));
    serve::start(listener, router(guard, relay), async move {
        loop {
            pulse.look();
            refusals.look();
            sleep(pulse::INTERVAL).await;
        }
    })
}

fn router(guard: Guard, relay: Handle) -> Router {
    Router::new()
        .route("/metrics", get(read_metrics))
        .with_state(relay.clone())
        .merge(sessions("/sessions", relay.clone()))
        .layer(from_fn_with_state(guard, authorize))
        // Whoever probes carries no token: it learns whether the relay lives and takes new clients.
        .route("/readyz", get(readyz).with_state(relay))
        .route("/healthz", get(async || "alive\n"))
}

/// The living allocations under `path`: `GET` lists them, `DELETE` of `path/ID` ends one. Whoever
/// serves this asks for authorization.
pub fn sessions(path: &str, relay: Handle) -> Router {
    Router::new()
        .route(path, get(list_sessions))
        .route(&format!("{path}/{{id}}"), delete(end_session))
        .with_state(relay)
}

async fn read_metrics(State(relay): State<Handle>) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], relay.metrics()).into_response()
}

async fn readyz(State(relay): State<Handle>) -> (StatusCode, &'static str) {
    if relay.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "draining, out of descriptors, without an address to listen on or to relay from, or a thread hangs\n",
        )
    }
}

async fn list_sessions(State(relay): State<Handle>) -> Json<Value> {
    // Workers are waited for.
    let sessions = spawn_blocking(move || relay.sessions()).await;
    let sessions = sessions.unwrap_or_default();
    let sessions: Vec<Value> = sessions.iter().map(to_json).collect();
    Json(json!({ "sessions": sessions }))
}

async fn end_session(State(relay): State<Handle>, Path(id): Path<String>) -> Response {
    let has_ended = spawn_blocking(move || relay.end_session(&id)).await;
    if has_ended.unwrap_or(false) {
        StatusCode::NO_CONTENT.into_response()
    } else {
        (StatusCode::NOT_FOUND, "There is no such session.\n").into_response()
    }
}

fn to_json(session: &SessionInfo) -> Value {
    let (permissions, channels) = session.permissions_and_channels;
    json!({
        "id": session.id,
        "user": session.user,
        "client": session.client.client.to_string(),
        "server": session.client.server.to_string(),
        "transport": session.client.transport.name(),
        "relayed": session.relayed.to_string(),
        "age_s": session.age.as_secs(),
        "expires_in_s": session.expires_in.as_secs(),
        "permissions": permissions,
        "channels": channels,
        "packets_to_peers": session.traffic.packets_to_peers,
        "bytes_to_peers": session.traffic.bytes_to_peers,
        "packets_to_client": session.traffic.packets_to_client,
        "bytes_to_client": session.traffic.bytes_to_client,
    })
}

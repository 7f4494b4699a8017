//! What operators ask: metrics, health, rooms.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use signaling_proto::hub::{Snapshot, Totals};
use stun_turn::admin::{Guard, METRICS_CONTENT_TYPE, authorize, sessions};
use stun_turn::logging;
use tokio::sync::watch;

use crate::hub_task::HubHandle;
use crate::page::plain;

/// What the admin address needs.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) hub: HubHandle,
    pub(crate) guard: Guard,
    /// The bundled relay.
    pub(crate) relay: Option<stun_turn::Handle>,
    pub(crate) stopping: watch::Receiver<bool>,
}

pub(crate) fn router(admin: Admin) -> Router {
    let (guard, relay) = (admin.guard.clone(), admin.relay.clone());
    let own = Router::new()
        .route("/metrics", get(metrics))
        .route("/readyz", get(readyz))
        .route("/rooms", get(rooms))
        .with_state(admin);
    let of_relay = relay.map_or_else(Router::new, |relay| sessions("/turn-sessions", relay));
    own.merge(of_relay)
        .layer(from_fn_with_state(guard, authorize))
        .route("/healthz", get(healthz))
}

async fn healthz() -> Response<Body> {
    plain(StatusCode::OK, "alive\n")
}

async fn readyz(State(admin): State<Admin>) -> Response<Body> {
    if *admin.stopping.borrow() {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    plain(StatusCode::OK, "ready\n")
}

async fn rooms(State(admin): State<Admin>) -> Result<Json<serde_json::Value>, StatusCode> {
    let rooms = admin.hub.rooms().await;
    let rooms = rooms.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let rooms: Vec<_> = rooms
        .into_iter()
        .map(|room| json!({"namespace": room.namespace, "name": room.name, "tag": room.tag, "peers": room.peers}))
        .collect();
    Ok(Json(json!({ "rooms": rooms })))
}

async fn metrics(State(admin): State<Admin>) -> Response<Body> {
    let Some(snapshot) = admin.hub.snapshot().await else {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    };
    let mut text = open_metrics(&snapshot, admin.hub.panics(), admin.hub.refused_pages());
    match &admin.relay {
        // It ends with the mark of the end, which stands only once.
        Some(relay) => text += &relay.metrics(),
        None => text += "# EOF\n",
    }
    let mut response = Response::new(Body::from(text));
    let format = HeaderValue::from_static(METRICS_CONTENT_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, format);
    response
}

/// Names, without their prefix, helps and values.
fn gauges(snapshot: &Snapshot) -> [(&'static str, &'static str, usize); 4] {
    [
        (
            "connections",
            "WebSocket connections, before hello included.",
            snapshot.connections,
        ),
        (
            "sessions",
            "Peers in rooms, those that are away included.",
            snapshot.sessions,
        ),
        (
            "sessions_away",
            "Peers whose connection is lost and who may come back.",
            snapshot.away,
        ),
        ("rooms", "Rooms with at least one peer.", snapshot.rooms),
    ]
}

/// As [`gauges`].
fn counters(
    totals: &Totals,
    panics: u64,
    refused_pages: u64,
) -> [(&'static str, &'static str, u64); 10] {
    [
        ("sessions_opened", "Peers welcomed.", totals.sessions_opened),
        (
            "sessions_resumed",
            "Times that a peer came back to its session.",
            totals.sessions_resumed,
        ),
        (
            "sessions_adopted",
            "Sessions begun by another process and gone on with here.",
            totals.sessions_adopted,
        ),
        (
            "messages_received",
            "Messages from peers in rooms.",
            totals.messages_received,
        ),
        (
            "messages_delivered",
            "Messages whose senders were told of their delivery.",
            totals.messages_delivered,
        ),
        ("frames_sent", "Frames to clients.", totals.frames_sent),
        (
            "log_lines_lost",
            "Lines of the log that nobody took.",
            logging::lost_lines(),
        ),
        (
            "hub_panics",
            "Inputs of the signaling core that a mistake of ours has ended, with the rooms they touched.",
            totals.panics,
        ),
        (
            "connection_panics",
            "Connections that a mistake of ours has ended.",
            panics,
        ),
        (
            "pages_refused",
            "WebSockets of pages whose origin may not connect.",
            refused_pages,
        ),
    ]
}

/// OpenMetrics text without the mark of its end. Labels have few values, whatever clients do.
fn open_metrics(snapshot: &Snapshot, panics: u64, refused_pages: u64) -> String {
    let totals = &snapshot.totals;
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(String, u64)]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        let suffix = if kind == "counter" { "_total" } else { "" };
        for (labels, value) in values {
            let _ = writeln!(text, "{name}{suffix}{labels} {value}");
        }
    };
    let plain = |value: u64| vec![(String::new(), value)];
    for (name, help, value) in gauges(snapshot) {
        metric(
            &format!("signaling_{name}"),
            "gauge",
            help,
            &plain(value as u64),
        );
    }
    for (name, help, value) in counters(totals, panics, refused_pages) {
        metric(&format!("signaling_{name}"), "counter", help, &plain(value));
    }
    let closed = [
        ("bye", totals.left_bye),
        ("timeout", totals.left_timeout),
        ("kicked", totals.left_kicked),
        ("drained", totals.left_drained),
    ];
    let closed = closed.map(|(reason, value)| (format!("{{reason=\"{reason}\"}}"), value));
    metric(
        "signaling_sessions_closed",
        "counter",
        "Peers gone, by reason.",
        &closed,
    );
    let labelled = |label: &str, values: &BTreeMap<&str, u64>| -> Vec<_> {
        let values = values.iter();
        values
            .map(|(name, value)| (format!("{{{label}=\"{name}\"}}"), *value))
            .collect()
    };
    metric(
        "signaling_resumes_refused",
        "counter",
        "Tickets that were not taken, by cause.",
        &labelled("cause", &totals.resumes_refused),
    );
    let errors = labelled("code", &totals.errors);
    metric(
        "signaling_errors",
        "counter",
        "Errors told to clients, by code.",
        &errors,
    );
    text
}

//! What is served where.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use signaling_proto::hub::Arrival;
use signaling_proto::liveness::Liveness;
use tokio::sync::mpsc;

use crate::hub_task::HubHandle;
use crate::origin::Origins;
use crate::proxies::{Proxies, Remote};
use crate::throttle::Throttles;
use crate::{connection, page, source, upgrade};

/// What requests need.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) hub: HubHandle,
    pub(crate) origins: Arc<Origins>,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) throttles: Arc<Throttles>,
    /// Tell browsers never to come without TLS.
    pub(crate) strict_tls: bool,
    /// Between two pings on a silent connection.
    pub(crate) ping_interval: Duration,
    /// Held by each WebSocket: when all are dropped, every client has been served.
    pub(crate) open: mpsc::Sender<()>,
}

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/room/{name}", get(index))
        .route("/check", get(index))
        .route("/signal", get(signal))
        .fallback(get(asset))
        .layer(from_fn_with_state(app.strict_tls, secure))
        .with_state(app)
}

async fn secure(State(strict_tls): State<bool>, request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    page::secure(response.headers_mut(), strict_tls);
    response
}

async fn index(uri: Uri, headers: HeaderMap) -> Response<Body> {
    page::document(&uri, &headers)
}

async fn asset(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    if let Some(target) = plainer(&uri) {
        return page::moved(&target);
    }
    let path = uri.path().trim_start_matches('/');
    let mut response = page::file(path, &headers);
    if page::is_module(path) {
        let is_allowed = matches!(app.origins.page(&headers), Ok(Some(_)));
        let origin = headers.get(ORIGIN).filter(|_| is_allowed).cloned();
        page::share(&mut response, origin);
    }
    response
}

/// The address of a page that is asked for with slashes too many or in capitals, as people and
/// messengers write it. The name of a room stays as it is.
fn plainer(uri: &Uri) -> Option<String> {
    let parts: Vec<_> = uri.path().trim_matches('/').split('/').collect();
    let path = match *parts.as_slice() {
        [page] if page.eq_ignore_ascii_case("check") => "/check".to_owned(),
        [room, name] if room.eq_ignore_ascii_case("room") => format!("/room/{name}"),
        _ => return None,
    };
    if path == uri.path() {
        return None;
    }
    let query = uri.query();
    Some(query.map_or(path.clone(), |query| format!("{path}?{query}")))
}

async fn signal(
    State(app): State<App>,
    Extension(remote): Extension<Remote>,
    request: Request,
) -> Response<Body> {
    let headers = request.headers();
    let Ok(page) = app.origins.page(headers) else {
        app.hub.count_refused_page();
        app.origins.warn(headers);
        let why = "Pages of this origin may not connect. If it is this server's own, start it with --public-url ORIGIN; if it is another page's, with --allow-origin ORIGIN.\n";
        return page::plain(StatusCode::FORBIDDEN, why);
    };
    app.proxies.warn(remote, headers);
    let source = source::of(app.proxies.client(remote, headers));
    let arrival = Arrival {
        reached_as: app.origins.reached_as(headers).into(),
        source,
        page: page.map(|page| page.to_string().into()),
    };
    let (response, upgrade) = match upgrade::accept(request) {
        Ok(accepted) => accepted,
        Err(refusal) => return *refusal,
    };
    tokio::spawn(async move {
        let App {
            hub,
            throttles,
            ping_interval,
            open,
            ..
        } = app;
        if let Some(socket) = Box::pin(upgrade::websocket(upgrade)).await {
            let throttle = throttles.begin(source);
            drop(throttles);
            let liveness = Liveness::new(Instant::now(), ping_interval);
            connection::serve(socket, hub, arrival, (throttle, liveness)).await;
        }
        drop(open);
    });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_with_slashes_too_many_or_in_capitals_are_elsewhere() {
        for (asked, target) in [
            ("/room/a/", Some("/room/a")),
            ("/room/a//", Some("/room/a")),
            ("//room/a", Some("/room/a")),
            (
                "//room/%ED%9A%8C%2F1/?lang=ko",
                Some("/room/%ED%9A%8C%2F1?lang=ko"),
            ),
            ("/check/", Some("/check")),
            ("//check", Some("/check")),
            ("/ROOM/A?watch=1", Some("/room/A?watch=1")),
            (
                "/ROOM/ABCDE-FGHJK-MNPQR-STUVW",
                Some("/room/ABCDE-FGHJK-MNPQR-STUVW"),
            ),
            ("/Room/a/", Some("/room/a")),
            ("/CHECK", Some("/check")),
            ("/room/a", None),
            ("/check", None),
            ("/ROOM", None),
            ("/CHECK/a", None),
            ("/room/", None),
            ("/room/a/b", None),
            ("//evil.example", None),
            ("/src/main.js/", None),
        ] {
            let uri = Uri::builder().path_and_query(asked).build().unwrap();
            assert_eq!(plainer(&uri).as_deref(), target, "{asked}");
        }
    }
}

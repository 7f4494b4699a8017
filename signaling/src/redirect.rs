//! Answers HTTP on the port of HTTPS: with the same address over HTTPS.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, HOST, LOCATION};
use axum::http::{HeaderValue, Method, Response, StatusCode};

use crate::config::HttpUrl;
use crate::page::plain;

/// Answers every request.
pub(crate) fn router() -> Router {
    Router::new().fallback(answer)
}

async fn answer(request: Request) -> Response<Body> {
    match location(&request) {
        Some(location) => {
            let mut response = plain(StatusCode::PERMANENT_REDIRECT, "This port is for HTTPS.\n");
            let headers = response.headers_mut();
            headers.insert(LOCATION, location);
            // The port may be one of HTTP tomorrow.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        None => plain(
            StatusCode::BAD_REQUEST,
            "This port is for HTTPS: write https:// instead of http://.\n",
        ),
    }
}

/// The same host and path over HTTPS, for requests that change nothing.
fn location(request: &Request) -> Option<HeaderValue> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let origin = HttpUrl::of_authority("https", host)?;
    let path = request.uri().path_and_query()?;
    HeaderValue::from_str(&format!("{origin}{path}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(method: &str, host: Option<&str>, path: &str) -> (u16, Option<String>) {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let response = answer(request.body(Body::empty()).unwrap()).await;
        let location = response.headers().get(LOCATION);
        let location = location.map(|it| it.to_str().unwrap().to_owned());
        (response.status().as_u16(), location)
    }

    #[tokio::test]
    async fn http_is_led_to_https_with_host_and_path() {
        let host = Some("call.example:8443");
        let there = Some("https://call.example:8443/room/a?watch=1".to_owned());
        for method in ["GET", "HEAD"] {
            let answer = answered(method, host, "/room/a?watch=1").await;
            assert_eq!(answer, (308, there.clone()));
        }
        assert_eq!(answered("POST", host, "/").await, (400, None));
        assert_eq!(answered("GET", None, "/").await, (400, None));
        assert_eq!(answered("GET", Some("a b"), "/").await, (400, None));
    }
}

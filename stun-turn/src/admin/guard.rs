//! Who may ask an admin address.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;

const BEARER: &[u8] = b"Bearer ";

/// A bearer token, or whoever is on this host.
#[derive(Clone)]
pub struct Guard {
    token: Option<Arc<str>>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.token.is_some() {
            "token, hidden"
        } else {
            "no token"
        })
    }
}

impl Guard {
    /// Without a token the address must be a loopback one.
    #[must_use]
    pub const fn new(token: Option<Arc<str>>) -> Self {
        Self { token }
    }

    /// Why a request is refused.
    fn refusal(&self, headers: &HeaderMap) -> Option<&'static str> {
        match &self.token {
            Some(token) if !has_token(headers, token) => {
                Some("This needs the bearer token of --admin-token.\n")
            }
            None if !is_local_name(headers) => {
                Some("Without --admin-token, ask by address or as localhost.\n")
            }
            _ => None,
        }
    }
}

/// Lets only those pass whom the guard knows; everybody else gets 401.
pub async fn authorize(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(request.headers()) {
        None => next.run(request).await,
        Some(refusal) => {
            let bearer = [(WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, bearer, refusal).into_response()
        }
    }
}

fn has_token(headers: &HeaderMap, token: &str) -> bool {
    // The scheme's name is written in any case (RFC 9110, 11.1), the token is not.
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.as_bytes().split_at_checked(BEARER.len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(BEARER));
    given.is_some_and(|(_, given)| given.ct_eq(token.as_bytes()).into())
}

/// Whether the request names this host as somebody on it would. A page in the operator's browser
/// could reach a loopback address under a name of its own (DNS rebinding).
fn is_local_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(HOST) else {
        return true;
    };
    let authority = host
        .to_str()
        .ok()
        .and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        let name = authority.host().trim_matches(['[', ']']);
        name == "localhost" || name.parse::<IpAddr>().is_ok()
    })
}

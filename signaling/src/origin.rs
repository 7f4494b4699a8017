//! Which pages may use the WebSocket, and by which name a client knows this server.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::config::HttpUrl;

/// Exact origins: a page of another one could otherwise act in its visitor's name.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// `http` or `https`, as this server speaks it.
    pub(crate) scheme: &'static str,
    pub(crate) public_url: Option<HttpUrl>,
    pub(crate) allowed: Vec<HttpUrl>,
}

impl Origins {
    /// Whether a WebSocket may be opened. Programs other than browsers send no `Origin`, and carry
    /// nothing of a user that could be abused.
    pub(crate) fn permit(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else {
            return true;
        };
        let Some(origin) = origin.to_str().ok().and_then(|text| text.parse().ok()) else {
            return false;
        };
        self.allowed.contains(&origin) || self.own(headers).as_ref() == Some(&origin)
    }

    /// The origin that this server has for the sender of `headers`.
    fn own(&self, headers: &HeaderMap) -> Option<HttpUrl> {
        if let Some(url) = &self.public_url {
            return Some(url.clone());
        }
        let host = headers.get(HOST)?.to_str().ok()?;
        HttpUrl::of_authority(self.scheme, host)
    }

    /// The host that a client can reach the relay by. `localhost` becomes an address: browsers may
    /// take it for IPv6, where the relay does not listen by default.
    pub(crate) fn reached_as(&self, headers: &HeaderMap) -> String {
        match self.own(headers) {
            Some(own) if own.host() == "localhost" => "127.0.0.1".to_owned(),
            Some(own) => own.host().to_owned(),
            None => "127.0.0.1".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn permits(origins: &Origins, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("call.example:8443"));
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        origins.permit(&headers)
    }

    #[test]
    fn only_exact_origins_may_connect() {
        let mut origins = Origins {
            scheme: "https",
            public_url: None,
            allowed: vec!["https://partner.example".parse().unwrap()],
        };
        assert!(permits(&origins, "https://call.example:8443"));
        assert!(permits(&origins, "https://CALL.example:8443"));
        assert!(permits(&origins, "https://partner.example"));
        for foreign in [
            "null",
            "http://call.example:8443",
            "https://call.example",
            "https://call.example:8443.evil.example",
            "https://call.example.evil.example:8443",
            "https://evil.example",
            "http://partner.example",
            "",
        ] {
            assert!(!permits(&origins, foreign), "{foreign}");
        }
        assert!(origins.permit(&HeaderMap::new()), "a program, not a page");

        origins.public_url = Some("https://public.example".parse().unwrap());
        assert!(permits(&origins, "https://public.example"));
        assert!(!permits(&origins, "https://call.example:8443"));
    }

    #[test]
    fn the_relay_is_where_the_page_is() {
        let origins = Origins {
            scheme: "http",
            public_url: None,
            allowed: Vec::new(),
        };
        for (host, reached_as) in [
            ("localhost:8080", "127.0.0.1"),
            ("192.0.2.7:8080", "192.0.2.7"),
            ("[::1]:8080", "[::1]"),
            ("call.example", "call.example"),
            ("bad host", "127.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            assert_eq!(origins.reached_as(&headers), reached_as);
        }
    }
}

//! Which pages may use the WebSocket, and by which name a client knows this server.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::config::HttpUrl;

/// Exact origins: a page of another one could otherwise act in its visitor's name.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    /// `http` or `https`, as this server speaks it.
    pub(crate) scheme: &'static str,
    pub(crate) public_url: Option<HttpUrl>,
    pub(crate) allowed: Arc<ForeignPages>,
}

/// Origins besides the own one.
#[derive(Debug, Default)]
pub(crate) struct ForeignPages {
    /// Whose pages may enter every namespace.
    pub(crate) everywhere: Vec<HttpUrl>,
    /// Whose pages may enter one, by its name.
    pub(crate) in_namespace: HashMap<String, Vec<HttpUrl>>,
}

impl ForeignPages {
    /// Whether pages of `origin` may enter rooms of `namespace`.
    pub(crate) fn permit(&self, namespace: &str, origin: &HttpUrl) -> bool {
        let in_namespace = self.in_namespace.get(namespace);
        self.everywhere.contains(origin) || in_namespace.is_some_and(|it| it.contains(origin))
    }

    fn permit_anywhere(&self, origin: &HttpUrl) -> bool {
        let mut in_namespaces = self.in_namespace.values().flatten();
        self.everywhere.contains(origin) || in_namespaces.any(|it| it == origin)
    }
}

/// A page that may enter no namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

impl Origins {
    /// The foreign page that opens a WebSocket, if one does that may enter some namespace; which one
    /// it asks for it says later. Programs other than browsers send no `Origin`, and carry nothing
    /// of a user that could be abused.
    pub(crate) fn page(&self, headers: &HeaderMap) -> Result<Option<HttpUrl>, Foreign> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(None);
        };
        let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
        let origin: HttpUrl = origin.ok_or(Foreign)?;
        if self.own(headers).as_ref() == Some(&origin) {
            return Ok(None);
        }
        match self.allowed.permit_anywhere(&origin) {
            true => Ok(Some(origin)),
            false => Err(Foreign),
        }
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

    fn page(origins: &Origins, origin: &str) -> Result<Option<HttpUrl>, Foreign> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("call.example:8443"));
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        origins.page(&headers)
    }

    #[test]
    fn only_exact_origins_may_connect() {
        let partner: HttpUrl = "https://partner.example".parse().unwrap();
        let mut origins = Origins {
            scheme: "https",
            public_url: None,
            allowed: Arc::new(ForeignPages {
                everywhere: vec![partner.clone()],
                in_namespace: HashMap::new(),
            }),
        };
        assert_eq!(page(&origins, "https://call.example:8443"), Ok(None));
        assert_eq!(page(&origins, "https://CALL.example:8443"), Ok(None));
        assert_eq!(page(&origins, "https://partner.example"), Ok(Some(partner)));
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
            assert_eq!(page(&origins, foreign), Err(Foreign), "{foreign}");
        }
        let program = origins.page(&HeaderMap::new());
        assert_eq!(program, Ok(None), "a program, not a page");

        origins.public_url = Some("https://public.example".parse().unwrap());
        assert_eq!(page(&origins, "https://public.example"), Ok(None));
        assert_eq!(page(&origins, "https://call.example:8443"), Err(Foreign));
    }

    #[test]
    fn a_namespace_s_pages_may_connect_and_enter_that_namespace() {
        let game: HttpUrl = "https://game.example".parse().unwrap();
        let partner: HttpUrl = "https://partner.example".parse().unwrap();
        let allowed = ForeignPages {
            everywhere: vec![partner.clone()],
            in_namespace: [("game".to_owned(), vec![game.clone()])].into(),
        };
        assert!(allowed.permit("game", &game) && allowed.permit("game", &partner));
        assert!(!allowed.permit("main", &game) && allowed.permit("main", &partner));
        let origins = Origins {
            scheme: "https",
            public_url: None,
            allowed: Arc::new(allowed),
        };
        assert_eq!(page(&origins, "https://game.example"), Ok(Some(game)));
        assert_eq!(page(&origins, "https://shop.example"), Err(Foreign));
    }

    #[test]
    fn the_relay_is_where_the_page_is() {
        let origins = Origins {
            scheme: "http",
            public_url: None,
            allowed: Arc::default(),
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

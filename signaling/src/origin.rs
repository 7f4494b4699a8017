//! Which pages may use the WebSocket, and by which name a client knows this server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use crate::config::{HttpUrl, OriginPattern, PageOrigin};
use crate::rarely::Rarely;

/// Origins that may connect: a page of another one could otherwise act in its visitor's name.
#[derive(Debug)]
pub(crate) struct Origins {
    /// `http` or `https`, as this server speaks it.
    pub(crate) scheme: &'static str,
    pub(crate) public_url: Option<HttpUrl>,
    pub(crate) allowed: Arc<ForeignPages>,
    /// Warns of pages that may not connect.
    pub(crate) refused: Rarely,
}

/// Origins besides the own one.
#[derive(Debug, Default)]
pub(crate) struct ForeignPages {
    /// Whose pages may enter every namespace.
    pub(crate) everywhere: Vec<OriginPattern>,
    /// Whose pages may enter one, by its name.
    pub(crate) in_namespace: HashMap<String, Vec<OriginPattern>>,
}

impl ForeignPages {
    /// Whether pages of `origin` may enter rooms of `namespace`.
    pub(crate) fn permit(&self, namespace: &str, origin: &PageOrigin) -> bool {
        let in_namespace = self.in_namespace.get(namespace).into_iter().flatten();
        let mut patterns = self.everywhere.iter().chain(in_namespace);
        patterns.any(|pattern| pattern.matches(origin))
    }

    fn permit_anywhere(&self, origin: &PageOrigin) -> bool {
        let in_namespaces = self.in_namespace.values().flatten();
        let mut patterns = self.everywhere.iter().chain(in_namespaces);
        patterns.any(|pattern| pattern.matches(origin))
    }
}

/// A page that may enter no namespace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Foreign;

impl Origins {
    /// The foreign page that opens a WebSocket, if one does that may enter some namespace; which one
    /// it asks for it says later. Programs other than browsers send no `Origin`, and carry nothing
    /// of a user that could be abused.
    pub(crate) fn page(&self, headers: &HeaderMap) -> Result<Option<PageOrigin>, Foreign> {
        let Some(origin) = headers.get(ORIGIN) else {
            return Ok(None);
        };
        let origin = origin.to_str().ok().and_then(|text| text.parse().ok());
        let origin: PageOrigin = origin.ok_or(Foreign)?;
        if self.own(headers).map(PageOrigin::Web).as_ref() == Some(&origin) {
            return Ok(None);
        }
        match self.allowed.permit_anywhere(&origin) {
            true => Ok(Some(origin)),
            false => Err(Foreign),
        }
    }

    /// Logs that a page may not connect, and what to do if it should.
    pub(crate) fn warn(&self, headers: &HeaderMap) {
        let Some(count) = self.refused.note(Instant::now()) else {
            return;
        };
        tracing::warn!(
            origin = ?headers.get(ORIGIN),
            host = ?headers.get(HOST),
            count,
            "pages of this origin may not connect: if it is this server's own, start it with --public-url ORIGIN; if it is another page's, with --allow-origin ORIGIN"
        );
    }

    /// The origin of this server's own pages for the sender of `headers`. Without a public URL and
    /// without TLS it is an address or `localhost`: any other name may be pointed at this host by the
    /// page that uses it (DNS rebinding). Over TLS the certificate has proved the name to the browser.
    fn own(&self, headers: &HeaderMap) -> Option<HttpUrl> {
        let reached = self.reached(headers)?;
        let is_proved = self.public_url.is_some() || self.scheme == "https";
        (is_proved || is_address_or_localhost(reached.host())).then_some(reached)
    }

    /// By what the sender of `headers` has reached this server.
    fn reached(&self, headers: &HeaderMap) -> Option<HttpUrl> {
        if let Some(url) = &self.public_url {
            return Some(url.clone());
        }
        let host = headers.get(HOST)?.to_str().ok()?;
        HttpUrl::of_authority(self.scheme, host)
    }

    /// The host that a client can reach the relay by. `localhost` becomes an address: browsers may
    /// take it for IPv6, where the relay does not listen by default.
    pub(crate) fn reached_as(&self, headers: &HeaderMap) -> String {
        match self.reached(headers) {
            Some(own) if own.host() == "localhost" => "127.0.0.1".to_owned(),
            Some(own) => own.host().to_owned(),
            None => "127.0.0.1".to_owned(),
        }
    }
}

fn is_address_or_localhost(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn page(origins: &Origins, origin: &str) -> Result<Option<PageOrigin>, Foreign> {
        page_at(origins, "192.0.2.7:8443", origin)
    }

    fn page_at(origins: &Origins, host: &str, origin: &str) -> Result<Option<PageOrigin>, Foreign> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        origins.page(&headers)
    }

    #[test]
    fn only_exact_origins_may_connect() {
        let partner: PageOrigin = "https://partner.example".parse().unwrap();
        let mut origins = Origins {
            scheme: "https",
            public_url: None,
            allowed: Arc::new(ForeignPages {
                everywhere: vec![OriginPattern::Exact(partner.clone())],
                in_namespace: HashMap::new(),
            }),
            refused: Rarely::default(),
        };
        assert_eq!(page(&origins, "https://192.0.2.7:8443"), Ok(None));
        assert_eq!(page(&origins, "https://partner.example"), Ok(Some(partner)));
        for foreign in [
            "null",
            "http://192.0.2.7:8443",
            "https://192.0.2.7",
            "https://192.0.2.7:8443.evil.example",
            "https://192.0.2.7.evil.example:8443",
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
        assert_eq!(page(&origins, "https://PUBLIC.example"), Ok(None));
        assert_eq!(page(&origins, "https://192.0.2.7:8443"), Err(Foreign));
    }

    /// A page whose name is pointed at this host was once taken for our own.
    #[test]
    fn only_addresses_and_localhost_are_our_own_without_a_public_url() {
        let mut origins = Origins {
            scheme: "http",
            public_url: None,
            allowed: Arc::default(),
            refused: Rarely::default(),
        };
        let at = |origins: &Origins, host: &str| page_at(origins, host, &format!("http://{host}"));
        for own in [
            "127.0.0.1:8080",
            "[::1]:8080",
            "192.0.2.7",
            "localhost:8080",
            "LOCALHOST",
        ] {
            assert_eq!(at(&origins, own), Ok(None), "{own}");
        }
        for name in [
            "evil.example:8080",
            "myhost.local:8080",
            "localhost.evil.example",
            "a.localhost:8080",
            "localhost.:8080",
            "127.0.0.1.evil.example",
            "2130706433",
        ] {
            assert_eq!(at(&origins, name), Err(Foreign), "{name}");
        }
        origins.public_url = Some("http://myhost.local:8080".parse().unwrap());
        assert_eq!(at(&origins, "myhost.local:8080"), Ok(None));
        assert_eq!(at(&origins, "evil.example:8080"), Err(Foreign));
        // A browser has no page of a name that the certificate does not have.
        origins.public_url = None;
        origins.scheme = "https";
        let certified = page_at(&origins, "call.example", "https://call.example");
        assert_eq!(certified, Ok(None));
        // One origin, however it and the Host are written.
        for (host, origin) in [
            ("call.example", "https://call.example:443"),
            ("call.example:443", "https://call.example"),
            ("call.example", "https://CALL.example/"),
            ("xn--o39an74b.example", "https://xn--o39an74b.example"),
        ] {
            assert_eq!(page_at(&origins, host, origin), Ok(None), "{host} {origin}");
        }
    }

    #[test]
    fn a_namespace_s_pages_may_connect_and_enter_that_namespace() {
        let game: PageOrigin = "https://game.example".parse().unwrap();
        let partner: PageOrigin = "https://partner.example".parse().unwrap();
        let allowed = ForeignPages {
            everywhere: vec![OriginPattern::Exact(partner.clone())],
            in_namespace: [("game".to_owned(), vec![OriginPattern::Exact(game.clone())])].into(),
        };
        assert!(allowed.permit("game", &game) && allowed.permit("game", &partner));
        assert!(!allowed.permit("main", &game) && allowed.permit("main", &partner));
        let origins = Origins {
            scheme: "https",
            public_url: None,
            allowed: Arc::new(allowed),
            refused: Rarely::default(),
        };
        assert_eq!(page(&origins, "https://game.example"), Ok(Some(game)));
        assert_eq!(page(&origins, "https://shop.example"), Err(Foreign));
    }

    #[test]
    fn patterns_and_apps_may_connect() {
        let patterns = ["https://*.example.org", "capacitor://localhost"];
        let origins = Origins {
            scheme: "https",
            public_url: None,
            allowed: Arc::new(ForeignPages {
                everywhere: patterns.map(|text| text.parse().unwrap()).into(),
                in_namespace: HashMap::new(),
            }),
            refused: Rarely::default(),
        };
        for allowed in ["https://a.example.org", "capacitor://localhost"] {
            assert!(matches!(page(&origins, allowed), Ok(Some(_))), "{allowed}");
        }
        for foreign in ["https://evilexample.org", "ionic://localhost", "null"] {
            assert_eq!(page(&origins, foreign), Err(Foreign), "{foreign}");
        }
    }

    #[test]
    fn the_relay_is_where_the_page_is() {
        let origins = Origins {
            scheme: "http",
            public_url: None,
            allowed: Arc::default(),
            refused: Rarely::default(),
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

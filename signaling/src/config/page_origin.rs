//! Origins of pages and apps, and patterns of `--allow-origin`.

use std::fmt;
use std::str::FromStr;

use super::HttpUrl;

/// Schemes of web views and browser extensions, whose origins are `SCHEME://NAME` without a port.
const APP_SCHEMES: [&str; 7] = [
    "app",
    "capacitor",
    "chrome-extension",
    "ionic",
    "moz-extension",
    "safari-web-extension",
    "tauri",
];

/// Why `null` and files are refused.
const OPAQUE: &str = "files and sandboxed frames all have the origin null: allowing it would allow \
                      every page of that kind, so serve the page over HTTPS instead";

/// The origin of a page, as a browser or the web view of an app sends it. Lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageOrigin {
    /// `http` or `https`.
    Web(HttpUrl),
    /// `SCHEME://NAME` of an app or a browser extension.
    App(String),
}

impl From<HttpUrl> for PageOrigin {
    fn from(url: HttpUrl) -> Self {
        Self::Web(url)
    }
}

impl FromStr for PageOrigin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        if lower == "null" || lower.starts_with("file:") {
            return Err(OPAQUE);
        }
        let app = lower
            .split_once("://")
            .filter(|(scheme, _)| APP_SCHEMES.contains(scheme));
        match app {
            Some((_, name)) if is_host(name) => Ok(Self::App(lower)),
            Some(_) => Err(
                "expected the scheme and the name of the app or the extension alone, such as \
                 capacitor://localhost",
            ),
            None => text.parse().map(Self::Web),
        }
    }
}

impl fmt::Display for PageOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => url.fmt(f),
            Self::App(origin) => f.write_str(origin),
        }
    }
}

/// A value of `--allow-origin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// This origin alone.
    Exact(PageOrigin),
    /// `https://*.HOST`: hosts with one or more labels in front of this one, not the host itself;
    /// scheme and port are the same.
    Subdomains(HttpUrl),
}

impl OriginPattern {
    /// Whether pages of `origin` are meant.
    #[must_use]
    pub fn matches(&self, origin: &PageOrigin) -> bool {
        match (self, origin) {
            (Self::Exact(exact), _) => exact == origin,
            (Self::Subdomains(parent), PageOrigin::Web(url)) => {
                let labels = url.host().strip_suffix(parent.host());
                let labels = labels.and_then(|labels| labels.strip_suffix('.'));
                url.has_scheme_and_port_of(parent) && labels.is_some_and(is_host)
            }
            (Self::Subdomains(_), PageOrigin::App(_)) => false,
        }
    }
}

impl From<HttpUrl> for OriginPattern {
    fn from(url: HttpUrl) -> Self {
        Self::Exact(url.into())
    }
}

impl FromStr for OriginPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((scheme, parent)) = text.split_once("://*.") else {
            return text.parse().map(Self::Exact);
        };
        let parent: HttpUrl = format!("{scheme}://{parent}").parse()?;
        let last = parent.host().rsplit_once('.').map(|(_, last)| last);
        // The last label of an address is a number, and an address has no subdomains.
        let is_name = last.is_some_and(|last| !last.starts_with(|c: char| c.is_ascii_digit()));
        if !is_name || !is_host(parent.host()) {
            return Err(
                "expected at least two labels behind the star, such as https://*.example.org",
            );
        }
        Ok(Self::Subdomains(parent))
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(origin) => origin.fmt(f),
            Self::Subdomains(parent) => {
                f.write_str(&parent.to_string().replacen("://", "://*.", 1))
            }
        }
    }
}

/// Labels with dots in between, none of them empty. Lower case.
fn is_host(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|byte| is_letter(byte) || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, origin: &str) -> bool {
        let pattern: OriginPattern = pattern.parse().unwrap();
        origin
            .parse()
            .is_ok_and(|origin: PageOrigin| pattern.matches(&origin))
    }

    #[test]
    fn a_star_stands_for_the_labels_in_front_and_for_nothing_else() {
        let pattern = "https://*.Example.org";
        for meant in [
            "https://a.example.org",
            "https://a.b.example.org",
            "https://a-1.example.org:443",
            "https://A.EXAMPLE.ORG",
            "https://xn--9n2bp8q.example.org",
        ] {
            assert!(matches(pattern, meant), "{meant}");
        }
        for other in [
            "https://example.org",
            "https://evilexample.org",
            "https://example.org.evil",
            "https://a.example.org.evil",
            "https://a.example.org:444",
            "http://a.example.org",
            "https://a.example.org.",
            "https://.example.org",
            "https://a..example.org",
            "https://..example.org",
            "https://a.example.org@evil.example",
            "https://evil.example@a.example.org",
            "https://evil.example/.example.org",
            "https://evil.example?.example.org",
            "https://evil.example#.example.org",
            "https://evil.example\\.example.org",
            "https://[::1].example.org",
            "https://*.example.org",
            "https://a%2eexample.org",
            "app://a.example.org",
            "null",
            "",
        ] {
            assert!(!matches(pattern, other), "{other}");
        }
        assert!(matches(
            "https://*.example.org:8443",
            "https://a.example.org:8443"
        ));
        assert!(!matches(
            "https://*.example.org:8443",
            "https://a.example.org"
        ));
    }

    #[test]
    fn apps_and_extensions_are_meant_by_their_scheme_and_name() {
        for app in [
            "capacitor://localhost",
            "ionic://localhost",
            "tauri://localhost",
            "app://my-app",
            "app://org.example.call",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "safari-web-extension://8dd1ab11-05f7-43f5-8dd2-51c4e8a2ff3a",
            "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
        ] {
            assert!(matches(app, app), "{app}");
            for other in [
                "https://localhost",
                "null",
                &format!("{app}.evil"),
                &format!("{app}:1"),
                &format!("x{app}"),
                &format!("{app}/x"),
            ] {
                assert!(!matches(app, other), "{app} {other}");
            }
        }
        assert!(matches("capacitor://LocalHost", "Capacitor://localhost"));
        assert!(!matches("capacitor://localhost", "ionic://localhost"));
    }

    #[test]
    fn patterns_that_mean_nothing_or_too_much_are_refused() {
        for bad in [
            "null",
            "file://",
            "file:///srv/page.html",
            "https://*",
            "https://*.org",
            "https://*.localhost",
            "https://*.example.org.",
            "https://*..example.org",
            "https://*.*.example.org",
            "https://a.*.example.org",
            "https://a*.example.org",
            "https://*example.org",
            "https://*.192.0.2.1",
            "https://*.[::1]",
            "https://*.u@example.org",
            "https://*.example.org/call",
            "*.example.org",
            "*",
            "capacitor://*.example.org",
            "capacitor://",
            "capacitor://localhost/",
            "capacitor://localhost:80",
            "capacitor://u@localhost",
            "ftp://example.org",
        ] {
            assert!(bad.parse::<OriginPattern>().is_err(), "{bad}");
        }
        for opaque in ["null", "file:///srv/page.html"] {
            assert_eq!(opaque.parse::<OriginPattern>(), Err(OPAQUE));
        }
    }

    #[test]
    fn patterns_are_written_as_they_are_read() {
        for text in [
            "https://*.example.org",
            "http://*.example.org:8080",
            "https://call.example",
            "tauri://localhost",
        ] {
            let pattern: OriginPattern = text.parse().unwrap();
            assert_eq!(pattern.to_string(), text);
        }
    }
}

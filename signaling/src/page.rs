//! The call page, embedded. (A debug build reads the files where the sources are.)

mod document;
mod version;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderName, IF_NONE_MATCH, LOCATION, STRICT_TRANSPORT_SECURITY, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::RustEmbed;

pub(crate) use document::document;

/// What a browser needs and nothing that only a developer does.
#[derive(RustEmbed)]
#[folder = "../web/"]
#[include = "index.html"]
#[include = "offline.html"]
#[include = "manifest.webmanifest"]
#[include = "service-worker.js"]
#[include = "src/*"]
#[exclude = "*.d.ts"]
struct Files;

/// Nothing from elsewhere, nothing inline, nothing that could frame or be framed.
const POLICY: (HeaderName, &str) = (
    HeaderName::from_static("content-security-policy"),
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types callbox",
);

/// What every answer has.
const SECURITY: [(HeaderName, &str); 1] =
    [(HeaderName::from_static("x-content-type-options"), "nosniff")];

/// What means nothing to a script or a sheet, of which a room has seventy, and heads of answers are not compressed. They
/// hold no secret and are the same for everybody, so that nothing is lost where another page includes one.
const SECURITY_OF_DOCUMENTS: [(HeaderName, &str); 6] = [
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    POLICY,
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self), geolocation=(), payment=(), usb=()",
    ),
    (HeaderName::from_static("x-frame-options"), "DENY"),
];

/// The scripts that run on their own, and have their policy from their own answer.
const WORKERS: [&str; 2] = ["service-worker.js", "src/call/files/hash-worker.js"];

/// What has this address will never be anything else (RFC 8246).
const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");

/// Adds the headers that every answer has. `strict_tls` tells browsers never to come without TLS.
pub(crate) fn secure(headers: &mut HeaderMap, strict_tls: bool) {
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !is_part(headers) {
        for (name, value) in SECURITY_OF_DOCUMENTS {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if strict_tls {
        let year = HeaderValue::from_static("max-age=31536000");
        headers.insert(STRICT_TRANSPORT_SECURITY, year);
    }
}

/// Whether it is a script or a sheet, which no window ever shows as a document.
fn is_part(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.map_or(&b""[..], HeaderValue::as_bytes);
    content_type.starts_with(b"text/javascript") || content_type.starts_with(b"text/css")
}

/// The file at `path` (without a leading slash), or 404.
pub(crate) fn file(path: &str, request: &HeaderMap) -> Response<Body> {
    // A debug build would follow these on the disk.
    let climbs = path.split('/').any(|part| part.starts_with('.'));
    let (path, is_immutable) = version::resolve(path);
    let Some(file) = Files::get(path).filter(|_| !climbs) else {
        return plain(StatusCode::NOT_FOUND, "There is no such page.\n");
    };
    let content = Content {
        content_type: content_type(path),
        hash: file.metadata.sha256_hash(),
        data: match file.data {
            Cow::Borrowed(data) => Bytes::from_static(data),
            Cow::Owned(data) => Bytes::from(data),
        },
    };
    let mut response = content.respond(request);
    if WORKERS.contains(&path) {
        let (name, value) = POLICY;
        let policy = HeaderValue::from_static(value);
        response.headers_mut().insert(name, policy);
    }
    if is_immutable {
        response.headers_mut().insert(CACHE_CONTROL, FOR_EVER);
        // Nobody will ask whether it has changed.
        response.headers_mut().remove(ETAG);
    }
    response
}

/// Whether other origins may import what is at `path`: the page's own scripts and sheets, which are the
/// same for everybody. Documents and the service worker are for the own origin alone.
pub(crate) fn is_module(path: &str) -> bool {
    version::resolve(path).0.starts_with(version::FOLDER)
}

/// Shares an answer with pages of `origin`, which are allowed, or with none. That it depends on the
/// origin is said in both cases, so that no cache gives one page what is meant for another.
pub(crate) fn share(response: &mut Response<Body>, origin: Option<HeaderValue>) {
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding, origin"));
    if let Some(origin) = origin {
        // Without credentials: there are none.
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

/// Something that the page consists of.
#[derive(Clone)]
struct Content {
    content_type: &'static str,
    /// SHA-256 of the data.
    hash: [u8; 32],
    data: Bytes,
}

impl Content {
    /// The content, or word that the browser has it already.
    fn respond(self, request: &HeaderMap) -> Response<Body> {
        let Self {
            content_type,
            hash,
            data,
        } = self;
        let zipped = accepts_gzip(request) && is_text(content_type);
        let digits: String = hash[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // What is coded in another way is another thing to a cache (RFC 9110, section 8.8.3.3).
        let coding = if zipped { "-gzip" } else { "" };
        let etag = format!("\"{digits}{coding}\"");
        let known = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| tag.trim().trim_start_matches("W/") == etag);
        let (status, body) = match known {
            true => (StatusCode::NOT_MODIFIED, Body::empty()),
            false if zipped => (StatusCode::OK, Body::from(gzip(hash, &data))),
            false => (StatusCode::OK, Body::from(data)),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if zipped && status == StatusCode::OK {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // Always asked for, rarely sent. Where the address names the version this is not needed.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let etag = HeaderValue::try_from(etag).expect("hexadecimal digits in quotes");
        headers.insert(ETAG, etag);
        response
    }
}

/// Whether the browser reads gzip (RFC 9110, section 12.5.3).
fn accepts_gzip(request: &HeaderMap) -> bool {
    request
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next()?;
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let refused = quality.is_some_and(|quality| quality.parse() == Ok(0.0));
            (name.eq_ignore_ascii_case("gzip") && !refused).then_some(())
        })
        .next()
        .is_some()
}

/// Pictures and fonts are compressed already.
fn is_text(content_type: &str) -> bool {
    content_type.starts_with("text/")
        || content_type == "image/svg+xml"
        || content_type.ends_with("+json")
}

/// The slowest level of `miniz_oxide`, above `Compression::best()`.
const SMALLEST: Compression = Compression::new(10);

/// Content, compressed when it is asked for the first time; there is as much as the page has.
fn gzip(hash: [u8; 32], data: &[u8]) -> Bytes {
    static ZIPPED: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);
    let mut zipped = ZIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    let compress = || {
        let mut encoder = GzEncoder::new(Vec::new(), SMALLEST);
        encoder.write_all(data).expect("memory takes everything");
        encoder.finish().expect("memory takes everything").into()
    };
    zipped.entry(hash).or_insert_with(compress).clone()
}

/// A page that has another address for good; `path` begins with one slash, so that it is here.
pub(crate) fn moved(path: &str) -> Response<Body> {
    let mut response = plain(StatusCode::PERMANENT_REDIRECT, "This page is elsewhere.\n");
    if let Ok(path) = HeaderValue::from_str(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response
}

/// A short text.
pub(crate) fn plain(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        // Modules are always UTF-8, and there are many of them.
        "js" | "mjs" => "text/javascript",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        _ => "application/octet-stream",
    }
}

//! The page and who may use the WebSocket.

use signaling::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{request, start, upgrade};

/// A plain HTTP/1.1 request; the answer as text.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap();
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

async fn page(server: &Server, path: &str) -> String {
    get(server.page(), path, "").await
}

#[tokio::test]
async fn the_page_comes_with_strict_headers() {
    let server = start(&[]).await;
    let script = "/src/main.js";
    let worker = "/src/call/files/hash-worker.js";
    let all = ["/", "/room/stand-up", "/check", "/nothing", script, worker];
    for path in all {
        let answer = page(&server, path).await;
        let sniffing = header(&answer, "x-content-type-options");
        assert_eq!(sniffing, Some("nosniff"), "{path}");
        assert_eq!(
            answer.starts_with("HTTP/1.1 404"),
            path == "/nothing",
            "{path}"
        );
        // A room has seventy scripts, which these mean nothing to; a worker has a policy of its own.
        let policy = header(&answer, "content-security-policy");
        assert_eq!(policy.is_none(), path == script, "{path}");
        if let Some(policy) = policy {
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self'"),
                "{path}: {policy}"
            );
            assert!(!policy.contains("unsafe"), "{policy}");
        }
        let resources = header(&answer, "cross-origin-resource-policy");
        let opener = header(&answer, "cross-origin-opener-policy");
        let framing = header(&answer, "x-frame-options");
        let referrer = header(&answer, "referrer-policy");
        let permissions = header(&answer, "permissions-policy");
        match path.ends_with(".js") {
            true => assert_eq!(
                [resources, opener, framing, referrer, permissions],
                [None; 5],
                "{path}"
            ),
            false => {
                let expected = ["same-origin", "same-origin", "DENY", "no-referrer"].map(Some);
                let told = [resources, opener, framing, referrer];
                assert_eq!(told, expected, "{path}");
                assert!(permissions.unwrap().contains("camera=(self)"));
            }
        }
    }
    let index = page(&server, "/").await;
    assert_eq!(
        header(&index, "content-type"),
        Some("text/html; charset=utf-8")
    );
    let script = page(&server, "/src/main.js").await;
    assert_eq!(header(&script, "content-type"), Some("text/javascript"));
    server.stop().await;
}

#[tokio::test]
async fn a_page_that_is_asked_for_otherwise_is_elsewhere() {
    let server = start(&[]).await;
    for (asked, target) in [
        ("/room/a/", "/room/a"),
        ("//room/a?lang=ko", "/room/a?lang=ko"),
        ("/ROOM/A", "/room/A"),
        ("/check/", "/check"),
        ("/CHECK", "/check"),
    ] {
        let answer = page(&server, asked).await;
        assert!(answer.starts_with("HTTP/1.1 308"), "{asked}: {answer}");
        assert_eq!(header(&answer, "location"), Some(target), "{asked}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let server = start(&[]).await;
    let etag = header(&page(&server, "/").await, "etag")
        .unwrap()
        .to_owned();
    let again = get(server.page(), "/", &format!("If-None-Match: {etag}\r\n")).await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
    let other = get(server.page(), "/", "If-None-Match: \"0\"\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200"), "{other}");
    server.stop().await;
}

#[tokio::test]
async fn what_has_its_version_in_its_address_is_kept_for_ever() {
    let server = start(&[]).await;
    let document = page(&server, "/").await;
    assert_eq!(header(&document, "cache-control"), Some("no-cache"));
    let (_, script) = document
        .split_once("<script type=\"module\" src=\"")
        .unwrap();
    let (script, _) = script.split_once('"').unwrap();
    assert!(
        script.starts_with("/v/") && script.ends_with("/src/main.js"),
        "{script}"
    );
    let kept = page(&server, script).await;
    assert!(kept.starts_with("HTTP/1.1 200"), "{kept}");
    let cache = header(&kept, "cache-control").unwrap();
    assert!(cache.contains("immutable"), "{cache}");
    // Whoever has a page of before an update still gets what there is, and does not keep it under the wrong name.
    for now in [
        "/v/0123456789abcdef/src/main.js",
        "/src/main.js",
        "/manifest.webmanifest",
        "/service-worker.js",
    ] {
        let answer = page(&server, now).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{now}: {answer}");
        assert_eq!(header(&answer, "cache-control"), Some("no-cache"), "{now}");
    }
    server.stop().await;
}

#[tokio::test]
async fn text_is_compressed_for_browsers_that_read_it() {
    let server = start(&[]).await;
    let ask = async |encodings: &str| {
        let path = "/src/main.js";
        get(
            server.page(),
            path,
            &format!("Accept-Encoding: {encodings}\r\n"),
        )
        .await
    };
    for (encodings, expected) in [
        ("gzip", Some("gzip")),
        ("deflate, GZIP;q=0.5, br", Some("gzip")),
        ("gzip;q=0, br", None),
        ("identity", None),
        ("xgzip", None),
    ] {
        let answer = ask(encodings).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{encodings}");
        let encoding = header(&answer, "content-encoding");
        assert_eq!(encoding, expected, "{encodings}");
        let vary = header(&answer, "vary").unwrap();
        assert!(vary.starts_with("accept-encoding"), "{vary}");
    }
    let (plain, zipped) = (ask("identity").await, ask("gzip").await);
    let length = |answer: &str| -> usize {
        let length = header(answer, "content-length").unwrap();
        length.parse().unwrap()
    };
    assert!(length(&zipped) < length(&plain) / 2, "{zipped}");
    // Either has a tag of its own, and is not sent again.
    let tag = |answer: &str| header(answer, "etag").unwrap().to_owned();
    assert_ne!(tag(&plain), tag(&zipped));
    let known = format!(
        "Accept-Encoding: gzip\r\nIf-None-Match: {}\r\n",
        tag(&zipped)
    );
    let again = get(server.page(), "/src/main.js", &known).await;
    assert!(again.starts_with("HTTP/1.1 304"), "{again}");
    server.stop().await;
}

#[tokio::test]
async fn what_only_developers_need_is_not_served() {
    let server = start(&[]).await;
    for path in [
        "/package.json",
        "/tsconfig.json",
        "/test/x.js",
        "/src/vendor/noble-hashes/sha2.d.ts",
        "/node_modules/typescript/package.json",
        "/../signaling/Cargo.toml",
        "/src/../package.json",
        "/src/%2e%2e/package.json",
        "//etc/passwd",
        "/v/0123456789abcdef/package.json",
        "/v/0123456789abcdef/src/../../package.json",
    ] {
        let answer = page(&server, path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_may_not_connect() {
    let server = start(&["--allow-origin", "https://partner.example"]).await;
    let own = format!("http://{}", server.page());
    for (origin, expected) in [
        (None, Ok(())),
        (Some(own.as_str()), Ok(())),
        (Some("https://partner.example"), Ok(())),
        (Some("null"), Err(403)),
        (Some("https://evil.example"), Err(403)),
        (Some(&own.replace("http:", "https:")), Err(403)),
        (Some(&format!("{own}.evil.example")), Err(403)),
    ] {
        let mut request = request(&server);
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("origin", origin.parse().unwrap());
        }
        assert_eq!(upgrade(request).await.map(drop), expected, "{origin:?}");
    }
    let metrics = get(server.admin(), "/metrics", "").await;
    assert!(
        metrics.contains("signaling_pages_refused_total 4\n"),
        "{metrics}"
    );
    server.stop().await;
}

/// The reported case: a page whose name was pointed at this host called it by that name.
#[tokio::test]
async fn a_page_of_any_name_is_not_our_own_without_a_public_url() {
    let name = "http://evil.example:8080";
    for (options, expected) in [
        (&[][..], Err(403)),
        (&["--public-url", name], Ok(())),
        (&["--allow-origin", name], Ok(())),
    ] {
        let server = start(options).await;
        let mut request = request(&server);
        let headers = request.headers_mut();
        headers.insert("host", "evil.example:8080".parse().unwrap());
        headers.insert("origin", name.parse().unwrap());
        assert_eq!(upgrade(request).await.map(drop), expected, "{options:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_subprotocol_is_signal_v1_or_none() {
    let server = start(&[]).await;
    for (offered, expected) in [
        (None, Ok(None)),
        (Some("signal.v1"), Ok(Some("signal.v1".to_owned()))),
        (Some("other, signal.v1"), Ok(Some("signal.v1".to_owned()))),
        (Some("other"), Err(400)),
    ] {
        let mut request = request(&server);
        if let Some(offered) = offered {
            request
                .headers_mut()
                .insert("sec-websocket-protocol", offered.parse().unwrap());
        }
        let answer = upgrade(request).await.map(|response| {
            let selected = response.headers().get("sec-websocket-protocol");
            assert!(
                response.headers().get("sec-websocket-extensions").is_none(),
                "no compression"
            );
            selected.map(|value| value.to_str().unwrap().to_owned())
        });
        assert_eq!(answer, expected, "{offered:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn modules_can_be_imported_by_allowed_pages_and_by_no_others() {
    let server = start(&["--allow-origin", "https://*.example.org"]).await;
    let document = page(&server, "/").await;
    let (_, version) = document.split_once("src=\"/v/").unwrap();
    let (version, _) = version.split_once('/').unwrap();
    let versioned = format!("/v/{version}/src/protocol/signaling.js");
    let shared = |answer: &str| header(answer, "access-control-allow-origin").map(str::to_owned);
    let ours = "https://a.example.org";
    for (path, origin, is_shared) in [
        ("/src/protocol/signaling.js", ours, true),
        (&versioned, ours, true),
        (
            "/src/protocol/signaling.js",
            "https://evilexample.org",
            false,
        ),
        (&versioned, "null", false),
        ("/", ours, false),
        ("/room/a", ours, false),
        ("/service-worker.js", ours, false),
        ("/signal", ours, false),
    ] {
        let answer = get(server.page(), path, &format!("Origin: {origin}\r\n")).await;
        let expected = is_shared.then(|| origin.to_owned());
        assert_eq!(shared(&answer), expected, "{path} {origin}");
    }
    // A cache must not give a page what was an answer to another, or to none.
    let answer = page(&server, &versioned).await;
    assert_eq!(shared(&answer), None);
    let head = answer.split("\r\n\r\n").next().unwrap();
    let vary = "vary: accept-encoding, origin";
    assert!(head.to_lowercase().contains(vary), "{head}");
    server.stop().await;
}

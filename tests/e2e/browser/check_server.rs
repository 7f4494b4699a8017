//! What the check tells about a server that does not do as it should: each way to fail is caused, and has words of its own.

use std::net::{SocketAddr, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stun_turn_proto::auth::credential;
use tests::browser::Kind;
use tests::check::Findings;
use tests::stage::{self, Stage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Puts other servers (`ICE_SERVERS`) into the welcome, as a server would whose clock is wrong.
const OTHER_SERVERS: &str = "(() => {
  const { get } = Object.getOwnPropertyDescriptor(MessageEvent.prototype, 'data');
  Object.defineProperty(MessageEvent.prototype, 'data', { get() {
    const data = get.call(this);
    if (typeof data !== 'string' || !data.includes('\"welcome\"')) return data;
    return JSON.stringify({ ...JSON.parse(data), ice_servers: ICE_SERVERS });
  } });
})()";

/// What the check tells when it is handed a password that ends then.
async fn check_until(stage: &Stage, ends: u64) -> anyhow::Result<(Findings, String)> {
    let relay = stage.relay(&["--auth-secret", "north"]).await?;
    let url = format!("turn:{}?transport=udp", relay.udp);
    let service = stage.external("north", std::slice::from_ref(&url)).await?;
    let minted = credential::mint(b"north", "ann", ends);
    let servers = json!([{
        "urls": [url],
        "username": minted.username,
        "credential": minted.password,
        "expires_at": ends,
    }]);
    let browser = stage.browser("ann").await?;
    let script = OTHER_SERVERS.replace("ICE_SERVERS", &servers.to_string());
    browser.before_each_page(&script).await?;
    let findings = browser.check(&service.check("en")).await?;
    Ok((findings, format!("ice:{url}")))
}

#[test]
fn a_password_that_has_expired_is_explained() {
    stage::run(async |stage| {
        let (findings, url) = check_until(stage, 1_700_000_000).await?;
        findings.is(
            "credentials",
            "failed",
            "had expired when it was handed out",
        );
        // The relay itself has refused it.
        findings.is(&url, "failed", "had expired");
        findings.verdict("limited", "must agree");
        Ok(())
    });
}

#[test]
fn a_password_that_is_good_for_seconds_is_explained() {
    stage::run(async |stage| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let (findings, _) = check_until(stage, now + 15).await?;
        findings.is("credentials", "failed", "seconds only");
        findings.is("credentials", "failed", "--credential-ttl");
        Ok(())
    });
}

#[test]
fn a_name_that_nobody_knows_and_a_full_relay_are_told_apart() {
    stage::run(async |stage| {
        // The only port that the relay may give out is taken.
        let taken = UdpSocket::bind("127.0.0.1:0")?;
        let port = taken.local_addr()?.port();
        let ports = format!("{port}-{port}");
        let options = ["--auth-secret", "north", "--relay-ports", &ports];
        let relay = stage.relay(&options).await?;
        let urls = [
            "turn:relay.invalid:3478?transport=udp".to_owned(),
            format!("turn:{}?transport=udp", relay.udp),
        ];
        let service = stage.external("north", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is(&format!("ice:{}", urls[0]), "failed", "name is not known");
        findings.is(&format!("ice:{}", urls[1]), "failed", "has no room left");
        findings.verdict("limited", "No relay can be used from here");
        Ok(())
    });
}

#[test]
fn each_family_of_addresses_has_a_row() {
    stage::run(async |stage| {
        let options = ["--auth-secret", "north", "--listen", "udp:[::1]:0"];
        let relay = stage.relay(&options).await?;
        let sixth = |line: &str| -> Option<SocketAddr> {
            let address = line.strip_prefix("listening on udp:")?.parse().ok();
            address.filter(SocketAddr::is_ipv6)
        };
        let urls = [relay.udp, relay.process.line(sixth).await?]
            .map(|address| format!("turn:{address}?transport=udp"));
        let service = stage.external("north", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is("ipv4", "ok", "answer over IPv4");
        findings.is("ipv6", "ok", "answer over IPv6");
        browser.screenshot("check-families").await?;
        // A server whose IPv6 address is silent.
        let silent = UdpSocket::bind("[::1]:0")?;
        let urls = [format!("turn:{}?transport=udp", silent.local_addr()?)];
        let service = stage.external("north", &urls).await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is("ipv6", "failed", "does not answer");
        findings.is("ipv4", "not_applicable", "Nothing answered over IPv4");
        Ok(())
    });
}

#[test]
fn rooms_for_the_invited_only_are_explained() {
    stage::run(async |stage| {
        let secret = ["--token-secret", "0123456789abcdef0123456789abcdef"];
        let service = stage.signaling(&secret).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is("socket", "ok", "need an invitation");
        findings.is("loopback", "not_applicable", "did not let the page in");
        findings.verdict("limited", "Open the link that you were sent");
        Ok(())
    });
}

#[test]
fn a_clock_that_is_wrong_is_explained() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        let fast = "Object.defineProperty(performance, 'timeOrigin', {value: performance.timeOrigin + 20 * 60_000})";
        browser.before_each_page(fast).await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is("clock", "failed", "20 minutes ahead");
        findings.is("clock", "failed", "Set date and time to automatic");
        Ok(())
    });
}

#[test]
fn a_browser_without_webrtc_is_told_so() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        browser
            .before_each_page("delete window.RTCPeerConnection")
            .await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is("page", "failed", "no WebRTC");
        findings.verdict("bad", "Use a current Firefox");
        Ok(())
    });
}

#[test]
fn a_computer_without_devices_is_told_so() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser_of(Kind::BARE, "ann").await?;
        browser.check(&service.check("en")).await?;
        let findings = browser.devices_fail().await?;
        findings.is("camera", "failed", "No camera was found");
        findings.is("microphone", "failed", "No microphone was found");
        Ok(())
    });
}

/// What a proxy does that does not know WebSockets.
#[derive(Debug, Clone, Copy)]
enum Unaware {
    Refuses,
    Waits,
}

/// Passes everything on to `page` but WebSockets, and says where it listens.
async fn proxy(page: &str, unaware: Unaware) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let page = page.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, page.clone(), unaware));
        }
    });
    Ok(format!("http://{address}/check?lang=en"))
}

async fn pass(mut client: TcpStream, page: String, unaware: Unaware) -> std::io::Result<()> {
    let mut head = vec![0; 16 * 1024];
    let length = client.read(&mut head).await?;
    let head = &head[..length];
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !text.contains("upgrade: websocket") {
        let mut server = TcpStream::connect(page).await?;
        server.write_all(head).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    match unaware {
        Unaware::Refuses => {
            client
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await
        }
        // Until the browser gives up.
        Unaware::Waits => client.read(&mut [0]).await.map(drop),
    }
}

#[test]
fn a_proxy_that_holds_websockets_back_is_explained() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        for (unaware, words) in [
            (Unaware::Refuses, "its WebSocket is closed at once"),
            (Unaware::Waits, "does not answer over its WebSocket"),
        ] {
            let url = proxy(&service.page, unaware).await?;
            let findings = browser.check(&url).await?;
            findings.is("socket", "failed", words);
            findings.verdict("bad", words);
        }
        let relayed = browser.value(
            "document.querySelectorAll('[data-check^=\"ice:\"]').length",
            Value::Null,
        );
        assert_eq!(relayed.await?, 0, "nothing was handed out");
        Ok(())
    });
}

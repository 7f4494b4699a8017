//! The page that tells whether calls will work, where they do and where each thing is in the way.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType, bind, socket};
use tests::browser::Kind;
use tests::stage;
use tests::stun::stun_server_that_sees;

/// An address where nobody answers while this lives: datagrams get lost, and connections are refused.
struct Silent {
    address: SocketAddrV4,
    /// Bound, and never read.
    _datagrams: UdpSocket,
    /// Bound, and never listening: a free port was once given to another test's relay, which then answered.
    _connections: OwnedFd,
}

impl Silent {
    fn new() -> anyhow::Result<Self> {
        let connections = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        loop {
            let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, datagrams.local_addr()?.port());
            if bind(&connections, &address).is_ok() {
                return Ok(Self {
                    address,
                    _datagrams: datagrams,
                    _connections: connections,
                });
            }
        }
    }
}

#[test]
fn all_is_well_with_the_bundled_relay() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let relay = service.turn_address().await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.verdict("good", "Calls will work from here");
        for check in ["page", "socket", "clock", "credentials", "loopback"] {
            findings.is(check, "ok", "");
        }
        findings.is(&format!("ice:stun:{relay}"), "ok", "Answers");
        findings.is(&format!("ice:turn:{relay}?transport=udp"), "ok", "Answers");
        findings.is("loopback", "ok", "Mbit/s");
        // With one server nothing can be compared, and nothing was asked of the devices.
        findings.is("nat", "not_applicable", "two STUN servers");
        findings.is("camera", "pending", "");
        browser.screenshot("check-good").await?;
        Ok(())
    });
}

#[test]
fn devices_are_tried_when_asked() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        browser.check(&service.check("ko")).await?;
        for check in ["camera", "microphone"] {
            browser
                .click(&format!("[data-testid=check-{check}]"))
                .await?;
            browser.finding(check, "ok").await?;
        }
        browser.click("[data-testid=check-speaker]").await?;
        browser
            .click_when_there("[data-testid=check-not-heard]")
            .await?;
        browser.finding("speaker", "failed").await?;
        browser.screenshot("check-devices").await?;
        Ok(())
    });
}

#[test]
fn two_servers_tell_how_the_network_translates() {
    stage::run(async |stage| {
        let secret = ["--auth-secret", "north"];
        let (one, other) = tokio::try_join!(stage.relay(&secret), stage.relay(&secret))?;
        let urls = [&one, &other].map(|relay| format!("stun:{}", relay.udp));
        let options = ["--turn-mode=external", "--turn-url", &urls[0]];
        let options = [&options[..], &["--turn-url", &urls[1]]].concat();
        let service = stage.signaling_without_relay(&options).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        // Nothing translates on one host.
        findings.is("nat", "ok", "");
        findings.verdict("limited", "This server has no relay");
        Ok(())
    });
}

#[test]
fn a_network_that_translates_differently_for_each_server_is_told() {
    stage::run(async |stage| {
        let (one, other) = (
            stun_server_that_sees(40_001).await?,
            stun_server_that_sees(40_002).await?,
        );
        let urls = [one, other].map(|server| format!("stun:{server}"));
        let service = stage.external("none", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        for url in &urls {
            findings.is(&format!("ice:{url}"), "ok", "Answers after");
        }
        findings.is("nat", "failed", "symmetric NAT");
        Ok(())
    });
}

#[test]
fn a_page_without_encryption_is_explained() {
    stage::run(async |stage| {
        let service = stage.signaling_by_name().await?;
        let browser = stage.browser("ann").await?;
        let url = service.insecurely(&service.check("en"));
        let findings = browser.check(&url).await?;
        findings.is("page", "failed", "opened without encryption");
        findings.verdict("limited", "Open it with https:// in front");
        browser.click("[data-testid=check-camera]").await?;
        browser.finding("camera", "failed").await?;
        Ok(())
    });
}

#[test]
fn a_server_that_went_away_is_explained() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        browser.check(&service.check("en")).await?;
        drop(service);
        browser.click("[data-testid=check-again]").await?;
        browser.finding("socket", "failed").await?;
        let findings = browser.verdict().await?;
        findings.is("socket", "failed", "out of reach");
        findings.verdict("bad", "Calls will not work from here");
        Ok(())
    });
}

#[test]
fn a_certificate_that_is_not_trusted_is_explained() {
    stage::run(async |stage| {
        let (_relay, address) = stage.tls_relay(&["--auth-secret", "north"]).await?;
        let url = format!("turns:{address}?transport=tcp");
        let service = stage.external("north", std::slice::from_ref(&url)).await?;
        let (ann, bob) = tokio::try_join!(
            stage.browser("ann"),
            stage.browser_of(Kind::TRUSTING, "bob")
        )?;
        let findings = ann.check(&service.check("en")).await?;
        findings.is(&format!("ice:{url}"), "failed", "certificate must be valid");
        findings.verdict("limited", "No relay can be used from here");
        let findings = bob.check(&service.check("en")).await?;
        findings.is(&format!("ice:{url}"), "ok", "Answers after");
        findings.is("loopback", "ok", "Mbit/s");
        Ok(())
    });
}

#[test]
fn a_wrong_secret_is_explained() {
    stage::run(async |stage| {
        let relay = stage.relay(&["--auth-secret", "north"]).await?;
        let urls = [
            format!("turn:{}?transport=udp", relay.udp),
            format!("turn:{}?transport=tcp", relay.tcp),
        ];
        let service = stage.external("south", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        for url in urls {
            findings.is(
                &format!("ice:{url}"),
                "failed",
                "does not take the password",
            );
        }
        findings.verdict("limited", "the same --auth-secret");
        browser.screenshot("check-secret").await?;
        Ok(())
    });
}

#[test]
fn a_relay_that_gives_out_too_little_is_explained() {
    stage::run(async |stage| {
        let quota = ["--auth-secret", "north", "--user-quota", "1"];
        let relay = stage.relay(&quota).await?;
        let url = format!("turn:{}?transport=udp", relay.udp);
        let service = stage.external("north", std::slice::from_ref(&url)).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is(&format!("ice:{url}"), "ok", "Answers after");
        findings.is(
            "loopback",
            "failed",
            "the two addresses that this test needs",
        );
        findings.verdict("limited", "--user-quota");
        Ok(())
    });
}

#[test]
fn a_relay_that_loses_most_is_explained() {
    stage::run(async |stage| {
        // What exceeds a byte a second is dropped, but for a first burst.
        let narrow = ["--auth-secret", "north", "--max-bps", "1"];
        let relay = stage.relay(&narrow).await?;
        let url = format!("turn:{}?transport=udp", relay.udp);
        let service = stage.external("north", std::slice::from_ref(&url)).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is(&format!("ice:{url}"), "ok", "Answers after");
        findings.is("loopback", "failed", "of the packets are lost");
        findings.verdict("limited", "--max-bps");
        Ok(())
    });
}

#[test]
fn a_dead_relay_is_explained() {
    stage::run(async |stage| {
        let dead = Silent::new()?;
        let urls = ["udp", "tcp"].map(|over| format!("turn:{}?transport={over}", dead.address));
        let service = stage.external("north", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("ko")).await?;
        findings.is(
            &format!("ice:{}", urls[0]),
            "failed",
            "UDP로 응답이 없습니다",
        );
        findings.is(
            &format!("ice:{}", urls[1]),
            "failed",
            "TCP로 연결되지 않습니다",
        );
        findings.is("loopback", "not_applicable", "");
        findings.verdict("limited", "쓸 수 있는 중계 서버가 없습니다");
        browser.screenshot("check-dead").await?;
        Ok(())
    });
}

#[test]
fn blocked_datagrams_are_explained() {
    stage::run(async |stage| {
        let relay = stage.relay(&["--auth-secret", "north"]).await?;
        let blocked = Silent::new()?;
        let urls = [
            format!("turn:{}?transport=udp", blocked.address),
            format!("turn:{}?transport=tcp", relay.tcp),
        ];
        let service = stage.external("north", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        findings.is(&format!("ice:{}", urls[0]), "failed", "No answer over UDP");
        findings.is(&format!("ice:{}", urls[1]), "ok", "Answers");
        findings.is("loopback", "ok", "Mbit/s");
        findings.verdict("limited", "the call goes through it over TCP");
        browser.screenshot("check-udp").await?;
        Ok(())
    });
}

#[test]
fn a_camera_without_permission_is_explained() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser_of(Kind::REFUSING, "ann").await?;
        browser.check(&service.check("en")).await?;
        let findings = browser.devices_fail().await?;
        findings.is("camera", "failed", "The camera is blocked");
        findings.is("microphone", "failed", "The microphone is blocked");
        findings.verdict("limited", "one of your devices is not");
        browser.screenshot("check-denied").await?;
        Ok(())
    });
}

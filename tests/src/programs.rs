//! Our own programs, started on free ports.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};

use crate::network::Networks;
use crate::poll::{self, Look};
use crate::process::Process;
use crate::report::Report;
use crate::stage::Stage;

/// A name of this machine for browsers, which is in their flags.
const INSECURE: &str = "insecure.test";

/// The path of a program of this workspace, built with the same profile as this test.
///
/// # Errors
/// When it has not been built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().context("a program lives in a folder")?;
    // A test lives in target/PROFILE/deps, a program in target/PROFILE.
    let folder = match folder.parent() {
        Some(profile) if folder.ends_with("deps") => profile,
        _ => folder,
    };
    let path = folder.join(name);
    ensure!(
        path.exists(),
        "{} is missing: build it first (`cargo build --workspace`), or use tests/run",
        path.display()
    );
    Ok(path)
}

/// A running `signaling`, with the page and the bundled relay.
#[derive(Debug)]
pub struct Signaling {
    /// The process.
    pub process: Process,
    /// Where the page is: `http://127.0.0.1:PORT`.
    pub page: String,
}

impl Signaling {
    /// The URL that enters a room at once. `query` is added as it is: `&relay=1`.
    #[must_use]
    pub fn room(&self, room: &str, name: &str, query: &str) -> String {
        let page = &self.page;
        format!("{page}/room/{room}?name={name}&lang=en&autojoin=1{query}")
    }

    /// Where the bundled relay listens for datagrams.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn turn_address(&self) -> anyhow::Result<SocketAddr> {
        let url = |line: &str| {
            let url = line.strip_prefix("TURN: turn:")?;
            url.strip_suffix("?transport=udp")?.parse().ok()
        };
        self.process.line(url).await
    }

    /// A URL of its pages by a name that browsers trust less than loopback.
    #[must_use]
    pub fn insecurely(&self, url: &str) -> String {
        url.replacen("127.0.0.1", INSECURE, 1)
    }

    /// Where the page is, as address and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.page.trim_start_matches("http://")
    }

    /// The WebSocket's URL.
    #[must_use]
    pub fn socket(&self) -> String {
        format!("{}/signal", self.page.replacen("http", "ws", 1))
    }
}

/// A running `stun-turn`.
#[derive(Debug)]
pub struct Relay {
    /// The process.
    pub process: Process,
    /// Where it listens for datagrams.
    pub udp: SocketAddr,
    /// Where it listens for connections.
    pub tcp: SocketAddr,
}

/// A running `peer-demo`.
#[derive(Debug)]
pub struct PeerDemo(Process);

impl PeerDemo {
    /// Waits until its log says something.
    ///
    /// # Errors
    /// When it does not.
    pub async fn says(&self, text: &str) -> anyhow::Result<()> {
        poll::until(text, async || {
            let log = self.0.stderr()?;
            Ok(if log.contains(text) {
                Look::There(())
            } else {
                Look::NotYet(log)
            })
        })
        .await
    }

    /// What it has logged so far.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn log(&self) -> anyhow::Result<String> {
        self.0.stderr()
    }

    /// Waits for its end and its report; it must be a success.
    ///
    /// # Errors
    /// When the run failed.
    pub async fn report(&self) -> anyhow::Result<Report> {
        let status = self.0.exit().await?;
        let report = Report::parse(&self.0.stdout()?)?;
        if !status.success() {
            bail!("peer-demo ended with {status}: {report:?}");
        }
        Ok(report)
    }
}

impl Stage {
    /// Starts `signaling` with its bundled relay and waits until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn signaling(&self, options: &[&str]) -> anyhow::Result<Signaling> {
        let relay = [
            "--turn-listen=udp:127.0.0.1:0",
            "--turn-listen=tcp:127.0.0.1:0",
        ];
        self.signaling_without_relay(&[&relay[..], options].concat())
            .await
    }

    /// Starts `signaling` with its bundled relay, whose pages may also be opened by a name of this machine that
    /// browsers trust less than loopback ([`Signaling::insecurely`]).
    ///
    /// # Errors
    /// When it does not start.
    pub async fn signaling_by_name(&self) -> anyhow::Result<Signaling> {
        // Its own name must be told before it has a port: one that was free a moment ago will do.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let name = format!("--allow-origin=http://{INSECURE}:{}", address.port());
        let relay = [
            "--turn-listen=udp:127.0.0.1:0",
            "--turn-listen=tcp:127.0.0.1:0",
        ];
        let options = [&relay[..], &[&name]].concat();
        self.signaling_at(&address.to_string(), &options).await
    }

    /// Starts `signaling` that sends clients to relays elsewhere, with credentials made from `secret`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn external(&self, secret: &str, urls: &[String]) -> anyhow::Result<Signaling> {
        let mut options = vec!["--turn-mode=external", "--auth-secret", secret];
        options.extend(urls.iter().flat_map(|url| ["--turn-url", url]));
        self.signaling_without_relay(&options).await
    }

    /// Starts `signaling` with nothing said about a relay: `options` must.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn signaling_without_relay(&self, options: &[&str]) -> anyhow::Result<Signaling> {
        self.signaling_at("127.0.0.1:0", options).await
    }

    /// Starts `signaling` at an address, to be found again where it was.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn signaling_at(&self, address: &str, options: &[&str]) -> anyhow::Result<Signaling> {
        let mut command = Command::new(program("signaling")?);
        command.args(["--listen", address, "--admin", "127.0.0.1:0"]);
        self.serve(command.args(options)).await
    }

    /// Starts `signaling` without a relay at [`Networks::PAGE`].
    ///
    /// # Errors
    /// When it does not start.
    pub async fn signaling_at_home(&self, networks: &Networks) -> anyhow::Result<Signaling> {
        let mut command = Command::new(program("signaling")?);
        command.args(["--listen", Networks::PAGE, "--admin", "127.0.0.1:0"]);
        command.arg("--turn-mode=none");
        self.serve(&mut networks.home.command(&command)).await
    }

    async fn serve(&self, command: &mut Command) -> anyhow::Result<Signaling> {
        let process = self.process("signaling", command)?;
        let page = |line: &str| line.strip_prefix("Page: ").map(str::to_owned);
        let page = process.line(page).await?;
        let page = page.trim().trim_end_matches('/').to_owned();
        Ok(Signaling { process, page })
    }

    /// Starts `stun-turn` on loopback over UDP and TCP and waits until it serves.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn relay(&self, options: &[&str]) -> anyhow::Result<Relay> {
        self.relay_at("127.0.0.1:0", options).await
    }

    /// As [`Self::relay`], over UDP at an address, to be found again where it was.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn relay_at(&self, udp: &str, options: &[&str]) -> anyhow::Result<Relay> {
        let mut command = Command::new(program("stun-turn")?);
        let udp = format!("udp:{udp}");
        command.args(["--listen", &udp, "--listen", "tcp:127.0.0.1:0"]);
        command.args(["--admin", "127.0.0.1:0"]);
        let process = self.process("stun-turn", command.args(options))?;
        let listener = |label: &'static str| {
            move |line: &str| line.strip_prefix(label).and_then(|text| text.parse().ok())
        };
        let udp = process.line(listener("listening on udp:")).await?;
        let tcp = process.line(listener("listening on tcp:")).await?;
        Ok(Relay { process, udp, tcp })
    }

    /// Starts `stun-turn` with TLS too, and a certificate of its own that nobody trusts yet. Returns its TLS address.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn tls_relay(&self, options: &[&str]) -> anyhow::Result<(Relay, SocketAddr)> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let [certificate, key] = ["relay.pem", "relay.key"].map(|name| self.folder().join(name));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let [certificate, key] = [certificate, key].map(|path| path.display().to_string());
        let tls = ["--listen", "tls:127.0.0.1:0", "--tls-cert", &certificate];
        let tls = [&tls[..], &["--tls-key", &key], options].concat();
        let relay = self.relay(&tls).await?;
        let address = |line: &str| line.strip_prefix("listening on tls:")?.parse().ok();
        let address = relay.process.line(address).await?;
        Ok((relay, address))
    }

    /// Starts `peer-demo` in a room; it goes on until its call is over.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn peer_demo(
        &self,
        name: &str,
        service: &Signaling,
        room: &str,
        options: &[&str],
    ) -> anyhow::Result<PeerDemo> {
        let mut command = Command::new(program("peer-demo")?);
        command.args(["--url", &service.socket(), "--room", room, "--name", name]);
        command.args(["--json"]).args(options);
        Ok(PeerDemo(self.process(name, &mut command)?))
    }
}

//! The lab's servers, which can be ended and started again where they were.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use ::tests::network::Place;
use ::tests::process::Process;
use ::tests::programs::program;
use ::tests::stage::Stage;
use anyhow::Context as _;
use rustix::process::Signal;

use crate::expect::Deployment;
use crate::lab::Lab;
use crate::lines::Host;

const SECRET: &str = "between us";
/// Port of the relay's second address for RFC 5780.
const SECOND_PORT: u16 = 3479;
const PORT: u16 = 3478;

/// A deployment that runs.
#[derive(Debug)]
pub struct Servers {
    deployment: Deployment,
    certificate: PathBuf,
    key: PathBuf,
    state: PathBuf,
    relay: Option<Process>,
    signaling: Option<Process>,
}

/// Where a relay that is apart listens for datagrams of IPv4, and its second address.
#[must_use]
pub fn discovery() -> (SocketAddr, SocketAddr) {
    let second = IpAddr::from(Host::RELAY.second_ipv4());
    (
        SocketAddr::new(Host::RELAY.ipv4().into(), PORT),
        SocketAddr::new(second, SECOND_PORT),
    )
}

impl Servers {
    /// Starts them and waits until they serve.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(stage: &Stage, lab: &Lab, deployment: Deployment) -> anyhow::Result<Self> {
        let hosts = [Host::SIGNALING, Host::RELAY];
        let names = hosts.map(|host| host.name().to_owned());
        let made = rcgen::generate_simple_self_signed(names)?;
        let [certificate, key] = ["lab.pem", "lab.key"].map(|name| stage.folder().join(name));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut servers = Self {
            deployment,
            certificate,
            key,
            state: stage.guard().scratch().join("state"),
            relay: None,
            signaling: None,
        };
        servers.start_relay(stage, lab).await?;
        servers.start_signaling(stage, lab).await?;
        Ok(servers)
    }

    /// The certificate that clients must trust.
    #[must_use]
    pub fn certificate(&self) -> &std::path::Path {
        &self.certificate
    }

    /// The address of the page.
    #[must_use]
    pub fn page() -> String {
        format!("https://{}", Host::SIGNALING.name())
    }

    /// Starts the relay, where there is one apart.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_relay(&mut self, stage: &Stage, lab: &Lab) -> anyhow::Result<()> {
        if self.deployment.one_process {
            return Ok(());
        }
        if let Some(draining) = self.relay.take() {
            draining.exit().await?;
        }
        let mut command = Command::new(program("stun-turn")?);
        let (ipv4, ipv6) = (Host::RELAY.ipv4(), Host::RELAY.ipv6());
        for listener in [
            format!("udp:{ipv4}:{PORT}"),
            format!("udp:[{ipv6}]:{PORT}"),
            format!("tcp:{ipv4}:{PORT}"),
            format!("tcp:[{ipv6}]:{PORT}"),
            format!("tls:{ipv4}:443"),
            format!("tls:[{ipv6}]:443"),
        ] {
            command.args(["--listen", &listener]);
        }
        command.arg("--tls-cert").arg(&self.certificate);
        command.arg("--tls-key").arg(&self.key);
        let second = discovery().1.to_string();
        command.args(["--nat-discovery", &second, "--auth-secret", SECRET]);
        command.args(["--admin", "127.0.0.1:0", "--drain-deadline", "3"]);
        let process = stage.process("relay", &mut lab.relay.command(&command))?;
        let last = |line: &str| line.starts_with("listening on tls:[").then_some(());
        process.line(last).await?;
        self.relay = Some(process);
        Ok(())
    }

    /// Starts page and signaling, and the relay with them where all is one process.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_signaling(&mut self, stage: &Stage, lab: &Lab) -> anyhow::Result<()> {
        let mut command = Command::new(program("signaling")?);
        command.args(["--listen", "[::]:443", "--admin", "127.0.0.1:0"]);
        command.arg("--tls-cert").arg(&self.certificate);
        command.arg("--tls-key").arg(&self.key);
        if self.deployment.keeps_state {
            command.arg("--state-dir").arg(&self.state);
        }
        if !self.deployment.one_process {
            command.args(["--turn-mode", "external", "--auth-secret", SECRET]);
            let host = Host::RELAY.name();
            for url in [
                format!("stun:{host}:{PORT}"),
                format!("turn:{host}:{PORT}?transport=udp"),
                format!("turn:{host}:{PORT}?transport=tcp"),
                format!("turns:{host}:443?transport=tcp"),
            ] {
                command.args(["--turn-url", &url]);
            }
        }
        let process = stage.process("signaling", &mut lab.signaling.command(&command))?;
        let page = |line: &str| line.starts_with("Page: ").then_some(());
        process.line(page).await?;
        self.signaling = Some(process);
        Ok(())
    }

    /// Asks the relay to end, which it does when its last allocation has ended or after 3 s.
    ///
    /// # Errors
    /// When there is none.
    pub fn drain_relay(&self) -> anyhow::Result<()> {
        let running = self.relay.as_ref().context("no relay runs")?;
        running.signal(Signal::TERM)
    }

    /// Sends the relay a signal; the end of a killed one is waited for.
    ///
    /// # Errors
    /// When there is none.
    pub async fn signal_relay(&mut self, signal: Signal) -> anyhow::Result<()> {
        send(&mut self.relay, signal).await
    }

    /// Kills page and signaling.
    ///
    /// # Errors
    /// When they do not run.
    pub async fn kill_signaling(&mut self) -> anyhow::Result<()> {
        send(&mut self.signaling, Signal::KILL).await
    }
}

async fn send(process: &mut Option<Process>, signal: Signal) -> anyhow::Result<()> {
    let running = process.as_ref().context("no such server runs")?;
    running.signal(signal)?;
    if signal == Signal::KILL {
        running.exit().await?;
        *process = None;
    }
    Ok(())
}

/// A command of a client in a place, which trusts the lab's certificate.
#[must_use]
pub fn trusting(place: &Place, command: &Command, servers: &Servers) -> Command {
    let mut command = place.command(command);
    command.env("SSL_CERT_FILE", servers.certificate());
    command
}

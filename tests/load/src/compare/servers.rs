//! What is compared, and how each is started: with one thread for data, the same ports, the same user.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use clap::ValueEnum as _;

use super::bare::Way;
use super::enrol::{PASSWORD, REALM, USER};
use super::lab::Lab;

/// Ports of relayed sockets: enough for tens of thousands of allocations.
pub(crate) const FIRST_PORT: u16 = 10_000;
const LAST_PORT: u16 = 65_535;

/// One server of the comparison.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// What it is called in tables.
    pub(crate) name: String,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Ours {
        program: PathBuf,
        flags: Vec<String>,
    },
    Coturn,
    WebrtcRs {
        program: PathBuf,
    },
    Bare {
        way: Way,
    },
}

impl Server {
    pub(crate) fn ours(name: &str, program: &Path, flags: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: Kind::Ours {
                program: program.to_owned(),
                flags: flags.split_whitespace().map(str::to_owned).collect(),
            },
        }
    }

    pub(crate) fn coturn() -> Self {
        Self {
            name: "coturn".to_owned(),
            kind: Kind::Coturn,
        }
    }

    pub(crate) fn webrtc_rs(program: &Path) -> Self {
        Self {
            name: "turn 0.17.2".to_owned(),
            kind: Kind::WebrtcRs {
                program: program.to_owned(),
            },
        }
    }

    pub(crate) fn bare(way: Way) -> Self {
        let name = match way {
            Way::Single => "bare recvfrom/sendto",
            Way::Batched => "bare recvmmsg/sendmmsg",
            Way::Uring => "bare io_uring",
        };
        Self {
            name: name.to_owned(),
            kind: Kind::Bare { way },
        }
    }

    /// Whether its relayed addresses are a table instead of allocations: then that of flow 0.
    pub(crate) const fn table(&self) -> Option<u16> {
        match self.kind {
            Kind::Bare { .. } => Some(FIRST_PORT),
            Kind::Ours { .. } | Kind::Coturn | Kind::WebrtcRs { .. } => None,
        }
    }

    /// Why it can't be measured here.
    pub(crate) fn missing(&self) -> Option<String> {
        match &self.kind {
            Kind::Ours { program, .. } => (!program.exists()).then(|| {
                format!(
                    "{} is missing (cargo build --release -p stun-turn)",
                    program.display()
                )
            }),
            Kind::Coturn => Command::new("turnserver")
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_err()
                .then(|| "turnserver is missing (apt-get install coturn)".to_owned()),
            Kind::WebrtcRs { program } => (!program.exists()).then(|| {
                format!(
                    "{} is missing (cargo build --release --manifest-path tests/load/others/Cargo.toml --target-dir target)",
                    program.display()
                )
            }),
            Kind::Bare { way } => way.missing(),
        }
    }

    /// Whether clients may come over TCP and TLS.
    pub(crate) const fn has_streams(&self) -> bool {
        matches!(self.kind, Kind::Ours { .. } | Kind::Coturn)
    }

    /// How it is started for a number of flows.
    pub(crate) fn command(&self, lab: &Lab, flows: usize) -> anyhow::Result<Command> {
        let mut command = match &self.kind {
            Kind::Ours { program, flags } => ours(lab, program, flags),
            Kind::Coturn => coturn(lab),
            Kind::WebrtcRs { program } => webrtc_rs(lab, program),
            Kind::Bare { way } => bare(lab, flows, *way)?,
        };
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }
}

fn ours(lab: &Lab, program: &Path, flags: &[String]) -> Command {
    let [certificate, key] = lab.identity_files();
    let mut command = Command::new(program);
    command
        .arg("--tls-cert")
        .arg(certificate)
        .arg("--tls-key")
        .arg(key)
        .args(["--workers", "1", "--user-quota", "0", "--source-quota", "0"])
        .args(["--log-level", "warn", "--realm", REALM])
        .args(["--user", &format!("{USER}:{PASSWORD}")])
        .args(["--listen", &format!("udp:{}", lab.server)])
        .args(["--listen", &format!("tcp:{}", lab.server)])
        .args(["--listen", &format!("tls:{}", lab.tls())])
        .args(["--relay-address", &lab.relay.to_string()])
        .args(["--relay-ports", &format!("{FIRST_PORT}-{LAST_PORT}")])
        .args(["--allow-peer", "10.0.0.0/8", "--allow-peer", "127.0.0.0/8"])
        .args(flags);
    command
}

/// Debian's coturn, with one thread that relays and without what costs and is not asked of others:
/// logs, the console, the database.
fn coturn(lab: &Lab) -> Command {
    let [certificate, key] = lab.identity_files();
    let mut command = Command::new("turnserver");
    command
        .arg("--cert")
        .arg(certificate)
        .arg("--pkey")
        .arg(key)
        .args(["--tls-listening-port", &lab.tls().port().to_string()])
        .args([
            "-n",
            "-m",
            "1",
            "--no-dtls",
            "--no-cli",
            "--no-multicast-peers",
        ])
        .args(["--log-file", "/dev/null", "--no-stdout-log", "--simple-log"])
        .args([
            "--no-software-attribute",
            "--no-rfc5780",
            "--no-stun-backward-compatibility",
        ])
        .args(["--response-origin-only-with-rfc5780"])
        .args([
            "--lt-cred-mech",
            "--realm",
            REALM,
            "--user",
            &format!("{USER}:{PASSWORD}"),
        ])
        .args(["--listening-ip", &lab.server.ip().to_string()])
        .args(["--listening-port", &lab.server.port().to_string()])
        .args(["--relay-ip", &lab.relay.to_string()])
        .args([
            "--min-port",
            &FIRST_PORT.to_string(),
            "--max-port",
            &LAST_PORT.to_string(),
        ])
        .args(["--pidfile", "/dev/null", "--db", "/dev/null"]);
    if !lab.is_isolated() {
        command.arg("--allow-loopback-peers");
    }
    command
}

fn webrtc_rs(lab: &Lab, program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args([lab.server.to_string(), lab.relay.to_string()])
        .args([FIRST_PORT, LAST_PORT].map(|port| port.to_string()))
        .args([REALM, USER, PASSWORD]);
    command
}

fn bare(lab: &Lab, flows: usize, way: Way) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut command = Command::new(program);
    command
        .arg("forward")
        .args(["--listen", &lab.server.to_string()])
        .args(["--relay", &format!("{}:{FIRST_PORT}", lab.relay)])
        .args(["--clients", &lab.client_address(0).to_string()])
        .args(["--peers", &lab.peer(0).to_string()])
        .args(["--flows", &flows.to_string()]);
    let way = way.to_possible_value().expect("none is hidden");
    command.args(["--way", way.get_name()]);
    Ok(command)
}

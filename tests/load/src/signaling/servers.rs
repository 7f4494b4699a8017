//! The servers, as processes on a core of their own.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::compare::host;
use crate::compare::process::Process;

/// How long a server may take to start.
const START: Duration = Duration::from_secs(20);

/// Whose server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    PeerServer,
    SocketIo,
    Bare,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Ours, Self::PeerServer, Self::SocketIo, Self::Bare];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::PeerServer => "PeerServer",
            Self::SocketIo => "socket.io",
            Self::Bare => "bare axum",
        }
    }
}

/// How servers are started.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    /// Our `signaling`.
    pub(crate) program: PathBuf,
    /// The folder with Node's servers.
    pub(crate) node: PathBuf,
    pub(crate) core: usize,
}

/// One that runs.
pub(crate) struct Running {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) process: Process,
}

impl Launcher {
    /// Why a server can't be measured here.
    pub(crate) fn lacks(&self, kind: Kind) -> Option<String> {
        let needed = match kind {
            Kind::Ours => self.program.clone(),
            Kind::PeerServer => self.node.join("node_modules/peer"),
            Kind::SocketIo => self.node.join("node_modules/socket.io"),
            Kind::Bare => return None,
        };
        (!needed.exists()).then(|| format!("{} is not there", needed.display()))
    }

    pub(crate) fn start(&self, kind: Kind) -> anyhow::Result<Running> {
        let port = free_port()?;
        self.start_at(kind, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
    }

    /// Starts it and waits until it accepts connections.
    pub(crate) fn start_at(&self, kind: Kind, address: SocketAddr) -> anyhow::Result<Running> {
        let mut command = self.command(kind, address)?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let core = self.core;
        // A thread of its own, because what it starts stays on its core.
        let spawned = std::thread::spawn(move || -> anyhow::Result<_> {
            host::pin(core)?;
            Ok(command.spawn()?)
        });
        let child = match spawned.join() {
            Ok(child) => child.with_context(|| kind.name())?,
            Err(_) => bail!("starting {} failed", kind.name()),
        };
        let mut process = Process(child);
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            process.check()?;
            if since.elapsed() > START {
                bail!("{} does not accept connections", kind.name());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Running {
            kind,
            address,
            process,
        })
    }

    fn command(&self, kind: Kind, address: SocketAddr) -> anyhow::Result<Command> {
        let port = address.port().to_string();
        let mut command = match kind {
            Kind::Ours => Command::new(&self.program),
            Kind::PeerServer | Kind::SocketIo => Command::new("node"),
            Kind::Bare => Command::new(std::env::current_exe()?),
        };
        match kind {
            Kind::Ours => command
                .args(["--listen", &address.to_string(), "--admin", "127.0.0.1:0"])
                .args([
                    "--turn-mode",
                    "none",
                    "--session-secret",
                    "the same after a restart",
                ])
                .args([
                    "--max-room",
                    "1000",
                    "--max-rooms",
                    "100000",
                    "--max-sessions",
                    "100000",
                ])
                .args(["--max-pending", "100000", "--message-rate", "1000000"])
                .args(["--log-level", "error"]),
            Kind::PeerServer => command
                .arg(self.node.join("node_modules/peer/dist/bin/peerjs.js"))
                .args(["--host", "127.0.0.1", "--port", &port, "--path", "/"])
                .args(["--concurrent_limit", "100000", "--alive_timeout", "90000"]),
            Kind::SocketIo => command.arg(self.node.join("relay.mjs")).arg(&port),
            Kind::Bare => command.args(["forward-web-sockets", &address.to_string()]),
        };
        Ok(command)
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

impl Running {
    /// Resident memory in bytes.
    pub(crate) fn rss(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        Ok(kib.context("VmRSS")?.parse::<u64>()? * 1024)
    }
}

//! A relay of its own for one measurement, and what the system knows of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;

/// A running `stun-turn`; ends with this value.
pub(crate) struct Relay {
    child: Child,
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    admin: SocketAddr,
    _certificate: tempfile::TempDir,
}

impl Relay {
    pub(crate) fn start(program: &Path) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("cert.pem"), made.cert.pem())?;
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem())?;
        let mut child = Command::new(program)
            .args(["--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0"])
            .args([
                "--admin",
                "127.0.0.1:0",
                "--user",
                "alice:wonder",
                "--auth-secret",
                "north",
            ])
            .args(["--user-quota", "0", "--source-quota", "0"])
            .args(["--allow-peer", "127.0.0.0/8", "--log-level", "warn"])
            .arg("--tls-cert")
            .arg(path("cert.pem"))
            .arg("--tls-key")
            .arg(path("key.pem"))
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!("{} (cargo build --release -p stun-turn)", program.display())
            })?;
        let output = child.stdout.take().context("its output is ours")?;
        let mut lines = BufReader::new(output).lines();
        let mut address = |label: &str| -> anyhow::Result<SocketAddr> {
            let line = lines.next().context("the relay did not start")??;
            let text = line.strip_prefix(label).with_context(|| line.clone())?;
            Ok(text.parse()?)
        };
        Ok(Self {
            udp: address("listening on udp:")?,
            tcp: address("listening on tcp:")?,
            admin: address("admin on http://")?,
            child,
            _certificate: directory,
        })
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .context("VmRSS")?;
        Ok(kib.parse::<u64>()? * 1024)
    }

    /// Its number.
    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// The value of one line of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let mut stream = TcpStream::connect(self.admin)?;
        let host = self.admin;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        Ok(value
            .with_context(|| format!("no {name}"))?
            .trim()
            .parse()?)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Its calls are over: nothing is to be waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! coturn's test programs as foreign clients of our relay.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::process::Process;
use crate::stage::Stage;

/// What to do when a program is missing.
const NEEDED: &str = "these tests need turnutils_* of Debian's package coturn";

/// A running `turnutils_peer`, which sends back what it gets.
#[derive(Debug)]
pub struct EchoPeer {
    _process: Process,
    port: u16,
}

impl Stage {
    /// Starts `turnutils_peer` on loopback.
    ///
    /// # Errors
    /// When it can't be run.
    pub fn echo_peer(&self) -> anyhow::Result<EchoPeer> {
        // It takes no port 0: a port that was free a moment ago will do.
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let mut command = Command::new("turnutils_peer");
        command.args(["-L", "127.0.0.1", "-p", &port.to_string()]);
        let _process = self
            .process("turnutils_peer", &mut command)
            .context(NEEDED)?;
        Ok(EchoPeer { _process, port })
    }

    /// Runs `turnutils_uclient`: two clients, `messages` messages each. Every one must come back.
    ///
    /// `peer`: where to send; without one the clients send to each other's relayed addresses.
    ///
    /// # Errors
    /// When it fails or loses anything.
    pub async fn uclient(
        &self,
        server: SocketAddr,
        options: &[&str],
        peer: Option<&EchoPeer>,
        messages: u32,
    ) -> anyhow::Result<()> {
        let mut command = Command::new("turnutils_uclient");
        command.args(["-u", "alice", "-w", "wonder", "-m", "2"]);
        command.args([
            "-n",
            &messages.to_string(),
            "-p",
            &server.port().to_string(),
        ]);
        match peer {
            Some(peer) => command.args(["-e", "127.0.0.1", "-r", &peer.port.to_string()]),
            None => command.arg("-y"),
        };
        command.args(options).arg(server.ip().to_string());
        let process = self
            .process("turnutils_uclient", &mut command)
            .context(NEEDED)?;
        let status = process.exit().await?;
        let output = process.stdout()? + process.stderr()?.as_str();
        ensure!(status.success(), "{status}: {output}");
        // Between each other, either of two clients has two sessions (RTP and RTCP).
        let sessions = if peer.is_some() { 2 } else { 4 };
        let all = sessions * messages;
        let counts = format!("tot_send_msgs={all}, tot_recv_msgs={all}");
        ensure!(output.contains(&counts), "no {counts:?} in: {output}");
        let verdict = "Total lost packets 0 (0.000000%), total send dropped 0 (0.000000%)";
        ensure!(output.contains(verdict), "packets got lost: {output}");
        Ok(())
    }

    /// Asks for our own address with `turnutils_stunclient`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn stunclient(&self, server: SocketAddr) -> anyhow::Result<SocketAddr> {
        let mut command = Command::new("turnutils_stunclient");
        command
            .args(["-p", &server.port().to_string()])
            .arg(server.ip().to_string());
        let process = self
            .process("turnutils_stunclient", &mut command)
            .context(NEEDED)?;
        let status = process.exit().await?;
        let output = process.stdout()? + process.stderr()?.as_str();
        ensure!(status.success(), "{status}: {output}");
        let address = output
            .lines()
            .find_map(|line| line.split_once("reflexive addr: "));
        let (_, address) = address.with_context(|| format!("no address in: {output}"))?;
        Ok(address.trim().parse()?)
    }
}

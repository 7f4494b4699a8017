//! Two places in networks of their own, with two ways between them that can be cut: what happens to a laptop that is
//! carried out of reach of one Wi-Fi and into another's.
//!
//! A place is a network namespace that lives as long as the process that holds it, which ends with the test as all do.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context as _, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::poll::{self, Look};
use crate::process::Process;
use crate::stage::{self, Stage};

/// Runs a test with two places and a cable between them, as [`stage::run`] does. Where networks can't be made it says so instead.
///
/// # Panics
/// When the test fails.
pub fn run(test: impl AsyncFnOnce(&Stage, &Networks) -> anyhow::Result<()>) {
    if !may_be_made() {
        println!("skipped: needs `ip`, and root in a container that lets it make networks");
        return;
    }
    stage::run(async |stage| {
        let networks = Networks::new(stage).await?;
        networks.plug_in(Way::Cable)?;
        test(stage, &networks).await
    });
}

/// Whether this process may make networks: root may, where its container lets it and iproute2 is installed.
#[must_use]
pub fn may_be_made() -> bool {
    let tried = Command::new("unshare")
        .args(["--net", "ip", "link"])
        .output();
    tried.is_ok_and(|output| output.status.success())
}

/// A network namespace.
#[derive(Debug)]
pub struct Place {
    holder: Process,
    /// What programs there read as `/etc/resolv.conf`, where it is not the host's.
    names: Option<PathBuf>,
}

impl Place {
    /// A network of its own, with loopback alone.
    ///
    /// # Errors
    /// When it can't be made.
    pub async fn new(stage: &Stage, name: &str) -> anyhow::Result<Self> {
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sleep", "infinity"]);
        let place = Self {
            holder: stage.process(name, &mut holder)?,
            names: None,
        };
        let ours = fs::read_link("/proc/self/ns/net")?;
        poll::until("a network namespace", async || {
            // It is `unshare` until it has made the network, and `sleep` from then on.
            let theirs = fs::read_link(place.file())?;
            Ok(match theirs == ours {
                true => Look::NotYet(theirs.display().to_string()),
                false => Look::There(()),
            })
        })
        .await?;
        place.ip("link set lo up")?;
        Ok(place)
    }

    fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// The number of the process that holds it, by which `ip` names it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// Has programs there read `file` in place of `/etc/resolv.conf`.
    pub fn set_names(&mut self, file: PathBuf) {
        self.names = Some(file);
    }

    /// The same command, there.
    #[must_use]
    pub fn command(&self, command: &Command) -> Command {
        let Some(names) = &self.names else {
            return self.in_its_network(command);
        };
        // A mount of its own process, and of none besides.
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let mut there = Command::new("unshare");
        there.args(["--mount", "sh", "-c", script]).arg(names);
        there.arg(command.get_program()).args(command.get_args());
        self.in_its_network(&there)
    }

    fn in_its_network(&self, command: &Command) -> Command {
        let mut there = Command::new("nsenter");
        there.arg(format!("--net={}", self.file()));
        there.arg(command.get_program()).args(command.get_args());
        there
    }

    fn ip(&self, arguments: &str) -> anyhow::Result<()> {
        self.run("ip", arguments)
    }

    /// A program of iproute2, there.
    fn run(&self, program: &str, arguments: &str) -> anyhow::Result<()> {
        let mut command = Command::new(program);
        command.args(arguments.split(' '));
        let output = self.in_its_network(&command).output();
        let output = output.with_context(|| format!("{program}, of iproute2"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {arguments}: {said}");
        Ok(())
    }

    /// Gives a program there `input` to read, such as commands of `ip -batch -` or rules of `nft -f -`, and returns what it
    /// wrote.
    ///
    /// # Errors
    /// When it is missing or fails, with what it said.
    pub fn feed(&self, program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = Command::new(program);
        command.args(arguments);
        let mut child = self
            .in_its_network(&command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("nsenter, of util-linux")?;
        let mut pipe = child.stdin.take().context("a pipe was asked for")?;
        // A program that ends before it has read everything says why itself.
        let _ = pipe.write_all(input.as_bytes());
        drop(pipe);
        let output = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{program} {arguments:?}: {said}{input}"
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs `work` in a thread there.
    ///
    /// # Errors
    /// When the place can't be entered, or the work panics.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        let place = File::open(self.file())?;
        let enter = || -> anyhow::Result<T> {
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(place.as_fd(), network)
                .context("entering a network namespace")?;
            Ok(work())
        };
        let joined = thread::scope(|scope| scope.spawn(enter).join());
        joined.map_err(|_| anyhow!("a thread in {} panicked", self.file()))?
    }

    /// A port of this test's own network that leads to one on the place's loopback.
    ///
    /// # Errors
    /// When the place can't be entered.
    pub fn forward(&self, port: u16) -> anyhow::Result<u16> {
        // A socket stays in the network in which it was made, wherever its thread goes.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let here = listener.local_addr()?.port();
        let place = File::open(self.file())?;
        let (entered, outcome) = mpsc::channel();
        thread::spawn(move || {
            let moved = move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network));
            let is_there = moved.is_ok();
            let told = entered.send(moved);
            if !is_there || told.is_err() {
                return;
            }
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
                    // Who can't be served is cut off, and says so.
                    let _ = join(&near, &far);
                }
            }
        });
        outcome.recv()?.context("entering a network namespace")?;
        Ok(here)
    }
}

/// Passes on what either of two connections says.
fn join(near: &TcpStream, far: &TcpStream) -> io::Result<()> {
    for (from, to) in [(near, far), (far, near)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

/// A way between the two places; they differ in their addresses alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// By 10.77.1.0/24.
    Cable,
    /// By 10.77.2.0/24.
    Radio,
}

impl Way {
    const fn number(self) -> u8 {
        match self {
            Self::Cable => 1,
            Self::Radio => 2,
        }
    }
}

/// Two places.
#[derive(Debug)]
pub struct Networks {
    /// Where [`Self::SERVER`] is.
    pub home: Place,
    /// From where each way leads home, once it is plugged in.
    pub away: Place,
}

impl Networks {
    /// An address at home that stays what it is, whichever way leads there.
    pub const SERVER: &str = "10.77.0.1";
    /// Where the page is to be served there.
    pub const PAGE: &str = "10.77.0.1:8080";

    /// Two places with no way between them.
    ///
    /// # Errors
    /// When they can't be made.
    async fn new(stage: &Stage) -> anyhow::Result<Self> {
        let home = Place::new(stage, "home").await?;
        let away = Place::new(stage, "away").await?;
        home.ip(&format!("address add {}/32 dev lo", Self::SERVER))?;
        for way in [Way::Cable, Way::Radio] {
            let (number, holder) = (way.number(), away.holder.id());
            home.ip(&format!(
                "link add way{number} type veth peer name way{number} netns {holder}"
            ))?;
            home.ip(&format!("address add 10.77.{number}.1/24 dev way{number}"))?;
            home.ip(&format!("link set way{number} up"))?;
        }
        Ok(Self { home, away })
    }

    /// The address that a way gives to the place that is away.
    #[must_use]
    pub fn address(way: Way) -> String {
        format!("10.77.{}.2", way.number())
    }

    /// Gives the place that is away an address, and a way home.
    ///
    /// # Errors
    /// When it has it already.
    pub fn plug_in(&self, way: Way) -> anyhow::Result<()> {
        let number = way.number();
        let address = Self::address(way);
        self.away
            .ip(&format!("address add {address}/24 dev way{number}"))?;
        self.away.ip(&format!("link set way{number} up"))?;
        self.away.ip(&format!(
            "route add default via 10.77.{number}.1 dev way{number} metric {number}"
        ))
    }

    /// Takes both away again.
    ///
    /// # Errors
    /// When there is nothing to take.
    pub fn unplug(&self, way: Way) -> anyhow::Result<()> {
        let number = way.number();
        self.away.ip(&format!("address flush dev way{number}"))?;
        self.away.ip(&format!("link set way{number} down"))
    }
    /// Lets only so much leave the place that is away, as an ordinary line into a house does; what is sent faster
    /// waits, and is lost when it has waited for long.
    ///
    /// # Errors
    /// When the system can't do that.
    pub fn narrow(&self, way: Way, kilobits_per_second: u32) -> anyhow::Result<()> {
        let number = way.number();
        self.away.run(
            "tc",
            &format!(
                "qdisc replace dev way{number} root tbf rate {kilobits_per_second}kbit burst 16kb latency 300ms"
            ),
        )
    }

    /// Takes that limit away again.
    ///
    /// # Errors
    /// When there is none.
    pub fn widen(&self, way: Way) -> anyhow::Result<()> {
        let number = way.number();
        self.away
            .run("tc", &format!("qdisc delete dev way{number} root"))
    }
}

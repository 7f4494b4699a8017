//! Where the measurement takes place: three network namespaces joined by veth pairs, or loopback
//! where there are no rights for that.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::thread::{
    CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_getaffinity, sched_setaffinity,
};

use rustls::pki_types::CertificateDer;

use super::batch::{link_socket, receive_together};
use super::frame::Cable;

/// The generator, both its sides.
const GENERATOR_CORE: usize = 0;
/// What is measured.
pub(crate) const SERVER_CORE: usize = 1;
/// Local ports of all clients and of all peers.
pub(crate) const CLIENT_PORT: u16 = 5000;
pub(crate) const PEER_PORT: u16 = 7000;
/// Local port of clients that come while others make noise.
pub(crate) const LATE_PORT: u16 = 5001;
/// The same on both cables: they are different networks.
const CABLE: Cable = Cable {
    server: [2, 0, 0, 0, 0, 1],
    generator: [2, 0, 0, 0, 0, 2],
};
/// The generator's own buffers: a datagram lost there would be blamed on the server.
const GENERATOR_BUFFER: usize = 64 << 20;

/// The three places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Clients,
    Server,
    Peers,
}

impl Place {
    const ALL: [Self; 3] = [Self::Clients, Self::Server, Self::Peers];

    const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Server => "server",
            Self::Peers => "peers",
        }
    }
}

/// The network of one run; the namespaces end with this value.
pub(crate) struct Lab {
    is_isolated: bool,
    /// What clients speak to.
    pub(crate) server: SocketAddrV4,
    /// Where relayed sockets are.
    pub(crate) relay: Ipv4Addr,
    first_client: Ipv4Addr,
    first_peer: Ipv4Addr,
    identity: Identity,
}

/// The servers' certificate, which says that they are localhost.
struct Identity {
    directory: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Identity {
    fn make() -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        std::fs::write(directory.path().join("cert.pem"), made.cert.pem())?;
        let key = made.signing_key.serialize_pem();
        std::fs::write(directory.path().join("key.pem"), key)?;
        Ok(Self {
            directory,
            certificate: made.cert.der().clone(),
        })
    }
}

impl Lab {
    /// Builds the network; on loopback without root.
    pub(crate) fn build(on_loopback: bool) -> anyhow::Result<Self> {
        let is_root = rustix::process::geteuid().is_root();
        if on_loopback || !is_root {
            if !is_root {
                println!(
                    "not root: no network namespaces; measured on loopback instead, where the generator's buffers are those that the system allows"
                );
            }
            return Ok(Self {
                is_isolated: false,
                server: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 34_780),
                relay: Ipv4Addr::new(127, 0, 0, 2),
                first_client: Ipv4Addr::new(127, 101, 0, 1),
                first_peer: Ipv4Addr::new(127, 102, 0, 1),
                identity: Identity::make()?,
            });
        }
        remove_leftovers();
        let lab = Self {
            is_isolated: true,
            server: SocketAddrV4::new(Ipv4Addr::new(10, 200, 1, 1), 3478),
            relay: Ipv4Addr::new(10, 200, 2, 1),
            first_client: Ipv4Addr::new(10, 101, 0, 1),
            first_peer: Ipv4Addr::new(10, 102, 0, 1),
            identity: Identity::make()?,
        };
        lab.connect()
            .context("network namespaces (they need iproute2; --loopback does without)")?;
        Ok(lab)
    }

    /// One cable from the server to the clients, one to the peers. Clients and peers have a whole
    /// network of addresses each behind one gateway, so that the server knows two neighbours only.
    fn connect(&self) -> anyhow::Result<()> {
        for place in Place::ALL {
            ip(&format!("netns add {}", namespace(place)))?;
            ip(&format!("-n {} link set lo up", namespace(place)))?;
        }
        let server = namespace(Place::Server);
        for (side, network, addresses) in [
            (Place::Clients, "10.200.1", "10.101.0.0/16"),
            (Place::Peers, "10.200.2", "10.102.0.0/16"),
        ] {
            let (other, link) = (namespace(side), side.name());
            let [near, far] = [CABLE.server, CABLE.generator]
                .map(|it| it.map(|byte| format!("{byte:02x}")).join(":"));
            ip(&format!(
                "-n {server} link add {link} address {near} type veth peer name server address {far} netns {other}"
            ))?;
            ip(&format!("-n {server} addr add {network}.1/30 dev {link}"))?;
            ip(&format!("-n {other} addr add {network}.2/30 dev server"))?;
            ip(&format!("-n {server} link set {link} up"))?;
            ip(&format!("-n {other} link set server up"))?;
            ip(&format!(
                "-n {server} route add {addresses} via {network}.2"
            ))?;
            ip(&format!("-n {other} route add default via {network}.1"))?;
            ip(&format!("-n {other} route add local {addresses} dev lo"))?;
        }
        Ok(())
    }

    pub(crate) const fn is_isolated(&self) -> bool {
        self.is_isolated
    }

    pub(crate) fn client(&self, flow: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first_client.to_bits() + flow as u32)
    }

    pub(crate) fn peer(&self, flow: usize) -> SocketAddrV4 {
        let ip = Ipv4Addr::from_bits(self.first_peer.to_bits() + flow as u32);
        SocketAddrV4::new(ip, PEER_PORT)
    }

    pub(crate) fn client_address(&self, flow: usize) -> SocketAddrV4 {
        SocketAddrV4::new(self.client(flow), CLIENT_PORT)
    }

    /// What clients speak to over TLS.
    pub(crate) const fn tls(&self) -> SocketAddrV4 {
        SocketAddrV4::new(*self.server.ip(), self.server.port() + 1)
    }

    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.identity.certificate
    }

    /// Files of the servers' certificate and of its key.
    pub(crate) fn identity_files(&self) -> [PathBuf; 2] {
        ["cert.pem", "key.pem"].map(|name| self.identity.directory.path().join(name))
    }

    /// A socket in the server's place that nobody reads.
    pub(crate) fn sink(&self) -> anyhow::Result<UdpSocket> {
        self.within(Place::Server, || Ok(UdpSocket::bind(self.server)?))
    }

    /// Lets the kernel forward between clients and peers; false where there is nothing between them.
    pub(crate) fn forward(&self, is_on: bool) -> anyhow::Result<bool> {
        if self.is_isolated {
            self.within(Place::Server, || {
                let value = if is_on { "1" } else { "0" };
                Ok(std::fs::write("/proc/sys/net/ipv4/ip_forward", value)?)
            })
            .context("forwarding by the kernel")?;
        }
        Ok(self.is_isolated)
    }

    /// Runs in a place: what is opened or started there stays there.
    pub(crate) fn within<T: Send>(
        &self,
        place: Place,
        run: impl FnOnce() -> anyhow::Result<T> + Send,
    ) -> anyhow::Result<T> {
        let enter = || -> anyhow::Result<()> {
            if self.is_isolated {
                let file = std::fs::File::open(format!("/run/netns/{}", namespace(place)))?;
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter()
                    .with_context(|| format!("entering the namespace of the {}", place.name()))?;
                run()
            });
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The generator's sockets in a place.
    pub(crate) fn side(&self, place: Place) -> anyhow::Result<Side> {
        let port = match place {
            Place::Clients => CLIENT_PORT,
            Place::Peers | Place::Server => PEER_PORT,
        };
        let socket = self.socket(place, port)?;
        let frames = match self.is_isolated {
            true => Some(self.within(place, || {
                let link = rustix::net::netdevice::name_to_index(&socket, "server")?;
                Ok((link_socket(link)?, CABLE))
            })?),
            false => None,
        };
        Ok(Side {
            socket,
            frames,
            port,
        })
    }

    /// A socket for all clients or all peers: bound to every address, with large buffers.
    pub(crate) fn socket(&self, place: Place, port: u16) -> anyhow::Result<UdpSocket> {
        self.within(place, || {
            let socket = UdpSocket::bind((self.wildcard(), port))?;
            let reference = socket2::SockRef::from(&socket);
            rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, GENERATOR_BUFFER)
                .or_else(|_| {
                    reference
                        .set_recv_buffer_size(GENERATOR_BUFFER)
                        .map_err(|_| rustix::io::Errno::PERM)
                })?;
            receive_together(socket.as_fd())?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        })
    }

    const fn wildcard(&self) -> Ipv4Addr {
        Ipv4Addr::UNSPECIFIED
    }

    /// Starts a program in the server's place, on the server's core.
    pub(crate) fn start(&self, mut command: Command) -> anyhow::Result<Process> {
        let child = self.within(Place::Server, || {
            pin(SERVER_CORE)?;
            command.stdin(Stdio::null());
            command.spawn().with_context(|| format!("{command:?}"))
        })?;
        Ok(Process(child))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.is_isolated {
            for place in Place::ALL {
                // What was never made can't be removed.
                let _ = ip(&format!("netns del {}", namespace(place)));
            }
        }
    }
}

/// The calling thread is the generator from now on.
pub(crate) fn pin_generator() -> anyhow::Result<()> {
    if sched_getaffinity(None)?.count() < 2 {
        bail!("two cores are needed: one for the server, one for the generator");
    }
    pin(GENERATOR_CORE)
}

fn pin(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).context("pinning to a core")
}

fn namespace(place: Place) -> String {
    format!("load-{}-{}", std::process::id(), place.name())
}

/// Removes namespaces of runs that were killed.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix("load-")
            .and_then(|rest| rest.split('-').next());
        let is_over = process.is_some_and(|id| !std::path::Path::new("/proc").join(id).exists());
        if is_over {
            // Another run may just be doing the same.
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn ip(arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .context("ip")?;
    if !output.status.success() {
        bail!(
            "ip {arguments}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// The generator in one place.
pub(crate) struct Side {
    /// Receives everything, and sends what is cut by the kernel.
    pub(crate) socket: UdpSocket,
    /// Sends the rest, where there is a cable.
    pub(crate) frames: Option<(OwnedFd, Cable)>,
    pub(crate) port: u16,
}

/// A started server; ends with this value.
pub(crate) struct Process(Child);

impl Process {
    /// Fails when the process has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait()? {
            Some(status) => bail!("the server ended by itself: {status}"),
            None => Ok(()),
        }
    }

    /// Nanoseconds that its threads have run so far, what the kernel did in their name included:
    /// system calls, and the softirqs that these set off.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        let mut total = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            // A thread may end meanwhile.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let first = text.split_whitespace().next().unwrap_or("0");
            total += first.parse::<u64>().unwrap_or_default();
        }
        Ok(total)
    }
}

impl Process {
    /// Memory in bytes that is resident and its own, shared pages by their part.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .context("Pss")?;
        Ok(kib.parse::<u64>()? * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nothing to be saved.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nanoseconds that this thread has run so far.
pub(crate) fn own_cpu_ns() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next().context("schedstat")?;
    Ok(first.parse()?)
}

/// How long a core was not idle since the start, in ns. Whatever ran there counts.
pub(crate) fn core_busy_ns(core: usize) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    let label = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&label))?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map_while(|it| it.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; a tick is 10 ms here on every architecture.
    let busy = ticks.iter().take(8).sum::<u64>() - ticks.get(3)? - ticks.get(4)?;
    Some(busy * 10_000_000)
}

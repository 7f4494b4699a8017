//! Where the measurement takes place: three network namespaces joined by veth pairs, or loopback
//! where there are no rights for that.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use rustls::pki_types::CertificateDer;

use super::batch::{link_socket, receive_together};
use super::frame::Cable;
use super::host::{Cores, allow_many_files, pin, prioritise};
use super::process::Process;
use super::servers::FIRST_PORT;

/// Local ports of all clients and of all peers, where nobody else is.
const CLIENT_PORT: u16 = 5000;
const PEER_PORT: u16 = 7000;
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
    client_port: u16,
    peer_port: u16,
    cores: Cores,
    identity: Identity,
    is_urgent: bool,
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
        let cores = Cores::choose()?;
        allow_many_files()?;
        if on_loopback || !is_root {
            if !is_root {
                println!(
                    "not root: no network namespaces; measured on loopback instead, where the generator's buffers are those that the system allows"
                );
            }
            return Ok(Self {
                is_isolated: false,
                server: SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()?),
                client_port: free_port()?,
                peer_port: free_port()?,
                cores,
                relay: Ipv4Addr::new(127, 0, 0, 2),
                first_client: Ipv4Addr::new(127, 101, 0, 1),
                first_peer: Ipv4Addr::new(127, 102, 0, 1),
                identity: Identity::make()?,
                is_urgent: false,
            });
        }
        remove_leftovers();
        let lab = Self {
            is_isolated: true,
            client_port: CLIENT_PORT,
            peer_port: PEER_PORT,
            cores,
            server: SocketAddrV4::new(Ipv4Addr::new(10, 200, 1, 1), 3478),
            relay: Ipv4Addr::new(10, 200, 2, 1),
            first_client: Ipv4Addr::new(10, 101, 0, 1),
            first_peer: Ipv4Addr::new(10, 102, 0, 1),
            identity: Identity::make()?,
            is_urgent: false,
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

    pub(crate) const fn cores(&self) -> Cores {
        self.cores
    }

    pub(crate) const fn is_isolated(&self) -> bool {
        self.is_isolated
    }

    pub(crate) fn client(&self, flow: usize) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first_client.to_bits() + flow as u32)
    }

    pub(crate) fn peer(&self, flow: usize) -> SocketAddrV4 {
        let ip = Ipv4Addr::from_bits(self.first_peer.to_bits() + flow as u32);
        SocketAddrV4::new(ip, self.peer_port)
    }

    pub(crate) fn client_address(&self, flow: usize) -> SocketAddrV4 {
        SocketAddrV4::new(self.client(flow), self.client_port)
    }

    /// Lets this session, and so all that is measured, go before whatever else runs here.
    pub(crate) fn hurry(&mut self) -> anyhow::Result<()> {
        self.is_urgent = true;
        prioritise(-20)
            .context("priority for this session (it needs root and CONFIG_SCHED_AUTOGROUP)")
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
            Place::Clients => self.client_port,
            Place::Peers | Place::Server => self.peer_port,
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
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
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

    /// The calling thread is the generator from now on.
    pub(crate) fn pin_generator(&self) -> anyhow::Result<()> {
        pin(self.cores.generator)
    }

    /// Starts a program in the server's place, on the server's core.
    pub(crate) fn start(&self, mut command: Command) -> anyhow::Result<Process> {
        let child = self.within(Place::Server, || {
            self.wait_for_ports()?;
            pin(self.cores.server)?;
            command.stdin(Stdio::null());
            command.spawn().with_context(|| format!("{command:?}"))
        })?;
        Ok(Process(child))
    }

    /// The kernel ends what io_uring has under way, and gives up its sockets, some time after the process has ended.
    fn wait_for_ports(&self) -> anyhow::Result<()> {
        let relayed = (0..100).map(|flow| SocketAddrV4::new(self.relay, FIRST_PORT + flow));
        let deadline = Instant::now() + Duration::from_secs(10);
        for address in relayed.chain([self.server]) {
            while let Err(error) = UdpSocket::bind(address) {
                if Instant::now() > deadline {
                    return Err(error).with_context(|| format!("waiting for {address}"));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.is_urgent {
            let _ = prioritise(0);
        }
        if self.is_isolated {
            for place in Place::ALL {
                // What was never made can't be removed.
                let _ = ip(&format!("netns del {}", namespace(place)));
            }
        }
    }
}

/// A port that nobody uses just now.
fn free_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?
        .local_addr()?
        .port())
}

fn namespace(place: Place) -> String {
    format!("load-{}-{}", std::process::id(), place.name())
}

/// Removes namespaces of runs that were killed, and the servers in them.
fn remove_leftovers() {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix("load-")
            .and_then(|rest| rest.split('-').next());
        if process.is_none_or(|id| std::path::Path::new("/proc").join(id).exists()) {
            continue;
        }
        // Another run may just be doing the same.
        let inside = ip(&format!("netns pids {name}")).unwrap_or_default();
        for id in inside.lines().filter_map(|line| line.parse().ok()) {
            if let Some(id) = Pid::from_raw(id) {
                let _ = kill_process(id, Signal::KILL);
            }
        }
        let _ = ip(&format!("netns del {name}"));
    }
}

fn ip(arguments: &str) -> anyhow::Result<String> {
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
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The generator in one place.
pub(crate) struct Side {
    /// Receives everything, and sends what is cut by the kernel.
    pub(crate) socket: UdpSocket,
    /// Sends the rest, where there is a cable.
    pub(crate) frames: Option<(OwnedFd, Cable)>,
    pub(crate) port: u16,
}

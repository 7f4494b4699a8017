//! One way to the server: a UDP socket or a connection, and what arrives on it, cut into messages.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};
use stun_turn_proto::framing::{self, Frame};

use super::Via;

/// The largest datagram.
const BUFFER_BYTES: usize = 65_536;

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// TLS is not spoken.
    Nobody,
    /// What the configuration says.
    Tls(Arc<ClientConfig>),
}

impl Trust {
    /// The authorities of a file, or those of the system.
    pub(super) fn new(ca: Option<&Path>, insecure: bool) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = if insecure {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
                .with_no_client_auth()
        } else {
            let roots = match ca {
                Some(path) => roots_of(path)?,
                None => roots_of_system()?,
            };
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        Ok(Self::Tls(Arc::new(config)))
    }
}

fn roots_of(path: &Path) -> Result<RootCertStore, String> {
    let refuse = |reason: String| {
        let path = path.display();
        format!("--ca {path}: expected certificates in PEM: {reason}")
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| refuse(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(refuse("found none".to_owned()));
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    // Some systems carry certificates that nobody can read: the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this system has no list of certificate authorities (Debian: the package ca-certificates): \
                    give one by --ca FILE, or take any certificate by --insecure"
            .to_owned());
    }
    Ok(roots)
}

/// Believes everybody.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection, in clear or in TLS.
trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// One way to the server.
pub(super) struct Link {
    kind: Kind,
    /// The client's own address.
    pub(super) local: SocketAddr,
}

enum Kind {
    Udp(UdpSocket),
    Stream {
        io: Box<dyn Duplex>,
        /// The same connection, for timeouts.
        tcp: TcpStream,
        received: Vec<u8>,
    },
}

impl Link {
    /// A socket that talks to this server alone.
    pub(super) fn udp(server: SocketAddr) -> io::Result<Self> {
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        let local = socket.local_addr()?;
        Ok(Self {
            kind: Kind::Udp(socket),
            local,
        })
    }

    /// A connection in clear.
    pub(super) fn tcp(server: SocketAddr, patience: Duration) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&server, patience)?;
        tcp.set_nodelay(true)?;
        Self::stream(Box::new(tcp.try_clone()?), tcp)
    }

    fn stream(io: Box<dyn Duplex>, tcp: TcpStream) -> io::Result<Self> {
        let local = tcp.local_addr()?;
        Ok(Self {
            kind: Kind::Stream {
                io,
                tcp,
                received: Vec::new(),
            },
            local,
        })
    }

    /// Encrypts a connection; also tells the version of TLS.
    pub(super) fn encrypt(
        self,
        trust: &Trust,
        host: &str,
        patience: Duration,
    ) -> io::Result<(Self, String)> {
        let (Kind::Stream { mut tcp, .. }, Trust::Tls(config)) = (self.kind, trust) else {
            return Err(ErrorKind::Unsupported.into());
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let deadline = Instant::now() + patience;
        while tls.is_handshaking() {
            let left = deadline.saturating_duration_since(Instant::now());
            tcp.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            tls.complete_io(&mut tcp)?;
        }
        let version = tls.protocol_version();
        let version = version.map_or_else(String::new, |version| format!("{version:?}"));
        let version = version.replace("TLSv1_", "TLS 1.");
        let io = StreamOwned::new(tls, tcp.try_clone()?);
        Ok((Self::stream(Box::new(io), tcp)?, version))
    }

    /// Whether a lost message is to be sent again.
    pub(super) const fn is_lossy(&self) -> bool {
        matches!(self.kind, Kind::Udp(_))
    }

    /// Sends one message; ChannelData of a stream must have its padding.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Udp(socket) => socket.send(message).map(|_| ()),
            Kind::Stream { io, .. } => {
                io.write_all(message)?;
                io.flush()
            }
        }
    }

    /// The next message; `None` when none came in time.
    pub(super) fn receive(&mut self, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Kind::Stream { received, .. } = &mut self.kind
                && let Some(message) = cut(received)?
            {
                return Ok(Some(message));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            match self.read(left) {
                Ok(Some(datagram)) => return Ok(Some(datagram)),
                Ok(None) => {}
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A datagram, or more of the stream.
    fn read(&mut self, timeout: Duration) -> io::Result<Option<Vec<u8>>> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        let mut buffer = vec![0; BUFFER_BYTES];
        match &mut self.kind {
            Kind::Udp(socket) => {
                socket.set_read_timeout(timeout)?;
                let length = socket.recv(&mut buffer)?;
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Kind::Stream { io, tcp, received } => {
                tcp.set_read_timeout(timeout)?;
                match io.read(&mut buffer)? {
                    0 => Err(ErrorKind::UnexpectedEof.into()),
                    length => {
                        received.extend_from_slice(buffer.get(..length).unwrap_or_default());
                        Ok(None)
                    }
                }
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Takes the first whole message from what was received.
fn cut(received: &mut Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    match framing::next(received, false) {
        Frame::Partial => Ok(None),
        Frame::Garbage => Err(ErrorKind::InvalidData.into()),
        Frame::Whole { message, consumed } => {
            let mut whole: Vec<u8> = received.drain(..consumed).collect();
            whole.truncate(message);
            Ok(Some(whole))
        }
    }
}

/// Opens what a way needs before the first message.
pub(super) fn connect(via: Via, server: SocketAddr, patience: Duration) -> io::Result<Link> {
    if via.is_stream() {
        Link::tcp(server, patience)
    } else {
        Link::udp(server)
    }
}

//! Certificates for tests, on disk, and TLS clients that trust them alone.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use stun_turn::config::Options;

use crate::client::{Link, patience};

/// A certificate for some names and its key, in files that live as long as this.
pub(crate) struct Pair {
    folder: tempfile::TempDir,
    pub(crate) der: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let pair = Self {
            folder,
            der: made.cert.der().clone(),
        };
        std::fs::write(pair.certificate(), made.cert.pem()).unwrap();
        std::fs::write(pair.key(), made.signing_key.serialize_pem()).unwrap();
        pair
    }

    /// One that is valid in these years.
    pub(crate) fn of_years(first: i32, last: i32) -> Self {
        let mut parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(first, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(last, 12, 31);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let pair = Self {
            folder: tempfile::tempdir().unwrap(),
            der: certificate.der().clone(),
        };
        std::fs::write(pair.certificate(), certificate.pem()).unwrap();
        std::fs::write(pair.key(), key.serialize_pem()).unwrap();
        pair
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

/// Options that offer these certificates.
pub(crate) fn offering(pairs: &[&Pair], options: Options) -> Options {
    Options {
        tls_cert: pairs.iter().map(|pair| pair.certificate()).collect(),
        tls_key: pairs.iter().map(|pair| pair.key()).collect(),
        ..options
    }
}

/// A client that trusts exactly these.
pub(crate) fn trusting(pairs: &[&Pair]) -> ClientConfig {
    speaking(rustls::DEFAULT_VERSIONS, pairs)
}

/// A client that speaks these versions of TLS and trusts exactly these certificates.
pub(crate) fn speaking(
    versions: &[&'static SupportedProtocolVersion],
    pairs: &[&Pair],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for pair in pairs {
        roots.add(pair.der.clone()).unwrap();
    }
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// A connection without a handshake yet.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(patience())).unwrap();
    socket
}

/// A TLS connection; its handshake is done, or the error says why not.
pub(crate) fn handshake(
    config: &ClientConfig,
    name: &str,
    mut socket: TcpStream,
) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(Arc::new(config.clone()), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

/// A link over TLS.
pub(crate) fn link(config: &ClientConfig, name: &str, to: SocketAddr) -> Link {
    Link::Tls(Box::new(handshake(config, name, connect(to)).unwrap()))
}

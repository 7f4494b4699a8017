//! Certificates: the operator's, or one made at the start.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use stun_turn::tls::Certificates;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::shared_port::{ALPN_HTTP, ALPN_TURN};

/// Reads a chain and its key; for the page, and for the relay if there is one.
pub(crate) fn from_files(cert: &Path, key: &Path, has_relay: bool) -> anyhow::Result<TlsAcceptor> {
    // It says in words what can't be used.
    Certificates::load(&[cert.to_owned()], &[key.to_owned()])?;
    let (chain, key_der) = stun_turn::tls::read_pair(cert, key)?;
    acceptor(chain, key_der, has_relay).with_context(|| {
        let (cert, key) = (cert.display(), key.display());
        format!("--tls-cert {cert} and --tls-key {key} can't be used together")
    })
}

/// Makes a certificate for `addresses` and `localhost`.
pub(crate) fn self_signed(addresses: &[IpAddr], has_relay: bool) -> anyhow::Result<TlsAcceptor> {
    let names = addresses.iter().map(ToString::to_string);
    let names: Vec<_> = names.chain(["localhost".to_owned()]).collect();
    let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
        .map_err(|error| anyhow::anyhow!("making a certificate: {error}"))?;
    acceptor(vec![made.cert.der().clone()], key, has_relay)
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    has_relay: bool,
) -> anyhow::Result<TlsAcceptor> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // WebSockets are opened over HTTP/1.1.
    config.alpn_protocols = vec![ALPN_HTTP.to_vec()];
    if has_relay {
        config.alpn_protocols.push(ALPN_TURN.to_vec());
    }
    Ok(TlsAcceptor::from(Arc::new(config)))
}

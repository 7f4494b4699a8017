//! TLS of the stream listeners: certificates, which one a client gets, and their exchange while
//! connections live.

mod reason;
mod validity;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerConnection};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};

use validity::Validity;

/// What TURN and STUN are called in the handshake (RFC 7443), the first that both know being taken.
const ALPN: [&[u8]; 2] = [b"stun.turn", b"stun.nat-discovery"];

/// What some editors write in front of a file in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Why certificates can't be used; names the option.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not as many keys as certificates.
    #[error(
        "--tls-cert is given {certificates} times and --tls-key {keys} times: expected one key for each \
         certificate, in the same order"
    )]
    Unpaired {
        /// How many certificates were given.
        certificates: usize,
        /// How many keys were given.
        keys: usize,
    },
    /// A file can't be read.
    #[error("{option} {}: {error}", path.display())]
    Unreadable {
        /// Which option named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is not what the option needs.
    #[error("{option} {}: expected {expected} in PEM: {reason}", path.display())]
    Malformed {
        /// Which option named it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What should stand there.
        expected: &'static str,
        /// What stands there instead.
        reason: String,
    },
    /// Each is well-formed, but they don't belong together.
    #[error("--tls-key {} can't be used with --tls-cert {}: {reason}", key.display(), certificate.display())]
    Unusable {
        /// The chain's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl CertificateError {
    /// Whether an option's value is at fault, not the state of the system.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Unreadable { .. })
    }
}

/// Reads a chain of certificates and its key.
///
/// # Errors
/// See [`CertificateError`]; whether they belong together is not looked at.
pub fn read_pair(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let malformed = |option, path: &Path, expected, reason: String| CertificateError::Malformed {
        option,
        path: path.into(),
        expected,
        reason,
    };
    let pem = read("--tls-cert", certificate)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())
        .and_then(|chain| {
            let found = (!chain.is_empty()).then_some(chain);
            found.ok_or_else(|| reason::of_file(&pem).unwrap_or_else(|| "found none".to_owned()))
        })
        .map_err(|reason| malformed("--tls-cert", certificate, "certificates", reason))?;
    let pem = read("--tls-key", key)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let reason = reason::of_key_file(&pem).unwrap_or_else(|| error.to_string());
        malformed("--tls-key", key, "a private key", reason)
    })?;
    Ok((chain, key))
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut pem = std::fs::read(path).map_err(|error| CertificateError::Unreadable {
        option,
        path: path.into(),
        error,
    })?;
    if pem.starts_with(BYTE_ORDER_MARK) {
        pem.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(pem)
}

/// Certificates with their keys, checked.
#[derive(Debug, Default)]
pub struct Certificates {
    keys: Vec<Arc<CertifiedKey>>,
    /// Places in `keys` by DNS name in lower case, `*.` in front of wildcards; a name may have
    /// several, of different kinds of key.
    by_name: HashMap<String, Vec<usize>>,
    /// Of each file.
    validities: Vec<(PathBuf, Validity)>,
    /// What is to be said of the files at any time.
    notes: Vec<String>,
}

impl Certificates {
    /// Reads pairs of files and checks that each can be used.
    ///
    /// # Errors
    /// See [`CertificateError`]; the first that is found.
    pub fn load(certificates: &[PathBuf], keys: &[PathBuf]) -> Result<Self, CertificateError> {
        if certificates.len() != keys.len() {
            return Err(CertificateError::Unpaired {
                certificates: certificates.len(),
                keys: keys.len(),
            });
        }
        let mut loaded = Self::default();
        for (certificate, key) in certificates.iter().zip(keys) {
            let (chain, key_der) = read_pair(certificate, key)?;
            let validity = chain.first().and_then(|leaf| Validity::of(leaf));
            let validity = validity.map(|validity| (certificate.clone(), validity));
            loaded.validities.extend(validity);
            let unusable = |error| CertificateError::Unusable {
                certificate: certificate.clone(),
                key: key.clone(),
                reason: reason::of_pair(&chain, &key_der, &error),
            };
            let has_names = loaded
                .add(chain.clone(), key_der.clone_key())
                .map_err(unusable)?;
            let path = certificate.display();
            let notes = reason::notes(&chain, has_names).into_iter();
            let notes = notes.map(|note| format!("--tls-cert {path}: {note}"));
            loaded.notes.extend(notes);
        }
        Ok(loaded)
    }

    /// Whether it names hosts.
    fn add(
        &mut self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<bool, rustls::Error> {
        let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())?;
        let end_entity = certified.end_entity_cert()?;
        let parsed = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let mut has_names = false;
        for name in parsed.valid_dns_names() {
            has_names = true;
            let places = self.by_name.entry(name.to_ascii_lowercase()).or_default();
            places.push(self.keys.len());
        }
        // Addresses may be named, too.
        has_names |= reason::has_subject_alt_name(end_entity);
        self.keys.push(Arc::new(certified));
        Ok(has_names)
    }

    /// What the operator should know of certificates at this time: those that clients refuse, and
    /// those that end soon.
    #[must_use]
    pub fn warnings(&self, unix_s: u64) -> Vec<String> {
        let of_file = |(path, validity): &(PathBuf, Validity)| {
            let warning = validity.warning(unix_s)?;
            Some(format!("--tls-cert {}: {warning}", path.display()))
        };
        let of_time = self.validities.iter().filter_map(of_file);
        self.notes.iter().cloned().chain(of_time).collect()
    }

    /// Whether there are certificates, and none of them is for this name.
    #[must_use]
    pub fn lacks(&self, name: &str) -> bool {
        let name = ServerName::try_from(name).ok();
        let is_for = |key: &Arc<CertifiedKey>| {
            let parsed = key
                .end_entity_cert()
                .ok()
                .map(webpki::EndEntityCert::try_from);
            let valid = parsed.and_then(Result::ok).zip(name.as_ref());
            valid
                .is_some_and(|(parsed, name)| parsed.verify_is_valid_for_subject_name(name).is_ok())
        };
        !self.keys.is_empty() && !self.keys.iter().any(is_for)
    }

    /// When the first of them ends, in Unix seconds.
    #[must_use]
    pub fn first_end(&self) -> Option<u64> {
        self.validities.iter().map(|(_, it)| it.not_after).min()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The certificate for a name: one that has it, else one with a wildcard for it, else the first.
    /// Of several the first whose key the client can verify.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let name = name.map(str::to_ascii_lowercase);
        let candidates = name.and_then(|name| {
            let (_, parent) = name.split_once('.').unwrap_or_default();
            let wildcard = format!("*.{parent}");
            self.by_name
                .get(&name)
                .or_else(|| self.by_name.get(&wildcard))
        });
        let of_name = candidates
            .into_iter()
            .flatten()
            .map(|place| &self.keys[*place]);
        let can_verify = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        // Without a fitting one rustls tells the client why.
        of_name
            .clone()
            .find(can_verify)
            .or_else(|| of_name.clone().next())
            .or_else(|| self.keys.iter().find(can_verify))
            .or_else(|| self.keys.first())
            .cloned()
    }
}

/// The certificates in force, shared by all connections' handshakes.
#[derive(Default)]
struct InForce(RwLock<Arc<Certificates>>);

impl InForce {
    fn get(&self) -> Arc<Certificates> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InForce({} certificates)", self.get().keys.len())
    }
}

impl ResolvesServerCert for InForce {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.get()
            .choose(hello.server_name(), hello.signature_schemes())
    }
}

/// Makes TLS connections; one for all workers.
#[derive(Debug)]
pub(crate) struct Tls {
    in_force: Arc<InForce>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// TLS 1.2 and 1.3 with session tickets and without early data.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new(certificates: Certificates) -> Result<Self, rustls::Error> {
        let in_force = Arc::new(InForce(RwLock::new(Arc::new(certificates))));
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<InForce>::clone(&in_force));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        // Tickets need no memory of ours, whoever asks for them.
        config.ticketer = ring::Ticketer::new()?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            in_force,
            config: Arc::new(config),
        })
    }

    /// Later handshakes use these; live connections go on as they are.
    pub(crate) fn replace(&self, certificates: Certificates) {
        let mut in_force = self
            .in_force
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *in_force = Arc::new(certificates);
    }

    /// The certificates in force.
    pub(crate) fn certificates(&self) -> Arc<Certificates> {
        self.in_force.get()
    }

    /// Whether there is a certificate to offer.
    pub(crate) fn is_enabled(&self) -> bool {
        !self.in_force.get().is_empty()
    }

    /// The server's side of a new connection.
    ///
    /// # Errors
    /// Never with this configuration.
    pub(crate) fn connection(&self) -> Result<ServerConnection, rustls::Error> {
        let mut connection = ServerConnection::new(Arc::clone(&self.config))?;
        // What it is given to send is bounded before.
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(certificates: &[&[&str]]) -> Certificates {
        let mut all = Certificates::default();
        for names in certificates {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let made = rcgen::generate_simple_self_signed(names).unwrap();
            let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
            all.add(vec![made.cert.der().clone()], key).unwrap();
        }
        all
    }

    #[test]
    fn a_byte_order_mark_in_front_is_skipped() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, pem: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, [BYTE_ORDER_MARK, pem.as_bytes()].concat()).unwrap();
            path
        };
        let certificate = write("cert.pem", made.cert.pem());
        let key = write("key.pem", made.signing_key.serialize_pem());
        assert!(Certificates::load(&[certificate], &[key]).is_ok());
    }

    /// As editors, `openssl pkcs12` and certbot leave them.
    #[test]
    fn files_with_other_line_ends_comments_and_neighbours_are_read() {
        let made = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let combined = format!("{certificate}{key}");
        let dos = |pem: &str| pem.replace("\r\n", "\n").replace('\n', "\r\n");
        let with_attributes = |pem: &str| format!("Bag Attributes\n    friendlyName: a\n{pem}");
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (certificate, key) in [
            (combined.clone(), combined.clone()),
            (dos(&certificate), dos(&key)),
            (with_attributes(&certificate), with_attributes(&key)),
        ] {
            std::fs::write(path("cert"), &certificate).unwrap();
            std::fs::write(path("key"), &key).unwrap();
            let loaded = Certificates::load(&[path("cert")], &[path("key")]);
            assert!(loaded.is_ok(), "{:?}\n{certificate}", loaded.err());
        }
    }

    #[test]
    fn a_name_beats_a_wildcard_beats_the_first() {
        let all = with(&[
            &["first.example"],
            &["*.Example.org", "other.example"],
            &["turn.example.org"],
        ]);
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        let place = |name| {
            let chosen = all.choose(name, &schemes).unwrap();
            all.keys.iter().position(|key| Arc::ptr_eq(key, &chosen))
        };
        for (name, expected) in [
            (None, 0),
            (Some("first.example"), 0),
            (Some("unknown.example"), 0),
            (Some("localhost"), 0),
            (Some("other.example"), 1),
            (Some("a.example.org"), 1),
            (Some("A.EXAMPLE.ORG"), 1),
            (Some("turn.example.org"), 2),
            // A wildcard stands for one label.
            (Some("a.b.example.org"), 0),
            (Some("example.org"), 0),
        ] {
            assert_eq!(place(name), Some(expected), "{name:?}");
        }
        assert!(Certificates::default().choose(None, &schemes).is_none());
    }

    #[test]
    fn of_two_keys_for_a_name_the_client_gets_the_one_that_it_can_verify() {
        let mut all = with(&[&["a.example"]]);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let parameters = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        all.add(vec![certificate.der().clone()], key).unwrap();
        let place = |scheme| {
            let chosen = all.choose(Some("a.example"), &[scheme]).unwrap();
            all.keys.iter().position(|key| Arc::ptr_eq(key, &chosen))
        };
        assert_eq!(place(SignatureScheme::ECDSA_NISTP256_SHA256), Some(0));
        assert_eq!(place(SignatureScheme::ED25519), Some(1));
        assert_eq!(place(SignatureScheme::RSA_PSS_SHA256), Some(0));
    }
}

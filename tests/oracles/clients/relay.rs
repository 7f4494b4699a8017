//! Our relay in this process, on free ports of loopback, with all three kinds of listeners.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use patience::patience;
use rustls::pki_types::CertificateDer;
use stun_turn::config::{Config, Options, Protocol};
use stun_turn::proto::auth::credential;
use stun_turn::{Server, SessionInfo};
use tempfile::TempDir;

/// The name in the relay's certificate.
pub(crate) const NAME: &str = "turn.example";
/// The static user and the password.
pub(crate) const USER: (&str, &str) = ("alice", "wonder");
const SECRET: &str = "north";

/// A relay that may relay to loopback, of both families.
pub(crate) struct Relay {
    server: Server,
    certificate: CertificateDer<'static>,
    _folder: TempDir,
}

impl Relay {
    pub(crate) fn start() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let files = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&files[0], made.cert.pem()).expect("writing");
        std::fs::write(&files[1], made.signing_key.serialize_pem()).expect("writing");
        let [certificate, key] = files;
        let listen = ["udp", "tcp", "tls"].map(|protocol| format!("{protocol}:127.0.0.1:0"));
        let options = Options {
            listen: listen.map(|text| text.parse().expect("a listener")).into(),
            user: vec![format!("{}:{}", USER.0, USER.1).parse().expect("a user")],
            auth_secret: vec![SECRET.into()],
            relay_address: ["127.0.0.1", "::1"]
                .map(|ip| ip.parse().expect("an address"))
                .into(),
            allow_peer: ["127.0.0.0/8", "::1/128"]
                .map(|cidr| cidr.parse().expect("a prefix"))
                .into(),
            tls_cert: vec![certificate],
            tls_key: vec![key],
            workers: Some(2),
            ..Options::default()
        };
        Self {
            server: Server::start(Config::from(options)).expect("the relay starts"),
            certificate: made.cert.der().clone(),
            _folder: folder,
        }
    }

    pub(crate) fn address(&self, wanted: Protocol) -> SocketAddr {
        let mut listeners = self.server.listeners().iter();
        let found = listeners.find(|(protocol, _)| *protocol == wanted);
        found.expect("a listener of each kind").1
    }

    /// What TLS clients must trust.
    pub(crate) const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// User name and password by the TURN REST convention, good until then.
    pub(crate) fn credential(&self, expires_at_unix_s: u64) -> (String, String) {
        let made = credential::mint(SECRET.as_bytes(), "bob", expires_at_unix_s);
        (made.username, made.password)
    }

    /// The session that has this relayed address.
    pub(crate) fn session(&self, relayed: SocketAddr) -> SessionInfo {
        let sessions = self.server.handle().sessions();
        let found = sessions
            .into_iter()
            .find(|session| session.relayed == relayed);
        found.unwrap_or_else(|| panic!("no session has {relayed}"))
    }

    /// How long a session lives in all, if nobody refreshes it: grows with each Refresh, and only then.
    pub(crate) fn life(&self, relayed: SocketAddr) -> Duration {
        let session = self.session(relayed);
        session.age + session.expires_in
    }

    /// Makes all nonces stale.
    pub(crate) fn forget_nonces(&self) {
        // The key before the present one is good, too.
        for _ in 0..2 {
            self.server.handle().rotate_nonce_key().expect("randomness");
        }
    }

    /// Waits until there are this many allocations.
    pub(crate) fn until_allocations(&self, count: u64) {
        until(&format!("{count} allocations"), || {
            (self.server.handle().allocations() == count).then_some(())
        });
    }

    pub(crate) fn shutdown(self) {
        self.server.shutdown();
    }
}

/// Looks again and again.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience();
    loop {
        if let Some(there) = look() {
            return there;
        }
        assert!(
            Instant::now() < deadline,
            "no {what} within {:?}",
            patience()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

//! STUN and TURN servers for one client, with credentials of its own.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signaling_proto::hub::{Environment, Grant, Unauthorized};
use signaling_proto::message::client::Hello;
use signaling_proto::message::server::IceServer;
use stun_turn::config::Protocol;
use stun_turn::proto::auth::credential;

use crate::config::IceUrl;
use crate::origin::ForeignPages;
use crate::room_token::Gates;

/// What the hub gets from outside.
pub(crate) struct HubEnvironment {
    pub(crate) relay: Told,
    pub(crate) credential_ttl: Duration,
    pub(crate) gates: Gates,
    pub(crate) pages: Arc<ForeignPages>,
}

/// What clients are told of the relay, replaced when the operator changes it.
#[derive(Clone)]
pub(crate) struct Told(Arc<RwLock<State>>);

struct State {
    relay: Relay,
    /// URLs of relays that do not answer any more.
    lost: HashSet<String>,
}

impl Told {
    pub(crate) fn new(relay: Relay) -> Self {
        Self(Arc::new(RwLock::new(State {
            relay,
            lost: HashSet::new(),
        })))
    }

    pub(crate) fn replace(&self, relay: Relay) {
        self.write().relay = relay;
    }

    /// Whether a relay answers; true if that is news.
    pub(crate) fn set_lost(&self, url: &str, is_lost: bool) -> bool {
        let mut state = self.write();
        match is_lost {
            true => state.lost.insert(url.to_owned()),
            false => state.lost.remove(url),
        }
    }

    /// What should answer, as this host reaches it.
    pub(crate) fn watched_urls(&self) -> Vec<IceUrl> {
        match &self.read().relay {
            Relay::Elsewhere { urls, .. } => urls.clone(),
            Relay::Here { .. } | Relay::Nowhere => Vec::new(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where clients find the relay.
#[derive(Debug)]
pub(crate) enum Relay {
    /// On this host, which each client knows by the name that it reached the page with.
    Here {
        endpoints: Vec<Endpoint>,
        secret: String,
    },
    Elsewhere {
        urls: Vec<IceUrl>,
        secret: Option<String>,
    },
    Nowhere,
}

/// One way to the bundled relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) protocol: Protocol,
    /// Where it is another one than the page's, as it stands in a URL.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
}

impl Endpoint {
    fn url(&self, page: &str) -> String {
        let (host, port) = (self.host.as_deref().unwrap_or(page), self.port);
        match self.protocol {
            Protocol::Udp => format!("turn:{host}:{port}?transport=udp"),
            Protocol::Tcp => format!("turn:{host}:{port}?transport=tcp"),
            Protocol::Tls => format!("turns:{host}:{port}?transport=tcp"),
        }
    }
}

impl Relay {
    /// URLs without and with a need for credentials.
    pub(crate) fn urls(&self, host: &str) -> (Vec<String>, Vec<String>) {
        match self {
            Self::Here { endpoints, .. } => {
                let udp = endpoints.iter().filter(|it| it.protocol == Protocol::Udp);
                let stun = udp.map(
                    |Endpoint {
                         host: own, port, ..
                     }| {
                        format!("stun:{}:{port}", own.as_deref().unwrap_or(host))
                    },
                );
                let turn = endpoints.iter().map(|it| it.url(host));
                (stun.collect(), turn.collect())
            }
            Self::Elsewhere { urls, .. } => {
                let (turn, stun): (Vec<&IceUrl>, _) =
                    urls.iter().partition(|url| url.needs_credential());
                let texts =
                    |urls: Vec<&IceUrl>| urls.iter().map(|url| url.as_str().to_owned()).collect();
                (texts(stun), texts(turn))
            }
            Self::Nowhere => (Vec::new(), Vec::new()),
        }
    }

    fn secret(&self) -> Option<&str> {
        match self {
            Self::Here { secret, .. } => Some(secret),
            Self::Elsewhere { secret, .. } => secret.as_deref(),
            Self::Nowhere => None,
        }
    }

    /// What one client gets.
    fn ice_servers(
        &self,
        host: &str,
        account: &str,
        expires_at_unix_s: u64,
        lost: &HashSet<String>,
    ) -> Vec<IceServer> {
        let (mut stun, mut turn) = self.urls(host);
        // If none answers, the fault may be with whoever asks.
        if !stun.iter().chain(&turn).all(|url| lost.contains(url)) {
            stun.retain(|url| !lost.contains(url));
            turn.retain(|url| !lost.contains(url));
        }
        let mut servers = Vec::new();
        if !stun.is_empty() {
            servers.push(IceServer {
                urls: stun,
                username: None,
                credential: None,
                expires_at: None,
            });
        }
        if let (Some(secret), false) = (self.secret(), turn.is_empty()) {
            let minted = credential::mint(secret.as_bytes(), account, expires_at_unix_s);
            servers.push(IceServer {
                urls: turn,
                username: Some(minted.username),
                credential: Some(minted.password),
                expires_at: Some(expires_at_unix_s),
            });
        }
        servers
    }
}

impl Environment for HubEnvironment {
    fn random(&mut self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("a system without randomness can't run servers");
    }

    fn unix_time(&mut self) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default()
    }

    fn authorize(&mut self, hello: &Hello) -> Result<Grant, Unauthorized> {
        self.gates.admit(hello)
    }

    fn permits(&mut self, namespace: &str, page: &str) -> bool {
        let page = page.parse();
        page.is_ok_and(|page| self.pages.permit(namespace, &page))
    }

    fn ice_servers(
        &mut self,
        account: &str,
        reached_as: &str,
        until: Option<u64>,
    ) -> Vec<IceServer> {
        let now = self.unix_time();
        let expires_at = (now + self.credential_ttl).as_secs();
        let expires_at = expires_at.min(until.unwrap_or(u64::MAX));
        let state = self.relay.read();
        let mut servers = state
            .relay
            .ice_servers(reached_as, account, expires_at, &state.lost);
        if expires_at <= now.as_secs() {
            servers.retain(|server| server.credential.is_none());
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_finds_the_bundled_relay_where_it_found_the_page() {
        let endpoint = |protocol, host: Option<&str>, port| Endpoint {
            protocol,
            host: host.map(str::to_owned),
            port,
        };
        let relay = Relay::Here {
            endpoints: vec![
                endpoint(Protocol::Udp, None, 3478),
                endpoint(Protocol::Tcp, None, 3479),
                endpoint(Protocol::Tls, Some("[2001:db8::8]"), 5349),
                endpoint(Protocol::Tls, None, 443),
            ],
            secret: "north".into(),
        };
        let servers = relay.ice_servers("call.example", "p:0f", 1_000, &HashSet::new());
        assert_eq!(servers[0].urls, ["stun:call.example:3478"]);
        assert_eq!(
            servers[1].urls,
            [
                "turn:call.example:3478?transport=udp",
                "turn:call.example:3479?transport=tcp",
                "turns:[2001:db8::8]:5349?transport=tcp",
                "turns:call.example:443?transport=tcp"
            ]
        );
        assert_eq!(servers[1].username.as_deref(), Some("1000:p:0f"));
        assert_eq!(servers[1].expires_at, Some(1_000));
        assert!(servers[1].credential.is_some());
    }

    #[test]
    fn external_servers_are_told_as_they_are_configured() {
        let relay = Relay::Elsewhere {
            urls: ["turns:a:443?transport=tcp", "stun:b"]
                .map(|url| url.parse().unwrap())
                .into(),
            secret: Some("north".into()),
        };
        let servers = relay.ice_servers("ignored", "p:0f", 1_000, &HashSet::new());
        assert_eq!(servers[0].urls, ["stun:b"]);
        assert_eq!(servers[0].credential, None);
        assert_eq!(servers[1].urls, ["turns:a:443?transport=tcp"]);
        assert!(
            Relay::Nowhere
                .ice_servers("x", "p:0f", 1, &HashSet::new())
                .is_empty()
        );
    }

    #[test]
    fn lost_relays_are_not_told_as_long_as_there_are_others() {
        let relay = Relay::Elsewhere {
            urls: ["turn:a", "turn:b"].map(|url| url.parse().unwrap()).into(),
            secret: Some("north".into()),
        };
        let told = Told::new(relay);
        let urls = || {
            let state = told.read();
            let servers = state.relay.ice_servers("", "p:0f", 1, &state.lost);
            servers[0].urls.clone()
        };
        assert!(told.set_lost("turn:a", true));
        assert!(!told.set_lost("turn:a", true), "no news");
        assert_eq!(urls(), ["turn:b"]);
        told.set_lost("turn:b", true);
        assert_eq!(urls(), ["turn:a", "turn:b"], "better than nothing");
        assert!(told.set_lost("turn:a", false));
        assert_eq!(urls(), ["turn:a"]);
    }
}

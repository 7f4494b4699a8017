//! Starts everything and ends it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use signaling_proto::hub::Hub;
use stun_turn::admin::Guard;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::admin::{self, Admin};
use crate::config::{Config, HttpUrl, Tls};
use crate::hub_task::HubHandle;
use crate::ice_servers::{HubEnvironment, Told};
use crate::listener::{self, Service};
use crate::origin::Origins;
use crate::proxies::Proxies;
use crate::relay::{self, Bundled};
use crate::room_token::Gate;
use crate::router::{self, App};
use crate::throttle::{Rates, Throttles};
use crate::{health, lan, session_secret, tls};

/// How long clients may take to say goodbye when the server stops.
const STOP_DEADLINE: Duration = Duration::from_millis(1500);
/// Connections that are not WebSockets (yet), at once.
const MAX_REQUESTS: usize = 4096;
/// The same on the admin address.
const MAX_ADMIN_REQUESTS: usize = 64;

/// Connections that may wait to be accepted: after a restart everybody comes at once.
const BACKLOG: u32 = 4096;

/// A running service.
pub struct Server {
    page: SocketAddr,
    admin: SocketAddr,
    url: String,
    turn_urls: Vec<String>,
    hub: HubHandle,
    hub_task: JoinHandle<()>,
    pub(crate) relay: Option<Bundled>,
    pub(crate) told: Told,
    /// The page's certificate in force.
    pub(crate) acceptor: Option<watch::Sender<TlsAcceptor>>,
    /// What it was started with.
    pub(crate) config: Config,
    stop: watch::Sender<bool>,
    /// Ends when every WebSocket has been served.
    served: mpsc::Receiver<()>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("admin", &self.admin)
            .field("turn_urls", &self.turn_urls)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Binds every port, starts the relay if it is bundled, and serves until [`Server::stop`].
    ///
    /// # Errors
    /// When a port is taken or a certificate can't be read; names the option. Nothing is left running.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let addresses = lan::addresses();
        let in_force = config.clone();
        let (acceptor, tls) = acceptor(&config.tls, &addresses)?
            .map(watch::channel)
            .unzip();
        let ticket_key = session_secret::key(
            config.session_secret.as_deref(),
            config.state_dir.as_deref(),
        )?;
        let page_listener = bind("--listen", config.listen)?;
        let admin_listener = bind("--admin", config.admin)?;
        let (page, admin) = (page_listener.local_addr()?, admin_listener.local_addr()?);
        let (bundled, told) = relay::start(config.turn, &[page, admin])?;

        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = match &config.public_url {
            Some(url) => format!("{url}/"),
            None => format!("{scheme}://{}/", reachable(page, &addresses, config.lan)),
        };
        let host = reachable(page, &addresses, config.lan).ip();
        let host = config.public_url.as_ref().map_or_else(
            || bracketed(host),
            |public_url| public_url.host().to_owned(),
        );
        let turn_urls = told.urls(&host).1;
        let told = Told::new(told);
        let hub = Hub::new(
            config.hub,
            ticket_key,
            HubEnvironment {
                relay: told.clone(),
                credential_ttl: config.credential_ttl,
                gate: config.token_secret.as_deref().map(Gate::new),
            },
        );
        let relay = bundled.as_ref().map(|bundled| bundled.server.handle());
        let (hub, hub_task) = HubHandle::start(hub, {
            let (relay, credential_ttl) = (relay.cloned(), config.credential_ttl);
            move |peer| {
                if let Some(relay) = &relay {
                    relay.revoke(peer.as_str(), credential_ttl);
                }
            }
        });
        let (stop, stopping) = watch::channel(false);
        let (open, served) = mpsc::channel(1);
        let proxies = Arc::new(Proxies {
            trusted: config.trusted_proxies,
            write_header: config.proxy_protocol,
        });
        let app = App {
            hub: hub.clone(),
            origins: Arc::new(Origins {
                scheme,
                public_url: config.public_url,
                allowed: config.allow_origins,
            }),
            proxies: proxies.clone(),
            throttles: Arc::new(Throttles::new(Rates {
                connection: config.message_rate,
                source: config.source_message_rate,
            })),
            strict_tls: matches!(config.tls, Tls::Files { .. }),
            open,
        };
        let service = Service {
            router: router::router(app),
            tls,
            proxies,
            stopping: stopping.clone(),
        };
        tokio::spawn(listener::serve(page_listener, service, MAX_REQUESTS));
        tokio::spawn(health::watch(told.clone(), hub.clone(), stopping.clone()));
        if let Some(relay) = relay {
            tokio::spawn(relay::keep_fresh(relay.clone(), stopping.clone()));
        }
        let router = admin::router(Admin {
            hub: hub.clone(),
            guard: Guard::new(config.admin_token.map(Arc::from)),
            relay: relay.cloned(),
            stopping: stopping.clone(),
        });
        let service = Service {
            router,
            tls: None,
            proxies: Arc::default(),
            stopping,
        };
        tokio::spawn(listener::serve(admin_listener, service, MAX_ADMIN_REQUESTS));
        Ok(Self {
            page,
            admin,
            url,
            turn_urls,
            hub,
            hub_task,
            relay: bundled,
            told,
            acceptor,
            config: in_force,
            stop,
            served,
        })
    }

    /// The page's address as bound.
    #[must_use]
    pub fn page(&self) -> SocketAddr {
        self.page
    }

    /// The admin address as bound.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// What people open.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `turn:` URLs as somebody who opened [`Server::url`] gets them; empty without a relay.
    #[must_use]
    pub fn turn_urls(&self) -> &[String] {
        &self.turn_urls
    }

    /// [`Server::url`] for a phone's camera, in characters.
    #[must_use]
    pub fn qr_code(&self) -> Option<String> {
        lan::qr_code(&self.url)
    }

    /// Returns only if the service can't go on: its core has failed, which is a mistake of ours.
    pub async fn failed(&mut self) {
        // It can't have ended otherwise, because a handle is left.
        let _ = (&mut self.hub_task).await;
    }

    /// Tells every client to go, closes everything and returns when it is done, after 1.5 s at most.
    pub async fn stop(self) {
        let Self {
            hub,
            relay,
            stop,
            mut served,
            ..
        } = self;
        let _ = timeout(STOP_DEADLINE, async {
            hub.drain().await;
            let _ = stop.send(true);
            let _ = served.recv().await;
        })
        .await;
        let _ = stop.send(true);
        if let Some(relay) = relay {
            // It waits for threads.
            let _ = tokio::task::spawn_blocking(|| relay.server.shutdown()).await;
        }
    }
}

fn acceptor(tls: &Tls, addresses: &[IpAddr]) -> anyhow::Result<Option<TlsAcceptor>> {
    Ok(match tls {
        Tls::Off => None,
        Tls::SelfSigned => {
            let mut names = addresses.to_vec();
            names.extend([
                IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::from(Ipv6Addr::LOCALHOST),
            ]);
            Some(tls::self_signed(&names)?)
        }
        Tls::Files { cert, key } => Some(tls::from_files(cert, key)?),
    })
}

fn bind(option: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).map_err(|error| {
        let reason = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is in use by another program; stop that or choose another port".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => "this host does not have the address".to_owned(),
            io::ErrorKind::PermissionDenied => {
                "not permitted (ports below 1024 need rights)".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow::anyhow!("{option} {address}: {reason}")
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A port whose last connections are still being forgotten is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// An address that a browser can be given for `bound`.
fn reachable(bound: SocketAddr, addresses: &[IpAddr], lan: bool) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    // Without TLS only this host's own browsers may use a camera.
    let ip = addresses.first().filter(|_| lan).copied();
    SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), bound.port())
}

/// An address as a host in a URL.
fn bracketed(address: IpAddr) -> String {
    HttpUrl::of_authority("http", &SocketAddr::new(address, 80).to_string())
        .map_or_else(|| address.to_string(), |url| url.host().to_owned())
}

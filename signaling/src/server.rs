//! Starts everything and ends it.

mod binding;
mod reach;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling_proto::hub::Hub;
use signaling_proto::id::PeerId;
use signaling_proto::ticket::TicketKey;
use stun_turn::admin::Guard;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::admin::{self, Admin};
use crate::config::{Config, Tls, Turn};
use crate::ended::{self, EndedSessions};
use crate::hub_task::HubHandle;
use crate::ice_servers::{HubEnvironment, Told};
use crate::linger;
use crate::listener::{self, Service};
use crate::origin::{ForeignPages, Origins};
use crate::places::Limits;
use crate::proxies::Proxies;
use crate::rarely::Rarely;
use crate::relay::{self, Bundled};
use crate::room_token::{Gate, Gates};
use crate::router::{self, App};
use crate::throttle::{Rates, Throttles};
use crate::{health, lan, session_secret, tls};

/// How long clients may take to say goodbye when the server stops.
const STOP_DEADLINE: Duration = Duration::from_millis(1500);
/// How long a connection may be there for requests, until it becomes a WebSocket: long enough for the page over a slow network, but
/// whoever does not read the answers must not stay for ever.
const REQUESTS_TIME: Duration = Duration::from_secs(30);
/// Connections that are not WebSockets (yet).
const REQUESTS: Limits = Limits {
    served: 4096,
    served_of_source: 3072,
    accepted_of_source: 7168,
    // Below all that are accepted at a time, so that no network takes everything.
    of_network: (3584, 10_240),
    time: REQUESTS_TIME,
};
const _: () = assert!(REQUESTS.of_network.1 < REQUESTS.served + crate::listener::WAITING);
/// The same on the admin address.
const ADMIN_REQUESTS: Limits = Limits {
    served: 64,
    served_of_source: 64,
    accepted_of_source: 128,
    of_network: (64, 128),
    time: REQUESTS_TIME,
};

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
    /// Writes the state directory until the server stops.
    keeper: Option<JoinHandle<()>>,
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
        let (acceptor, tls) = acceptor(&config, &addresses)?.map(watch::channel).unzip();
        for warning in config.warnings_of_page()? {
            tracing::warn!("{warning}");
        }
        let ticket_key = session_secret::key(
            config.session_secret.as_deref(),
            config.state_dir.as_deref(),
        )?;
        let page_listener = binding::bind("--listen", config.listen)?;
        let admin_listener = binding::bind("--admin", config.admin)?;
        let (page, admin) = (page_listener.local_addr()?, admin_listener.local_addr()?);
        let (relay, told) = relay::start(config.turn.clone(), admin, reach::page(&config, page))?;
        let (url, host) = reach::url_and_host(&config, page, &addresses);
        let turn_urls = told.urls(&host).1;
        let told = Told::new(told);

        let pages = Arc::new(foreign_pages(&config));
        let handle = relay.as_ref().map(|relay| relay.server.handle().clone());
        let (stop, stopping) = watch::channel(false);
        let core = core(&config, ticket_key, told.clone(), pages.clone());
        let Hubs {
            hub,
            hub_task,
            keeper,
        } = start_hub(core, &config, handle.clone(), &stopping);
        let (open, served) = mpsc::channel(1);
        let app = app(&config, hub.clone(), pages, open);
        let service = Service {
            proxies: app.proxies.clone(),
            router: router::router(app),
            tls,
            relay: handle.clone(),
            lingering: linger::Places::default(),
            stopping: stopping.clone(),
        };
        tokio::spawn(listener::serve(page_listener, service, REQUESTS));
        tokio::spawn(health::watch(told.clone(), hub.clone(), stopping.clone()));
        if let Some(relay) = &handle {
            tokio::spawn(relay::keep_fresh(relay.clone(), stopping.clone()));
            let watched = health::watch_bundled(relay.clone(), hub.clone(), stopping.clone());
            tokio::spawn(watched);
        }
        let service = Service {
            router: admin::router(Admin {
                hub: hub.clone(),
                guard: Guard::new(config.admin_token.clone().map(Arc::from)),
                relay: handle,
                stopping: stopping.clone(),
            }),
            tls: None,
            relay: None,
            proxies: Arc::default(),
            lingering: linger::Places::default(),
            stopping,
        };
        tokio::spawn(listener::serve(admin_listener, service, ADMIN_REQUESTS));
        Ok(Self {
            page,
            admin,
            url,
            turn_urls,
            hub,
            hub_task,
            relay,
            told,
            acceptor,
            config,
            stop,
            keeper,
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
            keeper,
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
        if let Some(keeper) = keeper {
            let _ = keeper.await;
        }
        if let Some(relay) = relay {
            // It waits for threads.
            let _ = tokio::task::spawn_blocking(|| relay.server.shutdown()).await;
        }
    }
}

/// Pages that may connect besides the own ones.
fn foreign_pages(config: &Config) -> ForeignPages {
    let namespaces = config.namespaces.iter();
    ForeignPages {
        everywhere: config.allow_origins.clone(),
        in_namespace: namespaces
            .map(|(name, it)| (name.clone(), it.allow_origins.clone()))
            .collect(),
    }
}

/// The hub's tasks.
struct Hubs {
    hub: HubHandle,
    hub_task: JoinHandle<()>,
    keeper: Option<JoinHandle<()>>,
}

/// Starts the hub with what an earlier process has left in the state directory.
fn start_hub(
    mut core: Hub<HubEnvironment>,
    config: &Config,
    relay: Option<stun_turn::Handle>,
    stopping: &watch::Receiver<bool>,
) -> Hubs {
    let ended = EndedSessions::default();
    if let Some(dir) = &config.state_dir {
        core.handle_ended(Instant::now(), ended.load(dir));
    }
    let credential_ttl = config.credential_ttl;
    let revoke = move |peer: &PeerId| {
        if let Some(relay) = &relay {
            relay.revoke(peer.as_str(), credential_ttl);
        }
    };
    let kept = config.state_dir.as_ref().map(|_| ended.clone());
    let keep = move |session| {
        if let Some(ended) = &kept {
            ended.add(session);
        }
    };
    let (hub, hub_task) = HubHandle::start(core, revoke, keep);
    let dir = config.state_dir.clone();
    let keeper = dir.map(|dir| tokio::spawn(ended::keep(ended, dir, stopping.clone())));
    Hubs {
        hub,
        hub_task,
        keeper,
    }
}

/// Rooms and sessions, before anybody is there.
fn core(
    config: &Config,
    ticket_key: TicketKey,
    told: Told,
    pages: Arc<ForeignPages>,
) -> Hub<HubEnvironment> {
    let environment = HubEnvironment {
        relay: told,
        credential_ttl: config.credential_ttl,
        gates: Gates {
            general: config.token_secret.as_deref().map(Gate::new),
            own: config
                .namespaces
                .iter()
                .filter_map(|(name, it)| {
                    Some((name.clone(), Gate::new(it.token_secret.as_deref()?)))
                })
                .collect(),
        },
        pages,
    };
    Hub::new(config.hub.clone(), ticket_key, environment)
}

/// What the page's address serves; `open` is held as long as a WebSocket is.
fn app(config: &Config, hub: HubHandle, allowed: Arc<ForeignPages>, open: mpsc::Sender<()>) -> App {
    App {
        hub,
        origins: Arc::new(Origins {
            scheme: config.tls.scheme(),
            public_url: config.public_url.clone(),
            allowed,
            refused: Rarely::default(),
        }),
        proxies: Arc::new(Proxies {
            trusted: config.trusted_proxies.clone(),
            write_header: config.proxy_protocol,
            ..Proxies::default()
        }),
        throttles: Arc::new(Throttles::new(Rates {
            connection: config.message_rate,
            source: config.source_message_rate,
        })),
        strict_tls: matches!(config.tls, Tls::Files { .. }),
        ping_interval: config.hub.ping_interval,
        open,
    }
}

fn acceptor(config: &Config, addresses: &[IpAddr]) -> anyhow::Result<Option<TlsAcceptor>> {
    let has_relay = matches!(config.turn, Turn::Bundled { .. });
    Ok(match &config.tls {
        Tls::Off => None,
        Tls::SelfSigned => {
            let mut names = addresses.to_vec();
            names.extend([
                IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::from(Ipv6Addr::LOCALHOST),
            ]);
            Some(tls::self_signed(&names, has_relay)?)
        }
        Tls::Files { cert, key } => Some(tls::from_files(cert, key, has_relay)?),
    })
}

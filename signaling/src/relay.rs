//! The relay in this process: how it is started, kept fresh and told of new options.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_turn::StartError;
use stun_turn::config::Protocol;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::Turn;
use crate::ice_servers::{Endpoint, Relay};

/// What the relay has to know of the page, which it shares a host and perhaps a port with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The port at which clients reach its TLS, and so the relay, if they do.
    pub(crate) tls_port: Option<u16>,
    /// Whether the operator has told how it is called.
    pub(crate) has_public_url: bool,
}

impl Page {
    /// The host of a listener's URL, if it is another one than the page's: an address that the page
    /// does not have. An address of a private network is none, as nobody outside could reach it.
    fn other_host(&self, listener: IpAddr) -> Option<String> {
        let own = self.address.ip().to_canonical();
        let is_private = match listener {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
        };
        let is_same = own == listener || own.is_unspecified() || own.is_loopback();
        let is_nowhere = listener.is_unspecified() || listener.is_loopback();
        if is_same || is_nowhere || (is_private && self.has_public_url) {
            return None;
        }
        Some(match listener {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        })
    }
}

/// The first endpoint at the page's own host, which clients of both families find by its name; where there is
/// none, each of the others, once.
fn one_or_each(endpoints: impl Iterator<Item = Endpoint> + Clone) -> Vec<Endpoint> {
    if let Some(at_host) = endpoints.clone().find(|endpoint| endpoint.host.is_none()) {
        return vec![at_host];
    }
    let mut each = Vec::new();
    for endpoint in endpoints {
        if !each.contains(&endpoint) {
            each.push(endpoint);
        }
    }
    each
}

/// A running relay and what its credentials are made with.
pub(crate) struct Bundled {
    pub(crate) server: stun_turn::Server,
    /// Made at the start; in force as long as the operator gives none.
    own_secret: String,
    page: Page,
}

/// Starts the relay, if it is bundled. It must never relay to the page and to `admin`.
pub(crate) fn start(
    turn: Turn,
    admin: SocketAddr,
    page: Page,
) -> anyhow::Result<(Option<Bundled>, Relay)> {
    let (mut relay, secret) = match turn {
        Turn::None => return Ok((None, Relay::Nowhere)),
        Turn::External { urls, secret } => return Ok((None, Relay::Elsewhere { urls, secret })),
        Turn::Bundled { relay, secret } => (*relay, secret),
    };
    let own_secret = random_secret()?;
    let secret = secret.unwrap_or_else(|| own_secret.clone());
    // The first one mints.
    relay.auth_secrets.insert(0, secret.clone());
    relay.protected.extend([page.address, admin]);
    let server = stun_turn::Server::start(relay).map_err(|error| {
        anyhow::anyhow!(
            "{}\nThe bundled relay can't start: choose another port with --turn-listen udp:ADDR:PORT \
             --turn-listen tcp:ADDR:PORT, or do without it: --turn-mode none",
            with_prefix(&error)
        )
    })?;
    let bundled = Bundled {
        server,
        own_secret,
        page,
    };
    let told = bundled.told(secret);
    Ok((Some(bundled), told))
}

impl Bundled {
    /// What clients are told of it.
    fn told(&self, secret: String) -> Relay {
        let of = |wanted: Protocol| -> Vec<Endpoint> {
            let listeners = self.server.listeners().iter();
            let wanted = listeners.filter(|(protocol, _)| *protocol == wanted);
            let endpoints = wanted.map(|(protocol, address)| Endpoint {
                protocol: *protocol,
                host: self.page.other_host(address.ip()),
                port: address.port(),
            });
            one_or_each(endpoints)
        };
        let own = [Protocol::Udp, Protocol::Tcp, Protocol::Tls].map(of);
        let shared = self.page.tls_port.map(|port| Endpoint {
            protocol: Protocol::Tls,
            host: None,
            port,
        });
        let mut endpoints: Vec<_> = own.into_iter().flatten().collect();
        endpoints.extend(shared.filter(|shared| !endpoints.contains(shared)));
        Relay::Here { endpoints, secret }
    }

    /// Puts new options in force, as far as they can be changed while it runs; also returns the names
    /// of those that can't.
    ///
    /// # Errors
    /// When they can't be used; nothing is changed then.
    pub(crate) fn reload(
        &self,
        mut relay: stun_turn::config::Config,
        secret: Option<String>,
    ) -> anyhow::Result<(Relay, Vec<String>)> {
        let secret = secret.unwrap_or_else(|| self.own_secret.clone());
        relay.auth_secrets.insert(0, secret.clone());
        let reloaded = self.server.handle().reload(relay);
        let unchanged = reloaded.map_err(|error| anyhow::anyhow!(with_prefix(&error)))?;
        let unchanged = unchanged.into_iter().map(|name| format!("turn-{name}"));
        Ok((self.told(secret), unchanged.collect()))
    }
}

/// An error of the relay with its options as they are called here.
pub(crate) fn with_prefix(error: &StartError) -> String {
    prefixed(&error.to_string())
}

/// A text of the relay with its options as they are called here.
pub(crate) fn prefixed(text: &str) -> String {
    let text = format!(" {text}").replace(" --", " --turn-");
    text.trim_start().to_owned()
}

fn random_secret() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Draws a new key for the relay's nonces each day.
pub(crate) async fn keep_fresh(relay: stun_turn::Handle, stopping: watch::Receiver<bool>) {
    repeat(stun_turn::NONCE_KEY_LIFETIME, stopping, || {
        if let Err(error) = relay.rotate_nonce_key() {
            tracing::warn!(%error, "no new key for nonces; the old one stays");
        }
    })
    .await;
}

async fn repeat(every: Duration, mut stopping: watch::Receiver<bool>, mut act: impl FnMut()) {
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = sleep(every) => act(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener on a second address was told under the page's name.
    #[test]
    fn a_listener_on_another_address_has_a_host_of_its_own() {
        for (page, public, listener, host) in [
            ("203.0.113.7:443", true, "203.0.113.8", Some("203.0.113.8")),
            (
                "203.0.113.7:443",
                true,
                "2001:db8::8",
                Some("[2001:db8::8]"),
            ),
            ("[::ffff:203.0.113.7]:443", true, "203.0.113.7", None),
            ("203.0.113.7:443", true, "203.0.113.7", None),
            ("203.0.113.7:443", true, "0.0.0.0", None),
            ("[::]:443", true, "203.0.113.8", None),
            ("127.0.0.1:8080", true, "203.0.113.8", None),
            // Behind a NAT the name is what clients know.
            ("10.0.0.7:443", true, "10.0.0.8", None),
            ("10.0.0.7:443", false, "10.0.0.8", Some("10.0.0.8")),
        ] {
            let page = Page {
                address: page.parse().unwrap(),
                tls_port: None,
                has_public_url: public,
            };
            let found = page.other_host(listener.parse().unwrap());
            assert_eq!(found.as_deref(), host, "{page:?} {listener}");
        }
    }

    #[tokio::test]
    async fn what_is_repeated_ends_with_the_service() {
        let (stop, stopping) = watch::channel(false);
        let (acted, mut acts) = tokio::sync::mpsc::unbounded_channel();
        let act = move || acted.send(()).unwrap();
        let task = tokio::spawn(repeat(Duration::from_millis(1), stopping, act));
        for _ in 0..3 {
            acts.recv().await.unwrap();
        }
        stop.send(true).unwrap();
        task.await.unwrap();
    }
}

//! The relay in this process: how it is started, kept fresh and told of new options.

use std::net::SocketAddr;
use std::time::Duration;

use stun_turn::StartError;
use stun_turn::config::Protocol;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::Turn;
use crate::ice_servers::Relay;

/// A running relay and what its credentials are made with.
pub(crate) struct Bundled {
    pub(crate) server: stun_turn::Server,
    /// Made at the start; in force as long as the operator gives none.
    own_secret: String,
}

/// Starts the relay, if it is bundled. It must never relay to `own` addresses of this process.
pub(crate) fn start(turn: Turn, own: &[SocketAddr]) -> anyhow::Result<(Option<Bundled>, Relay)> {
    let (mut relay, secret) = match turn {
        Turn::None => return Ok((None, Relay::Nowhere)),
        Turn::External { urls, secret } => return Ok((None, Relay::Elsewhere { urls, secret })),
        Turn::Bundled { relay, secret } => (*relay, secret),
    };
    let own_secret = random_secret()?;
    let secret = secret.unwrap_or_else(|| own_secret.clone());
    // The first one mints.
    relay.auth_secrets.insert(0, secret.clone());
    relay.protected.extend(own);
    let server = stun_turn::Server::start(relay).map_err(|error| {
        anyhow::anyhow!(
            "{}\nThe bundled relay can't start: choose another port with --turn-listen udp:ADDR:PORT \
             --turn-listen tcp:ADDR:PORT, or do without it: --turn-mode none",
            with_prefix(&error)
        )
    })?;
    let bundled = Bundled { server, own_secret };
    let told = bundled.told(secret);
    Ok((Some(bundled), told))
}

impl Bundled {
    /// What clients are told of it.
    fn told(&self, secret: String) -> Relay {
        let port = |wanted: Protocol| {
            let mut listeners = self.server.listeners().iter();
            let found = listeners.find(|(protocol, _)| *protocol == wanted);
            found.map(|(_, address)| address.port())
        };
        Relay::Here {
            udp_port: port(Protocol::Udp),
            tcp_port: port(Protocol::Tcp),
            tls_port: port(Protocol::Tls),
            secret,
        }
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

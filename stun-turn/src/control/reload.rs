//! What a reload changes in a running relay, and what it leaves as it is.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use stun_turn_proto::Settings;
use stun_turn_proto::auth::Authenticator;
use stun_turn_proto::auth::nonce::NonceKeys;

use super::{Command, Handle, InForce};
use crate::config::{Config, User};
use crate::server::{self, StartError, seed};

impl Handle {
    /// Puts users, secrets, policy, quotas, limits, relaying of TCP, alternate servers, certificates and `tls_only` of `config`
    /// in force; live connections keep the certificate they began with. Returns the names of options
    /// that differ but can't be changed while the relay runs.
    ///
    /// # Errors
    /// When certificates can't be used; nothing is changed then.
    pub fn reload(&self, config: Config) -> Result<Vec<&'static str>, StartError> {
        let reloading = &self.0.reloading;
        let _reloading = reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let in_force = self.in_force().config.clone();
        let (config, refused) = fix(&in_force, config);
        server::check_external(&config)?;
        // For the listeners there are, not for those that another start would have. Files may be slow:
        // nobody else waits for them.
        let certificates = server::certificates(&config)?;
        let is_tls_only = config.tls_only;
        let mut in_force = self.in_force();
        in_force.config = config;
        self.apply(&mut in_force);
        drop(in_force);
        self.0.streams.tls.replace(certificates);
        self.0
            .streams
            .tls_only
            .store(is_tls_only, Ordering::Relaxed);
        self.warn_of_certificates();
        if let Err(error) = self.follow_host() {
            tracing::warn!(%error, "the addresses to relay from stay as they are");
            // It looks again until it succeeds.
            if let Some(watch) = self.0.watch.get() {
                let _ = watch.wake();
            }
        }
        Ok(refused)
    }

    /// Reads the files of the certificates in force again; live connections keep the certificate they began with.
    ///
    /// # Errors
    /// When they can't be used; the old ones stay then.
    pub fn reload_certificates(&self) -> Result<(), StartError> {
        let reloading = &self.0.reloading;
        let _reloading = reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.in_force().config.clone();
        let certificates = server::certificates(&config)?;
        self.0.streams.tls.replace(certificates);
        self.warn_of_certificates();
        Ok(())
    }

    /// Draws a new key for nonces; those of the one before stay good. For a server that runs long.
    ///
    /// # Errors
    /// When the system gives no randomness; the old key stays.
    pub fn rotate_nonce_key(&self) -> io::Result<()> {
        let mut in_force = self.in_force();
        in_force.nonce_keys = in_force.nonce_keys.rotated(&seed()?);
        self.apply(&mut in_force);
        Ok(())
    }

    pub(super) fn apply(&self, in_force: &mut InForce) {
        let config = &in_force.config;
        let settings = Settings {
            authenticator: authenticator(config, in_force.nonce_keys.clone()),
            policy: in_force
                .settings
                .policy
                .with_rules(config.allow_peer.clone(), config.deny_peer.clone())
                .with_nat64(config.nat64_prefixes.clone()),
            quotas: config.quotas,
            max_credential_ttl_s: config.max_credential_ttl.as_secs(),
            max_bps: config.max_bps,
            tcp_relay: config.tcp_relay,
            alternate_servers: config.alternate_servers.clone(),
            ..Settings::clone(&in_force.settings)
        };
        in_force.settings = Arc::new(settings);
        self.tell_all(|| Command::Reconfigure(Arc::clone(&in_force.settings)));
    }
}

/// Who may use the relay.
pub(crate) fn authenticator(config: &Config, nonce_keys: NonceKeys) -> Authenticator {
    // Of a user who is given several times the last password counts.
    let mut users: BTreeMap<&str, &User> = BTreeMap::new();
    users.extend(config.users.iter().map(|user| (&*user.name, user)));
    let users = users.into_values().flat_map(User::forms);
    Authenticator::new(
        &config.realm,
        users,
        config.auth_secrets.clone(),
        nonce_keys,
    )
}

/// `new` with everything that stays as it is while the relay runs, and the names of such options
/// that differ.
fn fix(old: &Config, mut new: Config) -> (Config, Vec<&'static str>) {
    let mut refused = Vec::new();
    keep(&mut refused, "listen", &old.listen, &mut new.listen);
    keep(&mut refused, "realm", &old.realm, &mut new.realm);
    let (addresses, name) = (&old.relay_addresses, "relay-address");
    keep(&mut refused, name, addresses, &mut new.relay_addresses);
    let (ports, name) = (&old.relay_ports, "relay-ports");
    keep(&mut refused, name, ports, &mut new.relay_ports);
    keep(&mut refused, "mobility", &old.mobility, &mut new.mobility);
    let (discovery, name) = (&old.nat_discovery, "nat-discovery");
    keep(&mut refused, name, discovery, &mut new.nat_discovery);
    keep(&mut refused, "workers", &old.workers, &mut new.workers);
    keep(
        &mut refused,
        "one-socket",
        &old.one_socket,
        &mut new.one_socket,
    );
    let (wait, name) = (&old.coalesce, "coalesce-us");
    keep(&mut refused, name, wait, &mut new.coalesce);
    let (proxies, name) = (&old.trusted_proxies, "trusted-proxy");
    keep(&mut refused, name, proxies, &mut new.trusted_proxies);
    (new, refused)
}

fn keep<T: Clone + PartialEq>(
    refused: &mut Vec<&'static str>,
    name: &'static str,
    old: &T,
    new: &mut T,
) {
    if old != new {
        refused.push(name);
        new.clone_from(old);
    }
}

//! New options under a running service.

use std::mem::discriminant;

use crate::config::{Config, Tls, Turn};
use crate::ice_servers::Relay;
use crate::server::Server;
use crate::tls;

impl Server {
    /// Puts the page's certificate, and of the relay users, secrets, peer policy, quotas, limits and
    /// certificates of `config` in force, in external mode URLs and secret; live connections go on as
    /// they are. Returns the names of options that differ but need a restart.
    ///
    /// # Errors
    /// When certificates can't be used, or the relay would refuse the credentials that are made; nothing
    /// is changed then.
    pub fn reload(&self, config: Config) -> anyhow::Result<Vec<String>> {
        let mut unchanged = self.differing(&config);
        self.refuse_short_credentials(&config)?;
        let acceptor = match (&self.config.tls, &config.tls) {
            (Tls::Files { .. }, Tls::Files { cert, key }) => {
                Some(tls::from_files(cert, key, self.relay.is_some())?)
            }
            _ => None,
        };
        for warning in config.warnings_of_page().unwrap_or_default() {
            tracing::warn!("{warning}");
        }
        let told = match (config.turn, &self.relay) {
            (Turn::Bundled { relay, secret }, Some(running)) => {
                let (told, of_relay) = running.reload(*relay, secret)?;
                unchanged.extend(of_relay);
                Some(told)
            }
            (Turn::External { urls, secret }, None)
                if matches!(self.config.turn, Turn::External { .. }) =>
            {
                Some(Relay::Elsewhere { urls, secret })
            }
            _ => None,
        };
        if let Some(told) = told {
            self.told.replace(told);
        }
        if let (Some(acceptor), Some(in_force)) = (acceptor, &self.acceptor) {
            in_force.send_replace(acceptor);
        }
        Ok(unchanged)
    }

    /// A reload keeps the lifetime of credentials, so the relay's new cap must allow the one in force.
    fn refuse_short_credentials(&self, new: &Config) -> anyhow::Result<()> {
        let ttl = self.config.credential_ttl;
        match &new.turn {
            Turn::Bundled { relay, .. } if relay.max_credential_ttl < ttl => anyhow::bail!(
                "--turn-max-credential-ttl {}: the relay would refuse the credentials of --credential-ttl {}, \
                 which stays in force until a restart",
                relay.max_credential_ttl.as_secs(),
                ttl.as_secs()
            ),
            _ => Ok(()),
        }
    }

    /// Options that can't be changed while the service runs.
    fn differing(&self, new: &Config) -> Vec<String> {
        let old = &self.config;
        let namespaces = old.differing_namespaces(new);
        let tls = discriminant(&old.tls) != discriminant(&new.tls);
        let turn = discriminant(&old.turn) != discriminant(&new.turn);
        [
            ("listen", old.listen != new.listen),
            ("lan", old.lan != new.lan),
            ("tls-cert", tls && old.lan == new.lan),
            ("public-url", old.public_url != new.public_url),
            ("allow-origin", old.allow_origins != new.allow_origins),
            ("trusted-proxy", old.trusted_proxies != new.trusted_proxies),
            ("proxy-protocol", old.proxy_protocol != new.proxy_protocol),
            ("turn-mode", turn),
            ("credential-ttl", old.credential_ttl != new.credential_ttl),
            ("max-room", old.hub.max_room != new.hub.max_room),
            ("max-rooms", old.hub.max_rooms != new.hub.max_rooms),
            ("max-sessions", old.hub.max_sessions != new.hub.max_sessions),
            ("max-pending", old.hub.max_greeting != new.hub.max_greeting),
            (
                "source-sessions",
                old.hub.source.sessions != new.hub.source.sessions,
            ),
            (
                "source-joins",
                old.hub.source.hellos != new.hub.source.hellos,
            ),
            ("message-rate", old.message_rate != new.message_rate),
            (
                "source-message-rate",
                old.source_message_rate != new.source_message_rate,
            ),
            (
                "resume-window",
                old.hub.resume_window != new.hub.resume_window,
            ),
            (
                "ping-interval",
                old.hub.ping_interval != new.hub.ping_interval,
            ),
            ("token-secret", old.token_secret != new.token_secret),
            ("session-secret", old.session_secret != new.session_secret),
            ("state-dir", old.state_dir != new.state_dir),
            ("admin", old.admin != new.admin),
            ("admin-token", old.admin_token != new.admin_token),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name.to_owned())
        .chain(namespaces)
        .collect()
    }
}

//! What an operator should know of the certificates that the options name.

use std::slice::from_ref;
use std::time::{SystemTime, UNIX_EPOCH};

use stun_turn::tls::{CertificateError, Certificates};

use super::{Config, Tls, Turn};
use crate::relay::{prefixed, with_prefix};

/// Why certificates, or other options of the relay, can't be used.
#[derive(Debug)]
pub struct Unusable {
    /// Names the option.
    pub message: String,
    /// Whether an option's value is at fault, not the state of the system.
    pub is_usage: bool,
}

impl Config {
    /// Loads all certificates, the bundled relay's too, and says what clients will not like of them.
    ///
    /// # Errors
    /// When they, or other options of the relay, can't be used; names the option.
    pub fn check_certificates(&self) -> Result<Vec<String>, Unusable> {
        let mut warnings = self.warnings_of_page().map_err(|error| Unusable {
            is_usage: error.is_usage(),
            message: error.to_string(),
        })?;
        if let Turn::Bundled { relay, .. } = &self.turn {
            let certificates = stun_turn::check_config(relay);
            let certificates = certificates.map_err(|error| Unusable {
                is_usage: error.is_usage(),
                message: with_prefix(&error),
            })?;
            let of_relay = certificates.warnings(now_s()).into_iter();
            warnings.extend(of_relay.map(|warning| prefixed(&warning)));
            warnings.extend(self.lacks_name("--turn-tls-cert", &certificates));
        }
        Ok(warnings)
    }

    /// The same of the page's certificate alone.
    ///
    /// # Errors
    /// When it can't be used.
    pub(crate) fn warnings_of_page(&self) -> Result<Vec<String>, CertificateError> {
        let Tls::Files { cert, key } = &self.tls else {
            return Ok(Vec::new());
        };
        let certificates = Certificates::load(from_ref(cert), from_ref(key))?;
        let mut warnings = certificates.warnings(now_s());
        warnings.extend(self.lacks_name("--tls-cert", &certificates));
        Ok(warnings)
    }

    /// Whether no certificate is for the name by which people reach the page, and clients the relay.
    fn lacks_name(&self, option: &str, certificates: &Certificates) -> Option<String> {
        let host = self.public_url.as_ref()?.host();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        certificates.lacks(host).then(|| {
            format!("{option}: no certificate is for {host}, the host of --public-url: clients refuse it")
        })
    }
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

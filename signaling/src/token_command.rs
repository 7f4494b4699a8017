//! `signaling token`: prints a token that lets its bearer into one room.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use signaling::config::Config;
use signaling::room_token::{self, Claims};
use signaling_proto::message::server::Role;
use signaling_proto::name::{self, BadName};
use stun_turn::settings;

/// What the token is for.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenOptions {
    /// Secret that the service was given by --token-secret [default: that of the service's own options, of
    /// the namespace where it has one]
    #[arg(long, value_name = "SECRET", value_parser = NonEmptyStringValueParser::new())]
    token_secret: Option<String>,
    /// File with the secret; a newline at its end does not count
    #[arg(long, value_name = "FILE", conflicts_with = "token_secret")]
    token_secret_file: Option<PathBuf>,
    /// The service's TOML file, for its secret
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which room it opens: its name, or a link to it
    #[arg(long, value_name = "NAME|LINK", value_parser = parse_room)]
    room: String,
    /// Which application's room
    #[arg(long, value_name = "NAME", default_value = "main", value_parser = parse_namespace)]
    namespace: String,
    /// What its bearer is
    #[arg(long, value_name = "ROLE", default_value = "participant",
          value_parser = ["host", "participant", "viewer"])]
    role: String,
    /// How its bearer is called [default: as it says itself]
    #[arg(long, value_name = "NAME", value_parser = parse_person)]
    name: Option<String>,
    /// For how long it opens the room
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl: u64,
}

fn parse_room(text: &str) -> Result<String, String> {
    name::room_of(text).map_err(|why| format!("it {why}"))
}

fn parse_namespace(text: &str) -> Result<String, String> {
    name::namespace(text).map_err(|why| format!("it {why}"))
}

/// A name that would be shown otherwise is a mistake here.
fn parse_person(text: &str) -> Result<String, String> {
    match name::namespace(text) {
        Ok(_) | Err(BadName::Dots) => Ok(name::person(text)),
        Err(why) => Err(format!("it {why}")),
    }
}

impl TokenOptions {
    /// The secret that is named here, or else that of the service for the namespace.
    fn secret(&self, service: &Config) -> anyhow::Result<String> {
        if let Some(path) = &self.token_secret_file {
            let secret = settings::read_secret("--token-secret-file", path);
            return secret.map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()));
        }
        let of_namespace = service.namespaces.get(&self.namespace);
        let of_namespace = of_namespace.and_then(|it| it.token_secret.clone());
        let secret = self.token_secret.clone().or(of_namespace);
        let secret = secret.or_else(|| service.token_secret.clone());
        secret.context(
            "a token needs a secret: give --token-secret or --token-secret-file, set \
             SIGNALING_TOKEN_SECRET, or name the service's file by --config",
        )
    }

    /// Writes the token to standard output.
    pub(crate) fn print(self, service: &Config) -> anyhow::Result<()> {
        let secret = self.secret(service)?;
        let claims = Claims {
            room: self.room,
            namespace: self.namespace,
            role: match self.role.as_str() {
                "host" => Role::Host,
                "viewer" => Role::Viewer,
                _ => Role::Participant,
            },
            name: self.name,
            exp: 0,
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let ttl = Duration::from_secs(self.ttl);
        let token = room_token::mint(&secret, claims, now, ttl)?;
        writeln!(std::io::stdout(), "{token}")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cases that the server and the page read too.
    #[test]
    fn rooms_are_what_they_are_for_everybody() {
        let cases = include_str!("../proto/tests/names.json");
        let cases: serde_json::Value = serde_json::from_str(cases).unwrap();
        let links = cases["links"].as_array().unwrap();
        assert!(links.len() > 30);
        for link in links {
            let room = parse_room(link["text"].as_str().unwrap());
            assert_eq!(room.ok().as_deref(), link["room"].as_str(), "{link}");
        }
    }
}

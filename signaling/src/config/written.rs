//! Options as they are written down: what is in force though nobody gave it, and examples.

use stun_turn::settings::Value;

use super::{Config, Turn, namespace};

/// What the relay's options have in front.
const RELAY: &str = "turn-";

impl Config {
    /// The values of options whose default depends on others or on the machine, by their names.
    #[must_use]
    pub fn computed(&self) -> Vec<(String, Value)> {
        let mut values = vec![("listen".to_owned(), self.listen.to_string().into())];
        if let Turn::Bundled { relay, .. } = &self.turn {
            let relay = relay.computed().into_iter();
            values.extend(relay.map(|(name, value)| (format!("{RELAY}{name}"), value)));
        }
        values
    }
}

/// An option's default, or else a value that shows its form, as TOML; `None` for options that have a
/// fixed default and for switches.
#[must_use]
pub fn example(name: &str) -> Option<&'static str> {
    let name = match namespace::name_of(name) {
        Some((_, "max-room")) => return Some("4"),
        Some((_, "max-rooms")) => return Some("500"),
        Some((_, "max-sessions")) => return Some("1000"),
        Some((_, "token-secret-file")) => return Some(r#""/run/credentials/game-token-secret""#),
        Some((_, key)) => key,
        None => name,
    };
    Some(match name {
        "listen" => r#""127.0.0.1:8080""#,
        "tls-cert" => r#""/etc/signaling/fullchain.pem""#,
        "tls-key" => r#""/etc/signaling/privkey.pem""#,
        "public-url" => r#""https://call.example.org""#,
        "allow-origin" => r#"["https://www.example.org"]"#,
        "trusted-proxy" => r#"["10.0.0.0/24"]"#,
        "turn-url" => {
            r#"["turn:turn.example.org:3478", "turns:turn.example.org:443?transport=tcp"]"#
        }
        "state-dir" => r#""/var/lib/signaling""#,
        "auth-secret" | "token-secret" | "session-secret" | "admin-token" => {
            r#""a long random text""#
        }
        "auth-secret-file" => r#""/run/credentials/auth-secret""#,
        "token-secret-file" => r#""/run/credentials/token-secret""#,
        "session-secret-file" => r#""/run/credentials/session-secret""#,
        "admin-token-file" => r#""/run/credentials/admin-token""#,
        "turn-listen" => r#"["udp:127.0.0.1:3478", "tcp:127.0.0.1:3478"]"#,
        "turn-user-quota" => "128",
        "turn-source-quota" => "2048",
        other => return stun_turn::config::example(other.strip_prefix(RELAY)?),
    })
}

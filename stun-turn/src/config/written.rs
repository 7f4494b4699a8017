//! Options as they are written down: what is in force though nobody gave it, and examples.

use toml::Value;

use super::Config;

impl Config {
    /// The values of options whose default depends on others or on the machine, by their names.
    #[must_use]
    pub fn computed(&self) -> Vec<(String, Value)> {
        let quota = |limit: Option<u32>| Value::Integer(limit.unwrap_or(0).into());
        let listen = self.listen.iter().map(|listen| listen.to_string().into());
        let (first, last) = (self.relay_ports.start(), self.relay_ports.end());
        let workers = i64::try_from(self.workers).unwrap_or(i64::MAX);
        let coalesce_us = i64::try_from(self.coalesce.as_micros()).unwrap_or(i64::MAX);
        [
            ("listen", Value::Array(listen.collect())),
            ("realm", self.realm.clone().into()),
            (
                "max-credential-ttl",
                i64::try_from(self.max_credential_ttl.as_secs())
                    .unwrap_or(i64::MAX)
                    .into(),
            ),
            ("relay-ports", format!("{first}-{last}").into()),
            ("user-quota", quota(self.quotas.per_user)),
            ("source-quota", quota(self.quotas.per_source)),
            ("workers", workers.into()),
            ("coalesce-us", coalesce_us.into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}

/// An option's default, or else a value that shows its form, as TOML; `None` for options that have a
/// fixed default and for switches.
#[must_use]
pub fn example(name: &str) -> Option<&'static str> {
    Some(match name {
        "listen" => r#"["udp:[::]:3478", "tcp:[::]:3478", "tls:[::]:5349"]"#,
        "realm" => r#""callbox""#,
        "user" => r#"["alice:wonder"]"#,
        "auth-secret" => r#"["a long random text"]"#,
        "max-credential-ttl" => "3153600000",
        "user-file" => r#"["/run/credentials/users"]"#,
        "auth-secret-file" => r#"["/run/credentials/auth-secret"]"#,
        "admin-token-file" => r#""/run/credentials/admin-token""#,
        "relay-address" => r#"["10.0.0.5"]"#,
        "external-address" => r#"["203.0.113.7", "203.0.113.8=10.0.0.6"]"#,
        "relay-ports" => r#""49152-65535""#,
        "allow-peer" => r#"["10.1.0.0/16"]"#,
        "deny-peer" => r#"["198.51.100.0/24"]"#,
        "nat64-prefix" => r#"["2001:db8:64::/96"]"#,
        "max-allocations" => "1000",
        "user-quota" => "128",
        "source-quota" => "2048",
        "max-bps" => "1000000",
        "alternate-server" => r#"["203.0.113.9:3478"]"#,
        "tls-cert" => r#"["/etc/stun-turn/fullchain.pem"]"#,
        "tls-key" => r#"["/etc/stun-turn/privkey.pem"]"#,
        "trusted-proxy" => r#"["10.0.0.0/24"]"#,
        "nat-discovery" => r#""203.0.113.10:3479""#,
        "workers" => "4",
        "coalesce-us" => "50",
        "admin-token" => r#""a long random text""#,
        _ => return None,
    })
}

//! What an operator should know of options that are valid.

use super::{Config, Listen};

impl Config {
    /// One sentence for each; without secrets.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.users.is_empty() && self.auth_secrets.is_empty() {
            warnings.push(
                "neither --user nor --auth-secret is set: STUN works, but nobody can allocate"
                    .to_owned(),
            );
        }
        for (index, user) in self.users.iter().enumerate() {
            let is_same = |other: &super::User| other.name == user.name;
            let earlier = self.users.iter().take(index).filter(|it| is_same(it));
            if earlier.count() == 1 {
                let name = &user.name;
                warnings.push(format!(
                    "--user {name} is given several times: the last password counts"
                ));
            }
        }
        for listen in &self.listen {
            if self.serves_ipv6_alone(*listen) {
                let (protocol, port) = (listen.protocol, listen.address.port());
                warnings.push(format!(
                    "--listen {listen} serves IPv6 alone: for IPv4 add --listen {protocol}:0.0.0.0:{port}"
                ));
            }
        }
        warnings
    }

    /// Whether this listens on all IPv6 addresses, and nothing of its protocol on an IPv4 address.
    fn serves_ipv6_alone(&self, listen: Listen) -> bool {
        let ip = listen.address.ip();
        let is_counterpart =
            |other: &Listen| other.protocol == listen.protocol && other.address.is_ipv4();
        ip.is_ipv6() && ip.is_unspecified() && !self.listen.iter().any(is_counterpart)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

    fn warnings(listen: &[&str], users: &[&str]) -> Vec<String> {
        let options = Options {
            listen: listen.iter().map(|it| it.parse().unwrap()).collect(),
            user: users.iter().map(|it| it.parse().unwrap()).collect(),
            ..Options::default()
        };
        Config::from(options).warnings()
    }

    #[test]
    fn all_of_ipv6_is_not_all() {
        let told = warnings(&["udp:[::]:3478", "tcp:[::]:3478"], &["a:b"]);
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("--listen udp:0.0.0.0:3478"), "{told:?}");
        let both = ["udp:[::]:3478", "udp:0.0.0.0:3478", "tls:[::1]:5349"];
        assert!(warnings(&both, &["a:b"]).is_empty());
        assert!(warnings(&[], &["a:b"]).is_empty(), "the default is both");
    }

    #[test]
    fn a_user_given_twice_is_told_once_and_without_the_password() {
        let listen = ["udp:0.0.0.0:3478"];
        let told = warnings(&listen, &["alice:one", "bob:x", "alice:two", "alice:three"]);
        assert_eq!(told.len(), 1);
        assert!(
            told[0].contains("alice") && !told[0].contains("two"),
            "{told:?}"
        );
        assert!(warnings(&listen, &[])[0].contains("nobody can allocate"));
    }
}

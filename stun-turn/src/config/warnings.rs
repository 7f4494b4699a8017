//! What an operator should know of options that are valid.

use super::{Config, Listen, Protocol};

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
        let is_for_tls = |listen: &Listen| listen.protocol == Protocol::Tls;
        if self.tls_only && !self.listen.iter().any(is_for_tls) {
            warnings.push(
                "--tls-only changes nothing: there is no tls: listener, and tcp: ones take plain clients".to_owned(),
            );
        }
        warnings
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
    fn tls_only_without_a_listener_for_tls_is_told() {
        let told = |listen: &[&str]| {
            let options = Options {
                listen: listen.iter().map(|it| it.parse().unwrap()).collect(),
                user: vec!["a:b".parse().unwrap()],
                tls_only: true,
                ..Options::default()
            };
            Config::from(options).warnings()
        };
        assert!(told(&["tcp:0.0.0.0:443"])[0].contains("--tls-only"));
        assert!(told(&["tls:0.0.0.0:443"]).is_empty());
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

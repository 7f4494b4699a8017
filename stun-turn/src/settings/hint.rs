//! Hints for names that no option has: spelling, coturn's keys, variables of the environment.

/// coturn's keys whose names differ, and what they are here.
const OF_COTURN: [(&str, &str); 27] = [
    ("allowed-peer-ip", "allow-peer"),
    ("cert", "tls-cert"),
    ("cli-ip", "admin"),
    ("cli-password", "admin-token"),
    ("cli-port", "admin"),
    ("denied-peer-ip", "deny-peer"),
    ("external-ip", "external-address"),
    ("fingerprint", ""),
    ("listening-ip", "listen"),
    ("listening-port", "listen"),
    ("log-file", ""),
    ("lt-cred-mech", "user"),
    ("max-port", "relay-ports"),
    ("min-port", "relay-ports"),
    ("no-cli", ""),
    ("no-multicast-peers", ""),
    ("no-tls", "listen"),
    ("no-tlsv1", ""),
    ("pkey", "tls-key"),
    ("relay-ip", "relay-address"),
    ("relay-threads", "workers"),
    ("server-name", "realm"),
    ("static-auth-secret", "auth-secret"),
    ("stale-nonce", ""),
    ("tls-listening-port", "listen"),
    ("total-quota", "max-allocations"),
    ("use-auth-secret", "auth-secret"),
];

/// Where the documentation of coturn's keys is.
const FROM_COTURN: &str = "docs/from-coturn.md lists each of its keys";

/// What to say of a key that no option has.
pub(super) fn for_key<'n>(key: &str, names: impl Iterator<Item = &'n str>) -> String {
    let bare = key.strip_prefix("turn-").unwrap_or(key).replace('_', "-");
    match OF_COTURN.iter().find(|(theirs, _)| *theirs == bare) {
        Some((_, "")) => return format!(": it is coturn's; {FROM_COTURN}"),
        Some((_, ours)) => {
            return format!(": it is coturn's, `{ours}` is its counterpart; {FROM_COTURN}");
        }
        None => {}
    }
    closest(&key.replace('_', "-"), names)
        .map_or_else(String::new, |name| format!(": did you mean `{name}`?"))
}

/// Whether a text that is no TOML is a `turnserver.conf`: it has a line `key` or `key=value` of
/// coturn's.
pub(super) fn is_of_coturn(text: &str) -> bool {
    text.lines().any(|line| {
        let key = line.split_once('=').map_or(line, |(key, _)| key).trim();
        OF_COTURN.iter().any(|(theirs, _)| *theirs == key)
    })
}

/// What to do with a `turnserver.conf`.
pub(super) fn of_coturn() -> String {
    format!(
        "this looks like coturn's turnserver.conf. Expected is TOML, see --example-config; {FROM_COTURN}"
    )
}

/// What to say of a variable with this program's prefix that no option has; `rest` stands behind the
/// prefix. Nothing of those that container systems make of a service's name.
pub(super) fn for_variable(prefix: &str, rest: &str, names: &[String]) -> Option<String> {
    let variable = format!("{prefix}_{rest}");
    if let Some(name) = closest(rest, names.iter().map(String::as_str)) {
        return Some(format!(
            "the environment variable {variable} is no option: did you mean {prefix}_{name}?"
        ));
    }
    let of_service = ["PORT", "SERVICE_HOST", "SERVICE_PORT"];
    let is_of_service = of_service
        .iter()
        .any(|part| rest.starts_with(part) || rest.contains(&format!("_{part}")));
    (!is_of_service).then(|| format!("the environment variable {variable} is no option"))
}

/// The name that needs the fewest changes, if these are few.
fn closest<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let distances = names.map(|name| (strsim::osa_distance(wrong, name), name));
    let (distance, name) = distances.min()?;
    (distance > 0 && distance <= (wrong.len() / 4).clamp(1, 3)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["auth-secret", "listen", "relay-ports", "user", "user-quota"];

    #[test]
    fn keys_that_are_nearly_right_or_coturn_s_have_a_hint() {
        let hint = |key| for_key(key, NAMES.into_iter());
        assert_eq!(hint("auth-secert"), ": did you mean `auth-secret`?");
        assert_eq!(hint("relay_port"), ": did you mean `relay-ports`?");
        assert!(hint("static-auth-secret").contains("`auth-secret`"));
        assert!(hint("turn-external-ip").contains("`external-address`"));
        assert!(hint("fingerprint").contains("coturn"));
        assert_eq!(hint("colour"), "");
    }

    #[test]
    fn variables_of_container_systems_are_not_looked_at() {
        let names = NAMES.map(|name| name.replace('-', "_").to_uppercase());
        let hint = |rest| for_variable("STUN_TURN", rest, &names);
        for rest in [
            "PORT",
            "PORT_3478_UDP_ADDR",
            "SERVICE_HOST",
            "SERVICE_PORT_ADMIN",
            "ADMIN_SERVICE_HOST",
            "ADMIN_PORT_9641_TCP",
        ] {
            assert_eq!(hint(rest), None, "{rest}");
        }
        let told = hint("AUTH_SECERT").unwrap();
        assert!(
            told.contains("did you mean STUN_TURN_AUTH_SECRET?"),
            "{told}"
        );
        let told = hint("RELAY_PORT").unwrap();
        assert!(told.contains("STUN_TURN_RELAY_PORTS"), "{told}");
        assert!(hint("COLOUR").unwrap().contains("STUN_TURN_COLOUR"));
    }

    #[test]
    fn a_turnserver_conf_is_recognised() {
        let text = "# comment\nlistening-port=3478\nuse-auth-secret\nrealm=example.org\n";
        assert!(is_of_coturn(text));
        assert!(!is_of_coturn("realm = \"example.org\nuser = 3"));
    }
}

//! Reloads of the bundled relay's options.

use std::io::{BufRead as _, BufReader};
use std::process::Command;

use crate::harness::{config, start};
use crate::process::{FREE, Running, signaling};

/// A reload keeps the lifetime of credentials, so a cap that suits only the new file would refuse everybody.
#[tokio::test]
async fn a_cap_below_the_lifetime_of_credentials_in_force_is_refused() {
    let relay = ["--turn-listen", "udp:127.0.0.1:0"];
    let server = start(&relay).await;
    let both_shorter = ["--turn-max-credential-ttl", "60", "--credential-ttl", "60"];
    let refused = server.reload(config(&[&relay[..], &both_shorter].concat()));
    let refused = refused.unwrap_err().to_string();
    for word in [
        "--turn-max-credential-ttl 60",
        "--credential-ttl",
        "restart",
    ] {
        assert!(refused.contains(word), "{refused}");
    }
    // A cap above it is taken.
    let above = ["--turn-max-credential-ttl", "90000"];
    let unchanged = server.reload(config(&[&relay[..], &above].concat()));
    assert_eq!(unchanged.unwrap(), [""; 0]);
    server.stop().await;
}

/// Whether somebody can use the relay, as a client finds out.
fn can_relay(url: &str, user: &str, password: &str) -> bool {
    let options = stun_turn::check::Options {
        url: url.parse().unwrap(),
        user: Some(user.to_owned()),
        password: Some(password.to_owned()),
        auth_secret: None,
        auth_secret_file: None,
        password_file: None,
        config: None,
        realm: None,
        ca: None,
        insecure: false,
        timeout: 10,
        json: true,
        account_of: None,
        max_credential_ttl_s: None,
    };
    stun_turn::check::run(options, &mut std::io::sink()).unwrap()
}

#[test]
fn sighup_changes_the_relay_s_users_and_refuses_nonsense() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |text: &str| std::fs::write(file.path(), text).unwrap();
    write("[turn]\nuser = [\"alice:wonder\"]\n");
    let config = ["--config", file.path().to_str().unwrap()];
    let mut child = Running(signaling(&[&FREE[..], &config].concat()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let turn = lines.nth(1).unwrap().unwrap();
    let url = turn.strip_prefix("TURN: ").unwrap();
    let mut log = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let pid = child.0.id().to_string();
    let mut told = |expected: &str| {
        log.by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(expected))
            .unwrap()
    };
    let reload = || {
        let told = Command::new("kill").args(["-HUP", &pid]).status().unwrap();
        assert!(told.success());
    };
    assert!(can_relay(url, "alice", "wonder"));

    write("max-room = 3\n[turn]\nuser = [\"bob:builder\"]\n");
    reload();
    told("max-room");
    // The last line of this reload: another one that were still under way would read what is written next in part.
    told("reloaded certificates");
    assert!(!can_relay(url, "alice", "wonder"));
    assert!(can_relay(url, "bob", "builder"));

    write("[turn]\nuser = [\"carol\"]\n");
    reload();
    let refusal = told("not reloaded");
    assert!(refusal.contains("--turn-user"), "{refusal}");
    assert!(can_relay(url, "bob", "builder"), "as before");
}

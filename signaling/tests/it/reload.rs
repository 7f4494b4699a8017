//! Reloads of the bundled relay's options.

use crate::harness::{config, start};

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

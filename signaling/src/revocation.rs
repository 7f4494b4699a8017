//! Whoever was put out of a room holds nothing on the bundled relay, and gets nothing new there.
//!
//! The relay keeps no list of users: a credential is good until it expires. So what a peer holds is
//! ended at once, and again each second until its last credential has expired.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use signaling_proto::id::PeerId;
use stun_turn::proto::auth::credential;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How long a revoked credential may be of use again, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// Ends what revoked peers hold, until `revoked` closes.
pub(crate) async fn enforce(
    relay: stun_turn::Handle,
    mut revoked: mpsc::UnboundedReceiver<PeerId>,
    credential_ttl: Duration,
) {
    let mut until: HashMap<PeerId, Instant> = HashMap::new();
    loop {
        tokio::select! {
            peer = revoked.recv() => match peer {
                Some(peer) => {
                    until.insert(peer, Instant::now() + credential_ttl);
                }
                None => return,
            },
            () = sleep(INTERVAL), if !until.is_empty() => {
                let now = Instant::now();
                until.retain(|_, until| *until > now);
            }
        }
        let (relay, peers) = (relay.clone(), until.clone());
        // It waits for the relay's threads.
        let ended = tokio::task::spawn_blocking(move || end(&relay, &peers)).await;
        if let Ok(ended @ 1..) = ended {
            tracing::info!(allocations = ended, "ended what revoked peers held");
        }
    }
}

/// How many allocations were ended.
fn end(relay: &stun_turn::Handle, peers: &HashMap<PeerId, Instant>) -> usize {
    let sessions = relay.sessions().into_iter();
    let theirs = sessions.filter(|session| {
        let account = credential::account(session.user.as_bytes());
        let account = std::str::from_utf8(account).map(PeerId::new);
        account.is_ok_and(|account| peers.contains_key(&account))
    });
    theirs
        .filter(|session| relay.end_session(&session.id))
        .count()
}

//! The secret that signs session tickets: given, kept from the last run, or made now.

use std::path::Path;

use anyhow::Context as _;
use signaling_proto::ticket::TicketKey;

use crate::state_dir;

/// The file in `--state-dir`.
const FILE: &str = "session-secret";
/// Of a random secret, in bytes: as many as its hash has.
const BYTES: usize = 32;
/// Of a secret that somebody else has put there, in bytes.
const MOST_BYTES: u64 = 4096;

/// The key of this run.
///
/// # Errors
/// When the state directory can't be used; names it.
pub(crate) fn key(given: Option<&str>, state_dir: Option<&Path>) -> anyhow::Result<TicketKey> {
    let secret = match (given, state_dir) {
        (Some(given), _) => given.as_bytes().to_vec(),
        (None, None) => random()?,
        (None, Some(dir)) => kept(dir).with_context(|| format!("--state-dir {}", dir.display()))?,
    };
    Ok(TicketKey::new(&secret))
}

/// What an earlier run has left, or else a new secret, left for the next one.
fn kept(dir: &Path) -> anyhow::Result<Vec<u8>> {
    match state_dir::read(dir, FILE, MOST_BYTES)? {
        Some(secret) if secret.len() >= BYTES => return Ok(secret),
        Some(_) => anyhow::bail!("{FILE} is too short to be a secret: remove it"),
        None => {}
    }
    let secret = random()?;
    state_dir::write(dir, FILE, &secret).context(FILE)?;
    Ok(secret)
}

fn random() -> anyhow::Result<Vec<u8>> {
    let mut secret = vec![0; BYTES];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_random_secret_outlives_a_restart_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = kept(&state).unwrap();
        assert_eq!(kept(&state).unwrap(), first);
        let readable = fs::Permissions::from_mode(0o644);
        fs::set_permissions(state.join(FILE), readable).unwrap();
        let error = format!("{:#}", kept(&state).unwrap_err());
        assert!(error.contains("chmod 600"), "{error}");
        assert_ne!(random().unwrap(), first);
    }

    #[test]
    fn a_broken_state_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        state_dir::write(dir.path(), FILE, b"short").unwrap();
        let error = format!("{:#}", key(None, Some(dir.path())).unwrap_err());
        assert!(
            error.contains("--state-dir") && error.contains("too short"),
            "{error}"
        );
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(key(None, Some(&file)).is_err());
        assert!(key(Some("given"), Some(&file)).is_ok(), "not needed then");
    }
}

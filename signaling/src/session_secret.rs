//! The secret that signs session tickets: given, kept from the last run, or made now.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use signaling_proto::ticket::TicketKey;

/// The file in `--state-dir`.
const FILE: &str = "session-secret";
/// Of a random secret, in bytes: as many as its hash has.
const BYTES: usize = 32;

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
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(secret) if secret.len() >= BYTES => return Ok(secret),
        Ok(_) => anyhow::bail!("{FILE} is too short to be a secret: remove it"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).context(FILE),
    }
    let secret = random()?;
    fs::create_dir_all(dir)?;
    // Written aside first, so that no crash leaves half a secret.
    let aside = dir.join(format!("{FILE}.new"));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&aside, &path)?;
    Ok(secret)
}

fn random() -> anyhow::Result<Vec<u8>> {
    let mut secret = vec![0; BYTES];
    getrandom::fill(&mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_random_secret_outlives_a_restart_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = kept(&state).unwrap();
        assert_eq!(kept(&state).unwrap(), first);
        let mode = fs::metadata(state.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(random().unwrap(), first);
    }

    #[test]
    fn a_broken_state_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "short").unwrap();
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

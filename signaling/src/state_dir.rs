//! Files of `--state-dir`: this user's alone, and whole or not there.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, bail};

/// What a file holds; `None` when there is none.
///
/// # Errors
/// When it can't be read, has more than `most` bytes, or somebody else could have written it, or read
/// it who is not in its group. Where it is a link, as mounted secrets are, all this is about the file
/// that it leads to.
pub(crate) fn read(dir: &Path, name: &str, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let open = fs::OpenOptions::new()
        .read(true)
        // A pipe must not make the start wait.
        .custom_flags(libc::O_NONBLOCK)
        .open(dir.join(name));
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(name.to_owned()),
    };
    check(&file.metadata().context(name.to_owned())?, own_user()).context(name.to_owned())?;
    let mut content = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut content)
        .context(name.to_owned())?;
    if content.len() as u64 > most {
        bail!("{name} is larger than {most} bytes: remove it");
    }
    Ok(Some(content))
}

/// Whether a file is `user`'s (or root's), and nobody else's; a group may be let read it on purpose.
fn check(metadata: &fs::Metadata, user: u32) -> anyhow::Result<()> {
    if !metadata.is_file() {
        bail!("it is no file");
    }
    if metadata.uid() != user && metadata.uid() != 0 {
        bail!(
            "it belongs to user {}, and this process runs as user {user}: change its owner or remove it",
            metadata.uid()
        );
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o037 != 0 {
        bail!(
            "its mode is {mode:o}, so that others could read or change it: chmod 600 (640 at most), or remove it"
        );
    }
    Ok(())
}

fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Replaces a file as a whole, so that no crash leaves half of it.
///
/// # Errors
/// When the disk is full or can't be written to.
pub(crate) fn write(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let aside = dir.join(format!("{name}.new"));
    // What a crash has left may be somebody else's, or have another mode.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(error) = written.and_then(|()| fs::rename(&aside, dir.join(name))) {
        // On a full disk it would be in the way.
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_was_written_is_read_and_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("state");
        assert_eq!(read(&dir, "x", 9).unwrap(), None);
        for content in [&b"first"[..], b"second"] {
            write(&dir, "x", content).unwrap();
            assert_eq!(read(&dir, "x", 9).unwrap().as_deref(), Some(content));
        }
        let mode = fs::metadata(dir.join("x")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(read(&dir, "x", 5).is_err(), "too large");
    }

    #[test]
    fn a_file_that_others_could_have_written_is_refused_in_words() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write(dir, "x", b"secret").unwrap();
        for mode in [0o604, 0o644, 0o620, 0o660, 0o602] {
            fs::set_permissions(dir.join("x"), fs::Permissions::from_mode(mode)).unwrap();
            let error = format!("{:#}", read(dir, "x", 9).unwrap_err());
            assert!(error.contains("chmod 600"), "{error}");
        }
        // As Kubernetes mounts a secret for a group: links, and no right to write.
        symlink(dir.join("x"), dir.join("link")).unwrap();
        for mode in [0o600, 0o640, 0o440, 0o400] {
            fs::set_permissions(dir.join("x"), fs::Permissions::from_mode(mode)).unwrap();
            for name in ["x", "link"] {
                assert_eq!(read(dir, name, 9).unwrap().as_deref(), Some(&b"secret"[..]));
            }
        }
        let metadata = fs::metadata(dir.join("x")).unwrap();
        let other = metadata.uid() + 1;
        assert!(check(&metadata, metadata.uid()).is_ok());
        assert_eq!(check(&metadata, other).is_ok(), metadata.uid() == 0);
        assert!(
            read(
                dir.parent().unwrap(),
                dir.file_name().unwrap().to_str().unwrap(),
                9
            )
            .is_err()
        );
    }

    #[test]
    fn a_file_that_is_in_the_way_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("x.new"), "half").unwrap();
        write(dir.path(), "x", b"whole").unwrap();
        assert_eq!(
            read(dir.path(), "x", 9).unwrap().as_deref(),
            Some(&b"whole"[..])
        );
        assert!(!dir.path().join("x.new").exists());
    }
}

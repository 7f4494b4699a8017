//! The address of the page's own files: under the hash of all of them, so that a browser keeps each for as long as it likes.
//!
//! Scripts import each other by relative paths, and so stay under the address of the first. A page that was opened before an
//! update has what it loaded then, and of the rest what there is now.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use super::{Files, POLICY, SECURITY};

/// What is served under the hash: everything else has an address that must not change.
pub(super) const FOLDER: &str = "src/";
/// Bytes of the hash in the address.
const BYTES: usize = 8;

/// The version that is served, in hexadecimal digits. In a debug build the files may change: each document looks anew.
static SERVED: LazyLock<Mutex<String>> = LazyLock::new(|| Mutex::new(hash()));

fn served() -> MutexGuard<'static, String> {
    SERVED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash() -> String {
    let mut paths: Vec<_> = Files::iter()
        .filter(|path| path.starts_with(FOLDER))
        .collect();
    paths.sort_unstable();
    let mut all = Sha256::new();
    for path in paths {
        if let Some(file) = Files::get(&path) {
            // Of one length each: what is a name and what is content cannot be mistaken.
            all.update(Sha256::digest(path.as_bytes()));
            all.update(file.metadata.sha256_hash());
            if cfg!(debug_assertions) {
                // What was edited and edited back may have been served in between.
                all.update(file.metadata.last_modified().unwrap_or(0).to_be_bytes());
            }
        }
    }
    // They come with the files, and are kept with them: a worker has its policy from its own.
    for (name, value) in SECURITY.iter().chain([&POLICY]) {
        all.update(Sha256::digest(name.as_str()));
        all.update(Sha256::digest(value));
    }
    all.update(env!("CARGO_PKG_VERSION"));
    all.finalize()[..BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A document whose links and scripts lead to this version.
pub(super) fn point_to_version(document: &str) -> String {
    let mut version = served();
    if cfg!(debug_assertions) {
        *version = hash();
    }
    document.replace(
        &format!("=\"/{FOLDER}"),
        &format!("=\"/v/{version}/{FOLDER}"),
    )
}

/// The file that a path (without a leading slash) means, and whether it names this very version, so that its content will never
/// change. A page of another version gets what there is now.
pub(super) fn resolve(path: &str) -> (&str, bool) {
    let named = path
        .strip_prefix("v/")
        .and_then(|rest| rest.split_once('/'));
    match named {
        Some((version, file)) if file.starts_with(FOLDER) => (file, version == *served()),
        _ => (path, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_version_never_changes() {
        let version = hash();
        assert_eq!(version.len(), 2 * BYTES);
        let named = |version: &str, file: &str| format!("v/{version}/{file}");
        for (path, file, keeps) in [
            (named(&version, "src/main.js"), "src/main.js", true),
            (
                named("0011223344556677", "src/main.js"),
                "src/main.js",
                false,
            ),
            ("src/main.js".into(), "src/main.js", false),
            ("v/src/main.js".into(), "v/src/main.js", false),
            // These have one address for ever.
            (
                named(&version, "index.html"),
                &named(&version, "index.html"),
                false,
            ),
            (
                named(&version, "service-worker.js"),
                &named(&version, "service-worker.js"),
                false,
            ),
        ] {
            assert_eq!(resolve(&path), (file, keeps), "{path}");
        }
    }

    #[test]
    fn a_document_leads_to_this_version() {
        let version = hash();
        assert_eq!(
            point_to_version(
                "<a href=\"/src/a.css\"><a src=\"/src/b.js\"><a href=\"/manifest\">/src/"
            ),
            format!(
                "<a href=\"/v/{version}/src/a.css\"><a src=\"/v/{version}/src/b.js\"><a href=\"/manifest\">/src/"
            )
        );
    }
}

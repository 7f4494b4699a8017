//! Has the crate built again when a file of the page comes, goes or changes: the embedding itself
//! notices only changes.

fn main() {
    let files = [
        "index.html",
        "offline.html",
        "manifest.webmanifest",
        "service-worker.js",
        "src",
    ];
    for path in files {
        println!("cargo::rerun-if-changed=../web/{path}");
    }
}

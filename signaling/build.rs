//! Has the crate built again when a file of the page comes, goes or changes: the embedding itself
//! notices only changes.

fn main() {
    for path in ["index.html", "src"] {
        println!("cargo::rerun-if-changed=../web/{path}");
    }
}

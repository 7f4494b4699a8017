//! The sources of the tree, for the checks in `tests/tidy.rs`.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders that hold nothing of ours.
const FOREIGN: [&str; 5] = ["target", "node_modules", "vendor", "artifacts", ".git"];

/// A file of the tree.
#[derive(Debug, Clone)]
pub struct Source {
    /// Relative to the root, with slashes.
    pub path: String,
    /// Its content.
    pub text: String,
}

/// The folder that holds the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let tidy = Path::new(env!("CARGO_MANIFEST_DIR"));
    tidy.ancestors().nth(2).unwrap_or(tidy).to_path_buf()
}

/// All files below the root whose name ends so, in order.
///
/// # Panics
/// When the tree can't be read.
#[must_use]
pub fn sources(ending: &str) -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tree can be read") {
            let entry = entry.expect("the tree can be read");
            let name = entry.file_name();
            let kind = entry.file_type().expect("the tree can be read");
            if kind.is_dir() && !FOREIGN.iter().any(|foreign| name == *foreign) {
                folders.push(entry.path());
            } else if kind.is_file() && name.to_string_lossy().ends_with(ending) {
                let path = entry.path();
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                let path = path.strip_prefix(&root).unwrap_or(&path);
                sources.push(Source {
                    path: path.to_string_lossy().into_owned(),
                    text,
                });
            }
        }
    }
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

/// The lines of a script that are no comment, each with its number.
pub fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| {
        let line = line.trim_start();
        !["//", "/*", "*"].iter().any(|it| line.starts_with(it))
    })
}

/// What a script imports when it is loaded, as paths relative to the root.
#[must_use]
pub fn imports(source: &Source) -> Vec<String> {
    let folder = Path::new(&source.path).parent().unwrap_or(Path::new(""));
    let from = |line: &str| {
        let starts = ["import ", "export ", "} from "];
        let is_import = starts.iter().any(|it| line.starts_with(it));
        let (_, target) = line.split_once("from '").filter(|_| is_import)?;
        let target = target.split('\'').next()?;
        target
            .starts_with('.')
            .then(|| normal(&folder.join(target)))
    };
    let lines = code(&source.text).map(|(_, line)| line);
    lines.filter_map(from).collect()
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> String {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

/// The first circle that is found among what imports what, as the names on it; none if there is none.
#[must_use]
pub fn circle(edges: &HashMap<String, Vec<String>>) -> Option<Vec<String>> {
    let mut done: HashMap<&str, bool> = HashMap::new();
    let mut names: Vec<_> = edges.keys().collect();
    names.sort();
    names
        .into_iter()
        .find_map(|name| search(name, edges, &mut done, &mut Vec::new()))
}

/// A circle through what can be reached from `name`. `done` is false for what is being searched.
fn search<'a>(
    name: &'a str,
    edges: &'a HashMap<String, Vec<String>>,
    done: &mut HashMap<&'a str, bool>,
    way: &mut Vec<&'a str>,
) -> Option<Vec<String>> {
    match done.get(name) {
        Some(true) => return None,
        Some(false) => {
            let begins = way.iter().position(|it| *it == name).unwrap_or_default();
            return Some(way[begins..].iter().map(|it| (*it).to_owned()).collect());
        }
        None => {}
    }
    done.insert(name, false);
    way.push(name);
    for next in edges.get(name).into_iter().flatten() {
        if let Some(found) = search(next, edges, done, way) {
            return Some(found);
        }
    }
    way.pop();
    done.insert(name, true);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(list: &[(&str, &str)]) -> HashMap<String, Vec<String>> {
        let mut edges: HashMap<String, Vec<String>> = HashMap::new();
        for (from, to) in list {
            edges.entry((*from).into()).or_default().push((*to).into());
        }
        edges
    }

    #[test]
    fn a_planted_circle_is_found_and_a_diamond_is_none() {
        let diamond = edges(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]);
        assert_eq!(circle(&diamond), None);
        let planted = edges(&[("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")]);
        let found = circle(&planted).expect("there is one");
        assert_eq!(found, ["b", "c", "d"]);
        assert_eq!(circle(&edges(&[("a", "a")])), Some(vec!["a".into()]));
    }

    #[test]
    fn imports_of_a_script_are_read() {
        let source = Source {
            path: "web/src/call/link.js".into(),
            text: "// import { a } from './comment.js';\nimport { b } from './b.js';\nimport {\n  c,\n} from '../protocol/c.js';\nimport * as fs from 'node:fs';\n".into(),
        };
        assert_eq!(
            imports(&source),
            ["web/src/call/b.js", "web/src/protocol/c.js"]
        );
    }
}

//! Every row of `docs/turn-conformance.md` and `docs/threats.md` names files and tests that exist.

use std::path::Path;

#[test]
fn every_row_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = std::fs::read_to_string(root.join("docs/turn-conformance.md")).unwrap();
    let mut rows = 0;
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, _clause, _requirement, file, test, _] = cells[..] else {
            continue;
        };
        let (Some(file), Some(test)) = (in_code(file), in_code(test)) else {
            continue;
        };
        rows += 1;
        let source = std::fs::read_to_string(root.join(file));
        let source = source.unwrap_or_else(|error| panic!("{file}: {error} ({line})"));
        // A file of logic names the test in its child module `tests`.
        let tests = root.join(file.replace(".rs", "/tests.rs"));
        let all = source + &std::fs::read_to_string(tests).unwrap_or_default();
        assert!(
            all.contains(&format!("fn {test}(")),
            "no test `{test}` for {file}"
        );
    }
    assert!(rows > 30, "only {rows} rows were understood");
}

#[test]
fn every_lesson_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let table = std::fs::read_to_string(root.join("docs/threats.md")).unwrap();
    let mut pairs = 0;
    for line in table.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, row, _what, tests, _limits, _] = cells[..] else {
            continue;
        };
        for pair in tests.split("<br>") {
            let Some((test, file)) = pair.rsplit_once(" in ") else {
                continue;
            };
            let (test, file) = (in_code(test).unwrap(), in_code(file).unwrap());
            let source = std::fs::read_to_string(root.join(file));
            let source = source.unwrap_or_else(|error| panic!("{row}: {file}: {error}"));
            let wanted = match test.split_once(' ') {
                Some(("case", id)) => format!("\"{id}"),
                Some(("page", title)) => format!("test('{title}'"),
                Some(("load", _)) => "pub(crate) fn run(".to_owned(),
                _ => format!("fn {test}("),
            };
            assert!(source.contains(&wanted), "{row}: no `{test}` in {file}");
            pairs += 1;
        }
    }
    assert!(pairs > 200, "only {pairs} tests were understood");
}

/// The text between backticks.
fn in_code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

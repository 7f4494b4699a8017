//! What ARCHITECTURE.md and CONTRIBUTING.md promise about the shape of the tree.

use std::collections::HashMap;

use tidy::{Source, circle, code, imports, sources};

/// Beyond this a file asks to be split.
const MOST_LINES: usize = 400;
/// Files that were longer when this was written, and how long. Each may only get shorter, and leaves the list when it fits.
const LONGER: [(&str, usize); 18] = [
    ("signaling/tests/it/process.rs", 424),
    ("stun-turn/proto/src/ports.rs", 425),
    ("stun-turn/proto/src/relay.rs", 428),
    ("stun-turn/proto/src/relay/request/allocate.rs", 514),
    ("stun-turn/proto/src/relay/table.rs", 408),
    ("stun-turn/proto/src/relay/tests.rs", 431),
    ("stun-turn/proto/src/relay/tests/allocate.rs", 489),
    ("stun-turn/proto/src/relay/tests/data.rs", 416),
    ("stun-turn/proto/src/relay/tests/operator.rs", 499),
    ("stun-turn/src/control.rs", 428),
    ("stun-turn/src/tls.rs", 444),
    ("stun-turn/src/worker.rs", 422),
    ("stun-turn/src/worker/stream.rs", 448),
    ("stun-turn/tests/it/operating.rs", 459),
    ("stun-turn/tests/it/program.rs", 436),
    ("web/src/call/call.js", 415),
    ("web/src/call/link.js", 408),
    ("web/src/protocol/signaling.js", 402),
];

#[test]
fn files_are_short() {
    let mut troubles = Vec::new();
    let mut longer: HashMap<&str, usize> = LONGER.into_iter().collect();
    for Source { path, text } in sources(".rs").into_iter().chain(sources(".js")) {
        let lines = text.lines().count();
        let most = longer.remove(path.as_str());
        match most {
            None if lines > MOST_LINES => {
                troubles.push(format!(
                    "{path} has {lines} lines of {MOST_LINES}: split it"
                ));
            }
            Some(most) if lines > most => {
                troubles.push(format!(
                    "{path} has grown from {most} to {lines} lines: split it"
                ));
            }
            Some(_) if lines <= MOST_LINES => {
                troubles.push(format!("{path} fits: take it off the list"));
            }
            _ => {}
        }
    }
    troubles.extend(
        longer
            .keys()
            .map(|path| format!("{path} is not there: take it off the list")),
    );
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}

/// Words of the DOM, which only `view` and the pages may know.
const DOM: [&str; 7] = [
    "document.",
    "window.",
    "querySelector",
    "createElement",
    "innerHTML",
    "addEventListener('click'",
    "HTMLElement(",
];
/// What opens connections, which `view` leaves to `protocol` and `call`.
const CONNECTIONS: [&str; 3] = ["new RTCPeerConnection", "new WebSocket", " fetch("];

#[test]
fn what_carries_the_call_knows_no_page_and_the_view_opens_no_connection() {
    let rules = [
        ("web/src/protocol/", &DOM[..]),
        ("web/src/call/", &DOM[..]),
        ("web/src/check/", &DOM[..]),
        ("web/src/view/", &CONNECTIONS[..]),
    ];
    let mut troubles = Vec::new();
    for source in sources(".js") {
        for (folder, words) in rules {
            if !source.path.starts_with(folder) {
                continue;
            }
            for (number, line) in code(&source.text) {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    troubles.push(format!("{}:{number} has {word:?}", source.path));
                }
            }
        }
    }
    assert!(troubles.is_empty(), "{}", troubles.join("\n"));
}

#[test]
fn scripts_import_downward_only() {
    let edges: HashMap<String, Vec<String>> = sources(".js")
        .iter()
        .filter(|source| source.path.starts_with("web/src/"))
        .map(|source| (source.path.clone(), imports(source)))
        .collect();
    assert!(edges.len() > 50, "the page has scripts");
    assert!(
        edges.values().flatten().count() > 50,
        "they import each other"
    );
    assert_eq!(circle(&edges), None);
}

//! What an operator is told of the page's own address and of pages that are strangers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use crate::process::{FREE, Running, assert_fails, signaling};

#[test]
fn a_page_below_a_path_is_refused_with_the_reason() {
    let words = [
        "--public-url",
        "https://a/call/",
        "without a path",
        "an origin has",
    ];
    assert_fails(&["--public-url", "https://a/call/"], 2, &words);
}

/// The page said what to do, and the log said nothing.
#[test]
fn the_log_has_one_line_of_pages_that_may_not_connect() {
    let mut child = Running(signaling(&FREE).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let page = lines.next().unwrap().unwrap();
    let address = page
        .trim_start_matches("Page: http://")
        .trim_end_matches('/');
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).unwrap();
        let request =
            b"GET /signal HTTP/1.1\r\nHost: 10.0.0.7:8080\r\nOrigin: https://call.example\r\n\
              Connection: close\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    let pid = child.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success() && child.0.wait().unwrap().success());
    let mut log = String::new();
    let mut stderr = child.0.stderr.take().unwrap();
    stderr.read_to_string(&mut log).unwrap();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    let [warning] = *warnings else {
        panic!("{log}")
    };
    for word in [
        "https://call.example",
        "10.0.0.7:8080",
        "--public-url",
        "--allow-origin",
    ] {
        assert!(warning.contains(word), "no {word} in {warning}");
    }
}

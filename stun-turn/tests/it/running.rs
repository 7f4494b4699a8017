//! A running program, its log and its admin address.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Instant;

use crate::client::{Client, Link, patience};

/// A running `stun-turn` with one UDP listener.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) listener: SocketAddr,
    pub(crate) admin: SocketAddr,
    log: BufReader<ChildStderr>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_stun-turn"))
            .args(["--listen", "udp:127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .args(["--log-format", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut address = |prefix: &str| {
            let found = lines.find_map(|line| {
                let line = line.unwrap();
                line.strip_prefix(prefix).map(str::to_owned)
            });
            found.unwrap().parse().unwrap()
        };
        Self {
            listener: address("listening on udp:"),
            admin: address("admin on http://"),
            log: BufReader::new(child.stderr.take().unwrap()),
            child,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(Link::udp_to(self.listener))
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Status and body of an answer of the admin address.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let head = if headers.contains("Host:") {
            head
        } else {
            format!("{head}Host: {}\r\n", self.admin)
        };
        write!(stream, "{head}{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    /// The value of the metric in whose name and labels this stands.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let (_, metrics) = self.get("/metrics");
        let mut lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let line = lines.find(|line| line.contains(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Reads the log until a line has all of these.
    pub(crate) fn wait_for_log(&mut self, words: &[&str]) -> String {
        let mut line = String::new();
        while self.log.read_line(&mut line).unwrap() > 0 {
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
            line.clear();
        }
        panic!("the log ended without {words:?}");
    }

    /// The log up to the line that has this.
    pub(crate) fn log_until(&mut self, word: &str) -> String {
        let mut log = String::new();
        while !log.lines().next_back().unwrap_or_default().contains(word) {
            let length = self.log.read_line(&mut log).unwrap();
            assert!(length > 0, "the log ended without {word}: {log}");
        }
        log
    }

    /// The log until the program ends.
    pub(crate) fn rest_of_log(mut self) -> String {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + patience();
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::yield_now();
    }
}

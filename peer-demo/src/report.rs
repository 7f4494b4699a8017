//! What a run has seen, and whether that is a success: pure.

use std::time::Duration;

use std::fmt;

use serde::Serialize;

/// Version of the program, as `--version` tells it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of the program.
    pub version: &'static str,
    /// Whether everything that was expected has been verified.
    pub ok: bool,
    /// The room.
    pub room: String,
    /// This peer's id; `null` when it did not get into the room.
    pub peer: Option<String>,
    /// Every other peer that was met, in order of appearance.
    pub peers: Vec<PeerReport>,
    /// Why the signaling service was out of reach at the end; `null` when it was not.
    pub service_lost: Option<String>,
    /// Why `ok` is false, one plain sentence each.
    pub problems: Vec<String>,
}

impl Report {
    /// The report of a run that could not begin.
    #[must_use]
    pub fn of_failure(room: String, problem: String) -> Self {
        Self {
            version: VERSION,
            ok: false,
            room,
            peer: None,
            peers: Vec::new(),
            service_lost: None,
            problems: vec![problem],
        }
    }
}

/// What was seen of one peer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerReport {
    /// Its id.
    pub peer: String,
    /// Its name.
    pub name: String,
    /// Milliseconds from meeting it in the room until media could flow; `null` when that never happened.
    pub connected_ms: Option<u64>,
    /// How packets travelled at last.
    pub path: Option<Path>,
    /// Numbered messages over the data channel.
    pub data: DataReport,
    /// Sound.
    pub audio: MediaReport,
    /// Picture.
    pub video: MediaReport,
    /// Why it left, when it did.
    pub left: Option<String>,
    /// Everything about this peer is verified.
    pub verified: bool,
    /// What is missing for that.
    pub problems: Vec<String>,
}

/// The selected pair of ICE candidates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Path {
    /// `relay` when either end is relayed, otherwise the type of the local candidate: `host`, `srflx`, `prflx`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `udp` or `tcp`.
    pub protocol: String,
    /// This end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            local,
            remote,
            ..
        } = self;
        let (ours, theirs) = (&local.address, &remote.address);
        write!(
            f,
            "over {protocol} from {} {ours} to {} {theirs}",
            local.kind, remote.kind
        )
    }
}

/// One end of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// `host`, `srflx`, `prflx` or `relay`.
    #[serde(rename = "type")]
    pub kind: String,
    /// IP address and port.
    pub address: String,
}

/// Numbered messages that the other peer sends back.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DataReport {
    /// Messages sent.
    pub sent: u32,
    /// Messages that came back in order.
    pub echoed: u32,
    /// Messages that did not come back.
    pub lost: u32,
    /// Mean time there and back in milliseconds.
    pub rtt_ms: Option<f64>,
}

/// One kind of media, both directions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MediaReport {
    /// Whether the other peer says that it sends this.
    pub expected: bool,
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received.
    pub received: u64,
    /// RTP packets missing in what was received.
    pub lost: u64,
    /// Interarrival jitter in milliseconds (RFC 3550).
    pub jitter_ms: f64,
    /// What was received is decoded and right.
    pub verified: bool,
}

/// A peer met so shortly before the end does not count against the run, if the expected ones are verified.
pub const SETTLING: Duration = Duration::from_secs(8);

/// What decides about one peer.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Id or name for the reader.
    pub label: String,
    /// It has been connected.
    pub connected: bool,
    /// Everything about it is verified.
    pub verified: bool,
    /// It has left.
    pub left: bool,
    /// How long ago it was met.
    pub age: Duration,
    /// What is missing.
    pub problems: Vec<String>,
}

/// Why the run is no success; empty when it is.
///
/// At least `expected` peers must be verified. Any other peer must be as well, unless it came late
/// ([`SETTLING`]) or left before it was connected. That the signaling service was out of reach explains
/// other problems and is none by itself.
#[must_use]
pub fn problems(peers: &[Standing], expected: usize, service_lost: Option<&str>) -> Vec<String> {
    let verified = peers.iter().filter(|peer| peer.verified).count();
    let mut problems = Vec::new();
    for peer in peers.iter().filter(|peer| !peer.verified) {
        let excused = (peer.left && !peer.connected) || peer.age < SETTLING;
        if verified < expected || !excused {
            problems.push(format!("{}: {}", peer.label, peer.problems.join("; ")));
        }
    }
    if peers.len() < expected {
        problems.push(format!(
            "{expected} peers were expected, {} came",
            peers.len()
        ));
    } else if verified < expected && problems.is_empty() {
        problems.push(format!("only {verified} of {expected} peers verified"));
    }
    if let Some(why) = service_lost.filter(|_| !problems.is_empty()) {
        problems.push(format!("the signaling service was lost: {why}"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified() -> Standing {
        Standing {
            label: "ann".into(),
            connected: true,
            verified: true,
            left: false,
            age: Duration::from_secs(20),
            problems: vec![],
        }
    }

    fn silent() -> Standing {
        Standing {
            label: "bob".into(),
            verified: false,
            problems: vec!["audio: silence".into()],
            ..verified()
        }
    }

    #[test]
    fn the_verdict() {
        let gone = |peer: Standing| Standing { left: true, ..peer };
        let unconnected = |peer: Standing| Standing {
            connected: false,
            ..peer
        };
        let late = |peer: Standing| Standing {
            age: Duration::from_secs(1),
            ..peer
        };
        // Peers, how many are expected, and what the reason mentions (nothing: success).
        let table: [(&str, Vec<Standing>, usize, &[&str]); 12] = [
            ("alone on purpose", vec![], 0, &[]),
            ("nobody came", vec![], 1, &["1 peers were expected, 0 came"]),
            ("one verified", vec![verified()], 1, &[]),
            ("verified and gone", vec![gone(verified())], 1, &[]),
            ("more than expected", vec![verified(), verified()], 1, &[]),
            (
                "one is missing",
                vec![verified()],
                2,
                &["2 peers were expected, 1 came"],
            ),
            ("not verified", vec![silent()], 1, &["bob: audio: silence"]),
            (
                "not verified and gone",
                vec![gone(silent())],
                1,
                &["bob: audio: silence"],
            ),
            (
                "one of two",
                vec![verified(), silent()],
                1,
                &["bob: audio: silence"],
            ),
            ("a late guest", vec![verified(), late(silent())], 1, &[]),
            (
                "the only one is late",
                vec![late(silent())],
                1,
                &["bob: audio: silence"],
            ),
            (
                "passed by",
                vec![verified(), gone(unconnected(silent()))],
                1,
                &[],
            ),
        ];
        for (case, peers, expected, mentions) in table {
            let problems = problems(&peers, expected, None);
            assert_eq!(
                problems.is_empty(),
                mentions.is_empty(),
                "{case}: {problems:?}"
            );
            for mention in mentions {
                assert!(
                    problems.join("\n").contains(mention),
                    "{case}: {problems:?}"
                );
            }
        }
    }

    #[test]
    fn the_json_has_the_promised_names() {
        let report = Report {
            version: VERSION,
            ok: false,
            room: "a".into(),
            peer: Some("p1".into()),
            peers: vec![PeerReport {
                peer: "p2".into(),
                name: "bob".into(),
                connected_ms: Some(12),
                path: Some(Path {
                    kind: "relay".into(),
                    protocol: "udp".into(),
                    local: Endpoint {
                        kind: "relay".into(),
                        address: "127.0.0.1:50000".into(),
                    },
                    remote: Endpoint {
                        kind: "prflx".into(),
                        address: "127.0.0.1:50001".into(),
                    },
                }),
                data: DataReport::default(),
                audio: MediaReport::default(),
                video: MediaReport::default(),
                left: None,
                verified: false,
                problems: vec![],
            }],
            service_lost: None,
            problems: vec!["bob: no sound".into()],
        };
        let json = serde_json::to_value(&report).expect("encodes");
        assert_eq!(json["version"], VERSION);
        let peer = &json["peers"][0];
        assert_eq!(peer["connected_ms"], 12);
        assert_eq!(peer["path"]["type"], "relay");
        assert_eq!(peer["path"]["remote"]["address"], "127.0.0.1:50001");
        for field in ["sent", "echoed", "lost", "rtt_ms"] {
            assert!(peer["data"].get(field).is_some(), "data.{field}");
        }
        for kind in ["audio", "video"] {
            for field in ["sent", "received", "lost", "jitter_ms", "verified"] {
                assert!(peer[kind].get(field).is_some(), "{kind}.{field}");
            }
        }
    }

    /// A program that waited for somebody learned from the log alone that its server had died.
    #[test]
    fn a_lost_service_explains_what_is_missing_and_is_no_problem_without() {
        let why = Some("the connection ended");
        let told = problems(&[], 1, why);
        assert_eq!(
            told,
            [
                "1 peers were expected, 0 came",
                "the signaling service was lost: the connection ended"
            ]
        );
        assert_eq!(problems(&[verified()], 1, why), Vec::<String>::new());
    }
}

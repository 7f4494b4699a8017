//! The options of `peer-demo`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use signaling_proto::name;
use tokio_tungstenite::tungstenite::http::Uri;

/// Joins a room as a headless WebRTC peer, sends and verifies data, sound and picture, and says whether the
/// calls worked: exit code 0 when everything was verified, 1 otherwise, 2 for bad options.
///
/// Progress goes to stderr; RUST_LOG=debug shows more.
#[derive(Debug, Clone, Parser)]
#[command(name = "peer-demo", version)]
pub struct Config {
    /// Signaling service: ws://HOST:PORT/signal or wss://…
    /// A self-signed certificate is trusted when SSL_CERT_FILE names it.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    pub url: Uri,
    /// Room to join: its name, or a link to it.
    #[arg(long, value_name = "NAME|LINK", value_parser = parse_room)]
    pub room: String,
    /// What the others see.
    #[arg(long, value_name = "NAME", default_value = "peer-demo")]
    pub name: String,
    /// Who makes the first offer: always this peer, never, or whoever the server calls impolite.
    #[arg(long, value_enum, default_value_t = Role::Auto)]
    pub role: Role,
    /// Use nothing but relayed candidates.
    #[arg(long)]
    pub relay_only: bool,
    /// Length of the call, counted from when the expected peers are connected.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds, allow_hyphen_values = true)]
    pub duration: Duration,
    /// How long to wait for the expected peers.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds, allow_hyphen_values = true)]
    pub wait: Duration,
    /// What to say: tone, an Opus file (.ogg, repeated), or none.
    #[arg(long, value_name = "tone|FILE.ogg|none", default_value = "tone")]
    pub audio: AudioSource,
    /// What to show: pattern, a VP8 file (.ivf, repeated), or none.
    #[arg(long, value_name = "pattern|FILE.ivf|none", default_value = "pattern")]
    pub video: VideoSource,
    /// Peers that must be verified for success.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub expect_peers: usize,
    /// Print the report as one JSON object on stdout.
    #[arg(long)]
    pub json: bool,
}

/// Who makes the first offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// This peer, to everybody.
    Offerer,
    /// The others.
    Answerer,
    /// The impolite one of each pair.
    Auto,
}

/// Where the sound comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioSource {
    /// The test tone.
    Tone,
    /// Opus in Ogg.
    File(PathBuf),
    /// No sound.
    None,
}

/// Where the picture comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoSource {
    /// The test picture.
    Pattern,
    /// VP8 in IVF.
    File(PathBuf),
    /// No picture.
    None,
}

impl FromStr for AudioSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "tone" => Self::Tone,
            "none" => Self::None,
            path => Self::File(path.into()),
        })
    }
}

impl FromStr for VideoSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "pattern" => Self::Pattern,
            "none" => Self::None,
            path => Self::File(path.into()),
        })
    }
}

fn parse_url(text: &str) -> Result<Uri, String> {
    // Schemes have no case (RFC 3986, 3.1).
    let text = match text.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => text.to_owned(),
    };
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("ws" | "wss"), Some(_)) => Ok(uri),
        _ => Err("expected ws://HOST:PORT/signal or wss://HOST/signal".into()),
    }
}

fn parse_room(text: &str) -> Result<String, String> {
    name::room_of(text).map_err(|why| format!("it {why}"))
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=86_400.0).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected seconds between 0.1 and 86400".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, clap::Error> {
        let required = [
            "peer-demo",
            "--url",
            "ws://127.0.0.1:8080/signal",
            "--room",
            "a",
        ];
        Config::try_parse_from(required.iter().chain(arguments))
    }

    #[test]
    fn the_defaults_are_a_call_with_one_peer() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.audio, AudioSource::Tone);
        assert_eq!(config.video, VideoSource::Pattern);
        assert_eq!(config.role, Role::Auto);
        assert_eq!(config.expect_peers, 1);
        assert_eq!(config.duration, Duration::from_secs(10));
        assert!(!config.relay_only && !config.json);
    }

    #[test]
    fn media_may_be_files_or_nothing() {
        let config = parse(&["--audio", "a.ogg", "--video", "none"]).unwrap();
        assert_eq!(config.audio, AudioSource::File("a.ogg".into()));
        assert_eq!(config.video, VideoSource::None);
    }

    #[test]
    fn schemes_have_no_case_and_rooms_may_be_links() {
        let uri = parse_url("WS://127.0.0.1:8080/signal").unwrap();
        assert_eq!(uri.scheme_str(), Some("ws"));
        let link = "https://call.example/room/%ED%9A%8C%EC%9D%98%EC%8B%A4%201?lang=ko#x";
        assert_eq!(parse_room(link).unwrap(), "회의실 1");
        let error = parse_room("https://meet.example/Name").unwrap_err();
        assert!(error.contains("/room/NAME"), "{error}");
        let error = parse_room(&"x".repeat(129)).unwrap_err();
        assert!(error.contains("longer than 128 characters"), "{error}");
    }

    /// The cases that the server and the page read too.
    #[test]
    fn rooms_are_what_they_are_for_everybody() {
        let cases = include_str!("../../signaling/proto/tests/names.json");
        let cases: serde_json::Value = serde_json::from_str(cases).unwrap();
        let links = cases["links"].as_array().unwrap();
        assert!(links.len() > 30);
        for link in links {
            let room = parse_room(link["text"].as_str().unwrap());
            assert_eq!(room.ok().as_deref(), link["room"].as_str(), "{link}");
        }
    }

    #[test]
    fn a_bad_value_names_its_option_and_is_exit_code_2() {
        for (option, value) in [
            ("--url", "http://127.0.0.1/signal"),
            ("--url", "127.0.0.1:8080"),
            ("--room", " "),
            ("--role", "both"),
            ("--duration", "-1"),
            ("--duration", "NaN"),
            ("--wait", "soon"),
            ("--expect-peers", "some"),
        ] {
            let mut arguments = vec!["peer-demo"];
            for (name, good) in [("--url", "ws://h/signal"), ("--room", "a")] {
                if name != option {
                    arguments.extend([name, good]);
                }
            }
            arguments.extend([option, value]);
            let error = Config::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}

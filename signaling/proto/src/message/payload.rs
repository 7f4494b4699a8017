//! What peers tell each other through the server: descriptions and candidates, checked for shape.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Verbatim;
use super::candidate::Candidate;

/// What a `signal` carries: exactly one of two.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Payload {
    /// An `RTCSessionDescription`: `{type, sdp}`.
    Description(#[cfg_attr(feature = "schema", schemars(with = "Description<'_>"))] Verbatim),
    /// An `RTCIceCandidate`, or `null` for the end of candidates.
    Candidate(#[cfg_attr(feature = "schema", schemars(with = "Option<Candidate<'_>>"))] Verbatim),
}

/// `type` of a session description, as the W3C names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "these are the W3C's own words")]
pub enum SdpKind {
    Offer,
    Pranswer,
    Answer,
    Rollback,
}

/// Why a payload is not one.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Neither or both of the two fields.
    #[error("a signal carries exactly one of `description` and `candidate`")]
    NotOne,
    /// Not `{type, sdp}`.
    #[error("`description`: {0}")]
    Description(#[source] serde_json::Error),
    /// Not an `RTCIceCandidate` or `null`.
    #[error("`candidate`: {0}")]
    Candidate(#[source] serde_json::Error),
    /// A line that would not be safe in an SDP.
    #[error("`candidate.candidate`: {0}")]
    CandidateLine(&'static str),
}

/// An `RTCSessionDescription`; `rollback` goes without `sdp`.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Description<'a> {
    #[serde(rename = "type")]
    kind: SdpKind,
    #[serde(borrow, default)]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("default" = "")))]
    sdp: Text<'a>,
}

/// A JSON string of which mostly no more is asked than that it is one: a session description has an
/// escape in each of its lines, and is read by its recipient.
struct Text<'a>(&'a str);

impl Default for Text<'_> {
    fn default() -> Self {
        Self(r#""""#)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'a RawValue>::deserialize(deserializer)?.get();
        if json == "null" {
            return Ok(Self::default());
        }
        if !json.starts_with('"') {
            return Err(D::Error::custom("expected a string"));
        }
        let text = Self(json);
        // Half a surrogate pair is sound JSON and no text.
        if json.contains("\\u") {
            text.read().map_err(D::Error::custom)?;
        }
        Ok(text)
    }
}

impl Text<'_> {
    fn read(&self) -> Result<String, serde_json::Error> {
        serde_json::from_str(self.0)
    }
}

impl Payload {
    /// Checks the shape and keeps the bytes.
    ///
    /// # Errors
    /// [`PayloadError`] names the field.
    pub fn new(
        description: Option<Verbatim>,
        candidate: Option<Verbatim>,
    ) -> Result<Self, PayloadError> {
        // Where one may be absent the other is `null` for that; alone, a candidate is the last one then.
        let description = description.filter(|it| !it.is_null() || candidate.is_none());
        let candidate = candidate.filter(|it| !it.is_null() || description.is_none());
        match (description, candidate) {
            (Some(description), None) => {
                object::<Description<'_>>(description.text()).map_err(PayloadError::Description)?;
                Ok(Self::Description(description))
            }
            (None, Some(candidate)) => {
                if candidate.is_null() {
                    return Ok(Self::Candidate(candidate));
                }
                let read = object::<Candidate<'_>>(candidate.text());
                let rewritten = read.map_err(PayloadError::Candidate)?.rewritten()?;
                Ok(Self::Candidate(rewritten.unwrap_or(candidate)))
            }
            (None, None) | (Some(_), Some(_)) => Err(PayloadError::NotOne),
        }
    }

    /// Reads a description as the last field of a JSON object: `text` is what follows its name. Once, where
    /// [`Self::new`] needs a value that was read before. `None` when it is anything else, or wrong.
    pub(super) fn last_description(text: &str) -> Option<Self> {
        let (_, text) = last_value::<Description<'_>>(text)?;
        Some(Self::Description(Verbatim::known(text)))
    }

    /// The same with a candidate; the end of candidates is read in the general way.
    pub(super) fn last_candidate(text: &str) -> Option<Self> {
        let (candidate, text) = last_value::<Candidate<'_>>(text)?;
        candidate.check_usual().ok()?;
        Some(Self::Candidate(Verbatim::known(text)))
    }

    /// Which field of a signal it is, and its JSON text.
    pub(crate) fn field(&self) -> (&'static str, &str) {
        match self {
            Self::Description(description) => ("description", description.text()),
            Self::Candidate(candidate) => ("candidate", candidate.text()),
        }
    }

    /// Whether this is a description that would send audio or video.
    #[must_use]
    pub fn sends_media(&self) -> bool {
        match self {
            Self::Candidate(_) => false,
            Self::Description(description) => serde_json::from_str::<Description<'_>>(
                description.text(),
            )
            .is_ok_and(|Description { kind, sdp }| {
                kind != SdpKind::Rollback && sdp.read().is_ok_and(|sdp| sdp_sends_media(&sdp))
            }),
        }
    }
}

/// Reads what is written as an object: serde takes arrays for structs.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    if text.starts_with('{') {
        serde_json::from_str(text)
    } else {
        Err(serde_json::Error::custom("expected an object"))
    }
}

/// An object that the end of another one follows, and nothing else; with its text.
fn last_value<'a, T: Deserialize<'a>>(text: &'a str) -> Option<(T, &'a str)> {
    if !text.starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    let (text, rest) = text.split_at(values.byte_offset());
    (rest == "}").then_some((value, text))
}

/// Whether an audio or video section, with its own or the session's direction, sends.
///
/// RFC 8866: the direction is `sendrecv` unless said otherwise, and port 0 refuses a section.
fn sdp_sends_media(sdp: &str) -> bool {
    let direction = |line: &str| match line {
        "a=sendrecv" | "a=sendonly" => Some(true),
        "a=recvonly" | "a=inactive" => Some(false),
        _ => None,
    };
    let mut session_sends = true;
    // The section that is being read: whether it sends, `None` when it carries no media.
    let mut section: Option<bool> = None;
    let mut in_session = true;
    for line in sdp.lines() {
        if let Some(media) = line.strip_prefix("m=") {
            if section == Some(true) {
                return true;
            }
            in_session = false;
            let mut words = media.split(' ');
            let is_media = matches!(words.next(), Some("audio" | "video"));
            let is_refused = words.next() == Some("0");
            section = (is_media && !is_refused).then_some(session_sends);
        } else if let Some(sends) = direction(line.trim_end()) {
            if in_session {
                session_sends = sends;
            } else if let Some(current) = &mut section {
                *current = sends;
            }
        }
    }
    section == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sends(sdp: &str) -> bool {
        let description = Verbatim::new(&serde_json::json!({"type": "offer", "sdp": sdp})).unwrap();
        Payload::new(Some(description), None).unwrap().sends_media()
    }

    #[test]
    fn a_description_sends_media_unless_every_section_says_otherwise() {
        assert!(!sends(""));
        assert!(!sends(
            "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"
        ));
        assert!(
            sends("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"),
            "sendrecv is the default"
        );
        assert!(!sends(
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=recvonly\r\n"
        ));
        assert!(!sends(
            "v=0\r\na=recvonly\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
        ));
        assert!(
            !sends("v=0\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\na=sendrecv\r\n"),
            "refused"
        );
        assert!(sends(
            "v=0\r\nm=audio 9 X 1\r\na=recvonly\r\nm=video 9 X 2\r\na=sendonly\r\nm=application 9 X 3\r\n"
        ));
        assert!(sends("v=0\nm=video 9 X 2\na=sendonly\n"), "bare line feeds");
    }

    #[test]
    fn a_description_has_a_text_although_nobody_here_reads_it() {
        let check = |json: &str| {
            let description = serde_json::from_str(json).unwrap();
            Payload::new(Some(description), None).map(drop)
        };
        for good in [
            r#"{"type":"offer","sdp":"v=0\r\n\u00e9\ud83d\ude00"}"#,
            r#"{"type":"rollback"}"#,
            r#"{"type":"rollback","sdp":null}"#,
        ] {
            check(good).unwrap();
        }
        for bad in [
            r#"{"type":"offer","sdp":5}"#,
            r#"{"type":"offer","sdp":{"a":""}}"#,
            r#"{"type":"offer","sdp":"half a pair: \ud83d"}"#,
            r#"{"type":"offer","sdp":"","sdp":""}"#,
            r#"{"type":"song","sdp":""}"#,
            r#"["offer",""]"#,
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn candidates_that_would_not_be_safe_in_an_sdp_are_refused() {
        let check = |candidate: serde_json::Value| {
            Payload::new(None, Some(Verbatim::new(&candidate).unwrap()))
                .map_err(|error| error.to_string())
        };
        let line =
            |line: &str| serde_json::json!({"candidate": line, "sdpMid": "0", "sdpMLineIndex": 0});
        assert!(check(line("candidate:1 1 udp 2122260223 192.0.2.1 5000 typ host")).is_ok());
        assert!(check(line("")).is_ok());
        assert!(check(serde_json::Value::Null).is_ok());
        for bad in [
            line("candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\na=evil"),
            line("a=ice-ufrag:EsAw"),
            line("b=candidate:1"),
            line("candidate:1\r\n\r\na=evil\r\n"),
            line(&format!("candidate:{}", "1".repeat(1024))),
            serde_json::json!({"candidate": "candidate:1", "sdpMLineIndex": "0"}),
            serde_json::json!("candidate:1"),
            serde_json::json!(["candidate:1", null, 0, null]),
            serde_json::json!({}),
        ] {
            assert!(check(bad.clone()).is_err(), "{bad}");
        }
    }
}

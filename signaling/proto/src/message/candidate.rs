//! ICE candidates, checked for what would not be safe in an SDP.

use std::borrow::Cow;

use serde::Deserialize;

use super::{PayloadError, Verbatim};

/// Longest `candidate` line in bytes; real ones have about 150.
const MAX_BYTES: usize = 1024;

/// An `RTCIceCandidate` as browsers write it.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 1024), regex(pattern = "^((a=)?candidate:|[\\r\\n]*$)"))
    )]
    candidate: Cow<'a, str>,
    #[serde(borrow)]
    sdp_mid: Option<Cow<'a, str>>,
    sdp_m_line_index: Option<u16>,
    #[serde(borrow)]
    username_fragment: Option<Cow<'a, str>>,
}

impl Candidate<'_> {
    /// Whether its line is as browsers write it, and would be safe in an SDP.
    pub(super) fn check_usual(&self) -> Result<(), PayloadError> {
        check(&self.candidate)?;
        match has_zone(&self.candidate) {
            true => Err(PayloadError::CandidateLine("an address with a zone")),
            false => Ok(()),
        }
    }

    /// The same for lines as other programs write them: a whole attribute, with its line end, with
    /// zones, which mean nothing to others. Then it is written as browsers do.
    pub(super) fn rewritten(&self) -> Result<Option<Verbatim>, PayloadError> {
        let whole = self.candidate.as_ref();
        let line = whole.trim_end_matches(['\r', '\n']);
        // Nothing behind `a=` is a broken line, not the end of candidates.
        let attribute = line.strip_prefix("a=").filter(|it| !it.is_empty());
        let line = attribute.unwrap_or(line);
        check(line)?;
        let plain = match has_zone(line) {
            true => Cow::Owned(without_zones(line)),
            false => Cow::Borrowed(line),
        };
        if plain == whole {
            return Ok(None);
        }
        let mut fields = serde_json::Map::new();
        fields.insert("candidate".into(), plain.into());
        let texts = [
            ("sdpMid", &self.sdp_mid),
            ("usernameFragment", &self.username_fragment),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                fields.insert(name.into(), text.as_ref().into());
            }
        }
        if let Some(index) = self.sdp_m_line_index {
            fields.insert("sdpMLineIndex".into(), index.into());
        }
        Verbatim::new(&fields)
            .map(Some)
            .map_err(PayloadError::Candidate)
    }
}

fn check(line: &str) -> Result<(), PayloadError> {
    // An empty line is how browsers end one generation of candidates.
    let refusal = if line.len() > MAX_BYTES {
        "longer than 1024 bytes"
    } else if has_control(line) {
        "control characters"
    } else if !line.is_empty() && !line.starts_with("candidate:") {
        "does not begin with `candidate:`"
    } else {
        return Ok(());
    };
    Err(PayloadError::CandidateLine(refusal))
}

fn has_control(line: &str) -> bool {
    if line.is_ascii() {
        // Many bytes are looked at in one instruction.
        line.bytes()
            .fold(false, |found, byte| found | byte.is_ascii_control())
    } else {
        line.chars().any(char::is_control)
    }
}

/// The place of the address in a line (RFC 8839, 5.1).
const ADDRESS: usize = 4;

/// Hardly any line has a `%` at all.
fn has_zone(line: &str) -> bool {
    line.contains('%') && without_zones(line) != line
}

/// Without the zones of its addresses (RFC 4007, 11): the candidate's and the related one.
fn without_zones(line: &str) -> String {
    let mut before = "";
    let words = line.split(' ').enumerate().map(|(at, word)| {
        let is_address = at == ADDRESS || before == "raddr";
        before = word;
        match word.split_once('%') {
            Some((address, _)) if is_address => address,
            _ => word,
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_other_programs_are_passed_on_as_browsers_write_them() {
        let line = "candidate:1 1 udp 1 fe80::1 5000 typ srflx raddr fe80::2 rport 9 ufrag a%b";
        let with_zones = line
            .replace("fe80::1", "fe80::1%eth0")
            .replace("fe80::2", "fe80::2%3");
        let rewritten = |line: &str| {
            let json = serde_json::json!({
                "candidate": line, "sdpMid": null, "sdpMLineIndex": 1, "usernameFragment": "EsAw", "more": 1,
            });
            let json = json.to_string();
            let candidate: Candidate<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(
                candidate.check_usual().is_ok(),
                candidate.rewritten().unwrap().is_none()
            );
            candidate.rewritten().unwrap()
        };
        assert_eq!(rewritten(line), None);
        assert_eq!(rewritten(""), None);
        for broken in ["a=", "a=\r\n", "a=a=candidate:1"] {
            let candidate = Candidate {
                candidate: broken.into(),
                sdp_mid: None,
                sdp_m_line_index: None,
                username_fragment: None,
            };
            assert!(candidate.rewritten().is_err(), "{broken:?}");
        }
        for other in [
            format!("a={line}"),
            format!("{line}\r\n"),
            format!("{line}\n"),
            with_zones.clone(),
            format!("a={with_zones}\r\n"),
        ] {
            let written: serde_json::Value = rewritten(&other).unwrap().decode().unwrap();
            let expected = serde_json::json!({
                "candidate": line, "sdpMLineIndex": 1, "usernameFragment": "EsAw",
            });
            assert_eq!(written, expected, "{other:?}");
        }
    }
}

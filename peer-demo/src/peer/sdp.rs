//! Descriptions as text: pure.

/// An offer without its request to send simulcast (RFC 8853): the answer then asks for one stream.
///
/// The `webrtc` crate accepts simulcast, and the receiver here counts one stream per track. Each
/// section without `a=simulcast` keeps its `a=rid` lines.
pub(super) fn without_simulcast(sdp: &str) -> String {
    let mut kept = String::with_capacity(sdp.len());
    for section in sections(sdp) {
        let has_simulcast = section.lines().any(|line| line.starts_with("a=simulcast:"));
        for line in section.split_inclusive('\n') {
            let belongs = ["a=simulcast:", "a=rid:"]
                .iter()
                .any(|name| line.starts_with(name));
            if !(has_simulcast && belongs) {
                kept.push_str(line);
            }
        }
    }
    kept
}

/// The session part and each media section.
fn sections(sdp: &str) -> impl Iterator<Item = &str> {
    let mut rest = sdp;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find("\nm=").map_or(rest.len(), |end| end + 1);
        let (section, later) = rest.split_at(end);
        rest = later;
        Some(section)
    })
}

/// Number of candidates that a description carries.
pub(super) fn candidates(sdp: &str) -> usize {
    sdp.lines()
        .filter(|line| line.starts_with("a=candidate:"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that offered three layers got `a=simulcast:recv q;h;f`, and its packets were counted as one stream.
    #[test]
    fn an_offer_of_simulcast_becomes_one_of_a_single_stream() {
        let offer = "v=0\r\nm=audio 9 X 111\r\na=mid:0\r\nm=video 9 X 96\r\na=mid:1\r\n\
            a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\n\
            a=msid:s v\r\nm=video 9 X 96\r\na=rid:1 send\r\n";
        let expected = "v=0\r\nm=audio 9 X 111\r\na=mid:0\r\nm=video 9 X 96\r\na=mid:1\r\n\
            a=msid:s v\r\nm=video 9 X 96\r\na=rid:1 send\r\n";
        assert_eq!(without_simulcast(offer), expected);
        assert_eq!(
            without_simulcast(expected),
            expected,
            "others stay as they are"
        );
        assert_eq!(without_simulcast(""), "");
    }

    #[test]
    fn candidates_are_counted_in_all_sections() {
        let sdp = "v=0\r\nm=audio 9 X 111\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n\
            m=video 9 X 96\r\na=candidate:2 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(candidates(sdp), 2);
    }
}

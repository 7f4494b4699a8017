//! Halves of characters: JSON can write them (RFC 8259, 8.2), texts can't have them.

/// What half a character is shown as: U+FFFD, as an escape of the same length.
const REPLACEMENT: &str = r"\ufffd";

/// The same JSON with a replacement for each half of a character; `None` when it has none.
pub(super) fn without(json: &str) -> Option<String> {
    let mut mended = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(next) = json.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + next;
        match (unit(json, escape), unit(json, escape + REPLACEMENT.len())) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at = escape + 2 * REPLACEMENT.len(),
            (Some(0xD800..=0xDFFF), _) => {
                mended.push_str(json.get(copied..escape)?);
                mended.push_str(REPLACEMENT);
                at = escape + REPLACEMENT.len();
                copied = at;
            }
            // The backslash and what it escapes, which may be another one.
            _ => at = escape + 1 + json.get(escape + 1..)?.chars().next()?.len_utf8(),
        }
    }
    if copied == 0 {
        return None;
    }
    mended.push_str(json.get(copied..)?);
    Some(mended)
}

/// The UTF-16 unit that an escape at `at` stands for.
fn unit(json: &str, at: usize) -> Option<u16> {
    let digits = json.get(at..at + REPLACEMENT.len())?.strip_prefix(r"\u")?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_replaced_and_nothing_else() {
        for (json, mended) in [
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\udf89""#, r#""\ufffd""#),
            (r#""\uD83D\uD83D\uDF89 x""#, r#""\ufffd\uD83D\uDF89 x""#),
            (r#""\udf89\ud83d""#, r#""\ufffd\ufffd""#),
            (r#""\\\ud83d é\n""#, r#""\\\ufffd é\n""#),
        ] {
            assert_eq!(without(json).as_deref(), Some(mended), "{json}");
            serde_json::from_str::<String>(mended).unwrap();
        }
        for whole in [
            "",
            r#""\ud83c\udf89""#,
            r#""\\ud83d""#,
            r#""\u00e9\\""#,
            r#""\u""#,
            r#""\ud8""#,
            "\\",
            "\\é",
            "\\ué🎉",
        ] {
            assert_eq!(without(whole), None, "{whole}");
        }
    }
}

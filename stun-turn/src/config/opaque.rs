//! `OpaqueString` of RFC 8265 section 4.2, which RFC 8489 sections 9.2.2 and 14.3 ask for in user names,
//! passwords and realms.

use icu_normalizer::ComposingNormalizerBorrowed;

/// The text with plain spaces for all other ones, in NFC. Text that the profile forbids (such as
/// unassigned characters) stays as it is.
pub(crate) fn prepare(text: &str) -> String {
    let spaced: String = text
        .chars()
        .map(|letter| if is_space(letter) { ' ' } else { letter })
        .collect();
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    nfc.normalize(&spaced).into_owned()
}

/// Whether a character is of the category `Zs`, the plain space included.
const fn is_space(letter: char) -> bool {
    matches!(
        letter,
        ' ' | '\u{A0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a Mac and a no-break space made of passwords (401).
    #[test]
    fn reported_values_and_the_examples_of_the_rfc() {
        assert_eq!(prepare("pa\u{308}sswo\u{308}rd"), "p\u{e4}ssw\u{f6}rd");
        assert_eq!(prepare("correct\u{a0}horse"), "correct horse");
        // RFC 8265 section 4.3.
        assert_eq!(
            prepare("correct horse battery staple"),
            "correct horse battery staple"
        );
        assert_eq!(
            prepare("Correct Horse Battery Staple"),
            "Correct Horse Battery Staple"
        );
        assert_eq!(prepare("\u{3c0}\u{df}\u{e5}"), "\u{3c0}\u{df}\u{e5}");
        assert_eq!(prepare("Jack of \u{2666}s"), "Jack of \u{2666}s");
        assert_eq!(prepare("foo\u{1680}bar"), "foo bar");
    }
}

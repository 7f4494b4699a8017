//! What names of rooms and of people are; the one rule that server, tokens, `peer-demo` and the page
//! share. `tests/names.json` holds its cases.
//!
//! Two names that look alike are one room, or one of them is refused: a name is composed (NFC), its
//! runs of spaces are one space, and it has no character that nobody sees. A name is never shortened
//! or replaced, because another name is another room.

mod invisible;
mod link;
mod made;

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

pub use self::link::{NoRoom, room_of};
use crate::hub::limits::{NAMESPACE_CHARS, PEER_NAME_CHARS, ROOM_NAME_CHARS};

/// Characters that one character has at most when it is decomposed (UAX #15: U+1F82 and others).
const DECOMPOSED: usize = 4;

/// Why a text is no name of a room or namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Nothing in it, or spaces alone.
    #[error("has no character that can be seen")]
    Empty,
    /// More characters than it may have, which are the field.
    #[error("is longer than {0} characters")]
    TooLong(usize),
    /// A character that nobody sees, or a joiner where it joins nothing.
    #[error("has an invisible character: {}", code_point(*.0))]
    Invisible(char),
    /// A control character or a line separator.
    #[error("has a control character or line break: {}", code_point(*.0))]
    Control(char),
    /// U+FFFD, which stands for a character that was lost on the way: nobody knows which.
    #[error("has a character that was lost on the way (U+FFFD)")]
    Broken,
    /// `.` or `..`, which addresses lose.
    #[error("is `.` or `..`, which no address can have")]
    Dots,
}

impl BadName {
    /// The word for it in `tests/names.json`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong(_) => "too_long",
            Self::Invisible(_) => "invisible",
            Self::Control(_) => "control",
            Self::Broken => "broken",
            Self::Dots => "dots",
        }
    }
}

fn code_point(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

/// A room's name in its canonical form: what it is called for everybody. Of a name that the page has
/// made, what messengers and people add or capitalize is no part.
///
/// # Errors
/// When it is none.
pub fn room(name: &str) -> Result<String, BadName> {
    match made::page_made(name) {
        Some(made) => Ok(made),
        None => canonical(name, ROOM_NAME_CHARS),
    }
}

/// A namespace's name in its canonical form.
///
/// # Errors
/// When it is none.
pub fn namespace(name: &str) -> Result<String, BadName> {
    canonical(name, NAMESPACE_CHARS)
}

fn canonical(name: &str, longest_chars: usize) -> Result<String, BadName> {
    // Before anything is done with it.
    if name.chars().nth(longest_chars * DECOMPOSED).is_some() {
        return Err(BadName::TooLong(longest_chars));
    }
    if let Some(control) = name.chars().find(|it| is_control(*it)) {
        return Err(BadName::Control(control));
    }
    if name.contains(char::REPLACEMENT_CHARACTER) {
        return Err(BadName::Broken);
    }
    let name = with_single_spaces(&composed(name));
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if let Some(hidden) = invisible::first(&name) {
        return Err(BadName::Invisible(hidden));
    }
    if matches!(name.as_str(), "." | "..") {
        return Err(BadName::Dots);
    }
    if name.chars().nth(longest_chars).is_some() {
        return Err(BadName::TooLong(longest_chars));
    }
    Ok(name)
}

/// A person's name as others are shown it: without what is invisible, on one line, of 64 characters
/// at most. Empty when nothing is left: a person without a name.
#[must_use]
pub fn person(name: &str) -> String {
    // Before anything is done with it; what is invisible is much of a name at most once.
    let most = PEER_NAME_CHARS * DECOMPOSED * 2;
    let raw = name.chars().take(most);
    let raw: String = raw
        .map(|it| if is_control(it) { ' ' } else { it })
        .collect();
    let visible = invisible::without(&composed(&raw));
    let name = with_single_spaces(&visible);
    invisible::cut(&name, PEER_NAME_CHARS).trim_end().to_owned()
}

fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Controls (Cc) and what breaks lines (Zl, Zp).
fn is_control(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Spaces as people see them: each run of space separators (Zs) is one space, and none is at an end.
fn with_single_spaces(text: &str) -> String {
    let words = text.split(char::is_whitespace);
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_character_in_words() {
        assert_eq!(
            room("a\u{AD}b").unwrap_err().to_string(),
            "has an invisible character: U+00AD"
        );
        assert_eq!(
            room(&"x".repeat(129)).unwrap_err().to_string(),
            "is longer than 128 characters"
        );
        assert_eq!(namespace(&"x".repeat(65)), Err(BadName::TooLong(64)));
    }

    #[test]
    fn a_canonical_name_is_its_own_canonical_form() {
        for name in [
            "회의실  1",
            "e\u{301}",
            "\u{3000}a\u{2003}b ",
            "👩\u{200D}🚀",
        ] {
            let once = room(name).unwrap();
            assert_eq!(room(&once), Ok(once.clone()));
            let person = person(name);
            assert_eq!(super::person(&person), person);
        }
    }
}

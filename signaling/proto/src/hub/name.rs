//! Which texts may be names.

use super::limits::PEER_NAME_CHARS;

/// Characters that hide, reorder or break what people read. Joiners (U+200C, U+200D) are kept: Persian
/// and emoji need them.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

/// Whether a room or namespace may be called so: as it is, or not at all, because two names that look
/// equal would be two rooms.
pub(super) fn is_sound(name: &str, longest_chars: usize) -> bool {
    !name.trim().is_empty()
        && name.trim() == name
        && name.chars().count() <= longest_chars
        && !name.chars().any(is_deceptive)
}

/// A peer's name, made harmless to show.
pub(super) fn clean(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|character| !is_deceptive(*character))
        .collect();
    let cut: String = name.trim().chars().take(PEER_NAME_CHARS).collect();
    cut.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_deceives_readers_and_keep_what_scripts_need() {
        assert_eq!(clean("  Mina\u{202E}\n\u{0} "), "Mina");
        assert_eq!(clean("👩\u{200D}🚀"), "👩\u{200D}🚀");
        assert_eq!(clean(&"가".repeat(100)).chars().count(), PEER_NAME_CHARS);
        assert_eq!(clean("\u{200B}"), "");
    }

    #[test]
    fn a_room_name_is_taken_as_it_is_or_not_at_all() {
        for sound in ["a", "stand-up", "회의실 1", &"x".repeat(128)] {
            assert!(is_sound(sound, 128), "{sound}");
        }
        for bad in ["", " ", " a", "a\u{202E}b", "a\nb", &"x".repeat(129)] {
            assert!(!is_sound(bad, 128), "{bad:?}");
        }
    }
}

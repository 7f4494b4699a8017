//! Characters that nobody sees, and where they change what is seen.

/// What is never seen by itself: Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties), the
/// Braille pattern without dots, and the interlinear annotation characters.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

const NON_JOINER: char = '\u{200C}';
const JOINER: char = '\u{200D}';
/// Selects the picture of a character that has one.
const PICTURE: char = '\u{FE0F}';
/// Makes a key of a digit.
const KEY: char = '\u{20E3}';
const BLACK_FLAG: char = '\u{1F3F4}';
const TAGS: std::ops::RangeInclusive<char> = '\u{E0020}'..='\u{E007E}';
const LAST_TAG: char = '\u{E007F}';

/// Pictures and symbols, skin tones among them.
fn is_picture(character: char) -> bool {
    matches!(character, '\u{2190}'..='\u{27FF}' | '\u{2900}'..='\u{2BFF}' | '\u{1F000}'..='\u{1FAFF}')
}

/// Characters outside of these ranges that have a picture.
fn has_picture(character: char) -> bool {
    is_picture(character)
        || matches!(
            character,
            '\u{A9}'
                | '\u{AE}'
                | '\u{203C}'
                | '\u{2049}'
                | '\u{2122}'
                | '\u{2139}'
                | '\u{3030}'
                | '\u{303D}'
                | '\u{3297}'
                | '\u{3299}'
        )
}

/// Scripts whose letters look different beside a joiner: Arabic and its kin, those of India, Burmese,
/// Khmer, Mongolian.
fn joins(character: char) -> bool {
    matches!(character, '\u{600}'..='\u{DFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{18AF}')
}

/// Chinese characters, of which a variation sequence selects one way to write them (UTS #37).
fn is_ideograph(character: char) -> bool {
    matches!(character, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFD}')
}

/// How many characters at the beginning of `rest` change how what is `before` them looks; 0 when the
/// first one is seen by itself, or means nothing there.
fn meaningful(before: Option<char>, rest: &[char]) -> usize {
    let Some(before) = before else { return 0 };
    match *rest {
        [JOINER, after, ..] if is_picture(after) => {
            usize::from(is_picture(before) || before == PICTURE)
        }
        // A letter keeps the shape that it has inside of a word, as in the Persian abbreviation of Hijri.
        [JOINER] | [JOINER, ' ', ..] => usize::from(joins(before)),
        [JOINER | NON_JOINER, after, ..] => usize::from(joins(before) && joins(after)),
        ['\u{E0100}'..='\u{E01EF}', ..] => usize::from(is_ideograph(before)),
        [PICTURE, KEY, ..] => usize::from(matches!(before, '0'..='9' | '#' | '*')),
        [PICTURE, ..] => usize::from(has_picture(before)),
        [first, ..] if before == BLACK_FLAG && TAGS.contains(&first) => {
            let tags = rest.iter().take_while(|it| TAGS.contains(*it)).count();
            if rest.get(tags) == Some(&LAST_TAG) {
                tags + 1
            } else {
                0
            }
        }
        _ => 0,
    }
}

/// Calls `each` with every invisible character that changes nothing, and returns the others.
fn sift(text: &str, mut each: impl FnMut(char)) -> Vec<char> {
    let characters: Vec<_> = text.chars().collect();
    let mut seen = Vec::with_capacity(characters.len());
    let mut at = 0;
    while let Some(rest) = characters.get(at..).filter(|rest| !rest.is_empty()) {
        let Some(&first) = rest.first() else { break };
        if !is_invisible(first) {
            seen.push(first);
            at += 1;
            continue;
        }
        let many = meaningful(seen.last().copied(), rest);
        if many == 0 {
            each(first);
            at += 1;
        } else {
            seen.extend(rest.iter().take(many));
            at += many;
        }
    }
    seen
}

/// The first invisible character that changes nothing.
pub(super) fn first(text: &str) -> Option<char> {
    let mut found = None;
    sift(text, |hidden| {
        found.get_or_insert(hidden);
    });
    found
}

/// The text without them.
pub(super) fn without(text: &str) -> String {
    sift(text, |_| ()).into_iter().collect()
}

/// At most so many characters, never cut inside of a picture that several make.
pub(super) fn cut(text: &str, most: usize) -> String {
    let characters: Vec<_> = text.chars().collect();
    let mut end = characters.len().min(most);
    while end > 0 && end < characters.len() && belong_together(&characters, end) {
        end -= 1;
    }
    characters.into_iter().take(end).collect()
}

/// Whether the character at `at` and the one before it are parts of one picture or letter.
fn belong_together(characters: &[char], at: usize) -> bool {
    let after = characters.get(at).copied();
    let before = at.checked_sub(1).and_then(|at| characters.get(at).copied());
    let continues = |it: char| is_invisible(it) || matches!(it, KEY | '\u{1F3FB}'..='\u{1F3FF}');
    after.is_some_and(continues) || before == Some(JOINER)
}

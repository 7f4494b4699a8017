//! Names that the page makes, and what surrounds them where people and messengers pass them on.

/// UTF-16 units of which a text with such a name has fewer.
const UNITS: usize = 512;
/// Four groups of five characters with hyphens between them.
const GROUPS: usize = 4;
const GROUP: usize = 5;
const LENGTH: usize = GROUPS * (GROUP + 1) - 1;
/// A Korean particle has at most these many syllables, of three letters each where they are decomposed.
const SYLLABLES: usize = 4;
const LETTERS: usize = 3 * SYLLABLES;
/// What programs make of `>`, `<`, quotation marks and spaces; the semicolon is punctuation.
const ENTITIES: [&str; 8] = [
    "&gt", "&lt", "&amp", "&quot", "&apos", "&nbsp", "&#39", "&#34",
];

/// The name that the page has made and that is all of `text`, besides punctuation, pictures and HTML
/// entities around it and a Korean particle behind it. Capitals are those of phones and readers.
pub(super) fn page_made(text: &str) -> Option<String> {
    if text.encode_utf16().nth(UNITS - 1).is_some() {
        return None;
    }
    let start = without_around(text);
    if text.strip_suffix(start)?.ends_with('-') {
        return None;
    }
    let (name, behind) = start.split_at_checked(LENGTH)?;
    let is_part = behind.starts_with(|next: char| next == '-' || next.is_ascii_alphanumeric());
    if is_part || !is_made(name) || !has_one_case(name) {
        return None;
    }
    let behind = without_around(without_particle(without_around(behind)));
    behind.is_empty().then(|| name.to_ascii_lowercase())
}

/// Whether it is of the page's alphabet, which has no letters that look alike.
fn is_made(name: &str) -> bool {
    let in_alphabet = |byte: u8| matches!(byte.to_ascii_lowercase(), b'a'..=b'h' | b'j' | b'k' | b'm' | b'n' | b'p'..=b'z' | b'2'..=b'9');
    name.bytes()
        .enumerate()
        .all(|(at, byte)| match at % (GROUP + 1) {
            GROUP => byte == b'-',
            _ => in_alphabet(byte),
        })
}

/// Small letters, or capitals as phones and readers write them: all of them, the first one, or the
/// first one of each group.
fn has_one_case(name: &str) -> bool {
    let is_small = |text: &str| !text.contains(|it: char| it.is_ascii_uppercase());
    let begins = |text: &str| is_small(text.get(1..).unwrap_or_default());
    let is_capital = !name.contains(|it: char| it.is_ascii_lowercase());
    is_small(name) || is_capital || begins(name) || name.split('-').all(begins)
}

fn without_particle(text: &str) -> &str {
    let syllables = leading(text, |it| matches!(it, '\u{AC00}'..='\u{D7A3}'));
    let letters = leading(
        text,
        |it| matches!(it, '\u{1100}'..='\u{115E}' | '\u{1161}'..='\u{11FF}'),
    );
    let length = match (syllables.0, letters.0) {
        (1..=SYLLABLES, _) => syllables.1,
        (_, 1..=LETTERS) => letters.1,
        _ => 0,
    };
    text.get(length..).unwrap_or_default()
}

/// How many characters `text` begins with that are such, and their length in bytes.
fn leading(text: &str, is_such: impl Fn(char) -> bool) -> (usize, usize) {
    let such = text.chars().take_while(|it| is_such(*it));
    such.fold((0, 0), |(count, length), it| {
        (count + 1, length + it.len_utf8())
    })
}

fn without_around(text: &str) -> &str {
    let mut rest = text;
    loop {
        let entity = ENTITIES.iter().find_map(|it| rest.strip_prefix(it));
        rest = match entity.or_else(|| rest.strip_prefix(is_around)) {
            Some(after) => after,
            None => return rest,
        };
    }
}

/// Spaces, punctuation, pictures, and characters without width.
fn is_around(character: char) -> bool {
    character.is_ascii_punctuation()
        || (character.is_whitespace() && character != '\u{85}')
        || matches!(character,
            '\u{A1}'..='\u{A9}' | '\u{AB}'..='\u{B1}' | '\u{B4}' | '\u{B6}'..='\u{B8}' | '\u{BB}'
            | '\u{BF}' | '\u{200B}'..='\u{200F}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205E}' | '\u{2060}'
            | '\u{2190}'..='\u{27FF}' | '\u{3001}'..='\u{3020}' | '\u{3030}' | '\u{FE0F}'
            | '\u{FEFF}' | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF20}'
            | '\u{FF3B}'..='\u{FF40}' | '\u{FF5B}'..='\u{FF65}' | '\u{1F300}'..='\u{1FAFF}')
}

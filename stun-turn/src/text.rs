//! Text for people.

/// Breaks text into lines of at most `width` characters, where words allow it, each with `prefix` in
/// front and a line break behind.
pub(crate) fn wrap(text: &str, prefix: &str, width: usize) -> String {
    let mut wrapped = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let length = |text: &str| text.chars().count();
        if !line.is_empty() && length(prefix) + length(&line) + 1 + length(word) > width {
            wrapped += &format!("{prefix}{line}\n");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    if !line.is_empty() {
        wrapped += &format!("{prefix}{line}\n");
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_stay_whole() {
        assert_eq!(wrap("ab cd  ef", "# ", 7), "# ab cd\n# ef\n");
        assert_eq!(wrap("a-very-long-word b", "", 4), "a-very-long-word\nb\n");
        assert_eq!(wrap("", "# ", 7), "");
    }
}

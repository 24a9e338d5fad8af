//! What a reader sees of a text, and what moves the text around it.

/// Whether the character shows nothing and can be left out without changing what a reader
/// sees: zero width, joiners, soft hyphen, bidi controls, variation selectors, tags, fillers.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Whether the character forces a direction of writing (UAX 9). The marks that only hint at one
/// (LRM, RLM, ALM) are not among them: right-to-left texts need those.
pub fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether the character separates words: Unicode white space, control characters and the
/// blank braille pattern.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '\u{2800}'
}

/// Whether a reader sees nothing at all.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| is_space(c) || is_invisible(c))
}

/// A line without what would turn the direction of the page around it.
pub fn without_bidi_controls(line: &str) -> String {
    line.chars().filter(|c| !is_bidi_control(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank_and_turns_no_page() {
        for text in ["", " \n", "\u{200B}\u{200D} \u{2800}", "\u{3164}\u{AD}\u{FE0F}"] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in ["a", "❤\u{FE0F}", "\u{200B}.", "\u{301}"] {
            assert!(!is_blank(text), "{text:?}");
        }
        assert_eq!(without_bidi_controls("Eve\u{202E}\u{2067}gpj\u{2069}"), "Evegpj");
        assert_eq!(without_bidi_controls("דנה \u{200F}כהן"), "דנה \u{200F}כהן");
    }
}

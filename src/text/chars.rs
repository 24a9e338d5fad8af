//! Classes of characters that the other text modules share.
//!
//! Everything here is a function of one character. Ranges are from the Unicode Character
//! Database; the frequent ones are tested by range and not by table, because a look-up in a
//! property table costs 20 ns and a comment has hundreds of characters.

use unicode_normalization::char::is_combining_mark;

pub use crate::domain::{is_bidi_control, is_invisible, is_space};

/// Whether the character can stand in a word: a letter, a digit or a mark on one.
pub fn is_word(c: char) -> bool {
    match c as u32 {
        0..0x80 => c.is_ascii_alphanumeric(),
        // The frequent letters first: Unicode's tables cost 20 ns.
        0xC0..=0xD6
        | 0xD8..=0xF6
        | 0xF8..=0x24F
        | 0x391..=0x3A1
        | 0x3A3..=0x3CE
        | 0x400..=0x481
        | 0x48A..=0x52F
        | 0x5D0..=0x5EA
        | 0x620..=0x64A
        | 0x3041..=0x3096
        | 0x30A1..=0x30FA
        | 0x4E00..=0x9FFF
        | 0xAC00..=0xD7A3 => true,
        _ => c.is_alphanumeric() || is_mark(c),
    }
}

/// Whether the character is a mark on the letter before it.
pub fn is_mark(c: char) -> bool {
    c as u32 >= 0x300 && is_combining_mark(c)
}

/// Whether the character can merge with the one before it: a mark, a part of a Hangul syllable,
/// or a vowel that decomposes to a mark and a letter (Thai and Lao AM).
pub fn joins_previous(c: char) -> bool {
    match c as u32 {
        0..0x300 => false,
        0xE33 | 0xEB3 | 0x1161..=0x1175 | 0x11A8..=0x11C2 | 0x3131..=0x318E | 0xFF9E..=0xFFDC => {
            true
        }
        _ => is_combining_mark(c),
    }
}

/// Whether the mark belongs to a block of general diacritics, of which real spelling puts few
/// on one letter.
pub fn is_stacking_mark(c: char) -> bool {
    matches!(c as u32,
        0x300..=0x36F | 0x483..=0x489 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF
        | 0xFE20..=0xFE2F)
}

/// Characters below this have their class in a table.
const TABLE_LENGTH: usize = 0x600;

/// `is_plain` of Latin, Greek, Cyrillic and Hebrew.
static PLAIN: [bool; TABLE_LENGTH] = {
    let mut table = [false; TABLE_LENGTH];
    let mut code = 0;
    while code < TABLE_LENGTH {
        table[code] = in_plain_range(code as u32);
        code += 1;
    }
    table
};

/// Whether compatibility normalisation leaves the character as it is, if no mark follows.
/// Covers the letters of the frequent scripts and says no when in doubt.
pub fn is_plain(c: char) -> bool {
    PLAIN.get(c as usize).copied().unwrap_or_else(|| in_plain_range(c as u32))
}

const fn in_plain_range(code: u32) -> bool {
    matches!(code,
        0x00..=0x7F | 0xA1..=0xA7 | 0xAB | 0xBF..=0x131 | 0x134..=0x13E | 0x141..=0x148
        | 0x14A..=0x17E | 0x391..=0x3CE | 0x400..=0x481 | 0x48A..=0x52F | 0x5D0..=0x5EA
        | 0x620..=0x63A | 0x641..=0x64A | 0xE01..=0xE30 | 0x2013..=0x2014 | 0x2018..=0x201F
        | 0x2022 | 0x20AC | 0x3001..=0x3002 | 0x300C..=0x300F | 0x3041..=0x3096
        | 0x30A1..=0x30FC | 0x4E00..=0x9FFF | 0xAC00..=0xD7A3 | 0x1F300..=0x1F6FF
        | 0x1F900..=0x1F9FF)
}

/// Whether the character is part of a word of a script that separates words by spaces.
pub fn is_spaced_letter(c: char) -> bool {
    is_word(c) && unspaced(c).is_none()
}

/// A script written without spaces between words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unspaced {
    /// Chinese characters.
    Han,
    /// Hiragana.
    Hiragana,
    /// Katakana.
    Katakana,
    /// Thai, Lao, Burmese, Khmer.
    SouthEastAsian,
}

/// The unspaced script of a character, if it belongs to one.
pub fn unspaced(c: char) -> Option<Unspaced> {
    match c as u32 {
        0..0xE00 => None,
        0x3400..=0x4DBF
        | 0x4E00..=0x9FFF
        | 0xF900..=0xFAFF
        | 0x20000..=0x3FFFF
        | 0x3005..=0x3007 => Some(Unspaced::Han),
        0x3041..=0x309F => Some(Unspaced::Hiragana),
        0x30A0..=0x30FF | 0x31F0..=0x31FF => Some(Unspaced::Katakana),
        0xE00..=0xEFF | 0x1000..=0x109F | 0x1780..=0x17FF => Some(Unspaced::SouthEastAsian),
        _ => None,
    }
}

/// The ASCII letters and digits that `name` begins with, if a letter of another alphabet or `_` comes
/// right after them: `com` of `com으로`, where no blank stands before a particle, and of `com_`. A name
/// in Latin letters with accents is one name.
pub fn ascii_front(name: &str) -> Option<&str> {
    let end = name.find(|c: char| !c.is_ascii_alphanumeric())?;
    let next = name[end..].chars().next()?;
    let other = next == '_' || (next.is_alphabetic() && !is_latin(next));
    (end > 0 && other).then_some(&name[..end])
}

/// Whether the letter is of the Latin blocks.
fn is_latin(c: char) -> bool {
    matches!(c as u32, 0..0x250 | 0x1E00..0x1F00)
}

/// Whether the character is drawn as a picture by default (most of Unicode's `Emoji` property).
pub fn is_emoji(c: char) -> bool {
    matches!(c as u32,
        0x231A..=0x231B | 0x23E9..=0x23F3 | 0x25FD..=0x25FE | 0x2600..=0x27BF
        | 0x2B05..=0x2B07 | 0x2B1B..=0x2B1C | 0x2B50 | 0x2B55 | 0x1F000..=0x1F0FF
        | 0x1F18E | 0x1F191..=0x1F19A | 0x1F1E6..=0x1F1FF | 0x1F200..=0x1F265
        | 0x1F300..=0x1F6FF | 0x1F7E0..=0x1F7EB | 0x1F900..=0x1F9FF | 0x1FA70..=0x1FAFF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization::UnicodeNormalization;

    #[test]
    fn plain_characters_are_unchanged_by_normalisation() {
        for c in ('\u{0}'..='\u{1FFFF}').filter(|c| is_plain(*c)) {
            assert!(std::iter::once(c).nfkc().eq([c]), "U+{:04X}", c as u32);
            assert!(!joins_previous(c), "U+{:04X}", c as u32);
            assert!(!is_invisible(c), "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn frequent_letters_are_word_characters() {
        for c in '\u{80}'..='\u{FFFF}' {
            assert_eq!(is_word(c), c.is_alphanumeric() || is_mark(c), "U+{:04X}", c as u32);
        }
    }

    #[test]
    fn whatever_decomposes_to_a_mark_joins_the_previous_character() {
        for c in '\u{0}'..='\u{10FFFF}' {
            let first = std::iter::once(c).nfkd().next().unwrap_or(c);
            if joins_previous(first) && !is_invisible(c) {
                assert!(joins_previous(c), "U+{:04X}", c as u32);
            }
        }
    }
}

//! Letters that look like others, and styled letters that Unicode's own normalisation keeps.
//!
//! Unicode's confusables table (UTS 39, through `unicode-security`) says what looks alike in
//! any font, for identifiers. For prose it is wrong in places (capital iota becomes a small L)
//! and silent in others (Cyrillic в stands for B in spam, though no font draws them alike), so
//! a short table of our own goes first. Nothing here folds a word by itself: whether a letter
//! is a disguise depends on its neighbours, which [`super::normalize()`] looks at.

use std::sync::LazyLock;

use unicode_normalization::char::decompose_canonical;
use unicode_security::confusable_detection::skeleton;

/// A group of scripts that share letter shapes with Latin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Latin, with everything that is only a style of it.
    Latin,
    /// Cyrillic.
    Cyrillic,
    /// Greek and Coptic.
    Greek,
    /// Armenian, Cherokee and Lisu, which few comments are written in.
    Rare,
}

impl Family {
    /// One bit for each family, for sets of them.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Letters below this have their family in a table: every letter of a text that is not ASCII
/// is asked for it.
const FAMILIES_LENGTH: usize = 0x600;

static FAMILIES: [Option<Family>; FAMILIES_LENGTH] = {
    let mut table = [None; FAMILIES_LENGTH];
    let mut code = 0;
    while code < FAMILIES_LENGTH {
        table[code] = family_by_range(code as u32);
        code += 1;
    }
    table
};

/// The family of a letter, if it has look-alikes among the others.
pub fn family(c: char) -> Option<Family> {
    FAMILIES.get(c as usize).copied().unwrap_or_else(|| family_by_range(c as u32))
}

const fn family_by_range(code: u32) -> Option<Family> {
    match code {
        0x41..=0x5A
        | 0x61..=0x7A
        | 0xC0..=0xD6
        | 0xD8..=0xF6
        | 0xF8..=0x2AF
        | 0x1D00..=0x1DBF
        | 0x1E00..=0x1EFF
        | 0x2C60..=0x2C7F
        | 0xA722..=0xA7FF
        | 0xAB30..=0xAB6F => Some(Family::Latin),
        0x370..=0x3FF | 0x1F00..=0x1FFF | 0x2C80..=0x2CEE => Some(Family::Greek),
        0x400..=0x482 | 0x48A..=0x52F | 0x1C80..=0x1C8A | 0xA640..=0xA66E | 0xA680..=0xA69D => {
            Some(Family::Cyrillic)
        }
        0x531..=0x587 | 0x13A0..=0x13FD | 0xAB70..=0xABBF | 0xA4D0..=0xA4F7 => Some(Family::Rare),
        _ => None,
    }
}

/// How much a letter looks like an ASCII letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// No reader sees a difference.
    Exact(char),
    /// A reader sees it and reads the ASCII letter all the same, if the rest of the word is
    /// Latin.
    Near(char),
}

impl Likeness {
    /// The ASCII letter.
    pub fn letter(self) -> char {
        match self {
            Self::Exact(letter) | Self::Near(letter) => letter,
        }
    }
}

/// Letters that spam uses for ASCII ones and UTS 39 does not fold, or folds to another letter.
/// Small Cyrillic letters are here where the capital is the twin (В, Н, М, Т).
#[rustfmt::skip]
const NEAR: [(char, char); 22] = [
    ('в', 'b'), ('к', 'k'), ('м', 'm'), ('н', 'h'), ('т', 't'), ('г', 'r'), ('п', 'n'),
    ('ш', 'w'), ('я', 'r'), ('Я', 'r'), ('ь', 'b'), ('и', 'u'), ('И', 'n'), ('з', 'e'),
    ('β', 'b'), ('ε', 'e'), ('η', 'n'), ('κ', 'k'), ('τ', 't'), ('ω', 'w'), ('χ', 'x'), ('ζ', 'z'),
];

/// The ASCII letter that a letter of another script looks like.
///
/// Every letter that folds in lower case folds in upper case too, so that lowering a text
/// before or after folding never makes more of it foldable.
pub fn likeness(c: char) -> Option<Likeness> {
    match c as u32 {
        // Greek and Cyrillic, where nearly all look-ups fall.
        code @ TABLE_FIRST..=TABLE_LAST => TABLE[(code - TABLE_FIRST) as usize],
        _ => find_likeness(c),
    }
}

const TABLE_FIRST: u32 = 0x370;
const TABLE_LAST: u32 = 0x52F;

/// The answers for Greek and Cyrillic: finding one takes 150 ns, and such texts ask for every
/// letter.
static TABLE: LazyLock<Vec<Option<Likeness>>> = LazyLock::new(|| {
    (TABLE_FIRST..=TABLE_LAST).map(|code| find_likeness(char::from_u32(code)?)).collect()
});

fn find_likeness(c: char) -> Option<Likeness> {
    if c.is_ascii() || family(c).is_none_or(|family| family == Family::Latin) {
        return None;
    }
    if let Some((_, letter)) = NEAR.iter().find(|(near, _)| *near == c) {
        return Some(Likeness::Near(*letter));
    }
    exact(c).map(Likeness::Exact).or_else(|| {
        let lower = lowered(c);
        (lower != c).then(|| find_likeness(lower))?
    })
}

fn exact(c: char) -> Option<char> {
    // Capital letters with the shape of I, which UTS 39 files under small L.
    if matches!(c, 'І' | 'Ι' | 'Ⲓ' | 'Ꭵ') {
        return Some('i');
    }
    let mut utf8 = [0; 4];
    let mut shape = skeleton(c.encode_utf8(&mut utf8));
    let letter = shape.next()?.to_ascii_lowercase();
    (shape.next().is_none() && letter.is_ascii_lowercase()).then_some(letter)
}

/// The Cyrillic letter that an ASCII letter looks like, for Russian words with a Latin letter
/// in them. Every letter here has its capital here too.
pub fn cyrillic_twin(c: char) -> Option<char> {
    Some(match c {
        'a' | 'A' => 'а',
        'c' | 'C' => 'с',
        'e' | 'E' => 'е',
        'i' | 'I' => 'і',
        'k' | 'K' => 'к',
        'o' | 'O' => 'о',
        'p' | 'P' => 'р',
        'x' | 'X' => 'х',
        'y' | 'Y' => 'у',
        'B' => 'в',
        'H' => 'н',
        'M' => 'м',
        'T' => 'т',
        _ => return None,
    })
}

/// The ASCII letter behind a styled one that NFKC leaves alone: small capitals, negative
/// circled and squared letters, and script forms of a, f and g.
pub fn unstyled(c: char) -> Option<char> {
    #[rustfmt::skip]
    const SMALL_CAPITALS: [(char, char); 26] = [
        ('ᴀ', 'a'), ('ʙ', 'b'), ('ᴄ', 'c'), ('ᴅ', 'd'), ('ᴇ', 'e'), ('ꜰ', 'f'), ('ɢ', 'g'),
        ('ʜ', 'h'), ('ɪ', 'i'), ('ᴊ', 'j'), ('ᴋ', 'k'), ('ʟ', 'l'), ('ᴍ', 'm'), ('ɴ', 'n'),
        ('ᴏ', 'o'), ('ᴘ', 'p'), ('ʀ', 'r'), ('ꜱ', 's'), ('ᴛ', 't'), ('ᴜ', 'u'), ('ᴠ', 'v'),
        ('ᴡ', 'w'), ('ʏ', 'y'), ('ᴢ', 'z'), ('ɑ', 'a'), ('ɡ', 'g'),
    ];
    let offset = |first: u32| char::from_u32('a' as u32 + (c as u32 - first));
    match c as u32 {
        0x191 | 0x192 => Some('f'),
        // The capitals of ʀ, ɑ, ɡ and ɪ, for African alphabets.
        0x1A6 => Some('r'),
        0x2C6D => Some('a'),
        0xA7AC => Some('g'),
        0xA7AE => Some('i'),
        0x250..=0x2AF | 0x1D00..=0x1D22 | 0xA730..=0xA731 => {
            SMALL_CAPITALS.iter().find(|(styled, _)| *styled == c).map(|(_, letter)| *letter)
        }
        0x1F150..=0x1F169 => offset(0x1F150),
        0x1F170..=0x1F189 => offset(0x1F170),
        _ => None,
    }
}

/// A Latin letter without its accents; others as they are.
pub fn without_accent(c: char) -> char {
    match c as u32 {
        code @ ACCENTS_FIRST..=ACCENTS_LAST => UNACCENTED[(code - ACCENTS_FIRST) as usize],
        0x1E00..=0x1EFF => base(c),
        _ => c,
    }
}

const ACCENTS_FIRST: u32 = 0xC0;
const ACCENTS_LAST: u32 = 0x24F;

/// The answers for the frequent letters.
static UNACCENTED: LazyLock<Vec<char>> =
    LazyLock::new(|| (ACCENTS_FIRST..=ACCENTS_LAST).filter_map(char::from_u32).map(base).collect());

fn base(c: char) -> char {
    match c {
        'ø' => 'o',
        'ł' => 'l',
        'đ' => 'd',
        _ => {
            let mut first = None;
            decompose_canonical(c, |part| first = first.or(Some(part)));
            first.unwrap_or(c)
        }
    }
}

/// The small form of a letter, always one character: dotted capital I becomes a plain i, and
/// the final sigma an inner one.
pub fn lowered(c: char) -> char {
    match c {
        'İ' => 'i',
        'ς' => 'σ',
        c if c.is_ascii() => c.to_ascii_lowercase(),
        'а'..='я' | '\u{3000}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7FF}' => c,
        c => {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(only), None) => only,
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_normalization::UnicodeNormalization;

    #[test]
    fn folding_and_lowering_commute() {
        // Others (the sign for ohm) are decomposed before they are folded.
        let stable = |c: &char| std::iter::once(*c).nfkc().eq([*c]);
        for c in ('\u{0}'..='\u{1FFFF}').filter(stable) {
            let lower = lowered(c);
            assert_eq!(lowered(lower), lower, "{c}");
            assert!(unstyled(lower).is_none() || unstyled(c).is_some(), "{c}");
            assert!(likeness(lower).is_none() || likeness(c).is_some(), "{c}");
            assert_eq!(family(lower), family(c), "{c}");
        }
    }

    #[test]
    fn unicode_s_table_is_corrected_for_prose() {
        assert_eq!(likeness('І'), Some(Likeness::Exact('i')));
        assert_eq!(likeness('а'), Some(Likeness::Exact('a')));
        assert_eq!(likeness('В'), Some(Likeness::Exact('b')));
        assert_eq!(likeness('в'), Some(Likeness::Near('b')));
        assert_eq!(likeness('ж'), None);
        assert_eq!(likeness('é'), None);
    }
}

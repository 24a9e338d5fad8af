//! What stands for `@` and for the dots of an address.

use super::units::Unit;
use crate::text::{chars, confusables};

/// Words for `@` in brackets or between blanks.
const AT_WORDS: [&str; 10] =
    ["at", "ät", "@", "arroba", "arobase", "chiocciola", "собака", "małpa", "aet", "a"];
/// Words for `@` that mean nothing else next to a host.
const PLAIN_AT_WORDS: [&str; 5] = ["arroba", "arobase", "chiocciola", "собака", "małpa"];
/// Words for a dot.
const DOT_WORDS: [&str; 9] =
    ["dot", "d0t", "punkt", "punto", "ponto", "point", "точка", "kropka", "."];
/// Units of the longest of those words.
const WORD_UNITS_MAX: usize = 10;

/// How sure it is that something stands for `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// `@` between two words.
    Tight,
    /// `@` with blanks, in brackets, or a word for it in brackets.
    Marked,
    /// A spoken word, which may mean something else.
    Spoken,
}

/// Something that stands for `@` or a dot: the units it takes, blanks around it included.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    /// First unit.
    pub start: usize,
    /// The unit after it.
    pub end: usize,
    /// How sure it is.
    pub strength: Strength,
}

/// The token for `@` whose first unit, blanks aside, is `at`.
pub fn at_sign(units: &[Unit], at: usize) -> Option<Token> {
    let token = match units.get(at)?.c {
        '@' => Token { start: at, end: at + 1, strength: Strength::Tight },
        '(' | '[' | '{' | '<' => bracketed(units, at, &AT_WORDS)?,
        ' ' => spoken(units, at, &AT_WORDS[..AT_WORDS.len() - 1])?,
        '-' | '_' => spoken(units, at, &["at"])?,
        'A' => capital(units, at, "AT")?,
        _ => return None,
    };
    Some(with_blanks(units, token))
}

/// The units of the word for `@` that stands at `at` without any sign around it.
pub fn at_word(units: &[Unit], at: usize) -> Option<usize> {
    word(units, at, &AT_WORDS[..AT_WORDS.len() - 1])
}

/// The token for a dot that starts at `at`, blanks included.
pub fn dot(units: &[Unit], at: usize) -> Option<Token> {
    let from = at + usize::from(units.get(at)?.c == ' ');
    let token = match units.get(from)?.c {
        '.' => Token { start: from, end: from + 1, strength: Strength::Tight },
        '(' | '[' | '{' | '<' => bracketed(units, from, &DOT_WORDS)?,
        '-' | '_' => spoken(units, from, &["dot"])?,
        'D' if from == at => capital(units, at, "DOT")?,
        _ if from > at => spoken(units, at, &DOT_WORDS[..DOT_WORDS.len() - 1])?,
        _ => return None,
    };
    let token = with_blanks(units, token);
    (token.start <= at).then_some(token)
}

/// The disguised dot that ends right before `end`: where it starts.
pub fn dot_before(units: &[Unit], end: usize) -> Option<usize> {
    let floor = end.saturating_sub(WORD_UNITS_MAX + 4);
    (floor..end.saturating_sub(2)).rev().find(|at| {
        units[*at].c != '.'
            && dot(units, *at).is_some_and(|token| {
                token.end == end && token.start == *at && token.strength != Strength::Tight
            })
    })
}

/// `[ word ]`, with `at` at the opening bracket.
fn bracketed(units: &[Unit], at: usize, words: &[&str]) -> Option<Token> {
    let close = match units[at].c {
        '(' => ')',
        '[' => ']',
        '{' => '}',
        _ => '>',
    };
    let from = at + 1 + usize::from(units.get(at + 1)?.c == ' ');
    let length = word(units, from, words)?;
    let end = from + length;
    let end = end + usize::from(units.get(end)?.c == ' ');
    (units.get(end)?.c == close).then_some(Token {
        start: at,
        end: end + 1,
        strength: Strength::Marked,
    })
}

/// A word between two equal separators, with `at` at the first.
fn spoken(units: &[Unit], at: usize, words: &[&str]) -> Option<Token> {
    let length = word(units, at + 1, words)?;
    let end = at + 1 + length;
    let plain = words.len() > 1 && word(units, at + 1, &PLAIN_AT_WORDS).is_some();
    (units.get(end)?.c == units[at].c).then_some(Token {
        start: at,
        end: end + 1,
        strength: if plain { Strength::Marked } else { Strength::Spoken },
    })
}

/// A word in capitals between small letters: `johnATexample`.
fn capital(units: &[Unit], at: usize, name: &str) -> Option<Token> {
    let end = at + name.len();
    let small = |unit: Option<&Unit>| {
        unit.is_some_and(|unit| unit.c.is_lowercase() || unit.c.is_ascii_digit())
    };
    let same = units.get(at..end)?.iter().map(|unit| unit.c).eq(name.chars());
    (same && small(at.checked_sub(1).and_then(|at| units.get(at))) && small(units.get(end)))
        .then_some(Token { start: at, end, strength: Strength::Spoken })
}

/// The token with the blanks around it, which make it less sure.
fn with_blanks(units: &[Unit], token: Token) -> Token {
    let blank =
        |at: Option<usize>| at.and_then(|at| units.get(at)).is_some_and(|unit| unit.c == ' ');
    let before = blank(token.start.checked_sub(1));
    let after = blank(Some(token.end));
    let strength = match token.strength {
        Strength::Tight if before || after => Strength::Marked,
        strength => strength,
    };
    Token {
        start: token.start - usize::from(before),
        end: token.end + usize::from(after),
        strength,
    }
}

/// Whether a text begins with a word that stands for `@` in brackets.
pub fn begins_with_at_word(text: &str) -> bool {
    let begins = |word: &&str| {
        let mut letters = text.chars().map(confusables::lowered);
        word.chars().all(|c| letters.next() == Some(c))
    };
    // `a` is the beginning of many words, and alone in brackets a sign.
    let mut rest = text.chars();
    let single = matches!(rest.next(), Some('a' | 'A'));
    let closed = || {
        let rest = rest.as_str().trim_start_matches(chars::is_space);
        rest.starts_with([')', ']', '}', '>', '&'])
    };
    AT_WORDS[..AT_WORDS.len() - 1].iter().any(begins) || (single && closed())
}

/// The units of the word at `at`, if it is one of `words`.
fn word(units: &[Unit], at: usize, words: &[&str]) -> Option<usize> {
    let first = confusables::lowered(units.get(at)?.c);
    words.iter().filter(|word| word.starts_with(first)).find_map(|word| {
        let length = word.chars().count();
        let found = units.get(at..at + length)?;
        let mut pairs = found.iter().zip(word.chars());
        pairs.all(|(unit, c)| confusables::lowered(unit.c) == c).then_some(length)
    })
}

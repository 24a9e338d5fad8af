//! Words that were spelt letter by letter (`c a s i n o`, `c.a.s.i.n.o`), and signs that stand for
//! a letter inside a word (`c@sino`).

use xxhash_rust::xxh3::xxh3_64;

use super::{Normalized, Word, known_words};
use crate::text::confusables::{self, Family};

/// Letters of a Latin word spelt out. Two are an abbreviation (`e.g.`).
const LATIN_COUNT_MIN: usize = 3;
/// Others have words of one letter, of which two or three follow one another.
const COUNT_MIN: usize = 4;
/// Letters of a run in which words are looked for; what follows stays one word.
const SPLIT_LETTERS_MAX: usize = 200;
/// What stands between letters.
const SEPARATORS: [char; 10] = [' ', '.', '-', '_', '*', '·', '•', '/', '|', '~'];

/// Joins what is one word to a reader.
pub fn join(normalized: &mut Normalized) {
    if !possible(normalized) {
        return;
    }
    rebuild(normalized, run, true);
    rebuild(normalized, signs, false);
}

/// Joins the words that `count` says belong together, from the first on; with `gaps`, wide ones
/// keep them apart.
fn rebuild(normalized: &mut Normalized, count: impl Fn(&str, &[Word]) -> usize, gaps: bool) {
    let old = std::mem::take(&mut normalized.text);
    let words = std::mem::take(&mut normalized.words);
    let (text, joined) = (String::with_capacity(old.len()), Vec::with_capacity(words.len()));
    let mut new = Joined { old: &old, text, words: joined, copied: 0 };
    let mut rest = words.as_slice();
    while !rest.is_empty() {
        let (run, after) = rest.split_at(count(&old, rest).max(1));
        for part in parts(&old, run, gaps) {
            new.push(part);
        }
        rest = after;
    }
    new.text.push_str(&old[new.copied..]);
    (normalized.text, normalized.words) = (new.text, new.words);
}

/// The texts under construction.
struct Joined<'a> {
    old: &'a str,
    text: String,
    words: Vec<Word>,
    /// How much of `old` is done.
    copied: usize,
}

impl Joined<'_> {
    /// Appends words as one, with the letters that signs between them stand for.
    fn push(&mut self, words: &[Word]) {
        let (Some(first), Some(last)) = (words.first(), words.last()) else { return };
        self.text.push_str(&self.old[self.copied..first.text.0 as usize]);
        let start = self.text.len();
        let mut end = first.text.0;
        for word in words {
            let gap = &self.old[end as usize..word.text.0 as usize];
            self.text.extend(gap.chars().filter_map(letter));
            self.text.push_str(&self.old[word.text.0 as usize..word.text.1 as usize]);
            end = word.text.1;
        }
        self.copied = end as usize;
        let hash =
            if words.len() > 1 { xxh3_64(&self.text.as_bytes()[start..]) } else { first.hash };
        self.words.push(Word {
            text: (start as u32, self.text.len() as u32),
            span: (first.span.0, last.span.1),
            hash,
            ..*first
        });
    }
}

/// Whether there may be something to join; nearly never.
fn possible(normalized: &Normalized) -> bool {
    let text = normalized.text.as_bytes();
    let mut single_count = 0;
    let mut end = 0;
    for word in &normalized.words {
        let (start, stop) = word.text;
        // Letters of two bytes too.
        single_count = if stop - start <= 2 { single_count + 1 } else { 0 };
        let sign = start == end + 1 && matches!(text[end as usize], b'@' | b'$' | b'!');
        if single_count >= LATIN_COUNT_MIN || sign {
            return true;
        }
        end = stop;
    }
    false
}

/// How many words from the first on are letters of one word; 0 or 1 if it is no such word.
fn run(text: &str, words: &[Word]) -> usize {
    let Some(family) = single(text, &words[0]) else { return 0 };
    let few = if family == Family::Latin { LATIN_COUNT_MIN } else { COUNT_MIN };
    let mut separator = None;
    let mut count = 1;
    for pair in words.windows(2) {
        let gap = &text[pair[0].text.1 as usize..pair[1].text.0 as usize];
        let mut gap = gap.chars();
        let (Some(sign), None) = (gap.next(), gap.next()) else { break };
        let fits = SEPARATORS.contains(&sign) && separator.is_none_or(|known| known == sign);
        let number = || count >= few && is_digit(text, &pair[1]);
        if !fits || !(single(text, &pair[1]) == Some(family) || number()) {
            break;
        }
        separator = Some(sign);
        count += 1;
    }
    if count >= few { count } else { 0 }
}

/// Whether a word is one digit.
fn is_digit(text: &str, word: &Word) -> bool {
    let word = &text.as_bytes()[word.text.0 as usize..word.text.1 as usize];
    word.len() == 1 && word[0].is_ascii_digit()
}

/// The family of the one letter that a word consists of.
fn single(text: &str, word: &Word) -> Option<Family> {
    let mut letters = text[word.text.0 as usize..word.text.1 as usize].chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => confusables::family(letter),
        _ => None,
    }
}

/// Letters spelt with wider gaps between words, as words; where there are none or one leaves a letter
/// alone, by the words that are known.
fn parts<'a>(text: &str, run: &'a [Word], gaps: bool) -> Vec<&'a [Word]> {
    let near = |a: &Word, b: &Word| b.span.0 <= a.span.1 + 1;
    if !gaps || run.len() == 1 {
        return vec![run];
    }
    let parts: Vec<&[Word]> = run.chunk_by(near).collect();
    if parts.len() > 1 && parts.iter().all(|part| part.len() > 1) {
        return parts;
    }
    let letter = |word: &Word| text[word.text.0 as usize..].chars().next();
    let letters: Vec<char> = run.iter().take(SPLIT_LETTERS_MAX).filter_map(letter).collect();
    let mut rest = run;
    let mut parts = Vec::new();
    for length in known_words::split(&letters) {
        let (part, after) = rest.split_at(length);
        parts.push(part);
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// How many words from the first on are joined by signs for letters.
fn signs(text: &str, words: &[Word]) -> usize {
    let letters = |word: &Word| &text[word.text.0 as usize..word.text.1 as usize];
    let edge = |letter: Option<char>| letter.and_then(confusables::family) == Some(Family::Latin);
    // A word of two scripts was left so in good faith; joined, it would be taken for a disguise.
    let latin = |word: &Word| {
        letters(word).chars().filter_map(confusables::family).all(|it| it == Family::Latin)
    };
    let joined = |pair: &[Word]| {
        let gap = &text[pair[0].text.1 as usize..pair[1].text.0 as usize];
        let sign = gap.len() == 1 && gap.chars().all(|sign| letter(sign).is_some());
        sign && edge(letters(&pair[0]).chars().next_back())
            && edge(letters(&pair[1]).chars().next())
            && latin(&pair[0])
            && latin(&pair[1])
    };
    1 + words.windows(2).take_while(|pair| joined(pair)).count()
}

/// The letter that a sign inside a word stands for.
fn letter(sign: char) -> Option<char> {
    match sign {
        '@' => Some('a'),
        '$' => Some('s'),
        '!' => Some('i'),
        _ => None,
    }
}

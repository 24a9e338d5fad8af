//! Where the words are in letters that were spelt without wider gaps between words
//! (`f r e e m o n e y`).

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that are common in comments of either label, in languages that are spelt letter by letter.
static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    include_str!("common_words.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// Shortest word to look for, and shortest rest between two: spelling less doesn't pay.
const WORD_LETTERS_MIN: usize = 3;
/// Longest word to look for.
const WORD_LETTERS_MAX: usize = 16;
/// How unlikely a common word is, in tenths of a nat: one of some thousands.
const WORD_COST: u32 = 90;
/// The same of a word that is not listed, and of each of its letters. With these, three letters
/// that happen to be a word are not cut off from a word that is not listed; four are.
const REST_COST: (u32, u32) = (30, 28);

/// A way to split the letters up to some place.
#[derive(Debug, Clone, Copy)]
struct Way {
    cost: u32,
    /// Letters of its last word.
    length: usize,
}

/// How many letters each word has, in order, split in the likeliest way; what is no common word
/// counts as one.
pub(super) fn split(letters: &[char]) -> Vec<usize> {
    let text: String = letters.iter().collect();
    let mut starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    starts.push(text.len());
    let mut best: Vec<Option<Way>> = vec![None; letters.len() + 1];
    best[0] = Some(Way { cost: 0, length: 0 });
    for end in WORD_LETTERS_MIN..=letters.len() {
        for start in 0..=end - WORD_LETTERS_MIN {
            let Some(before) = best[start] else { continue };
            let length = end - start;
            let is_common =
                length <= WORD_LETTERS_MAX && WORDS.contains(&text[starts[start]..starts[end]]);
            let rest = REST_COST.0 + REST_COST.1 * length as u32;
            let cost = before.cost + if is_common { WORD_COST } else { rest };
            if best[end].is_none_or(|best| cost < best.cost) {
                best[end] = Some(Way { cost, length });
            }
        }
    }
    let mut lengths = Vec::new();
    let mut end = letters.len();
    while let Some(way) = best[end].filter(|way| way.length > 0) {
        lengths.push(way.length);
        end -= way.length;
    }
    lengths.reverse();
    lengths
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        let mut rest = letters.as_slice();
        let mut words = Vec::new();
        for length in split(&letters) {
            let (word, after) = rest.split_at(length);
            words.push(word.iter().collect());
            rest = after;
        }
        assert!(rest.is_empty(), "{text}");
        words
    }

    #[test]
    fn common_words_are_found_and_rests_stay_whole() {
        for (text, expected) in [
            ("freemoney", &["free", "money"][..]),
            ("makemoneyfromhome", &["make", "money", "from", "home"]),
            ("zorbitolcheap", &["zorbitol", "cheap"]),
            ("makezorbitolwork", &["make", "zorbitol", "work"]),
            ("zorbitol", &["zorbitol"]),
            ("nowzorbitol", &["nowzorbitol"]),
            ("now", &["now"]),
            ("деньгибыстро", &["деньги", "быстро"]),
        ] {
            assert_eq!(words(text), expected);
        }
    }

    #[test]
    fn common_words_are_words_once_each() {
        let mut seen = HashSet::new();
        for line in include_str!("common_words.txt").lines().filter(|line| !line.starts_with('#')) {
            assert_eq!(crate::text::normalize(line).text(), line);
            let length = line.chars().count();
            assert!((WORD_LETTERS_MIN..=WORD_LETTERS_MAX).contains(&length), "{line}");
            assert!(line.chars().all(char::is_alphabetic), "{line}");
            assert!(seen.insert(line), "{line} stands twice");
        }
    }

    proptest! {
        #[test]
        fn every_letter_is_in_one_word(text in "[a-zа-я]{3,60}") {
            let words = words(&text);
            prop_assert_eq!(words.concat(), text);
            prop_assert!(words.iter().all(|word| word.chars().count() >= WORD_LETTERS_MIN));
        }
    }
}

//! Turns of phrase: praise for any page, invitations, offers, testimony, and what people say who
//! talk.
//!
//! Words by themselves show a model the subjects of its sources' spam. That a comment praises the
//! page, speaks of its author's own and sells is alike on every site, so a model that knows what
//! phrases are for does better on sites it has not seen.
//!
//! Phrases are looked for in folded text: a spammer may put accents on any letter, and digits for
//! some.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input as Search, MatchKind};

use super::collector::Collector;
use super::fold::{Fold, Folded};
use super::names::Naming;
use super::{Family, Input, author, band};

mod kind {
    pub const GROUP: u8 = 1;
    pub const COUNT: u8 = 2;
    pub const PAIR: u8 = 3;
    pub const NAME: u8 = 4;
    pub const WEBSITE: u8 = 5;
    pub const DEEP_WEBSITE: u8 = 6;
}

/// Groups of phrases at most.
const GROUP_COUNT_MAX: usize = 16;

/// The phrases of `phrases.txt` as one automaton; as a DFA it would take 37 MB, so it takes 0.9.
struct Phrases {
    automaton: AhoCorasick,
    /// The group of each phrase.
    groups: Vec<u8>,
    names: Vec<&'static str>,
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let (mut patterns, mut groups, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let mut fold = Fold::default();
    for line in include_str!("phrases.txt").lines().filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[') {
            names.push(name.trim_end_matches(']'));
        } else if !line.starts_with('#') {
            patterns.push(fold.all(line).to_vec());
            groups.push(names.len() as u8 - 1);
        }
    }
    assert!(names.len() <= GROUP_COUNT_MAX, "too many groups");
    let automaton = AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .match_kind(MatchKind::LeftmostLongest)
        .build(&patterns)
        .unwrap_or_else(|error| panic!("the phrases are our own: {error}"));
    Phrases { automaton, groups, names }
});

/// Where words begin and end, as far as phrases ask.
mod words {
    use std::ops::Range;

    /// Whether what stands here is only a part of a longer word. Of scripts without spaces between
    /// words nothing is; in Arabic, which glues articles and prepositions to a word, only the end
    /// counts.
    #[inline]
    pub(super) fn is_within(text: &[u8], here: Range<usize>) -> bool {
        let first = char_at(text, here.start);
        let begun = here.start > 0
            && is_spaced(first)
            && !is_arabic(first)
            && is_spaced(char_before(text, here.start));
        // What begins without spaces (a Chinese word for `add` and `vx`) may end in a name.
        let goes_on = || {
            (first.is_ascii() || is_spaced(first))
                && here.end < text.len()
                && is_spaced(char_before(text, here.end))
                && is_spaced(char_at(text, here.end))
        };
        begun || goes_on()
    }

    /// Whether a character is a letter or digit of a script with spaces between words.
    #[inline]
    fn is_spaced(c: char) -> bool {
        if c.is_ascii() {
            c.is_ascii_alphanumeric()
        } else {
            c.is_alphanumeric() && !is_unspaced(c)
        }
    }

    /// Thai and Lao, Hangul (whose particles are glued on), Kana, ideographs.
    fn is_unspaced(c: char) -> bool {
        matches!(
            c,
            '\u{E00}'..='\u{EFF}' | '\u{1100}'..='\u{11FF}' | '\u{2E80}'..='\u{D7FF}'
                | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}'
        )
    }

    fn is_arabic(c: char) -> bool {
        matches!(c, '\u{600}'..='\u{6FF}')
    }

    /// The character that starts here.
    #[inline]
    fn char_at(text: &[u8], at: usize) -> char {
        let length = match text[at] {
            first @ 0..0x80 => return char::from(first),
            0x80..0xE0 => 2,
            0xE0..0xF0 => 3,
            _ => 4,
        };
        let bytes = &text[at..text.len().min(at + length)];
        std::str::from_utf8(bytes).ok().and_then(|here| here.chars().next()).unwrap_or('\0')
    }

    /// The character that ends here.
    #[inline]
    fn char_before(text: &[u8], end: usize) -> char {
        let mut at = end - 1;
        while at > 0 && text[at] & 0xC0 == 0x80 {
            at -= 1;
        }
        char_at(text, at)
    }
}

/// How often each group occurs.
type Counts = [u32; GROUP_COUNT_MAX];

impl Phrases {
    fn count(&self, text: &str, fold: &mut Fold) -> Counts {
        let mut counts = [0; GROUP_COUNT_MAX];
        self.each(fold.all(text), |group, _| counts[usize::from(group)] += 1);
        counts
    }

    /// Calls `take` with the group and the place of each phrase in a folded text.
    #[inline]
    fn each(&self, bytes: &[u8], mut take: impl FnMut(u8, Range<usize>)) {
        let mut at = 0;
        while let Some(found) = self.automaton.find(Search::new(bytes).range(at..)) {
            let (start, end) = (found.start(), found.end());
            if words::is_within(bytes, start..end) {
                // On to the next word.
                at = start + 1;
                while bytes.get(at).is_some_and(u8::is_ascii_alphanumeric) {
                    at += 1;
                }
            } else {
                take(self.groups[found.pattern()], start..end);
                at = end;
            }
        }
    }

    /// The groups that occur, with their names.
    fn found(&self, counts: &Counts) -> impl Iterator<Item = (u8, &'static str)> {
        let groups = self.names.iter().enumerate().zip(*counts);
        groups.filter(|(_, count)| *count > 0).map(|((group, name), _)| (group as u8, *name))
    }
}

/// Calls `take` with the name of each phrase's group and its place in a normalised text.
pub(super) fn each(text: &str, mut take: impl FnMut(&'static str, Range<usize>)) {
    let folded = Folded::new(text);
    PHRASES.each(&folded.bytes, |group, here| {
        take(PHRASES.names[usize::from(group)], folded.place(here));
    });
}

/// Counts the groups whose phrases occur in the text, which occur together, and which stand in
/// the name or beside a website.
pub(super) fn add<N: Naming>(input: &Input<'_>, out: &mut Collector<'_, N>, fold: &mut Fold) {
    out.family(Family::Phrases);
    let phrases = &*PHRASES;
    let counts = phrases.count(input.analysis.text.text(), fold);
    for (group, name) in phrases.found(&counts) {
        out.token(kind::GROUP, name.as_bytes());
        let count = band(counts[usize::from(group)]).as_bytes();
        out.token(kind::COUNT, &[group, count[0], count.len() as u8]);
        for other in (0..group).filter(|other| counts[usize::from(*other)] > 0) {
            out.token(kind::PAIR, &[group, other]);
        }
        out.name("phrase", name);
    }
    if input.analysis.submission.author.is_some() {
        for (_, name) in phrases.found(&phrases.count(input.analysis.author.text(), fold)) {
            out.named("name-phrase", kind::NAME, name);
        }
    }
    // Praise beside a front page is polite, beside a page deep in a shop it is paid.
    if let Some(website) = &input.analysis.website {
        let deep = author::is_deep(website);
        let kind = if deep { kind::DEEP_WEBSITE } else { kind::WEBSITE };
        let origin = if deep { "phrase-and-deep-website" } else { "phrase-and-website" };
        for (_, name) in phrases.found(&counts) {
            out.named(origin, kind, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(&'static str, u32)> {
        let counts = PHRASES.count(text, &mut Fold::default());
        PHRASES.found(&counts).map(|(group, name)| (name, counts[usize::from(group)])).collect()
    }

    #[test]
    fn phrases_are_whole_words_and_the_longest_counts() {
        assert_eq!(found("great post, i think"), [("praises-page", 1), ("thinks", 1)]);
        assert_eq!(found("freedom of the unfree"), []);
        assert_eq!(found("best price"), [("sells", 1)]);
        assert_eq!(found("é visit my site, é"), [("visit-mine", 1)]);
        assert_eq!(found("加微信abc"), [("contact", 1)]);
        assert_eq!(found("有需要加vx12345"), [("contact", 1)]);
        assert_eq!(found("новые скидки"), [("sells", 1)]);
        assert_eq!(found("прескидки"), []);
        assert_eq!(found("скидкину"), []);
        assert_eq!(found("îl mìglior câsïnø"), [("trade", 1)]);
        assert_eq!(found("vísít my šitë, grêåt pošţ"), [("praises-page", 1), ("visit-mine", 1)]);
        assert_eq!(found("v1s1t my s1te, gr34t p0st"), [("praises-page", 1), ("visit-mine", 1)]);
        assert_eq!(found("sub4sub"), found("sub4sub!"));
        assert_eq!(found(""), []);
    }

    #[test]
    fn every_phrase_stands_once_as_folded_text_has_it() {
        let mut seen = std::collections::HashSet::new();
        for line in include_str!("phrases.txt").lines() {
            if line.is_empty() || line.starts_with(['#', '[']) {
                continue;
            }
            assert_eq!(crate::text::normalize(line).text(), line);
            let folded = Fold::default().all(line).to_vec();
            // Digits that are digits, as in `sub4sub`, are folded on both sides.
            let is_digit = |byte: &u8| byte.is_ascii_digit();
            assert!(folded == line.as_bytes() || line.as_bytes().iter().any(is_digit), "{line}");
            assert!(seen.insert(folded), "{line} stands twice");
        }
    }
}

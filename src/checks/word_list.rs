//! The site's own words.

use std::collections::HashSet;

use aho_corasick::{AhoCorasick, MatchKind};

use super::{CheckInput, Findings};
use crate::domain::signals::{WORD_LIST_HOLD, WORD_LIST_REJECT};
use crate::text::{Disguise, Link, normalize};

/// Words named in a finding.
const WORDS_SHOWN_MAX: usize = 3;
/// Hits looked at in one field: sixteen at each letter of the longest comment. A list made of
/// prefixes of one another could otherwise hit at every letter once for each entry. Those inside of
/// words count too, so with fewer a text could use them up before it comes to a word of the list.
const HITS_MAX: usize = 1 << 20;

/// Links that are read as a reader would.
const LINKS_MAX: usize = 100;

/// Finds `word-list-hold` and `word-list-reject` in the comment, the name, the address's domain,
/// the website and the browser's name.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let lists =
        [(&input.rules.hold_words, WORD_LIST_HOLD), (&input.rules.reject_words, WORD_LIST_REJECT)];
    for (matcher, name) in lists {
        let found = matcher.find(input);
        if !found.is_empty() {
            findings.add(&name, found.join(", "));
        }
    }
}

/// A compiled list of words and phrases.
///
/// Every entry is looked for twice: as it is written (in small letters) in the text as it is
/// written, and normalised in the normalised text. An entry that is itself a disguise is only
/// looked for as written, so that forbidding one spelling does not forbid the word.
pub(super) struct WordMatcher {
    entries: Vec<String>,
    whole_words: bool,
    written: Option<AhoCorasick>,
    normalized: Option<AhoCorasick>,
}

impl WordMatcher {
    /// Compiles a list. Blank entries are left out, as WordPress does, and so are those that only
    /// have invisible characters, such as the byte order mark of a pasted file.
    pub(super) fn new(words: &[String], whole_words: bool) -> Self {
        let entries: Vec<String> = words
            .iter()
            .map(|word| word.trim().to_lowercase())
            .filter(|word| !normalize(word).text().trim().is_empty())
            .collect();
        // An entry without a normalised form matches what cannot occur there.
        let normalized = entries.iter().map(|entry| {
            let normalized = normalize(entry);
            // An empty pattern would match everywhere.
            let plain = normalized.disguise == Disguise::default();
            if plain && !normalized.text().trim().is_empty() {
                normalized.text().to_owned()
            } else {
                String::from("\n")
            }
        });
        Self {
            normalized: automaton(normalized.collect()),
            written: automaton(entries.clone()),
            entries,
            whole_words,
        }
    }

    /// The entries that a submission has, the first three.
    fn find(&self, input: &CheckInput<'_>) -> Vec<&str> {
        let mut found = Vec::new();
        let (Some(written), Some(normalized)) = (&self.written, &self.normalized) else {
            return found;
        };
        let analysis = input.analysis;
        let submission = input.submission();
        let mut seen = HashSet::new();
        self.find_in(normalized, analysis.text.text(), &mut seen, &mut found);
        self.find_in(normalized, analysis.author.text(), &mut seen, &mut found);
        let fields = [
            Some(submission.text.as_str()),
            submission.author.as_deref(),
            submission.email.as_ref().map(|email| email.domain.as_str()),
            submission.url.as_deref(),
            submission.user_agent.as_deref(),
        ];
        for field in fields.into_iter().flatten() {
            self.find_in(written, &field.to_lowercase(), &mut seen, &mut found);
        }
        let links = analysis.website.iter().chain(&analysis.links);
        for readable in links.filter_map(Link::readable).take(LINKS_MAX) {
            self.find_in(normalized, normalize(&readable).text(), &mut seen, &mut found);
        }
        found
    }

    fn find_in<'a>(
        &'a self,
        automaton: &AhoCorasick,
        text: &str,
        seen: &mut HashSet<usize>,
        found: &mut Vec<&'a str>,
    ) {
        if found.len() >= WORDS_SHOWN_MAX {
            return;
        }
        for hit in automaton.find_overlapping_iter(text).take(HITS_MAX) {
            let whole = !self.whole_words || is_whole(text, hit.start(), hit.end());
            let entry = hit.pattern().as_usize();
            if whole && seen.insert(entry) {
                found.push(&self.entries[entry]);
                if found.len() == WORDS_SHOWN_MAX {
                    return;
                }
            }
        }
    }
}

fn automaton(patterns: Vec<String>) -> Option<AhoCorasick> {
    if patterns.is_empty() {
        return None;
    }
    AhoCorasick::builder().match_kind(MatchKind::Standard).build(patterns).ok()
}

/// Whether neither end of a hit is inside a word. Scripts without spaces have no such ends.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let inside = |left: Option<char>, right: Option<char>| {
        let spaced = |c: char| crate::text::is_spaced_letter(c);
        left.is_some_and(spaced) && right.is_some_and(spaced)
    };
    let hit = &text[start..end];
    !inside(text[..start].chars().next_back(), hit.chars().next())
        && !inside(hit.chars().next_back(), text[end..].chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_inside_of_words_hide_no_word() {
        let list = WordMatcher::new(&["xxx".into(), "casino".into()], true);
        let text = "x".repeat(65_000) + " casino";
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        list.find_in(list.written.as_ref().unwrap(), &text, &mut seen, &mut found);
        assert_eq!(found, ["casino"]);
    }
}

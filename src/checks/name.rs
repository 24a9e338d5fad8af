//! Names that advertise.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::{CheckInput, Findings};
use crate::domain::signals::{ADDRESS_NAME, KEYWORD_NAME};
use crate::text::find_links;

/// Words of a name from which it reads like a search query. Spanish and Arabic names have up to
/// five.
const WORD_COUNT_MIN: usize = 6;

/// Words that sell and name nobody.
static SELLING_WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    include_str!("name_words.txt").lines().filter(|line| !line.starts_with('#')).collect()
});

/// Finds `address-name`: what many programs type as a name, and people do not.
pub fn check_address(input: &CheckInput<'_>, findings: &mut Findings) {
    let Some(author) = input.submission().author.as_deref() else { return };
    let starts = author.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www."));
    if starts || author.contains("://") {
        findings.add(&ADDRESS_NAME, "the name has a web address in full");
    }
}

/// Finds `keyword-name`: a link, a word that sells, a chat handle, or a whole query as name.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let Some(author) = input.submission().author.as_deref() else { return };
    let name = &input.analysis.author;
    if !find_links(author).is_empty() {
        findings.add(&KEYWORD_NAME, "the name is a web address");
    } else if let Some(word) = name.words().find(|word| SELLING_WORDS.contains(word.text)) {
        findings.add(&KEYWORD_NAME, format!("the name has the word {}", word.text));
    } else if name.word_count() >= WORD_COUNT_MIN {
        findings.add(&KEYWORD_NAME, format!("the name has {} words", name.word_count()));
    }
}

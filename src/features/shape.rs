//! How a comment is written: lengths, shares of character classes, ways to be reached.
//!
//! The script is no feature: training data have few sources in each, so a model would learn
//! which script spam came in (a Telegram group in Russian; good comments in Russian were then
//! flagged 20 % of the time, and 8 % without it).

use super::collector::Collector;
use super::names::Naming;
use super::{Family, Input, band};

mod kind {
    pub const FACT: u8 = 1;
    /// The first of the bands; each has its own.
    pub const BAND: u8 = 8;
}

/// Counts the shape of the text and what was undone to read it.
pub(super) fn add<N: Naming>(input: &Input<'_>, out: &mut Collector<'_, N>) {
    out.family(Family::Shape);
    let counts = &input.analysis.counts;
    let disguise = &counts.disguise;
    let text = input.analysis.submission.text.trim_end();
    let share = |part: u32, whole: u32| band(part * 20 / whole.max(1));
    let always = [
        ("length", band(counts.char_count)),
        ("words", band(counts.word_count)),
        ("lines", band(counts.line_count)),
        ("capital-share", share(counts.uppercase_count, counts.cased_count)),
        ("digit-share", share(counts.digit_count, counts.char_count)),
        ("punctuation-share", share(counts.punctuation_count, counts.char_count)),
        ("letter-share", share(counts.letter_count, counts.char_count)),
        ("distinct-words", band((counts.distinct_word_ratio * 10.0) as u32)),
    ];
    // A count of nothing is the rule here and says nothing.
    let sometimes = [
        ("exclamations", band(memchr::memchr_iter(b'!', text.as_bytes()).count() as u32)),
        ("questions", band(memchr::memchr_iter(b'?', text.as_bytes()).count() as u32)),
        ("emoji", band(counts.emoji_count)),
        ("invisible", band(disguise.invisible_count)),
        ("look-alikes", band(disguise.confusable_count)),
        ("styled-letters", band(disguise.styled_count)),
        ("mixed-script-words", band(disguise.mixed_script_word_count)),
        ("phone-numbers", band(counts.phone_count)),
        ("amounts-of-money", band(counts.money_count)),
        ("handles", band(counts.handle_count)),
        ("addresses", band(counts.masked_address_count)),
        ("html-tags", band(counts.html_tag_count)),
        ("bbcode-tags", band(counts.bbcode_tag_count)),
    ];
    let sometimes = sometimes.into_iter().enumerate().filter(|(_, (_, value))| *value != "0");
    for (index, (name, value)) in always.into_iter().enumerate() {
        out.named(name, kind::BAND + index as u8, value);
    }
    for (index, (name, value)) in sometimes {
        out.named(name, kind::BAND + (always.len() + index) as u8, value);
    }
    let end = text.chars().next_back();
    let facts = [
        (end.is_some_and(|c| matches!(c, '.' | '!' | '?' | '…' | '。')), "ends-sentence"),
        (text.starts_with(char::is_lowercase), "starts-small"),
        (counts.repeat_max > 3, "repeats-character"),
        (counts.word_bytes_max > 25, "long-word"),
    ];
    for (_, fact) in facts.into_iter().filter(|(holds, _)| *holds) {
        out.named("shape", kind::FACT, fact);
    }
}

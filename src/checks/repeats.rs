//! The same again and again.

use super::{CheckInput, Findings};
use crate::domain::signals::REPEATS;

/// Length of a run of one character that is more than an ellipsis or a long-drawn word.
const RUN_MIN: u32 = 10;
/// Words below which refrains and laughter decide the share of distinct words.
const WORD_COUNT_MIN: u32 = 12;
/// Share of distinct words below which a text goes round in circles.
const DISTINCT_RATIO_MAX: f32 = 0.4;

/// Finds `repeats`.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let counts = &input.analysis.counts;
    if counts.repeat_max >= RUN_MIN {
        findings.add(&REPEATS, format!("one character {} times", counts.repeat_max));
    } else if counts.word_count >= WORD_COUNT_MIN && counts.distinct_word_ratio < DISTINCT_RATIO_MAX
    {
        let percent = (counts.distinct_word_ratio * 100.0).round();
        findings.add(&REPEATS, format!("{percent} % distinct words"));
    }
}

//! Capital letters.

use super::{CheckInput, Findings};
use crate::domain::signals::SHOUTING;

/// Letters below which abbreviations decide the share.
const CASED_COUNT_MIN: u32 = 15;

/// Finds `shouting`: seven in ten letters that could be small are not.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let counts = &input.analysis.counts;
    let (upper, cased) = (counts.uppercase_count, counts.cased_count);
    if cased >= CASED_COUNT_MIN && upper * 10 >= cased * 7 {
        findings.add(&SHOUTING, format!("{upper} of {cased} letters are capitals"));
    }
}

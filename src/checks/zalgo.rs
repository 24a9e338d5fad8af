//! Letters under piles of marks.

use super::{CheckInput, Findings};
use crate::domain::signals::ZALGO;

/// Piles from which it is no slip.
const COUNT_MIN: u32 = 2;

/// Finds `zalgo`.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let piles = |text: &crate::text::Normalized| text.disguise.pile_count;
    let count = piles(&input.analysis.text) + piles(&input.analysis.author);
    if count >= COUNT_MIN {
        findings.add(&ZALGO, format!("{count} letters under piles of marks"));
    }
}

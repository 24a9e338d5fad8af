//! Invisible characters inside words.

use super::{CheckInput, Findings};
use crate::domain::signals::INVISIBLE_CHARACTERS;

/// Characters from which it is no single left-over of a web page (soft hyphens are copied along).
const COUNT_MIN: u32 = 2;

/// Finds `invisible-characters`. Joiners in emoji, Persian or Hindi are no finding.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let text = input.analysis.text.disguise.invisible_count;
    let count = text + input.analysis.author.disguise.invisible_count;
    if count >= COUNT_MIN {
        findings.add(&INVISIBLE_CHARACTERS, format!("{count} invisible characters in words"));
    }
}

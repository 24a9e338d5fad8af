//! Characters that force the direction of writing.

use unicode_script::Script;

use super::{CheckInput, Findings};
use crate::domain::signals::BIDI_CONTROLS;

/// Finds `bidi-controls`: overrides anywhere, embeddings and isolates in texts that are not
/// written from right to left and have no use for them.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let counts = &input.analysis.counts;
    if counts.bidi_control_count == 0 {
        return;
    }
    let right_to_left = matches!(
        counts.main_script,
        Some(Script::Arabic | Script::Hebrew | Script::Syriac | Script::Thaana | Script::Nko)
    );
    let overrides = |c| matches!(c, '\u{202D}' | '\u{202E}');
    if !right_to_left || input.submission().text.contains(overrides) {
        findings.add(&BIDI_CONTROLS, format!("{} direction controls", counts.bidi_control_count));
    }
}

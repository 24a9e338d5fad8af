//! Letters of one script among those of another.

use super::{CheckInput, Findings};
use crate::domain::signals::{LOOK_ALIKE_LETTERS, MIXED_SCRIPTS};

/// Folded letters from which it is no slip of the keyboard.
const CONFUSABLES_MIN: u32 = 2;
/// Decorative letters from which it is no single sign such as ™ or ℃.
const STYLED_MIN: u32 = 4;

/// Finds `mixed-scripts`: words with Latin letters and those of a script with look-alikes.
pub fn check_mixed(input: &CheckInput<'_>, findings: &mut Findings) {
    let text = input.analysis.text.disguise.mixed_script_word_count;
    let name = input.analysis.author.disguise.mixed_script_word_count;
    if text + name > 0 {
        findings.add(&MIXED_SCRIPTS, format!("{} words of mixed scripts", text + name));
    }
}

/// Finds `look-alike-letters`.
pub fn check_look_alikes(input: &CheckInput<'_>, findings: &mut Findings) {
    let (text, name) = (&input.analysis.text.disguise, &input.analysis.author.disguise);
    let confusables = text.confusable_count + name.confusable_count;
    let styled = text.styled_count + name.styled_count;
    if confusables >= CONFUSABLES_MIN || styled >= STYLED_MIN {
        let detail = format!("{confusables} look-alike and {styled} decorative letters");
        findings.add(&LOOK_ALIKE_LETTERS, detail);
    }
}

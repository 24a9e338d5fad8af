//! Letters of one script among those of another.

use super::{CheckInput, Findings};
use crate::domain::signals::{LOOK_ALIKE_LETTERS, MIXED_SCRIPTS, STYLED_NAME};

/// Folded letters from which it is no slip of the keyboard.
const CONFUSABLES_MIN: u32 = 2;
/// Decorative letters from which it is no single sign such as ™ or ℃.
const STYLED_MIN: u32 = 4;

/// Words from which the others are a text and not a part of the name.
const WORDS_MIN: u32 = 4;
/// One word in so many is decorative at most: who writes all of it so only likes the look.
const PLAIN_SHARE_MIN: u32 = 3;

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

/// Finds `styled-name`.
pub fn check_styled_name(input: &CheckInput<'_>, findings: &mut Findings) {
    let (disguise, words) = (&input.analysis.text.disguise, input.analysis.counts.word_count);
    let few = disguise.styled_word_count * PLAIN_SHARE_MIN <= words;
    if disguise.styled_name_count > 0 && words >= WORDS_MIN && few {
        let detail = format!("{} names in decorative letters", disguise.styled_name_count);
        findings.add(&STYLED_NAME, detail);
    }
}

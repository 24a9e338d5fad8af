//! Texts that were sent before, and what people called them.

use super::{CheckInput, Findings};
use crate::domain::Label;
use crate::domain::signals::{EXACT_DUPLICATE, NEAR_APPROVED, NEAR_DUPLICATE, NEAR_REJECTED};

/// Words below which different people send the same text in good faith ("Thank you!").
const WORD_COUNT_MIN: u32 = 4;

/// Finds `exact-duplicate`, `near-duplicate`, `near-rejected` and `near-approved`.
///
/// Short texts without a link are never called duplicates: what one person's "Great post" was
/// says nothing about another's.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let analysis = input.analysis;
    let telling = analysis.print.comparable
        || !analysis.links.is_empty()
        || analysis.counts.word_count >= WORD_COUNT_MIN;
    let neighbours = &input.facts.neighbours;
    if !telling {
        return;
    }
    if neighbours.exact_count > 0 {
        let detail = format!("the same text {} times lately", neighbours.exact_count);
        findings.add(&EXACT_DUPLICATE, detail);
    }
    if neighbours.near_count > neighbours.exact_count {
        let count = neighbours.near_count - neighbours.exact_count;
        findings.add(&NEAR_DUPLICATE, format!("{count} texts much like it lately"));
    }
    match neighbours.label {
        Some(Label::Spam) => findings.add(&NEAR_REJECTED, "a person called its like spam"),
        Some(Label::Ham) if lends_trust(input) => {
            findings.add(&NEAR_APPROVED, "a person called its like ham");
        }
        Some(Label::Ham) | None => {}
    }
}

/// Whether an approval of a like text may speak for this one. An approved text with a link added
/// is the oldest trick, so a link must have been part of what was approved; who approved a text
/// did not approve every website that is signed under it.
fn lends_trust(input: &CheckInput<'_>) -> bool {
    let linked = !input.analysis.links.is_empty();
    let submission = input.submission();
    // What no parser reads may still be a link where it is published.
    let signed = submission.url.is_some() || submission.url_unreadable;
    !signed && (!linked || input.facts.neighbours.label_exact)
}

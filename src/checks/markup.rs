//! Markup that a plain comment form does not take, so that mostly robots send it.

use super::{CheckInput, Findings};
use crate::domain::signals::{BBCODE_MARKUP, HTML_MARKUP};

/// BBCode tags without a link that make a comment suspicious: forum users out of habit use one
/// pair.
const BBCODE_TAGS_MIN: u32 = 3;

/// Finds `bbcode-markup`.
pub fn check_bbcode(input: &CheckInput<'_>, findings: &mut Findings) {
    let counts = &input.analysis.counts;
    if counts.bbcode_link_count > 0 || counts.bbcode_tag_count >= BBCODE_TAGS_MIN {
        findings.add(&BBCODE_MARKUP, format!("{} BBCode tags", counts.bbcode_tag_count));
    }
}

/// Finds `html-markup`: links as raw HTML. Other tags are common in comments on programming.
pub fn check_html(input: &CheckInput<'_>, findings: &mut Findings) {
    let count = input.analysis.counts.html_link_count;
    if count > 0 {
        findings.add(&HTML_MARKUP, format!("{count} links as HTML"));
    }
}

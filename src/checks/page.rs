//! The page and the comment that this one is to stand under.

use time::Duration;

use super::{CheckInput, Findings};
use crate::domain::signals::{PAGE_CLOSED, PARENT_HELD};

/// Finds `page-closed`: the caller said so, or the page is older than the site allows.
pub fn check_closed(input: &CheckInput<'_>, findings: &mut Findings) {
    let submission = input.submission();
    if submission.page_closed {
        findings.add(&PAGE_CLOSED, "the page takes no more comments");
        return;
    }
    let limit = input.policy().close_after_days.zip(submission.page_publish_time);
    if let Some((days, publish_time)) = limit
        && input.facts.now - publish_time > Duration::days(days.into())
    {
        findings.add(&PAGE_CLOSED, format!("the page is older than {days} days"));
    }
}

/// Finds `parent-held`.
pub fn check_parent(input: &CheckInput<'_>, findings: &mut Findings) {
    if input.facts.parent_held {
        findings.add(&PARENT_HELD, "the comment it replies to is held");
    }
}

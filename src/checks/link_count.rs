//! How many links the comment has.

use super::{CheckInput, Findings, hosts};
use crate::domain::signals::LINK_COUNT;

/// Links from which a comment counts as full of them, if the site sets no number. WordPress
/// holds from two on; in our ham corpora one comment in a hundred has three or more.
const LINK_COUNT_DEFAULT: usize = 3;

/// Finds `link-count`. Links to hosts of the allowlist do not count.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let policy = input.policy();
    let limit = policy.hold_link_count.map_or(LINK_COUNT_DEFAULT, |count| count as usize);
    let links = &input.analysis.links;
    if links.len() < limit.max(1) {
        return;
    }
    let allowlist = &policy.host_allowlist;
    let count = links.iter().filter(|link| !hosts::is_listed(allowlist, &link.host)).count();
    if count >= limit.max(1) {
        findings.add(&LINK_COUNT, format!("{count} links"));
    }
}

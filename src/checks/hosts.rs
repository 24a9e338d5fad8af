//! The site's lists of hosts.

use std::collections::BTreeSet;

use super::{CheckInput, Findings};
use crate::domain::signals::HOST_BLOCKLISTED;
use crate::text::Link;

/// Finds `host-blocklisted`, in the comment and in the author's website.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let blocklist = &input.policy().host_blocklist;
    if blocklist.is_empty() {
        return;
    }
    if let Some(link) = links(input).find(|link| is_listed(blocklist, &link.host)) {
        findings.add(&HOST_BLOCKLISTED, link.host.clone());
    }
}

/// The links of the comment and the author's website.
pub(super) fn links<'a>(input: &CheckInput<'a>) -> impl Iterator<Item = &'a Link<'a>> {
    input.analysis.links.iter().chain(&input.analysis.website)
}

/// Whether a list has the host or a domain above it.
pub(super) fn is_listed(list: &BTreeSet<String>, host: &str) -> bool {
    let mut rest = host;
    loop {
        if list.contains(rest) {
            return true;
        }
        match rest.split_once('.') {
            Some((_, above)) => rest = above,
            None => return false,
        }
    }
}

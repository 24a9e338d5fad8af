//! The site's lists of hosts.

use std::collections::BTreeSet;

use super::{CheckInput, Findings};
use crate::domain::signals::HOST_BLOCKLISTED;
use crate::text::{Link, find_links};

/// Links of which what they show is looked at.
const SHOWN_MAX: usize = 100;

/// Finds `host-blocklisted`, in the comment, in what its links show and in the author's website.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let blocklist = &input.policy().host_blocklist;
    if blocklist.is_empty() {
        return;
    }
    let listed = |link: &&Link<'_>| is_listed(blocklist, &link.host);
    if let Some(link) = links(input).find(listed) {
        return findings.add(&HOST_BLOCKLISTED, link.host.clone());
    }
    // `[http://bad.example](http://good.example)`: who reads it may type it.
    for link in input.analysis.links.iter().take(SHOWN_MAX) {
        let shown = link.anchor_text.map(find_links).unwrap_or_default();
        if let Some(link) = shown.iter().find(listed) {
            return findings.add(&HOST_BLOCKLISTED, link.host.clone());
        }
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

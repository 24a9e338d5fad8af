//! Links that show one site and lead to another.

use super::{CheckInput, Findings};
use crate::domain::signals::LINK_ANCHOR_MISMATCH;
use crate::text::find_links;

/// Links looked at. A comment with more is found by `link-count`.
const LINKS_MAX: usize = 20;

/// Finds `link-anchor-mismatch`: the text of a link is itself an address, of another
/// registrable domain than the link's.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    for link in input.analysis.links.iter().take(LINKS_MAX) {
        let shown = link.anchor_text.map(find_links).unwrap_or_default();
        let domain = link.registered_domain();
        if let Some(other) = shown.iter().find(|shown| shown.registered_domain() != domain) {
            let detail = format!("shows {} and leads to {}", other.host, link.host);
            findings.add(&LINK_ANCHOR_MISMATCH, detail);
            return;
        }
    }
}

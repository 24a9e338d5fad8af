//! Links through public shorteners.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::{CheckInput, Findings, hosts};
use crate::domain::signals::LINK_SHORTENER;

static SHORTENERS: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("shorteners.txt").lines();
    lines.filter(|line| !line.starts_with('#') && !line.is_empty()).collect()
});

/// Finds `link-shortener`, in the comment and in the author's website.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let short = |host: &str| SHORTENERS.contains(host.strip_prefix("www.").unwrap_or(host));
    if let Some(link) = hosts::links(input).find(|link| short(&link.host)) {
        findings.add(&LINK_SHORTENER, link.host.clone());
    }
}

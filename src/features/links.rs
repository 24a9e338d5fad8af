//! Where a comment links to, and how.

use super::collector::Collector;
use super::names::Naming;
use super::{Family, Input, band};
use crate::text::{Link, LinkKind};

/// Links looked at; those behind them repeat what the first ones say.
const LINK_COUNT_MAX: usize = 20;
/// Words of a path or of an anchor text looked at.
const WORD_COUNT_MAX: usize = 12;

mod kind {
    pub const HOST: u8 = 1;
    pub const DOMAIN: u8 = 2;
    pub const TLD: u8 = 3;
    pub const PATH: u8 = 4;
    pub const ANCHOR: u8 = 5;
    pub const COUNT: u8 = 6;
    pub const FORM: u8 = 7;
}

/// Counts links, their hosts, paths, anchor texts and places.
pub(super) fn add<N: Naming>(input: &Input<'_>, out: &mut Collector<'_, N>) {
    out.family(Family::Links);
    let links = &input.analysis.links;
    out.named("link-count", kind::COUNT, band(links.len() as u32));
    if links.is_empty() {
        return;
    }
    for link in links.iter().take(LINK_COUNT_MAX) {
        out.named("host", kind::HOST, &link.host);
        out.named("domain", kind::DOMAIN, link.registered_domain());
        out.named("tld", kind::TLD, link.tld());
        for word in words(link.path).take(WORD_COUNT_MAX) {
            out.named("path", kind::PATH, &word);
        }
        for word in words(link.anchor_text.unwrap_or_default()).take(WORD_COUNT_MAX) {
            out.named("anchor", kind::ANCHOR, &word);
        }
        for form in forms(link, input.analysis.submission.text.len()).into_iter().flatten() {
            out.named("link", kind::FORM, form);
        }
    }
    let first = &links[0].host;
    if links.len() > 1 {
        let same = links.iter().all(|link| link.host == *first);
        out.named("link", kind::FORM, if same { "all-to-one-host" } else { "to-many-hosts" });
    }
    let linked: usize = links.iter().map(|link| link.span.len()).sum();
    let share = linked * 10 / input.analysis.submission.text.len().max(1);
    out.named("link-share", kind::FORM, SHARES[share.min(10)]);
}

const SHARES: [&str; 11] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];

/// How a link is written and where it stands.
fn forms(link: &Link<'_>, text_bytes: usize) -> [Option<&'static str>; 5] {
    let way = match link.kind {
        LinkKind::Bare => "bare",
        LinkKind::Html => "html",
        LinkKind::BbCode => "bbcode",
        LinkKind::Markdown => "markdown",
    };
    let path = link.path.trim_end_matches('/');
    [
        Some(way),
        link.disguised.then_some("disguised"),
        (link.span.start * 10 < text_bytes).then_some("near-start"),
        ((text_bytes - link.span.end.min(text_bytes)) * 10 < text_bytes).then_some("near-end"),
        Some(if path.is_empty() {
            "no-path"
        } else if path.contains('?') {
            "query"
        } else {
            "path"
        }),
    ]
}

/// Words of letters and digits, small.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| (2..=40).contains(&word.len()))
        .map(str::to_lowercase)
}

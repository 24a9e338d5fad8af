//! Where a comment links to, and how.

use super::collector::Collector;
use super::names::Naming;
use super::{Family, Input, band, hosts};
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
    pub const TYPED: u8 = 8;
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
        if hosts::before_reserved(&link.host).is_none() {
            out.named("host", kind::HOST, &link.host);
            out.named("domain", kind::DOMAIN, link.registered_domain());
            out.named("tld", kind::TLD, link.tld());
        }
        for word in words(link.path).take(WORD_COUNT_MAX) {
            out.named("path", kind::PATH, &word);
        }
        for word in words(link.anchor_text.unwrap_or_default()).take(WORD_COUNT_MAX) {
            out.named("anchor", kind::ANCHOR, &word);
        }
        for form in forms(link, input.analysis.submission.text.len()).into_iter().flatten() {
            out.named("link", kind::FORM, form);
        }
        add_typed(link, input, out);
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

/// Adds what is alike in links to hosts that no training has seen.
fn add_typed<N: Naming>(link: &Link<'_>, input: &Input<'_>, out: &mut Collector<'_, N>) {
    out.named("host-group", kind::TYPED, hosts::group(link).unwrap_or("other"));
    let path = link.path.to_ascii_lowercase();
    let trimmed = path.trim_matches('/');
    let depth = if trimmed.is_empty() { 0 } else { 1 + count(trimmed, b'/') };
    out.named("link-depth", kind::TYPED, band(depth));
    out.named("link-path-dashes", kind::TYPED, band(count(&path, b'-')));
    out.named("link-host-dashes", kind::TYPED, band(count(&link.host, b'-')));
    if is_dated(trimmed) {
        out.named("link", kind::TYPED, "dated");
    }
    // Most paths have no dot, and a search for each ending is half a microsecond.
    if path.contains('.') {
        for (_, file) in FILES.iter().filter(|(ending, _)| path.contains(ending)) {
            out.named("link-to", kind::TYPED, file);
        }
    }
    let mut name = input.analysis.author.words();
    let like = |text: &str| text.len() > 3 && (link.host.contains(text) || path.contains(text));
    if name.any(|word| like(word.text)) {
        out.named("link", kind::TYPED, "like-name");
    }
    let Some(anchor) = link.anchor_text else { return };
    out.named("anchor-words", kind::TYPED, band(words(anchor).count() as u32));
    let facts = [
        (words(anchor).any(|word| word.len() > 3 && link.host.contains(&word)), "in-host"),
        (anchor.contains("://") || anchor.contains("www."), "address"),
        (anchor.trim().starts_with(char::is_uppercase), "capital"),
    ];
    for (_, fact) in facts.into_iter().filter(|(holds, _)| *holds) {
        out.named("anchor", kind::TYPED, fact);
    }
}

/// What the ending of a path says of the page behind it.
const FILES: [(&str, &str); 12] = [
    (".aspx", "page"),
    (".htm", "page"),
    (".php", "page"),
    (".jsp", "page"),
    (".pdf", "file"),
    (".zip", "file"),
    (".txt", "file"),
    (".cs", "file"),
    (".png", "image"),
    (".jpg", "image"),
    (".jpeg", "image"),
    (".gif", "image"),
];

/// How often an ASCII sign occurs.
pub(super) fn count(text: &str, sign: u8) -> u32 {
    memchr::memchr_iter(sign, text.as_bytes()).count() as u32
}

/// Whether a path has a year and a month, as articles have: `2019/04`.
fn is_dated(path: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let year = |part: &str| part.len() == 4 && part.starts_with(['1', '2']) && digits(part);
    let month = |part: &str| (1..=2).contains(&part.len()) && digits(part);
    let parts = path.split('/');
    parts.clone().zip(parts.skip(1)).any(|(first, second)| year(first) && month(second))
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

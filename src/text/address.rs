//! E-mail addresses in any text, however they are disguised, and their masking.
//!
//! Leaking an address is worse than masking a few words too many, so doubtful forms with a real
//! top level domain are masked. Still, prose ("look at this dot"), code (`user@host`,
//! `@decorator`) and handles (`@name`) must stay as they are.
//!
//! A scan for signs of an address decides whether a text is looked at closely; then the text is
//! decoded ([`units`]) and each sign that may stand for `@` is tried ([`scan`]). An address that is known
//! beforehand needs less of a sign ([`own`]).

mod own;
mod scan;
mod tokens;
mod units;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::chars;
use crate::domain::MASK;
pub use own::mask_own;

/// Any of these makes an address possible.
const SIGNS: [&str; 22] = [
    "@",
    "%40",
    "%ef%bc%a0",
    "%ef%b9%ab",
    "&#",
    "&commat",
    // What may be decoded to one of these.
    "&amp;#",
    "&amp;commat",
    "&amp;amp",
    "%25",
    "%28",
    "%5b",
    "%7b",
    "arroba",
    "arobase",
    "chiocciola",
    "собака",
    "Собака",
    "СОБАКА",
    "małpa",
    "maŁpa",
    "＠",
];
/// `at` alone is in every other comment; together with one of these it may be an address.
const COMPANIONS: [&str; 22] = [
    "dot",
    "d0t",
    "punkt",
    "punto",
    "ponto",
    "point",
    "точка",
    "kropka",
    "[.]",
    "(.)",
    "{.}",
    "<.>",
    "gmail",
    "yahoo",
    "hotmail",
    "outlook",
    "icloud",
    "proton",
    "gmx.",
    "mail.ru",
    "yandex",
    "web.de",
];

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        // Skipping ahead to rare bytes costs more than it saves: some are in every sentence.
        .prefilter(false)
        .build(SIGNS.iter().chain(&COMPANIONS))
        .expect("a few dozen short patterns make a small automaton")
});

/// Rounds of masking that leave the first letters and the ending of each address.
const SHOWING_ROUND_COUNT: usize = 4;
/// Rounds of masking, more than any text was seen to need.
const ROUND_COUNT_MAX: usize = 64;

/// A text as a browser reads an address in it: entities and percent signs are undone. Each character
/// has the byte after what it was written as.
pub(super) fn decoded(text: &str) -> Vec<(char, usize)> {
    units::decode(text).into_iter().map(|unit| (unit.c, unit.end as usize)).collect()
}

/// Where the addresses of a text stand, in order.
pub fn find_addresses(text: &str) -> Vec<Range<usize>> {
    found(text).into_iter().map(|address| address.span).collect()
}

/// The text with every address masked as [`crate::domain::EmailAddress::masked`] does it, and
/// how many there were. Masking again changes nothing.
pub fn mask_addresses(text: &str) -> (Cow<'_, str>, u32) {
    let mut masked = Cow::Borrowed(text);
    let mut count = 0;
    // What is left after one round can meet a mask so that both look like an address again. Two
    // rounds are enough for nearly all texts; for those made to need more, the later ones leave
    // nothing that could be read with its neighbours.
    for round in 0..ROUND_COUNT_MAX {
        let addresses = found(&masked);
        if addresses.is_empty() {
            break;
        }
        count += addresses.len() as u32;
        let mut out = String::with_capacity(masked.len() + addresses.len() * MASK.len());
        let mut end = 0;
        for address in addresses {
            out.push_str(&masked[end..address.span.start]);
            match round < SHOWING_ROUND_COUNT {
                true => address.write_masked(&mut out),
                false => out.push_str(MASK),
            }
            end = address.span.end;
        }
        out.push_str(&masked[end..]);
        masked = Cow::Owned(out);
    }
    (masked, count)
}

/// An address as found in a text. Like `EmailAddress` it has no `Debug`.
struct Found {
    span: Range<usize>,
    first: char,
    /// Nothing for what a URL has before its host, of which nothing is shown.
    domain: Option<String>,
}

impl Found {
    fn write_masked(&self, out: &mut String) {
        let Some(domain) = &self.domain else { return out.push_str(MASK) };
        let domain = idna::domain_to_ascii(domain).unwrap_or_else(|_| domain.clone());
        let first = domain.chars().next();
        let last_label = domain.rsplit('.').next().unwrap_or_default();
        out.push(self.first);
        out.push_str(MASK);
        out.push('@');
        out.extend(first);
        out.push_str(MASK);
        out.push('.');
        out.push_str(last_label);
    }
}

fn found(text: &str) -> Vec<Found> {
    if possible(text) { scan::scan(&units::decode(text)) } else { Vec::new() }
}

/// Whether the text has any sign of an address.
fn possible(text: &str) -> bool {
    let mut companion = false;
    for sign in FINDER.find_iter(text) {
        if sign.pattern().as_usize() < SIGNS.len() {
            return true;
        }
        companion = true;
    }
    let at = || text.as_bytes().windows(2).any(|pair| pair.eq_ignore_ascii_case(b"at"));
    (companion && at())
        || has_bracketed_sign(text)
        || (!text.is_ascii() && text.chars().any(is_disguise))
}

/// Whether a word for `@` follows an opening bracket.
fn has_bracketed_sign(text: &str) -> bool {
    let bytes = text.as_bytes();
    let follows = |at: usize| {
        let rest = text[at + 1..].trim_start_matches(chars::is_space);
        // A blank may be an entity.
        rest.starts_with('&') || tokens::begins_with_at_word(rest)
    };
    memchr::memchr3_iter(b'(', b'[', b'{', bytes).any(follows)
        || memchr::memchr_iter(b'<', bytes).any(follows)
}

/// Whether the character can hide one of the signs.
fn is_disguise(c: char) -> bool {
    match c as u32 {
        0..0xAD => false,
        0x24B6..=0x24E9
        | 0xFE50..=0xFE6F
        | 0xFF08
        | 0xFF1C
        | 0xFF21..=0xFF3B
        | 0xFF41..=0xFF5B
        | 0x1D400..=0x1D7FF => true,
        _ => chars::is_invisible(c),
    }
}

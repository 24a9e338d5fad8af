//! Links in markup: where the address and the text shown for it stand.

use std::ops::Range;

use super::LinkKind;

/// Bytes looked at for the end of a tag. Longer tags are not written by people or by robots
/// that want a working link.
const TAG_BYTES_MAX: usize = 2_500;
/// Bytes looked at for the end of an anchor text.
const ANCHOR_BYTES_MAX: usize = 500;

/// A link in markup, not yet parsed as an address.
pub struct Marked {
    /// How it is written.
    pub kind: LinkKind,
    /// The address.
    pub address: Range<usize>,
    /// The text shown, if it is not the address itself.
    pub anchor: Option<Range<usize>>,
    /// The end of all of it.
    pub end: usize,
}

/// The HTML link whose `<a` starts at `start`.
pub fn html(text: &str, start: usize) -> Option<Marked> {
    let tag_end = start + find_in(text, start, TAG_BYTES_MAX, b">")?;
    let tag = &text[start..tag_end];
    let address = attribute(tag).or_else(|| anywhere(tag))?;
    let address = start + address.start..start + address.end;
    let anchor_start = tag_end + 1;
    let (anchor, end) = match find_in(text, anchor_start, ANCHOR_BYTES_MAX, b"</a") {
        // Browsers end a link where the next one begins (HTML standard, 13.2.6.4.7).
        Some(length) => match nested(&text[anchor_start..anchor_start + length]) {
            Some(at) => (Some(anchor_start..anchor_start + at), anchor_start + at),
            None => (Some(anchor_start..anchor_start + length), anchor_start + length + 3),
        },
        None => (None, anchor_start),
    };
    Some(Marked { kind: LinkKind::Html, address, anchor, end })
}

/// Where a further link begins in what a link shows.
fn nested(shown: &str) -> Option<usize> {
    let mut tags = shown.match_indices('<').map(|(at, _)| at);
    tags.find(|at| {
        let mut name = shown[at + 1..].chars();
        matches!(name.next(), Some('a' | 'A'))
            && name.next().is_some_and(|c| c.is_whitespace() || c == '/')
    })
}

/// The value of the attribute `href` of a tag, as browsers read it: not inside of another value, and
/// not as the end of another name.
fn attribute(tag: &str) -> Option<Range<usize>> {
    let separates = |c: char| c.is_whitespace() || c == '/';
    let mut at = tag.find(separates)?;
    loop {
        at = skip(tag, at, separates);
        let name_end = at + tag[at..].find(|c| separates(c) || c == '=')?;
        let equals = skip(tag, name_end, char::is_whitespace);
        let Some(value) = tag[equals..].strip_prefix('=') else {
            at = name_end.max(at + 1);
            continue;
        };
        let value = value_at(tag, skip(tag, tag.len() - value.len(), char::is_whitespace))?;
        if tag[at..name_end].eq_ignore_ascii_case("href") {
            return Some(value);
        }
        let quote = tag[value.end..].chars().next().filter(|c| is_quote(*c));
        at = value.end + quote.map_or(0, char::len_utf8);
    }
}

/// The value of what looks like `href` in a tag that no browser reads as a link.
fn anywhere(tag: &str) -> Option<Range<usize>> {
    let name_end = find_in(tag, 0, tag.len(), b"href")? + 4;
    let value = tag[skip(tag, name_end, char::is_whitespace)..].strip_prefix('=')?;
    value_at(tag, skip(tag, tag.len() - value.len(), char::is_whitespace))
}

/// The value of an attribute that begins at `from`, without its quotes.
fn value_at(tag: &str, from: usize) -> Option<Range<usize>> {
    let quote = tag[from..].chars().next()?;
    if is_quote(quote) {
        let inner = from + quote.len_utf8();
        // Browsers close with the same one; with typographic ones people mix them.
        let closes = |c: char| c == quote || (!quote.is_ascii() && is_quote(c));
        let close = tag[inner..].find(closes).unwrap_or(tag.len() - inner);
        return Some(inner..inner + close);
    }
    let close = tag[from..].find(char::is_whitespace).unwrap_or(tag.len() - from);
    Some(from..from + close)
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '“')
}

/// The first byte from `at` on whose character does not pass.
fn skip(text: &str, at: usize, test: impl Fn(char) -> bool) -> usize {
    text[at..].find(|c| !test(c)).map_or(text.len(), |length| at + length)
}

/// The BBCode link whose `[url` or `[link` starts at `start`; `name` is that word.
pub fn bbcode(text: &str, start: usize, name: &str) -> Option<Marked> {
    let tag_end = start + find_in(text, start, TAG_BYTES_MAX, b"]")?;
    let inside = &text[start + 1 + name.len()..tag_end];
    let content = tag_end + 1;
    let close = find_in(text, content, ANCHOR_BYTES_MAX, format!("[/{name}").as_bytes());
    let end = close.map_or(content, |length| content + length + name.len() + 2);
    let shown = close.map(|length| content..content + length);
    if let Some(value) = inside.trim_start().strip_prefix('=') {
        let value = value.trim_start().trim_start_matches(['"', '\'']);
        let from = tag_end - value.len();
        let length = value.trim_end().trim_end_matches(['"', '\'']).len();
        let address = from..from + length;
        return Some(Marked { kind: LinkKind::BbCode, address, anchor: shown, end });
    }
    let address = inside.trim().is_empty().then_some(shown)??;
    Some(Marked { kind: LinkKind::BbCode, address, anchor: None, end })
}

/// The Markdown link whose `](` starts at `at`. Its `[` may stand before links that were found
/// in the text it shows.
pub fn markdown(text: &str, at: usize) -> Option<Marked> {
    let bytes = text.as_bytes();
    let floor = at.saturating_sub(ANCHOR_BYTES_MAX);
    let anchor = floor + memchr::memrchr(b'[', &bytes[floor..at])? + 1;
    let start = at + 2;
    let stop = text.len().min(start + TAG_BYTES_MAX);
    let length = memchr::memchr3(b')', b' ', b'\n', &bytes[start..stop])?;
    let address = start..start + length;
    let end = address.end + usize::from(bytes[address.end] == b')');
    Some(Marked { kind: LinkKind::Markdown, address, anchor: Some(anchor..at), end })
}

/// Where `needle` (in lower case) is found in the next `bytes_max` bytes, counted from `start`.
fn find_in(text: &str, start: usize, bytes_max: usize, needle: &[u8]) -> Option<usize> {
    let end = text.len().min(start.saturating_add(bytes_max));
    let haystack = text.as_bytes().get(start..end)?;
    if let [byte] = needle {
        return memchr::memchr(*byte, haystack);
    }
    let (first, rest) = needle.split_first()?;
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), haystack).find(|at| {
        haystack
            .get(at + 1..at + needle.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(rest))
    })
}

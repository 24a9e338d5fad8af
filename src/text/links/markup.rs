//! Links in markup: where the address and the text shown for it stand.

use std::ops::Range;

use super::LinkKind;

/// Bytes looked at for the end of a tag. Longer tags are not written by people or by robots
/// that want a working link.
const TAG_BYTES_MAX: usize = 2_500;
/// Bytes looked at for the end of an anchor text.
const ANCHOR_BYTES_MAX: usize = 1_000;

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
    let attribute = start + find_in(text, start, tag.len(), b"href")? + 4;
    let equals = tag_end - text[attribute..tag_end].trim_start().len();
    let value = text[equals..tag_end].strip_prefix('=')?;
    let from = tag_end - value.trim_start().len();
    let quote = text[from..tag_end].chars().next()?;
    let address = if matches!(quote, '"' | '\'' | '”' | '“') {
        let inner = from + quote.len_utf8();
        let close = text[inner..tag_end].find(['"', '\'', '”']).unwrap_or(tag_end - inner);
        inner..inner + close
    } else {
        let close = text[from..tag_end].find(char::is_whitespace).unwrap_or(tag_end - from);
        from..from + close
    };
    let anchor_start = tag_end + 1;
    let (anchor, end) = match find_in(text, anchor_start, ANCHOR_BYTES_MAX, b"</a") {
        Some(length) => (Some(anchor_start..anchor_start + length), anchor_start + length + 3),
        None => (None, anchor_start),
    };
    Some(Marked { kind: LinkKind::Html, address, anchor, end })
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

/// The Markdown link whose `](` starts at `at`, if its `[` is not before `from`.
pub fn markdown(text: &str, from: usize, at: usize) -> Option<Marked> {
    let address_start = at + 2;
    let stop = text.len().min(address_start + TAG_BYTES_MAX);
    let length = text.as_bytes()[address_start..stop]
        .iter()
        .position(|b| *b == b')' || b.is_ascii_whitespace())?;
    let floor = from.max(at.saturating_sub(ANCHOR_BYTES_MAX));
    let open = floor + memchr::memrchr(b'[', &text.as_bytes()[floor..at])?;
    let address = address_start..address_start + length;
    let end = address.end + usize::from(text[address.end..].starts_with(')'));
    Some(Marked { kind: LinkKind::Markdown, address, anchor: Some(open + 1..at), end })
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

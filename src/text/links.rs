//! Links in a text: written out, in HTML, BBCode or Markdown, and disguised.
//!
//! A bare host counts as a link only if its ending is on the Public Suffix List, and not if it
//! reads like a missing space ("the end.So") or a file name. A text without any sign of a link
//! costs one scan.

mod host;
mod markup;
mod scan;

use std::ops::Range;

use super::address::decoded;
pub use host::{is_spoken_tld, is_tld};
pub use scan::find_links;

/// How a link is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// As plain text.
    Bare,
    /// `<a href=…>`.
    Html,
    /// `[url]…[/url]` or `[url=…]…[/url]`; also `[link]`.
    BbCode,
    /// `[…](…)`.
    Markdown,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The bytes of the address, without markup.
    pub span: Range<usize>,
    /// How it is written.
    pub kind: LinkKind,
    /// The host in lower case and punycode, without port and final dot.
    pub host: String,
    /// Where the registrable domain starts in `host`.
    registered: usize,
    /// Path, query and fragment as written; may be empty.
    pub path: &'a str,
    /// The text that a reader sees instead of the address.
    pub anchor_text: Option<&'a str>,
    /// Whether it is written so that robots don't see it: `hxxp`, `[.]`, `dot`.
    pub disguised: bool,
}

impl Link<'_> {
    /// The registrable domain (`example.co.uk`); the whole host if it has none.
    pub fn registered_domain(&self) -> &str {
        &self.host[self.registered..]
    }

    /// Host and path as a reader knows them, if they are written in punycode or with percent signs.
    pub fn readable(&self) -> Option<String> {
        if !self.path.contains('%') && !self.host.contains("xn--") {
            return None;
        }
        let mut readable = idna::domain_to_unicode(&self.host).0;
        readable.extend(decoded(self.path).into_iter().map(|(c, _)| c));
        Some(readable)
    }

    /// The last label of the host; empty for an IP address.
    pub fn tld(&self) -> &str {
        let last = self.host.rsplit('.').next().unwrap_or_default();
        if last.starts_with(|c: char| c.is_ascii_digit()) || last.ends_with(']') {
            return "";
        }
        last
    }
}

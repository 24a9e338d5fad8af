//! The one scan over a text that finds every kind of link.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use memchr::memmem::Finder;

use super::host::{self, Host};
use super::markup::{self, Marked};
use super::{Link, LinkKind};
use crate::domain::MASK;
use crate::text::address::decoded;
use crate::text::chars;

/// What may announce a link. The order is the order of [`Sign`].
const SIGNS: [(&str, Sign); 15] = [
    ("://", Sign::Scheme),
    (".", Sign::Dot),
    ("。", Sign::Dot),
    ("．", Sign::Dot),
    ("｡", Sign::Dot),
    ("․", Sign::Dot),
    ("<a", Sign::Html),
    ("[url", Sign::BbCode("url")),
    ("[link", Sign::BbCode("link")),
    ("](", Sign::Markdown),
    ("[.]", Sign::Disguised),
    ("(.)", Sign::Disguised),
    ("[dot]", Sign::Disguised),
    ("(dot)", Sign::Disguised),
    (" dot ", Sign::Spoken),
];

#[derive(Clone, Copy)]
enum Sign {
    Scheme,
    Dot,
    Html,
    BbCode(&'static str),
    Markdown,
    Disguised,
    Spoken,
}

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .prefilter(false)
        .build(SIGNS.map(|(sign, _)| sign))
        .expect("fifteen short patterns make a small automaton")
});

/// Schemes that a browser follows, and the disguises of them.
const SCHEMES: [&str; 7] = ["http", "https", "hxxp", "hxxps", "ftp", "h**p", "hxtp"];
/// Bytes of a scheme looked at before `://`.
const SCHEME_BYTES_MAX: usize = 8;
/// Bytes of a host looked at on either side of a dot: twice what DNS allows, for disguises.
const HOST_BYTES_MAX: usize = 512;

/// All links of a text, in order of their addresses. Linear in the length of the text: what one
/// sign looked at, the next one skips.
pub fn find_links(text: &str) -> Vec<Link<'_>> {
    let mut scan = Scan { text, links: Vec::new(), done: 0 };
    if text.is_ascii() && !possible(text.as_bytes()) {
        return scan.links;
    }
    for found in FINDER.find_iter(text) {
        let (start, end) = (found.start(), found.end());
        if start < scan.done {
            continue;
        }
        match SIGNS[found.pattern().as_usize()].1 {
            Sign::Scheme => scan.scheme(start, end),
            Sign::Dot => scan.bare(start, end),
            Sign::Html => scan.marked(markup::html(text, start)),
            Sign::BbCode(name) => scan.marked(markup::bbcode(text, start, name)),
            Sign::Markdown => scan.marked(markup::markdown(text, start)),
            Sign::Disguised => scan.disguised(start, end, false),
            Sign::Spoken => scan.disguised(start, end, true),
        }
    }
    scan.links
}

/// Whether an ASCII text may have a link. Full stops at the end of sentences, colons and
/// parentheses are in every text, so what stands beside them is looked at.
fn possible(text: &[u8]) -> bool {
    if memchr::memchr2(b'<', b'[', text).is_some() {
        return true;
    }
    let byte = |at: usize| text.get(at).copied().unwrap_or(b' ');
    let sign = |at: usize| match text[at] {
        b'.' => {
            byte(at + 1).is_ascii_alphanumeric() && at > 0 && !byte(at - 1).is_ascii_whitespace()
        }
        b':' => byte(at + 1) == b'/',
        _ => matches!(byte(at + 1), b'.' | b'd' | b'D'),
    };
    memchr::memchr3_iter(b'.', b':', b'(', text).any(sign)
        || SPOKEN_DOTS.iter().any(|dot| dot.find(text).is_some())
}

/// A spoken dot, as people write it.
static SPOKEN_DOTS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| [" dot ", " DOT ", " Dot "].map(Finder::new));

struct Scan<'a> {
    text: &'a str,
    links: Vec<Link<'a>>,
    /// Everything before this byte is dealt with.
    done: usize,
}

impl<'a> Scan<'a> {
    /// `scheme://host…` with the `://` at `start..end`.
    fn scheme(&mut self, start: usize, end: usize) {
        let floor = self.done.max(start.saturating_sub(SCHEME_BYTES_MAX));
        let name = self.text.as_bytes()[floor..start]
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'*')
            .count();
        let scheme = self.text[start - name..start].to_ascii_lowercase();
        if !SCHEMES.contains(&scheme.as_str()) {
            return;
        }
        let disguised = !matches!(scheme.as_str(), "http" | "https" | "ftp");
        if let Some(address) = address_at(self.text, end) {
            self.add(LinkKind::Bare, start - name..address.end, address, None, disguised);
        }
    }

    /// A host without a scheme around the dot at `start..end`.
    fn bare(&mut self, start: usize, end: usize) {
        let before = self.text[self.done..start].chars().next_back();
        let after = self.text[end..].chars().next();
        if !before.is_some_and(is_host) || !after.is_some_and(is_host) {
            return;
        }
        let floor = self.done.max(ceil(self.text, start.saturating_sub(HOST_BYTES_MAX)));
        let left = self.text[floor..start].rfind(|c| !is_host(c) && !is_dot(c));
        let left = left.map_or(floor, |at| floor + at + width(self.text, floor + at));
        let run_end = end + run(&self.text[end..], |c| is_host(c) || is_dot(c));
        let written = &self.text[left..run_end];
        // `_example.com_` is Markdown.
        let left = run_end - written.trim_start_matches('_').len();
        let written = &self.text[left..run_end];
        // What follows an address with `@` or comes after a masked one is not a host. What comes after the
        // masked user of a URL is one, unless its scheme is none that browsers follow.
        let front = &self.text[..left];
        let user = front.strip_suffix('@').and_then(|front| front.strip_suffix(MASK));
        let user =
            user.is_some_and(|front| front.ends_with(['/', '\\']) && !front.ends_with("://"));
        let masked =
            (front.ends_with(['@', '•', '=']) && !user) || self.text[run_end..].starts_with('@');
        let read = |written: &str| {
            let host = host::canonical(written).filter(|_| !masked)?;
            host::credible(written, &host, &self.text[left + written.len()..]).then_some(host)
        };
        let cut = || host::front(written).and_then(|front| Some((front, read(front)?)));
        match read(written).map(|host| (written, host)).or_else(cut) {
            Some((written, host)) => {
                let trimmed = left + written.trim_end_matches(is_dot).len();
                let address = path_after(self.text, trimmed, host);
                self.add(LinkKind::Bare, left..address.end, address, None, false);
            }
            _ => self.done = run_end,
        }
    }

    /// A link in markup.
    fn marked(&mut self, marked: Option<Marked>) {
        let Some(marked) = marked else { return };
        let written = &self.text[marked.address.clone()];
        let skipped = written.len() - written.trim_start().len();
        let scheme_end = written.find("://").map_or(skipped, |at| at + 3);
        let start = marked.address.start + scheme_end;
        let encoded = match marked.kind {
            LinkKind::Html => encoded_address(self.text, marked.address.clone()),
            _ => None,
        };
        let Some(address) = encoded.or_else(|| address_at(self.text, start)) else { return };
        if let Some(anchor) = &marked.anchor {
            // What a link shows is no link of its own.
            while self.links.pop_if(|link| link.span.start >= anchor.start).is_some() {}
        }
        let anchor = marked.anchor.map(|range| &self.text[range]);
        let end = marked.end.max(address.end);
        let disguised = written.trim_start().starts_with("hx");
        self.add(
            marked.kind,
            marked.address.start..address.end.min(marked.address.end),
            address,
            anchor,
            disguised,
        );
        self.done = self.done.max(end);
    }

    /// Labels with `[.]`, `(dot)` or a spoken ` dot ` between them.
    fn disguised(&mut self, start: usize, end: usize, spoken: bool) {
        let floor = self.done.max(ceil(self.text, start.saturating_sub(HOST_BYTES_MAX)));
        let before = self.text[floor..start].trim_end();
        let left = before.rfind(|c| !is_host(c) && !is_dot(c));
        let left = left.map_or(floor, |at| floor + at + width(before, at));
        let mut name = self.text[left..floor + before.len()].to_owned();
        let mut at = end;
        if spoken && name.len() < 2 {
            // "in a dot directory"
            return;
        }
        let mut last_spoken = spoken;
        loop {
            at += run(&self.text[at..], |c| c == ' ');
            let label_end = at + run(&self.text[at..], |c| is_host(c) || is_dot(c));
            if label_end == at || name.is_empty() {
                return;
            }
            if name.len() + (label_end - at) > HOST_BYTES_MAX {
                // Too long for a host; what was read is not read again for the next sign, so that
                // the work stays linear.
                self.done = self.done.max(label_end);
                return;
            }
            name.push('.');
            name.push_str(&self.text[at..label_end]);
            at = label_end;
            let Some(length) = separator(&self.text[at..]) else { break };
            last_spoken = self.text[at..].starts_with(' ');
            at += length;
        }
        let label = name.trim_end_matches(is_dot).rsplit('.').next().unwrap_or_default();
        let real = if last_spoken { host::is_spoken_tld(label) } else { host::is_tld(label) };
        let Some(host) = host::canonical(&name).filter(|host| real && host.known_suffix) else {
            return;
        };
        let address = path_after(self.text, at, host);
        self.add(LinkKind::Bare, left..address.end, address, None, true);
    }

    fn add(
        &mut self,
        kind: LinkKind,
        span: Range<usize>,
        address: Address,
        anchor_text: Option<&'a str>,
        disguised: bool,
    ) {
        self.done = address.end;
        self.links.push(Link {
            span,
            kind,
            registered: address.host.registered,
            host: address.host.name,
            path: &self.text[address.path],
            anchor_text,
            disguised,
        });
    }
}

struct Address {
    host: Host,
    path: Range<usize>,
    end: usize,
}

/// The address whose authority (RFC 3986, 3.2) starts at `start`.
fn address_at(text: &str, start: usize) -> Option<Address> {
    let ends = |c: char| {
        !(is_url(c) || is_dot(c)) || matches!(c, '/' | '?' | '#' | '\\' | '[' | ']' | '(' | ')')
    };
    let mut from = start;
    let mut end = start + run(&text[start..], |c| !ends(c));
    if let Some(at) = text[start..end].rfind('@') {
        from += at + 1;
    }
    // Disguised dots inside an address with a scheme: `hxxp://example[.]com`.
    let mut name = String::new();
    while let Some(length) = separator(&text[end..]).filter(|_| end - start < HOST_BYTES_MAX) {
        if text[end..].starts_with(' ') {
            break;
        }
        name.push_str(&text[from..end]);
        name.push('.');
        from = end + length;
        end = from + run(&text[from..], |c| !ends(c));
    }
    name.push_str(&text[from..end]);
    // Chinese or Thai may follow an address without a space.
    let plain = name.len() == end - from;
    if let Some(at) = name.find(|c| chars::unspaced(c).is_some()).filter(|_| plain)
        && let Some(host) = host::canonical(&name[..at]).filter(|host| host.known_suffix)
    {
        return Some(path_after(text, end - (name.len() - at), host));
    }
    let without_port = name.split(':').next().unwrap_or_default();
    let written = without_port.trim_end_matches(|c: char| !is_host(c));
    let host = host::canonical(written);
    if let Some(front) = host::front(written).filter(|_| plain)
        && !host.as_ref().is_some_and(|host| host.known_suffix)
        && let Some(host) = host::canonical(front)
    {
        return Some(path_after(text, from + front.len(), host));
    }
    Some(path_after(text, end, host?))
}

/// The address in an attribute of HTML if what stands before its path is written with entities or
/// percent signs: `casino&#46;example` is followed like `casino.example`.
fn encoded_address(text: &str, range: Range<usize>) -> Option<Address> {
    let written = &text[range.start..ceil(text, range.end.min(range.start + HOST_BYTES_MAX))];
    if !written.contains(['&', '%']) {
        return None;
    }
    let decoded = decoded(written);
    let read = |from: usize, count: usize| decoded[from..].iter().take(count).map(|(c, _)| *c);
    let scheme = (0..decoded.len().min(SCHEME_BYTES_MAX)).find(|at| read(*at, 3).eq("://".chars()));
    let from = scheme.map_or(0, |at| at + 3);
    let ends = |c: &char| matches!(c, '/' | '?' | '#' | '\\');
    let authority: String = read(from, usize::MAX).take_while(|c| !ends(c)).collect();
    let length = decoded.get((from + authority.chars().count()).checked_sub(1)?)?.1;
    if !written[..length].contains(['&', '%']) {
        return None;
    }
    let host = authority.rsplit('@').next()?.split(':').next()?.trim_start();
    Some(path_after(text, range.start + length, host::canonical(host)?))
}

/// The path from `start` on, without the punctuation that closes a sentence.
fn path_after(text: &str, start: usize, host: Host) -> Address {
    let tail = &text[start..];
    let begins = tail.starts_with(['/', '?', '#', ':']);
    let length = if begins { run(tail, |c| is_url(c) && c != '[' && c != ']') } else { 0 };
    let closing = |c: char| {
        matches!(
            c,
            '.' | ',' | ';' | ':' | '!' | '?' | ')' | '\'' | '"' | '*' | '_' | '>' | '。' | '，'
        )
    };
    let end = start + tail[..length].trim_end_matches(closing).len();
    Address { host, path: start..end, end }
}

/// The length of a disguised dot at the start of `text`.
fn separator(text: &str) -> Option<usize> {
    let starts =
        |sign: &str| text.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign));
    let inner = text.trim_start_matches(' ');
    ["[.]", "(.)", "[dot]", "(dot)"]
        .iter()
        .find(|sign| inner.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign)))
        .map(|sign| text.len() - inner.len() + sign.len())
        .or_else(|| starts(" dot ").then_some(5))
}

fn is_host(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => true,
        c if c.is_ascii() => false,
        c if c.is_alphanumeric() => chars::unspaced(c).is_none(),
        c => chars::is_mark(c) || zero_width(c),
    }
}

/// Zero-width characters that browsers and UTS 46 drop from a host.
fn zero_width(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

fn is_dot(c: char) -> bool {
    host::DOTS.contains(&c)
}

fn is_url(c: char) -> bool {
    !c.is_whitespace()
        && !c.is_control()
        && !matches!(c, '<' | '>' | '"' | '`' | '{' | '}' | '|' | '“' | '”' | '«' | '»')
        && !matches!(c, '\u{3000}'..='\u{303F}' | '，' | '！' | '？' | '；' | '：' | '（' | '）')
}

/// The bytes at the start of `text` whose characters all pass.
fn run(text: &str, test: impl Fn(char) -> bool) -> usize {
    text.find(|c| !test(c)).unwrap_or(text.len())
}

/// The next character boundary.
fn ceil(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

fn width(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hosts(text: &str) -> Vec<String> {
        find_links(text).into_iter().map(|link| link.host).collect()
    }

    #[test]
    fn links_are_found_however_they_are_written() {
        for (text, host, path) in [
            ("see http://Example.com/a?b=c.", "example.com", "/a?b=c"),
            ("(https://example.org)", "example.org", ""),
            ("http://user:pw@example.com:8080/x", "example.com", "/x"),
            ("http://good.example@evil.com/", "evil.com", "/"),
            ("http://192.0.2.7/x", "192.0.2.7", "/x"),
            ("www.example.co.uk", "www.example.co.uk", ""),
            ("go to example.com!", "example.com", ""),
            ("t.me/joinus now", "t.me", "/joinus"),
            ("hxxp://example[.]com/x", "example.com", "/x"),
            ("cheap-pills [dot] com", "cheap-pills.com", ""),
            ("visit cheappills dot com today", "cheappills.com", ""),
            ("visit www dot cheap dot com/x", "www.cheap.com", "/x"),
            ("exam\u{200B}ple.com", "example.com", ""),
            ("加微信example.com谢谢", "example.com", ""),
            ("看http://example.com谢谢", "example.com", ""),
            ("https://example。com/登录", "example.com", "/登录"),
            ("https://bücher.example/", "xn--bcher-kva.example", "/"),
            ("смотри пример.рф", "xn--e1afmkfd.xn--p1ai", ""),
            ("https://good.co.kr에서 볼 수", "good.co.kr", ""),
            ("https://good.kr/x에서 볼 수", "good.kr", "/x에서"),
            ("good.kr에서 봤어요", "good.kr", ""),
            ("good.kr는", "good.kr", ""),
            ("여기는 good.kr입니다. 다음", "good.kr", ""),
            ("__good.kr__", "good.kr", ""),
            ("_https://good.kr_ and", "good.kr", ""),
            ("https://good.ruхорош", "good.ru", ""),
            ("<a title='href=http://x.example/' href='http://good.kr/'>x</a>", "good.kr", "/"),
            ("<a data-href=http://x.example/ HREF = http://good.kr/>x</a>", "good.kr", "/"),
            ("<a class='x'href='http://good.kr/'>x</a>", "good.kr", "/"),
            (
                "<a title=\"it's href=http://x.kr/ x\" href=\"http://good.kr/\">x</a>",
                "good.kr",
                "/",
            ),
            (
                "<a title=\"a'b=\" href=\"http://good.kr/\" id='\" href=http://x.kr '>x",
                "good.kr",
                "/",
            ),
            ("<a href=\"//•••@good.kr/\">x</a>", "good.kr", "/"),
            ("<a href='http:\\\\•••@good.kr/'>x</a>", "good.kr", "/"),
            ("https://good。kr에서", "good.kr", ""),
            ("<a href='http://example.com/x' rel=nofollow>x</a>", "example.com", "/x"),
            ("<A HREF=example.com/x>x</A>", "example.com", "/x"),
            ("<a href='http://example&#46;com/x'>x</a>", "example.com", "/x"),
            ("<a href=\"http&#58;//a@example&period;com&#47;x\">x</a>", "example.com", ""),
            ("<a href='http://ex%61mple%2Ecom/x'>x</a>", "example.com", "/x"),
            ("<a href='http://example.com?a&amp;b'>x</a>", "example.com", "?a&amp;b"),
            ("http://%65xample.com/x", "example.com", "/x"),
            ("[url=http://example.com/x]x[/url]", "example.com", "/x"),
            ("[URL]http://example.com/x[/URL]", "example.com", "/x"),
            ("[x](https://example.com/x)", "example.com", "/x"),
        ] {
            let links = find_links(text);
            assert_eq!(links.len(), 1, "{text}: {links:?}");
            assert_eq!((links[0].host.as_str(), links[0].path), (host, path), "{text}");
        }
    }

    #[test]
    fn prose_and_code_have_no_links() {
        for text in [
            "Well done.That was it.So we left.",
            "e.g. this, i.e. that; at 10.30 a.m. it's 3.14",
            "connect the dot to me, polka dot dress, dot in the middle",
            "see main.rs and setup.py, foo.bar() or self.name = x",
            "j•••@e•••.org wrote",
            "git clone ssh://•••@example.com:/srv/x",
            "a.b.c.d. ... .. .",
            "C:// and ://x and http:// and http://localhost",
            "[1](see below) [url] <a> <a name=x>",
        ] {
            assert_eq!(hosts(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn anchors_are_what_the_reader_sees() {
        let text = "<a href=\"http://evil.example.com/\">http://good.com</a> [url=b.com]win[/url]";
        let links = find_links(text);
        let anchors: Vec<_> = links.iter().map(|link| (link.kind, link.anchor_text)).collect();
        assert_eq!(
            anchors,
            [(LinkKind::Html, Some("http://good.com")), (LinkKind::BbCode, Some("win"))]
        );
        assert_eq!(links[0].registered_domain(), "example.com");
        assert_eq!(links[0].tld(), "com");
        assert_eq!(&text[links[1].span.clone()], "b.com");
    }

    #[test]
    fn a_link_ends_where_the_next_one_begins() {
        let text = "<a href='http://good.com'><b>x</b> <a href='http://evil.com'>y</a>";
        assert_eq!(hosts(text), ["good.com", "evil.com"]);
        let shown = "<a href='http://good.com'><abbr>x</a>";
        assert_eq!(find_links(shown)[0].anchor_text, Some("<abbr>x"));
    }

    #[test]
    fn ten_thousand_links_are_ten_thousand_links() {
        assert_eq!(find_links(&"x.com ".repeat(10_000)).len(), 10_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn spans_are_valid_and_ordered(text in prop::collection::vec(prop_oneof![
            Just("http://"), Just("www."), Just("example"), Just(".com"), Just("/p?q"), Just(" dot "),
            Just("[.]"), Just("(dot)"), Just("<a href="), Just("\">"), Just("</a>"), Just("[url="),
            Just("]"), Just("[/url]"), Just("]("), Just(")"), Just("é"), Just("。"), Just("谢"),
            Just("\u{200B}"), Just("@"), Just(" "), Just("h**p"), Just("😀"), Just(":"), Just("•"),
        ], 0..24).prop_map(|parts| parts.concat())) {
            let mut end = 0;
            for link in find_links(&text) {
                prop_assert!(text.get(link.span.clone()).is_some_and(|found| !found.is_empty()));
                prop_assert!(link.span.start >= end, "{:?} {}", link, text);
                end = link.span.end;
                prop_assert!(link.registered_domain().len() <= link.host.len());
            }
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            find_links(&text);
        }
    }
}

//! Hosts: what one may look like in prose, and its canonical form.

use crate::text::address::decoded;
use crate::text::chars;

/// Endings of host names that are also endings of file names: without a scheme, `www.` or a
/// path behind it, `main.rs` is a file.
const FILE_TLDS: [&str; 13] =
    ["java", "md", "mov", "name", "pm", "ps", "pub", "py", "rs", "sh", "so", "web", "zip"];
/// Endings of host names that are also words, so that `yes.it is` is a missing space.
const WORD_TLDS: [&str; 33] = [
    "am", "as", "at", "be", "by", "call", "day", "do", "got", "here", "how", "id", "in", "is",
    "it", "la", "le", "me", "my", "new", "no", "now", "open", "play", "read", "safe", "save", "so",
    "talk", "to", "us", "vi", "you",
];
/// Further endings that are words where an address is spelled out.
const SPOKEN_WORDS: [&str; 6] = ["de", "dot", "es", "et", "va", "one"];

/// What browsers read as the dot between labels, and one that looks like it.
pub const DOTS: [char; 5] = ['.', '。', '．', '｡', '․'];

/// A host in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// In lower case and punycode.
    pub name: String,
    /// Where its registrable domain starts.
    pub registered: usize,
    /// Whether the ending is on the Public Suffix List.
    pub known_suffix: bool,
}

/// The canonical form of a host as written; nothing if it is none.
pub fn canonical(written: &str) -> Option<Host> {
    if written.len() <= 1_000 && written.contains('%') {
        let decoded: String = decoded(written).into_iter().map(|(c, _)| c).collect();
        // What is still encoded is no host, and must not be decoded without end.
        return if decoded.contains('%') { None } else { canonical(&decoded) };
    }
    let written = written.trim_matches('.');
    if written.len() > 1_000 || !written.contains(DOTS) {
        return None;
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let name = if written.bytes().all(plain) {
        written.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(&written.replace('․', ".")).ok()?
    };
    let name = name.trim_matches('.').to_owned();
    let bad_label = |label: &str| label.is_empty() || label.len() > 63;
    if name.is_empty() || name.len() > 253 || name.split('.').any(bad_label) {
        return None;
    }
    let suffix = psl::suffix(name.as_bytes());
    let domain = psl::domain(name.as_bytes());
    // `co.uk` alone is no host; `blogspot.com`, a suffix by its owner's wish, is.
    let known_suffix = suffix.is_some_and(|suffix| {
        suffix.is_known() && (domain.is_some() || suffix.typ() == Some(psl::Type::Private))
    });
    let registered = domain.map_or(0, |domain| name.len() - domain.as_bytes().len());
    Some(Host { name, registered, known_suffix })
}

/// What is written, up to where a top level domain ends and letters of another alphabet or `_` follow
/// without a blank (`example.com에서`); nothing if it has no such end.
pub fn front(written: &str) -> Option<&str> {
    let written = written.trim_end_matches(DOTS);
    let label = written.rmatch_indices(DOTS).next().map_or(0, |(at, dot)| at + dot.len());
    let end = label + chars::ascii_front(&written[label..])?.len();
    (label > 0 && is_tld(&written[label..end])).then_some(&written[..end])
}

/// Whether `host` reads like a link although nothing but its ending says so. `after` is what
/// follows it in the text.
pub fn credible(written: &str, host: &Host, after: &str) -> bool {
    let Some((before, ending)) = written.trim_end_matches('.').rsplit_once('.') else {
        return false;
    };
    if !host.known_suffix || host.name.len() == ending.len() {
        return false;
    }
    let path = after.starts_with('/') && after[1..].starts_with(|c: char| !c.is_whitespace());
    if path || host.name.starts_with("www.") {
        return true;
    }
    let small = |text: &str| text.chars().any(char::is_lowercase);
    let sentence_break = ending.starts_with(char::is_uppercase) && small(before);
    let call = after.starts_with('(') || after.starts_with('=');
    let ending = ending.to_ascii_lowercase();
    let file = FILE_TLDS.contains(&ending.as_str());
    let goes_on =
        after.strip_prefix(' ').is_some_and(|after| after.starts_with(char::is_lowercase));
    // ASP.NET and its many relatives.
    let product = ending == "net" && before.len() <= 4;
    let word = goes_on && WORD_TLDS.contains(&ending.as_str());
    !(sentence_break || call || file || product || word)
}

/// Whether a name is a top level domain that is in real use, for `example dot com`.
pub fn is_tld(label: &str) -> bool {
    let label = label.to_lowercase();
    let ascii = if label.is_ascii() { Some(label) } else { idna::domain_to_ascii(&label).ok() };
    ascii.is_some_and(|label| psl::suffix(label.as_bytes()).is_some_and(|s| s.is_known()))
}

/// Whether a name is a top level domain and not also a word, so that it means a host even in
/// running text.
pub fn is_spoken_tld(label: &str) -> bool {
    let lower = label.to_lowercase();
    let lists = [&FILE_TLDS[..], &WORD_TLDS, &SPOKEN_WORDS];
    !lists.iter().any(|list| list.contains(&lower.as_str())) && is_tld(&lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_lower_case_punycode() {
        let name = |written| canonical(written).map(|host| host.name);
        assert_eq!(name("WWW.Example.COM."), Some("www.example.com".into()));
        assert_eq!(name("bücher.example"), Some("xn--bcher-kva.example".into()));
        assert_eq!(name("example。com"), Some("example.com".into()));
        assert_eq!(name("exam\u{200B}ple.com"), Some("example.com".into()));
        assert_eq!(name("a..b"), None);
        assert_eq!(name("localhost"), None);
    }

    #[test]
    fn missing_spaces_and_file_names_are_no_links() {
        let credible_in = |written: &str, after: &str| {
            canonical(written).is_some_and(|host| credible(written, &host, after))
        };
        for (written, after) in [
            ("example.com", ""),
            ("bit.ly", "/x"),
            ("t.me", "/x"),
            ("EXAMPLE.COM", " "),
            ("www.so.it", ""),
        ] {
            assert!(credible_in(written, after), "{written}");
        }
        for (written, after) in [
            ("end.So", " we"),
            ("yes.it", " is"),
            ("main.rs", ""),
            ("e.g", ". this"),
            ("foo.bar", "()"),
            ("1.2.3", ""),
            ("co.uk", ""),
            ("ASP.NET", " MVC"),
            ("tomorrow.call", " me"),
        ] {
            assert!(!credible_in(written, after), "{written}");
        }
    }
}

//! HTML of comments as other systems render it, back to what could have been typed.

/// Bytes of a tag that are looked at.
const TAG_BYTES_MAX: usize = 2_048;

/// The text of rendered HTML: paragraphs and breaks become line breaks, a link stays with its
/// address, other tags go, references become characters.
pub(super) fn text(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    // Where the text of an open link begins, and its address.
    let mut link: Option<(usize, String)> = None;
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (character, length) = reference(rest);
            text.push_str(&character);
            rest = &rest[length..];
            continue;
        }
        let Some(end) = end_of_tag(rest) else {
            text.push('<');
            rest = &rest[1..];
            continue;
        };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        match name(tag).as_str() {
            "br" | "/p" | "/div" | "/li" | "/blockquote" | "/pre" => text.push('\n'),
            "a" => link = address(tag).map(|address| (text.len(), address)),
            "/a" => {
                if let Some((from, address)) = link.take() {
                    close_link(&mut text, from, &address);
                }
            }
            "img" => text.push_str(&source(tag)),
            _ => {}
        }
    }
    text.push_str(rest);
    text.trim().to_owned()
}

/// Where a tag that begins here ends; nothing if this is only a sign.
fn end_of_tag(text: &str) -> Option<usize> {
    let begins = text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
    let within = text.floor_char_boundary(TAG_BYTES_MAX);
    if begins { text[..within].find('>') } else { None }
}

fn name(tag: &str) -> String {
    let closing = usize::from(tag.starts_with('/'));
    let end = tag[closing..].find(|c: char| !c.is_ascii_alphanumeric());
    tag[..end.map_or(tag.len(), |end| closing + end)].to_ascii_lowercase()
}

/// Writes a link as its text and its address, or only the address where the text is that, whole or
/// cut off.
fn close_link(text: &mut String, from: usize, address: &str) {
    let shown = text[from..].trim().trim_end_matches(['.', '…']);
    let bare = address.split_once("://").map_or(address, |(_, bare)| bare);
    if shown.is_empty() || address.starts_with(shown) || bare.starts_with(shown) {
        text.truncate(from);
    } else {
        text.push(' ');
    }
    text.push_str(address);
}

fn address(tag: &str) -> Option<String> {
    value(tag, "href").filter(|address| !address.is_empty())
}

fn source(tag: &str) -> String {
    value(tag, "src").unwrap_or_default()
}

/// The value of an attribute.
fn value(tag: &str, attribute: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!(" {attribute}="))? + attribute.len() + 2;
    let rest = &tag[at..];
    let quote = rest.chars().next()?;
    let value = match quote {
        '"' | '\'' => rest[1..].split(quote).next()?,
        _ => rest.split(char::is_whitespace).next()?,
    };
    let mut read = String::new();
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        read.push_str(&rest[..at]);
        let (character, length) = reference(&rest[at..]);
        read.push_str(&character);
        rest = &rest[at + length..];
    }
    Some(read + rest)
}

/// The character that a reference at the beginning stands for, and the bytes of the reference.
fn reference(text: &str) -> (String, usize) {
    let window = &text[..text.floor_char_boundary(12)];
    let Some(end) = window.find(';') else { return ("&".into(), 1) };
    let name = &window[1..end];
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
    let character = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => name
            .strip_prefix("#x")
            .or_else(|| name.strip_prefix("#X"))
            .and_then(|digits| number(digits, 16))
            .or_else(|| name.strip_prefix('#').and_then(|digits| number(digits, 10)))
            .and_then(char::from_u32),
    };
    character.map_or_else(|| ("&".into(), 1), |character| (character.to_string(), end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rendered_comments_read_as_typed() {
        let cases = [
            (
                "<p>Good bread.</p><p>Truly &amp; well, 1 &lt; 2<br>or 3</p>",
                "Good bread.\nTruly & well, 1 < 2\nor 3",
            ),
            (
                "See <a href=\"https://a.example/?x=1&amp;y=2\" rel=\"nofollow\">a.example/?x...</a>",
                "See https://a.example/?x=1&y=2",
            ),
            ("<A HREF='https://b.example'>my shop</A>!", "my shop https://b.example!"),
            ("I <3 rye & wheat; a < b", "I <3 rye & wheat; a < b"),
            ("&#x41;&#66;&nope;", "AB&nope;"),
            ("<img src=\"https://c.example/p.png\">", "https://c.example/p.png"),
        ];
        for (html, expected) in cases {
            assert_eq!(text(html), expected);
        }
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(html in "(<|>|a|/| href=|\"|'|&|#|x|;|ä|😀|src=|img)*") {
            text(&html);
        }
    }
}

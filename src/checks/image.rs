//! Pictures in place of a text.

use super::{CheckInput, Findings};
use crate::domain::signals::IMAGE_ONLY;
use crate::text::Link;

/// How the address of a picture ends.
const ENDINGS: [&str; 7] = [".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".avif"];
/// BBCode that shows a picture or leads somewhere.
const BBCODE_TAGS: [&str; 3] = ["img", "url", "link"];
/// With more links, pictures are not what it is about; it also bounds the work.
const LINK_COUNT_MAX: usize = 10;

/// Finds `image-only`: a picture, by markup or by its address, and no letter or digit beside it.
/// What the picture says cannot be read here, so the policy has a person look at it. Of 114,000
/// good comments in the training sources none is like that (November 2026).
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let links = &input.analysis.links;
    if links.len() > LINK_COUNT_MAX {
        return;
    }
    if let Some(image_tag) = marks_alone(&input.submission().text, links)
        && (image_tag || links.iter().any(is_image))
    {
        findings.add(&IMAGE_ONLY, "a picture and no words");
    }
}

fn is_image(link: &Link<'_>) -> bool {
    let path = link.path.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    ENDINGS.iter().any(|ending| path.ends_with(ending))
}

/// Whether one of the tags shows a picture; nothing if there are letters or digits beside tags and
/// links.
fn marks_alone(text: &str, links: &[Link<'_>]) -> Option<bool> {
    let mut image = false;
    let mut done = 0;
    while let Some(at) = text[done..].find(|c: char| c == '<' || c == '[' || c.is_alphanumeric()) {
        let start = done + at;
        let mark = &text[start..];
        let close = match mark.as_bytes()[0] {
            b'<' => '>',
            b'[' => ']',
            _ => {
                done = address_end(text, start, links)?;
                continue;
            }
        };
        let name = mark[1..].trim_start_matches('/').as_bytes();
        let is_tag = |tag: &str| {
            name.get(..tag.len()).is_some_and(|name| name.eq_ignore_ascii_case(tag.as_bytes()))
        };
        let markdown = close == ']' && text[..start].ends_with('!');
        let known = close == '>' || markdown || BBCODE_TAGS.into_iter().any(is_tag);
        image |= markdown || is_tag("img");
        // A bracket that is no tag is a sign like others.
        done = start + if known { mark.find(close)? + 1 } else { 1 };
    }
    Some(image)
}

/// Where the address ends that `start` is in. A picture that a link shows is no link of its own.
fn address_end(text: &str, start: usize, links: &[Link<'_>]) -> Option<usize> {
    if let Some(link) = links.iter().find(|link| link.span.contains(&start)) {
        return Some(link.span.end);
    }
    let rest = &text[start..];
    let is_address = ["https://", "http://"].iter().any(|scheme| rest.starts_with(scheme));
    let ends = |c: char| c.is_whitespace() || ")]<>[(".contains(c);
    is_address.then(|| start + rest.find(ends).unwrap_or(rest.len()))
}

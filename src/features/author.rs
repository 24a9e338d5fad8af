//! Who writes: name, website, address, and how they fit the text.
//!
//! Nothing is said about fields that are absent: training data differ in which they have, and a
//! model that weighs absence learns the data set.

use super::collector::Collector;
use super::links::{count, words};
use super::names::Naming;
use super::{Family, Input, band, given_names, hosts};
use crate::text::Link;

mod kind {
    pub const NAME: u8 = 1;
    pub const SHAPE: u8 = 2;
    pub const HOST: u8 = 3;
    pub const TLD: u8 = 4;
    pub const WORD: u8 = 5;
    pub const DOMAIN: u8 = 6;
    pub const RELATION: u8 = 7;
    pub const FORM: u8 = 8;
    pub const BESIDE_FRONT_PAGE: u8 = 9;
    pub const BESIDE_DEEP_PAGE: u8 = 10;
}

/// Words of a name or of a website's path looked at.
const WORD_COUNT_MAX: usize = 12;

/// Counts what the author's fields say.
pub(super) fn add<N: Naming>(input: &Input<'_>, out: &mut Collector<'_, N>) {
    let (analysis, submission) = (input.analysis, &input.analysis.submission);
    out.family(Family::Author);
    for word in analysis.author.words().take(WORD_COUNT_MAX) {
        out.named("name", kind::NAME, word.text);
    }
    if let Some(website) = &analysis.website {
        add_website_words(website, out);
    }
    if let Some(email) = &submission.email
        && hosts::before_reserved(&email.domain).is_none()
    {
        out.named("email-domain", kind::DOMAIN, &email.domain);
        let tld = email.domain.rsplit('.').next().unwrap_or_default();
        out.named("email-tld", kind::TLD, tld);
    }
    out.family(Family::AuthorForm);
    if let Some(name) = &submission.author {
        add_name(name, input, out);
    }
    if let Some(website) = &analysis.website {
        add_website(website, input, out);
    }
    if let Some(email) = &submission.email {
        out.named("email-digits", kind::SHAPE, band(email.shape.digit_count));
        out.named("email-length", kind::SHAPE, band(email.shape.length));
        let facts = [
            (email.shape.tagged, "tagged"),
            (email.shape.matches_author, "matches-name"),
            (email.role, "role"),
            (email.disposable, "disposable"),
            (email.shape.dot_count > 2, "many-dots"),
        ];
        for (_, fact) in facts.into_iter().filter(|(holds, _)| *holds) {
            out.named("email", kind::SHAPE, fact);
        }
    }
}

fn add_name<N: Naming>(name: &str, input: &Input<'_>, out: &mut Collector<'_, N>) {
    let mut word_count = 0;
    let mut in_text = false;
    for word in input.analysis.author.words().take(WORD_COUNT_MAX) {
        word_count += 1;
        in_text |= word.text.len() > 3 && input.analysis.text.text().contains(word.text);
    }
    out.named("name-words", kind::SHAPE, band(word_count));
    let has = |test: fn(char) -> bool| name.chars().any(test);
    let facts = [
        (has(|c| c.is_ascii_digit()), "digits"),
        (!has(char::is_lowercase) && has(char::is_uppercase), "capitals"),
        (!has(char::is_uppercase), "no-capital"),
        (name.contains(['.', '/']) && name.contains(char::is_alphabetic), "dotted"),
        (name.starts_with('@'), "handle"),
        (name.len() > 30, "long"),
        (!name.is_ascii(), "not-ascii"),
        (is_address(name), "web-address"),
        (is_foreign(name, &input.analysis.submission.text), "foreign-to-text"),
        (given_names::is_extended(name), "given-name-extended"),
    ];
    for (_, fact) in facts.into_iter().filter(|(holds, _)| *holds) {
        out.named("name-shape", kind::SHAPE, fact);
    }
    if in_text {
        out.named("name", kind::RELATION, "in-text");
    }
    let mut buffer = [0; 3];
    let form = form(name, &mut buffer);
    out.named("name-form", kind::FORM, form);
    match &input.analysis.website {
        Some(website) if is_deep(website) => {
            out.named("name-form-and-deep-website", kind::BESIDE_DEEP_PAGE, form);
        }
        Some(_) => out.named("name-form-and-website", kind::BESIDE_FRONT_PAGE, form),
        None => {}
    }
}

/// Whether a name is the address of a page, as programs that fill forms write it.
fn is_address(name: &str) -> bool {
    name.contains("://") || name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www."))
}

/// Whether a name has two words or more with letters that are not ASCII, and the text has none of
/// these and enough others.
fn is_foreign(name: &str, text: &str) -> bool {
    let foreign = |word: &&str| word.chars().any(|c| !c.is_ascii() && c.is_alphabetic());
    name.split_whitespace().filter(foreign).count() > 1
        && text.is_ascii()
        && text.bytes().filter(u8::is_ascii_alphabetic).nth(20).is_some()
}

/// Whether a website is a page within a site and not its front page.
pub(super) fn is_deep(website: &Link<'_>) -> bool {
    !website.path.trim_matches('/').is_empty()
}

/// How many words of a name begin with a capital and with a small letter, up to three of each:
/// `2-0` is a person as a rule, `0-3` a query.
fn form<'a>(name: &str, buffer: &'a mut [u8; 3]) -> &'a str {
    let firsts = || name.split_whitespace().filter_map(|word| word.chars().next());
    let digit = |test: fn(char) -> bool| b'0' + firsts().filter(|c| test(*c)).take(3).count() as u8;
    *buffer = [digit(char::is_uppercase), b'-', digit(char::is_lowercase)];
    str::from_utf8(buffer).unwrap_or_default()
}

/// Adds what a model knows of hosts and words that it has seen.
fn add_website_words<N: Naming>(website: &Link<'_>, out: &mut Collector<'_, N>) {
    let host = website.host.as_str();
    let reserved = hosts::before_reserved(host);
    if reserved.is_none() {
        out.named("website-host", kind::HOST, host);
        out.named("website-tld", kind::TLD, website.tld());
    }
    for word in words(reserved.unwrap_or(host)).chain(words(website.path)).take(WORD_COUNT_MAX) {
        out.named("website-word", kind::WORD, &word);
    }
}

fn add_website<N: Naming>(website: &Link<'_>, input: &Input<'_>, out: &mut Collector<'_, N>) {
    let host = website.host.as_str();
    out.named("website", kind::SHAPE, if is_deep(website) { "deep" } else { "front-page" });
    if input.analysis.links.iter().any(|link| link.host == host) {
        out.named("website", kind::RELATION, "in-text");
    }
    let mut name = input.analysis.author.words();
    if name.any(|word| word.text.len() > 3 && host.contains(word.text)) {
        out.named("website", kind::RELATION, "like-name");
    }
    add_website_form(website, input, out);
}

/// Adds what is alike in websites that no training has seen.
fn add_website_form<N: Naming>(website: &Link<'_>, input: &Input<'_>, out: &mut Collector<'_, N>) {
    if let Some(group) = hosts::group(website) {
        out.named("website-group", kind::FORM, group);
    }
    let path = website.path.to_ascii_lowercase();
    let name = input.analysis.author.words();
    let shared = name.filter(|word| word.text.len() > 3 && path.contains(word.text)).count();
    if shared > 0 {
        out.named("website-path-names", kind::RELATION, band(shared as u32));
    }
    let host = website.host.as_str();
    out.named("website-path-dashes", kind::FORM, band(count(&path, b'-')));
    out.named("website-host-dashes", kind::FORM, band(count(host, b'-')));
    out.named("website-host-length", kind::FORM, band(host.len() as u32));
    if host.bytes().any(|byte| byte.is_ascii_digit()) {
        out.named("website-host", kind::FORM, "digits");
    }
}

//! One act of sending a comment: as received, as validated, and as seen by everything after.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use url::Url;

use super::visible::is_blank;
use super::{EmailAddress, EmailTraits, IpFingerprints, Missing, RequiredFields};

/// Bytes of a name; WordPress's column `comment_author`.
pub const AUTHOR_BYTES_MAX: usize = 245;
/// Bytes of an address; WordPress's column `comment_author_email`.
pub const EMAIL_BYTES_MAX: usize = 100;
/// Bytes of a website; WordPress's column `comment_author_url`.
pub const URL_BYTES_MAX: usize = 200;
/// Bytes of a comment; WordPress's column `comment_content`.
pub const COMMENT_BYTES_MAX: usize = 65_525;
/// Bytes of any other text of a submission: longer than every real URI or user agent, short
/// enough that a submission stays under 100 kB.
pub const OTHER_BYTES_MAX: usize = 2_048;

/// What is wrong with one field: the same problem always has the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// The field's path as the caller knows it, such as `comment.email`.
    pub field: &'static str,
    /// Stable and kebab-case: `required`, `too-long`, `nul-character`, `control-character`,
    /// `invalid-email`, `invalid-uri`, `invalid-ip`, `invalid-language`, `negative`.
    pub reason: &'static str,
    /// One sentence that never repeats the value.
    pub description: String,
}

/// A submission as it came: any text may be anything.
#[derive(Default, Clone)]
pub struct RawSubmission {
    /// The comment.
    pub text: String,
    /// The author's name.
    pub author: String,
    /// The author's e-mail address.
    pub email: String,
    /// The author's website.
    pub url: String,
    /// The author's IP address.
    pub ip: String,
    /// The browser's `User-Agent`.
    pub user_agent: String,
    /// The request's `Referer`.
    pub referrer: String,
    /// Where the comment stands.
    pub page_uri: String,
    /// The title or subject of the page.
    pub page_title: String,
    /// When the page was published.
    pub page_publish_time: Option<OffsetDateTime>,
    /// Whether the page takes no more comments.
    pub page_closed: bool,
    /// The name or id, in the CMS, of the comment this one replies to.
    pub parent_comment: String,
    /// BCP 47 language of the page.
    pub lang: String,
    /// What stood in the form's hidden field, if the form has one.
    pub honeypot: Option<String>,
    /// Milliseconds between showing the form and sending it, if known.
    pub elapsed_ms: Option<i64>,
}

/// What became of the form's hidden field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Honeypot {
    /// The form has none.
    Absent,
    /// People don't see it and leave it empty.
    Empty,
    /// A robot filled it.
    Filled,
}

/// A valid submission. It still holds addresses, so it has no `Debug` and no `Serialize`.
pub struct Submission {
    /// The comment: a reader sees something of it, at most [`COMMENT_BYTES_MAX`] bytes, no NUL.
    pub text: String,
    /// One line, trimmed.
    pub author: Option<String>,
    /// The author's address.
    pub email: Option<EmailAddress>,
    /// An http or https address with a host and without user or password.
    pub url: Option<Url>,
    /// Whether a website was given that cannot be read, where such fields are left out.
    pub url_unreadable: bool,
    /// The author's IP address.
    pub ip: Option<IpAddr>,
    /// One line.
    pub user_agent: Option<String>,
    /// One line.
    pub referrer: Option<String>,
    /// Where the comment stands.
    pub page_uri: Option<String>,
    /// The title or subject of the page.
    pub page_title: Option<String>,
    /// When the page was published.
    pub page_publish_time: Option<OffsetDateTime>,
    /// Whether the page takes no more comments.
    pub page_closed: bool,
    /// The comment this one replies to, as the CMS names it.
    pub parent_comment: Option<String>,
    /// BCP 47 language of the page, in lower case.
    pub lang: Option<String>,
    /// What became of the hidden field.
    pub honeypot: Honeypot,
    /// Milliseconds between showing the form and sending it.
    pub elapsed_ms: Option<i64>,
}

impl Submission {
    /// Parses a raw submission and reports every bad field at once.
    ///
    /// # Errors
    /// One [`FieldViolation`] for each problem, in the order of the form.
    pub fn parse(
        raw: RawSubmission,
        required: &RequiredFields,
    ) -> Result<Self, Vec<FieldViolation>> {
        let mut violations = Violations(Vec::new());
        violations.limits(&raw);
        violations.presence(&raw, required);
        let author = one_line(&raw.author, "comment.author", &mut violations);
        let email = parsed(&raw.email, "comment.email", &mut violations, |text| {
            EmailAddress::parse(text)
                .map_err(|error| ("invalid-email", format!("This is {error}.")))
        });
        let url = parsed(&raw.url, "comment.url", &mut violations, |text| {
            website(text)
                .ok_or_else(|| ("invalid-uri", "An http or https address is expected.".into()))
        });
        let ip = parsed(&raw.ip, "comment.ip", &mut violations, |text| {
            text.parse::<IpAddr>()
                .map_err(|_| ("invalid-ip", "An IPv4 or IPv6 address is expected.".into()))
        });
        let lang = parsed(&raw.lang, "comment.language", &mut violations, |text| {
            language(text).ok_or_else(|| {
                ("invalid-language", "A BCP 47 tag such as `de-AT` is expected.".into())
            })
        });
        if raw.elapsed_ms.is_some_and(|elapsed| elapsed < 0) {
            violations.add("comment.elapsed_ms", "negative", "At least 0 is expected.");
        }
        let user_agent = one_line(&raw.user_agent, "comment.user_agent", &mut violations);
        let referrer = one_line(&raw.referrer, "comment.referrer", &mut violations);
        let page_uri = one_line(&raw.page_uri, "comment.page_uri", &mut violations);
        let page_title = one_line(&raw.page_title, "comment.page_title", &mut violations);
        let parent_comment =
            one_line(&raw.parent_comment, "comment.parent_comment", &mut violations);
        if !violations.0.is_empty() {
            return Err(violations.0);
        }
        Ok(Self {
            text: raw.text,
            author,
            email,
            url,
            url_unreadable: false,
            ip,
            user_agent,
            referrer,
            page_uri,
            page_title,
            page_publish_time: raw.page_publish_time,
            page_closed: raw.page_closed,
            parent_comment,
            lang,
            honeypot: match raw.honeypot.as_deref() {
                None => Honeypot::Absent,
                Some(text) if text.trim().is_empty() => Honeypot::Empty,
                Some(_) => Honeypot::Filled,
            },
            elapsed_ms: raw.elapsed_ms,
        })
    }
}

/// The problems found so far.
struct Violations(Vec<FieldViolation>);

impl Violations {
    fn add(&mut self, field: &'static str, reason: &'static str, description: impl Into<String>) {
        self.0.push(FieldViolation { field, reason, description: description.into() });
    }

    /// Lengths and NUL, for every text field.
    fn limits(&mut self, raw: &RawSubmission) {
        let fields: [(&'static str, &str, usize); 10] = [
            ("comment.text", &raw.text, COMMENT_BYTES_MAX),
            ("comment.author", &raw.author, AUTHOR_BYTES_MAX),
            ("comment.email", &raw.email, EMAIL_BYTES_MAX),
            ("comment.url", &raw.url, URL_BYTES_MAX),
            ("comment.user_agent", &raw.user_agent, OTHER_BYTES_MAX),
            ("comment.referrer", &raw.referrer, OTHER_BYTES_MAX),
            ("comment.page_uri", &raw.page_uri, OTHER_BYTES_MAX),
            ("comment.page_title", &raw.page_title, OTHER_BYTES_MAX),
            ("comment.parent_comment", &raw.parent_comment, OTHER_BYTES_MAX),
            ("comment.honeypot", raw.honeypot.as_deref().unwrap_or(""), COMMENT_BYTES_MAX),
        ];
        for (field, value, bytes_max) in fields {
            if value.len() > bytes_max {
                self.add(
                    field,
                    "too-long",
                    format!("{} bytes were sent, at most {bytes_max} are taken.", value.len()),
                );
            }
            if value.contains('\0') {
                self.add(field, "nul-character", "NUL characters are not taken.");
            }
        }
    }

    /// Fields that a reader must see something of.
    fn presence(&mut self, raw: &RawSubmission, required: &RequiredFields) {
        let fields = [
            ("comment.text", &raw.text, true),
            ("comment.author", &raw.author, required.author),
            ("comment.email", &raw.email, required.email),
        ];
        for (field, value, needed) in fields {
            if needed && is_blank(value) {
                self.add(field, "required", "This field is required.");
            }
        }
    }

    /// Whether this field already has a problem, so that parsing it would only repeat that.
    fn reported(&self, field: &str) -> bool {
        self.0.iter().any(|violation| violation.field == field)
    }
}

/// The trimmed value of a one-line field; nothing if it is empty.
fn one_line(value: &str, field: &'static str, violations: &mut Violations) -> Option<String> {
    let value = value.trim();
    let control = |c: char| c.is_control() && c != '\0';
    if value.contains(control) {
        violations.add(
            field,
            "control-character",
            "One line without control characters is expected.",
        );
    }
    (!value.is_empty()).then(|| value.to_owned())
}

/// The parsed value of an optional field; nothing if it is empty or already has a problem.
fn parsed<T>(
    value: &str,
    field: &'static str,
    violations: &mut Violations,
    parse: impl Fn(&str) -> Result<T, (&'static str, String)>,
) -> Option<T> {
    let value = value.trim();
    if value.is_empty() || violations.reported(field) {
        return None;
    }
    match parse(value) {
        Ok(parsed) => Some(parsed),
        Err((reason, description)) => {
            violations.add(field, reason, description);
            None
        }
    }
}

/// A website as people type it and browsers read it: `http://` is added where the scheme is left
/// out, slashes after `https:` may be missing, and a `://` in a query makes no scheme.
fn website(text: &str) -> Option<Url> {
    let mut url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url,
        // `ftp://example.org`; but in `example.org:8080` the host looks like a scheme.
        Ok(url) if url.has_authority() => return None,
        _ => Url::parse(&format!("http://{text}")).ok()?,
    };
    let usable = url.host_str()?.contains('.');
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    usable.then_some(url)
}

/// The primary language and subtags of a BCP 47 tag (RFC 5646), in lower case.
pub(super) fn language(text: &str) -> Option<String> {
    let mut subtags = text.split(['-', '_']);
    let primary = subtags.next()?;
    let alphanumeric =
        |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
    let well_formed = (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && text.len() <= 35
        && subtags.all(alphanumeric);
    well_formed.then(|| text.replace('_', "-").to_ascii_lowercase())
}

/// A submission after hiding: no address and no IP is in it, so it may be shown to any check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlindSubmission {
    /// The comment with every e-mail address masked.
    pub text: String,
    /// The author's name with every address masked.
    pub author: Option<String>,
    /// What remains of the address.
    pub email: Option<EmailTraits>,
    /// The website with every address masked.
    pub url: Option<String>,
    /// Whether a website was given that cannot be read.
    #[serde(default)]
    pub url_unreadable: bool,
    /// What remains of the IP address.
    pub ip: Option<IpFingerprints>,
    /// The browser's name for itself. Used for the check and not kept.
    #[serde(skip)]
    pub user_agent: Option<String>,
    /// Where the visitor came from, masked. Used for the check and not kept.
    #[serde(skip)]
    pub referrer: Option<String>,
    /// Where the comment stands, masked.
    pub page_uri: Option<String>,
    /// The title or subject of the page, masked.
    pub page_title: Option<String>,
    /// When the page was published.
    pub page_publish_time: Option<OffsetDateTime>,
    /// Whether the page takes no more comments.
    pub page_closed: bool,
    /// The comment this one replies to, as the CMS names it.
    pub parent_comment: Option<String>,
    /// BCP 47 language of the page, in lower case.
    pub lang: Option<String>,
    /// What became of the hidden field.
    pub honeypot: Honeypot,
    /// Milliseconds between showing the form and sending it.
    pub elapsed_ms: Option<i64>,
    /// How many addresses were masked in the text.
    pub masked_address_count: u32,
    /// A seed for drawing an avatar: the same for the same author on the same site, and not a
    /// hash of the address.
    pub avatar_seed: Option<super::Fingerprint>,
}

impl BlindSubmission {
    /// The inputs that the form did not send.
    pub fn missing(&self) -> Vec<Missing> {
        let inputs = [
            (Missing::Author, self.author.is_none()),
            (Missing::Email, self.email.is_none()),
            (Missing::Ip, self.ip.is_none()),
            (Missing::UserAgent, self.user_agent.is_none()),
            (Missing::PageUri, self.page_uri.is_none()),
            (Missing::Honeypot, self.honeypot == Honeypot::Absent),
            (Missing::ElapsedTime, self.elapsed_ms.is_none()),
        ];
        inputs.into_iter().filter(|(_, absent)| *absent).map(|(input, _)| input).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw() -> RawSubmission {
        RawSubmission {
            text: "Thanks, that helped.".into(),
            author: "Jane".into(),
            email: "jane@example.org".into(),
            ..RawSubmission::default()
        }
    }

    fn reasons(raw: RawSubmission) -> Vec<(&'static str, &'static str)> {
        match Submission::parse(raw, &RequiredFields::default()) {
            Ok(_) => Vec::new(),
            Err(violations) => violations.into_iter().map(|v| (v.field, v.reason)).collect(),
        }
    }

    #[test]
    fn every_bad_field_is_reported_at_once() {
        let bad = RawSubmission {
            text: " ".into(),
            author: "a\nb".into(),
            email: "nobody".into(),
            url: "javascript://x.y".into(),
            ip: "1.2.3".into(),
            lang: "!".into(),
            elapsed_ms: Some(-1),
            user_agent: "x".repeat(OTHER_BYTES_MAX + 1),
            page_uri: "\0".into(),
            ..RawSubmission::default()
        };
        assert_eq!(
            reasons(bad),
            [
                ("comment.user_agent", "too-long"),
                ("comment.page_uri", "nul-character"),
                ("comment.text", "required"),
                ("comment.author", "control-character"),
                ("comment.email", "invalid-email"),
                ("comment.url", "invalid-uri"),
                ("comment.ip", "invalid-ip"),
                ("comment.language", "invalid-language"),
                ("comment.elapsed_ms", "negative"),
            ]
        );
    }

    #[test]
    fn limits_are_wordpress_bytes() {
        let at = |n| RawSubmission { text: "x".repeat(n), ..raw() };
        assert_eq!(reasons(at(COMMENT_BYTES_MAX)), []);
        assert_eq!(reasons(at(COMMENT_BYTES_MAX + 1)), [("comment.text", "too-long")]);
        let name = |n| RawSubmission { author: "ü".repeat(n), ..raw() };
        assert_eq!(reasons(name(122)), []);
        assert_eq!(reasons(name(123)), [("comment.author", "too-long")]);
    }

    #[test]
    fn what_nobody_sees_is_no_comment_and_no_name() {
        let unseen = "\u{200B} \u{2060}\u{3164}";
        let raw = RawSubmission { text: unseen.into(), author: unseen.into(), ..raw() };
        assert_eq!(reasons(raw), [("comment.text", "required"), ("comment.author", "required")]);
    }

    #[test]
    fn websites_are_taken_as_people_type_them() {
        assert_eq!(website("example.org/a").unwrap().as_str(), "http://example.org/a");
        assert_eq!(website("https://me:pw@example.org").unwrap().as_str(), "https://example.org/");
        for (typed, read) in [
            ("example.org:8080/a", "http://example.org:8080/a"),
            ("example.org/?x=://", "http://example.org/?x=://"),
            ("example.org/?r=https://a.example", "http://example.org/?r=https://a.example"),
            ("https:/example.org/a", "https://example.org/a"),
            ("HTTPS:example.org/a", "https://example.org/a"),
            ("https:\\\\example.org\\a", "https://example.org/a"),
        ] {
            assert_eq!(website(typed).map(String::from).as_deref(), Some(read), "{typed}");
        }
        for bad in [
            "localhost",
            "ftp://example.org",
            "example.org://a",
            "https//example.org",
            "javascript:alert(1)",
            "javascript:x.example/?://",
            "http://",
            "a b",
        ] {
            assert!(website(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_never_repeats_the_value(
            text in ".*", author in ".*", email in "\\PC{0,120}", url in ".*", ip in ".*", lang in ".*"
        ) {
            let raw = RawSubmission { text, author, email: email.clone(), url, ip, lang, ..RawSubmission::default() };
            if let Err(violations) = Submission::parse(raw, &RequiredFields::default()) {
                for violation in violations {
                    prop_assert!(email.len() < 8 || !violation.description.contains(&email));
                }
            }
        }
    }
}

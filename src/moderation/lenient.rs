//! Submissions of those who cannot be told what is wrong: files that are older than our limits,
//! and clients of another service.

use crate::domain::{
    AUTHOR_BYTES_MAX, FieldViolation, RawSubmission, RequiredFields, Submission, URL_BYTES_MAX,
};
use crate::text::cut;

/// A hidden field that a robot filled, with whatever.
const FILLED: &str = "x";

/// Parses a submission; fields that are not valid are left out, and none is required but the text.
/// Of a website that is left out it is noted that there was one.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn parse(raw: RawSubmission) -> Result<Submission, Vec<FieldViolation>> {
    let optional = RequiredFields { author: false, email: false };
    let raw = mended(raw);
    let violations = match Submission::parse(raw.clone(), &optional) {
        Ok(submission) => return Ok(submission),
        Err(violations) => violations,
    };
    let of_text: Vec<_> =
        violations.iter().filter(|one| one.field == "comment.text").cloned().collect();
    if !of_text.is_empty() {
        return Err(of_text);
    }
    let url_unreadable = violations.iter().any(|one| one.field == "comment.url");
    let submission = Submission::parse(without(raw, &violations), &optional)?;
    Ok(Submission { url_unreadable, ..submission })
}

/// A submission whose name and website are read as far as they can be, since robots write both: one
/// bad byte or one too many must not keep all of it from the checks. Control characters become
/// what they are where it is published: blanks, or nothing.
fn mended(raw: RawSubmission) -> RawSubmission {
    let line = raw.author.replace(|c: char| c.is_control() && c.is_whitespace(), " ");
    // Without blanks in front.
    let kept = |text: String, bytes_max| cut(text.trim_start(), bytes_max).to_owned();
    let author = kept(line.replace(char::is_control, ""), AUTHOR_BYTES_MAX);
    let url = kept(raw.url.replace(char::is_control, ""), URL_BYTES_MAX);
    RawSubmission { author, url, ..raw }
}

/// A submission without the fields that are not valid. A hidden field is evidence and stays: what
/// cannot be read was filled by a robot.
fn without(raw: RawSubmission, violations: &[FieldViolation]) -> RawSubmission {
    let is_bad = |field: &str| violations.iter().any(|one| one.field == field);
    let kept = |field: &str, value: String| if is_bad(field) { String::new() } else { value };
    // Each field by its name, so that a new one does not compile before it stands here.
    let RawSubmission {
        text,
        author,
        email,
        url,
        ip,
        user_agent,
        referrer,
        page_uri,
        page_title,
        page_publish_time,
        page_closed,
        parent_comment,
        lang,
        honeypot,
        elapsed_ms,
    } = raw;
    RawSubmission {
        text,
        author: kept("comment.author", author),
        email: kept("comment.email", email),
        url: kept("comment.url", url),
        ip: kept("comment.ip", ip),
        user_agent: kept("comment.user_agent", user_agent),
        referrer: kept("comment.referrer", referrer),
        page_uri: kept("comment.page_uri", page_uri),
        page_title: kept("comment.page_title", page_title),
        page_publish_time,
        page_closed,
        parent_comment: kept("comment.parent_comment", parent_comment),
        lang: kept("comment.language", lang),
        honeypot: if is_bad("comment.honeypot") { Some(FILLED.into()) } else { honeypot },
        elapsed_ms: elapsed_ms.filter(|_| !is_bad("comment.elapsed_ms")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{COMMENT_BYTES_MAX, Honeypot};
    use proptest::prelude::*;

    #[test]
    fn what_is_not_valid_is_left_out() {
        let raw = RawSubmission {
            text: "Where is the second picture?".into(),
            email: "nobody".into(),
            url: "javascript:x".into(),
            ip: "192.0.2.999".into(),
            user_agent: "u".repeat(3_000),
            referrer: "r".repeat(3_000),
            page_uri: "p".repeat(3_000),
            page_title: "t\0".into(),
            parent_comment: "c\0".into(),
            lang: "not a language".into(),
            elapsed_ms: Some(-1),
            ..RawSubmission::default()
        };
        let submission = parse(raw).unwrap();
        assert_eq!(submission.text, "Where is the second picture?");
        assert!(submission.email.is_none() && submission.ip.is_none());
        assert!(submission.elapsed_ms.is_none());
        assert!(submission.url.is_none() && submission.url_unreadable);
        let Err(violations) = parse(RawSubmission::default()) else { panic!("no text") };
        assert_eq!(violations[0].field, "comment.text");
    }

    #[test]
    fn a_bad_byte_hides_neither_name_nor_website() {
        let long = "a".repeat(AUTHOR_BYTES_MAX - 1);
        let author = |author: &str| {
            let raw =
                RawSubmission { text: "Hi".into(), author: author.into(), ..Default::default() };
            parse(raw).unwrap().author
        };
        for (sent, read) in [
            ("Cheap\tViagra", Some("Cheap Viagra")),
            ("\u{7}Via\0gra\r\n", Some("Viagra")),
            (&*format!("{long}üb"), Some(&*long)),
            ("\0\t", None),
        ] {
            assert_eq!(author(sent).as_deref(), read, "{sent:?}");
        }
        let url = |url: &str| {
            let raw = RawSubmission { text: "Hi".into(), url: url.into(), ..Default::default() };
            let submission = parse(raw).unwrap();
            (submission.url.map(String::from), submission.url_unreadable)
        };
        let casino = |rest: &str| (Some(format!("http://casino.example/{rest}")), false);
        assert_eq!(url("casino.example/?x=://"), casino("?x=://"));
        assert_eq!(url("http:/casino.example"), casino(""));
        assert_eq!(url("\0casino.\u{7f}example\t/"), casino(""));
        let (cut, unreadable) = url(&format!("casino.example/{}", "a".repeat(URL_BYTES_MAX)));
        assert!(cut.is_some_and(|url| url.starts_with("http://casino.example/a")) && !unreadable);
        for bad in ["ftp://casino.example", "localhost", "cas ino.example"] {
            assert_eq!(url(bad), (None, true), "{bad}");
        }
        assert_eq!(url(" \0"), (None, false), "nothing was given");
    }

    #[test]
    fn a_hidden_field_that_cannot_be_read_is_filled() {
        for honeypot in ["\0".to_owned(), "a".repeat(COMMENT_BYTES_MAX + 1)] {
            let raw = RawSubmission {
                text: "Where is the second picture?".into(),
                lang: "de".into(),
                honeypot: Some(honeypot),
                ..RawSubmission::default()
            };
            let submission = parse(raw).unwrap_or_else(|_| panic!("a text is enough"));
            assert_eq!(submission.honeypot, Honeypot::Filled);
            assert_eq!(submission.lang.as_deref(), Some("de"), "nothing else is left out");
        }
    }

    /// What robots write: nothing, NUL, control characters, and more than any field takes.
    fn anything() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            Just("\0".to_owned()),
            Just("a\u{7}b".to_owned()),
            Just("x".repeat(COMMENT_BYTES_MAX + 1)),
            ".{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn a_text_is_enough(
            names in [anything(), anything(), anything(), anything(), anything(), anything()],
            others in [anything(), anything(), anything(), anything()],
            honeypot in proptest::option::of(anything()),
            elapsed_ms in any::<Option<i64>>(),
        ) {
            let [author, email, url, ip, user_agent, referrer] = names;
            let [page_uri, page_title, parent_comment, lang] = others;
            let raw = RawSubmission {
                text: "Where is the second picture?".into(),
                author,
                email,
                url,
                ip,
                user_agent,
                referrer,
                page_uri,
                page_title,
                page_publish_time: None,
                page_closed: false,
                parent_comment,
                lang,
                honeypot,
                elapsed_ms,
            };
            prop_assert!(parse(raw).is_ok());
        }
    }
}

//! Submissions of those who cannot be told what is wrong: files that are older than our limits,
//! and clients of another service.

use crate::domain::{FieldViolation, RawSubmission, RequiredFields, Submission};

/// A hidden field that a robot filled, with whatever.
const FILLED: &str = "x";

/// Parses a submission; fields that are not valid are left out, and none is required but the text.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn parse(raw: RawSubmission) -> Result<Submission, Vec<FieldViolation>> {
    let optional = RequiredFields { author: false, email: false };
    let violations = match Submission::parse(raw.clone(), &optional) {
        Ok(submission) => return Ok(submission),
        Err(violations) => violations,
    };
    let of_text: Vec<_> =
        violations.iter().filter(|one| one.field == "comment.text").cloned().collect();
    if !of_text.is_empty() {
        return Err(of_text);
    }
    Submission::parse(without(raw, &violations), &optional)
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
            author: "a".repeat(300),
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
        assert!(submission.author.is_none() && submission.email.is_none());
        assert!(submission.ip.is_none() && submission.elapsed_ms.is_none());
        let Err(violations) = parse(RawSubmission::default()) else { panic!("no text") };
        assert_eq!(violations[0].field, "comment.text");
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

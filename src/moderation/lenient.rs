//! Submissions of those who cannot be told what is wrong: files that are older than our limits,
//! and clients of another service.

use crate::domain::{FieldViolation, RawSubmission, RequiredFields, Submission};

/// Parses a submission; fields that are not valid are left out, and none is required but the text.
///
/// # Errors
/// What is wrong with the text.
pub(super) fn parse(mut raw: RawSubmission) -> Result<Submission, Vec<FieldViolation>> {
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
    for violation in violations {
        match violation.field {
            "comment.author" => raw.author.clear(),
            "comment.email" => raw.email.clear(),
            "comment.url" => raw.url.clear(),
            "comment.ip" => raw.ip.clear(),
            "comment.user_agent" => raw.user_agent.clear(),
            "comment.referrer" => raw.referrer.clear(),
            "comment.page_uri" => raw.page_uri.clear(),
            "comment.page_title" => raw.page_title.clear(),
            "comment.parent_comment" => raw.parent_comment.clear(),
            "comment.elapsed_ms" => raw.elapsed_ms = None,
            _ => raw.lang.clear(),
        }
    }
    Submission::parse(raw, &optional)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

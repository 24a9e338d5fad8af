//! What tests of several modules need.

use super::hide;
use crate::domain::{BlindSubmission, RawSubmission, RequiredFields, SiteSecret, Submission};

/// A submission of this text alone.
pub fn blind(text: &str) -> BlindSubmission {
    let raw = RawSubmission { text: text.into(), ..RawSubmission::default() };
    let optional = RequiredFields { author: false, email: false };
    match Submission::parse(raw, &optional) {
        Ok(submission) => hide(submission, &SiteSecret::from_bytes([1; 32])),
        Err(violations) => panic!("{violations:?}"),
    }
}

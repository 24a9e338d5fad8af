//! The time between showing the form and sending it.

use super::{CheckInput, Findings};
use crate::domain::signals::TOO_FAST;

/// Finds `too-fast`: sooner than the site's `elapsed_ms_min`.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let elapsed_ms_min = input.policy().elapsed_ms_min;
    if let Some(elapsed_ms) = input.submission().elapsed_ms.filter(|ms| *ms < elapsed_ms_min) {
        findings.add(&TOO_FAST, format!("sent after {elapsed_ms} ms"));
    }
}

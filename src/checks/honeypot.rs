//! The form's hidden field.

use super::{CheckInput, Findings};
use crate::domain::Honeypot;
use crate::domain::signals::HONEYPOT_FILLED;

/// Finds `honeypot-filled`.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    if input.submission().honeypot == Honeypot::Filled {
        findings.add(&HONEYPOT_FILLED, "the hidden field was filled");
    }
}

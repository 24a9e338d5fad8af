//! What the author's address says, of which only traits are left.

use super::{CheckInput, Findings};
use crate::domain::signals::{DISPOSABLE_ADDRESS, ROLE_ADDRESS};

/// Finds `disposable-address` and `role-address`.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let Some(email) = &input.submission().email else { return };
    if email.disposable {
        findings.add(&DISPOSABLE_ADDRESS, email.domain.clone());
    }
    if email.role {
        findings.add(&ROLE_ADDRESS, "the address names a function");
    }
}

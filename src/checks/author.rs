//! How the author fared on this site.

use super::{CheckInput, Findings};
use crate::domain::signals::{FIRST_TIME_AUTHOR, KNOWN_BAD_AUTHOR, KNOWN_GOOD_AUTHOR};

/// Approved comments that make an author known. One is cheap to get for a spammer who starts
/// with praise.
const APPROVED_COUNT_MIN: u32 = 3;
/// Rejected comments, without an approved one, that make an author known for it.
const REJECTED_COUNT_MIN: u32 = 2;

/// Finds `first-time-author`, `known-good-author` and `known-bad-author`. An author without an
/// address cannot be known, and so is new each time.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let record = input.facts.author.unwrap_or_default();
    let spam = record.spam_label_count;
    if record.approved_count == 0 {
        findings.add(&FIRST_TIME_AUTHOR, "no approved comment yet");
    }
    if spam > 0 || (record.approved_count == 0 && record.rejected_count >= REJECTED_COUNT_MIN) {
        let detail = format!("{spam} called spam, {} rejected", record.rejected_count);
        findings.add(&KNOWN_BAD_AUTHOR, detail);
    } else if record.rejected_count == 0
        && (record.approved_count >= APPROVED_COUNT_MIN || record.ham_label_count > 0)
    {
        let detail = format!("{} approved comments", record.approved_count);
        findings.add(&KNOWN_GOOD_AUTHOR, detail);
    }
}

//! How the author fared on this site.

use super::{CheckInput, Findings};
use crate::domain::AuthorRecord;
use crate::domain::signals::{FIRST_TIME_AUTHOR, KNOWN_BAD_AUTHOR, KNOWN_GOOD_AUTHOR};

/// Approved comments that make an author known. One is cheap to get for a spammer who starts
/// with praise.
const APPROVED_COUNT_MIN: u32 = 3;
/// Rejected comments, without an approved one, that make an author known for it.
const REJECTED_COUNT_MIN: u32 = 2;
/// Approved comments that outweigh one that was rejected or called spam: a regular who once commented on
/// a closed page, or whom somebody wronged once, is no spammer.
const APPROVED_PER_REJECTED: u32 = 10;

/// Finds `first-time-author`, `known-good-author` and `known-bad-author`. An author without an
/// address cannot be known, and so is new each time.
pub fn check(input: &CheckInput<'_>, findings: &mut Findings) {
    let record = input.facts.author.unwrap_or_default();
    if record.approved_count == 0 {
        findings.add(&FIRST_TIME_AUTHOR, "no approved comment yet");
    }
    match standing(record) {
        Standing::Good => {
            let detail = format!("{} approved comments", record.approved_count);
            findings.add(&KNOWN_GOOD_AUTHOR, detail);
        }
        Standing::Bad => {
            let (spam, rejected) = (record.spam_label_count, record.rejected_count);
            findings.add(&KNOWN_BAD_AUTHOR, format!("{spam} called spam, {rejected} rejected"));
        }
        Standing::Open => {}
    }
}

/// What an author is known for.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Good,
    Bad,
    Open,
}

fn standing(record: AuthorRecord) -> Standing {
    let approved = record.approved_count;
    let outweighs = |count: u32| approved / APPROVED_PER_REJECTED >= count;
    let rejected = approved == 0 && record.rejected_count >= REJECTED_COUNT_MIN;
    if rejected || !outweighs(record.spam_label_count) {
        return Standing::Bad;
    }
    let known = approved >= APPROVED_COUNT_MIN || record.ham_label_count > 0;
    match known && record.spam_label_count == 0 && outweighs(record.rejected_count) {
        true => Standing::Good,
        false => Standing::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_approved_comments_outweigh_one_that_went_wrong() {
        for ([approved, rejected, spam, ham], expected) in [
            ([0, 0, 0, 0], Standing::Open),
            ([2, 0, 0, 0], Standing::Open),
            ([3, 0, 0, 0], Standing::Good),
            ([1, 0, 0, 1], Standing::Good),
            ([0, 1, 0, 0], Standing::Open),
            ([0, 2, 0, 0], Standing::Bad),
            ([9, 1, 0, 0], Standing::Open),
            ([10, 1, 0, 0], Standing::Good),
            ([19, 2, 0, 0], Standing::Open),
            ([9, 1, 1, 0], Standing::Bad),
            ([10, 1, 1, 0], Standing::Open),
            ([19, 2, 2, 1], Standing::Bad),
        ] {
            let record = AuthorRecord {
                approved_count: approved,
                rejected_count: rejected,
                spam_label_count: spam,
                ham_label_count: ham,
                ..AuthorRecord::default()
            };
            assert_eq!(standing(record), expected, "{record:?}");
        }
    }
}

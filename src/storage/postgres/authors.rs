//! Changes of authors' records, gathered over a transaction and written together near its end.

use crate::domain::{Label, State};
use crate::moderation::ports::StoreError;

use super::db::Db;

/// A site's number and the fingerprint of an author's folded address.
pub(super) type AuthorKey = (i64, [u8; 16]);

/// What is added to an author's record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AuthorChange {
    approved: i64,
    held: i64,
    rejected: i64,
    spam_labels: i64,
    ham_labels: i64,
}

impl AuthorChange {
    /// The count of comments in this state.
    pub fn of_state(&mut self, state: State) -> &mut i64 {
        match state {
            State::Approved => &mut self.approved,
            State::Held => &mut self.held,
            State::Rejected => &mut self.rejected,
        }
    }

    /// The count of labels of this kind.
    pub fn of_label(&mut self, label: Label) -> &mut i64 {
        match label {
            Label::Spam => &mut self.spam_labels,
            Label::Ham => &mut self.ham_labels,
        }
    }
}

/// Adds the changes to the records in one statement, in the order of the table: transactions that
/// lock rows in one order do not wait for each other in a circle.
pub(super) async fn write(
    db: &Db,
    changes: &[(AuthorKey, AuthorChange)],
) -> Result<(), StoreError> {
    if changes.is_empty() {
        return Ok(());
    }
    let column = |read: fn(&AuthorChange) -> i64| -> Vec<i64> {
        changes.iter().map(|(_, change)| read(change)).collect()
    };
    let sites: Vec<i64> = changes.iter().map(|((site, _), _)| *site).collect();
    let authors: Vec<&[u8]> = changes.iter().map(|((_, author), _)| author.as_slice()).collect();
    let sql = "INSERT INTO author_records AS known (site, author, approved_count, held_count, \
             rejected_count, spam_label_count, ham_label_count) \
         SELECT site, author, sum(approved)::bigint, sum(held)::bigint, sum(rejected)::bigint, \
             sum(spam)::bigint, sum(ham)::bigint \
         FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], \
             $6::bigint[], $7::bigint[]) \
             AS change (site, author, approved, held, rejected, spam, ham) \
         GROUP BY site, author ORDER BY site, author \
         ON CONFLICT (site, author) DO UPDATE SET \
             approved_count = known.approved_count + excluded.approved_count, \
             held_count = known.held_count + excluded.held_count, \
             rejected_count = known.rejected_count + excluded.rejected_count, \
             spam_label_count = known.spam_label_count + excluded.spam_label_count, \
             ham_label_count = known.ham_label_count + excluded.ham_label_count";
    let approved = column(|change| change.approved);
    let held = column(|change| change.held);
    let rejected = column(|change| change.rejected);
    let spam = column(|change| change.spam_labels);
    let ham = column(|change| change.ham_labels);
    db.execute(sql, &[&sites, &authors, &approved, &held, &rejected, &spam, &ham]).await.map(drop)
}

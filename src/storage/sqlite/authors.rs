//! Changes of authors' records, gathered over a batch and written together before its COMMIT.

use rusqlite::{Connection, params};

use crate::domain::{Label, State};
use crate::moderation::ports::{AuthorRecord, StoreError};

use super::cache::{Effect, SiteKey};
use super::commands::execute;
use super::queries;
use super::writer::Batch;

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

    fn add(&mut self, other: &Self) {
        self.approved += other.approved;
        self.held += other.held;
        self.rejected += other.rejected;
        self.spam_labels += other.spam_labels;
        self.ham_labels += other.ham_labels;
    }

    /// The record after the change.
    fn applied_to(&self, record: AuthorRecord) -> AuthorRecord {
        let sum = |count: u32, change: i64| {
            u32::try_from(i64::from(count).saturating_add(change).max(0)).unwrap_or(u32::MAX)
        };
        AuthorRecord {
            approved_count: sum(record.approved_count, self.approved),
            held_count: sum(record.held_count, self.held),
            rejected_count: sum(record.rejected_count, self.rejected),
            spam_label_count: sum(record.spam_label_count, self.spam_labels),
            ham_label_count: sum(record.ham_label_count, self.ham_labels),
        }
    }

    fn write(&self, db: &Connection, key: &SiteKey) -> Result<(), StoreError> {
        let sql = "INSERT INTO author_records (site, author, approved_count, held_count, \
             rejected_count, spam_label_count, ham_label_count) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET \
             approved_count = approved_count + ?3, held_count = held_count + ?4, \
             rejected_count = rejected_count + ?5, spam_label_count = spam_label_count + ?6, \
             ham_label_count = ham_label_count + ?7";
        let values = params![
            key.0,
            key.1,
            self.approved,
            self.held,
            self.rejected,
            self.spam_labels,
            self.ham_labels
        ];
        execute(db, sql, values)
    }

    /// Whether it takes something away, so that nothing may be left.
    fn takes(&self) -> bool {
        let Self { approved, held, rejected, spam_labels, ham_labels } = self;
        [approved, held, rejected, spam_labels, ham_labels].into_iter().any(|count| *count < 0)
    }
}

/// Removes a record that counts nothing any more.
fn drop_empty(db: &Connection, key: &SiteKey) -> Result<(), StoreError> {
    let sql = "DELETE FROM author_records WHERE site = ?1 AND author = ?2 \
         AND approved_count = 0 AND held_count = 0 AND rejected_count = 0 \
         AND spam_label_count = 0 AND ham_label_count = 0";
    execute(db, sql, params![key.0, key.1])
}

/// Writes what the jobs of the batch changed in authors' records: one row an author, in the
/// order of the table.
pub(super) fn write(batch: &mut Batch<'_>) -> Result<(), StoreError> {
    let mut changes = std::mem::take(&mut batch.author_changes);
    changes.sort_unstable_by_key(|(key, _)| *key);
    for group in changes.chunk_by(|a, b| a.0 == b.0) {
        let (key, mut change) = group[0];
        group[1..].iter().for_each(|(_, other)| change.add(other));
        change.write(batch.db, &key)?;
        if change.takes() {
            drop_empty(batch.db, &key)?;
        }
        // The caches have what was committed before, unless they have nothing.
        let record = match batch.caches.authors.get(&key) {
            Ok(record) => change.applied_to(record),
            Err(_) if !batch.caches.known_authors.may_contain(&key) => {
                change.applied_to(AuthorRecord::default())
            }
            Err(_) => queries::author(batch.db, &key)?,
        };
        batch.effects.push(Effect::Author(key, record));
    }
    Ok(())
}

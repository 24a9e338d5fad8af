//! The search index over words and signals of comments (SQLite's FTS5, without the texts).
//!
//! It is filled beside the checks, a moment later, so that no comment waits for it.

use rusqlite::{Connection, Row, params};

use crate::domain::CommentFilter;
use crate::moderation::ports::StoreError;
use crate::storage::record::{self, Searched};
use crate::storage::values::is_unspaced;

use super::commands::execute;
use super::error::from_sqlite;
use super::queries::{all, first};
use super::rows::corrupt;
use super::writer::Batch;

/// A comment's row of the index.
pub(super) struct Words {
    number: i64,
    id: [u8; 16],
    words: String,
    marks: String,
}

/// The number of the last comment in the index.
pub(super) fn mark(db: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT comment FROM word_marks WHERE number = 1";
    let found = first(db, sql, [], |row| row.get(0).map_err(from_sqlite))?;
    Ok(found.unwrap_or_default())
}

/// The words of the comments after a number.
pub(super) fn after(
    db: &Connection,
    number: i64,
    count_max: usize,
) -> Result<Vec<Words>, StoreError> {
    let sql =
        "SELECT number, site, id, body FROM comments WHERE number > ?1 ORDER BY number LIMIT ?2";
    all(db, sql, params![number, count_max as i64], |row: &Row<'_>| {
        let number = row.get(0).map_err(from_sqlite)?;
        let site_number = row.get(1).map_err(from_sqlite)?;
        let id = row.get(2).map_err(from_sqlite)?;
        let body = row.get_ref(3).map_err(from_sqlite)?.as_bytes().map_err(corrupt)?;
        Ok(match record::decode_searched(body) {
            Ok(searched) => Words::new(number, id, site_number, &searched),
            // One that cannot be read must not keep all others from being found.
            Err(_) => Words { number, id, words: String::new(), marks: site_mark(site_number) },
        })
    })
}

impl Words {
    fn new(number: i64, id: [u8; 16], site_number: i64, searched: &Searched) -> Self {
        let mut words = String::new();
        for (index, text) in searched.texts.iter().enumerate() {
            if index > 0 {
                words.push('\n');
            }
            push_spaced(&mut words, text);
        }
        let mut marks = site_mark(site_number);
        for signal in &searched.signals {
            marks.push(' ');
            marks.push_str(&signal_mark(signal));
        }
        Self { number, id, words, marks }
    }
}

/// Puts rows into the index, if they begin where it ends: two may have read the same.
pub(super) fn add(batch: &mut Batch<'_>, from: i64, rows: &[Words]) -> Result<(), StoreError> {
    if mark(batch.db)? != from {
        return Ok(());
    }
    // One that was removed since it was read leaves no words behind.
    let sql = "INSERT INTO comment_words (rowid, words, marks) \
         SELECT ?1, ?2, ?3 FROM comments WHERE number = ?1 AND id = ?4";
    for row in rows {
        execute(batch.db, sql, params![row.number, row.words, row.marks, row.id])?;
    }
    let Some(last) = rows.last() else { return Ok(()) };
    execute(batch.db, "UPDATE word_marks SET comment = ?1 WHERE number = 1", [last.number])
}

/// The query of a filter in FTS5's language; nothing if it asks for no words and no signal.
pub(super) fn query(site_number: i64, filter: &CommentFilter) -> Option<String> {
    if filter.words.is_empty() && filter.signal.is_none() {
        return None;
    }
    let mut marks = site_mark(site_number);
    if let Some(signal) = &filter.signal {
        marks.push_str(" AND ");
        marks.push_str(&signal_mark(signal.as_str()));
    }
    let mut query = format!("marks : ({marks})");
    for words in &filter.words {
        // Quoted, so that nothing in it is an operator. Only a star lets its last word go on: all
        // that begins alike would have to be read to the end, and a word is found at once.
        let (whole, goes_on) = match words.strip_suffix('*') {
            Some(begin) => (begin, " *"),
            None => (words.as_str(), ""),
        };
        let quoted = spaced(whole).replace('"', " ");
        query.push_str(&format!(" AND words : \"{quoted}\"{goes_on}"));
    }
    Some(query)
}

/// Tokens of their own, which no words are: letters and digits only, for the tokenizer.
fn site_mark(site_number: i64) -> String {
    format!("site{site_number}")
}

fn signal_mark(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("signal{letters}")
}

/// The text with blanks around each sign of a script that is written without them, so that each
/// is found as a word.
fn spaced(text: &str) -> String {
    let mut spaced = String::new();
    push_spaced(&mut spaced, text);
    spaced
}

fn push_spaced(spaced: &mut String, text: &str) {
    spaced.reserve(text.len());
    if text.is_ascii() && !text.contains('\0') {
        return spaced.push_str(text);
    }
    for c in text.chars() {
        if is_unspaced(c) {
            spaced.push(' ');
            spaced.push(c);
            spaced.push(' ');
        } else {
            spaced.push(if c == '\0' { ' ' } else { c });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_hold_no_operators_of_their_words() {
        let filter = CommentFilter::parse("signal:honeypot-filled \"a OR b\" NEAR( 便宜*").unwrap();
        let query = query(7, &filter).unwrap();
        assert_eq!(
            query,
            "marks : (site7 AND signalhoneypotfilled) AND words : \"a OR b\" \
             AND words : \"NEAR(\" AND words : \" 便  宜 \" *"
        );
        assert_eq!(super::query(7, &CommentFilter::default()), None);
    }
}

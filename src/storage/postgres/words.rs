//! The search index over words and signals of comments (PostgreSQL's tsvector, without the texts).
//!
//! It is filled beside the checks, a moment later, so that no comment waits for it. What a word is
//! is said here, not by a configuration of the server: letters and digits that stand together,
//! without case and accents; each sign of a script that is written without blanks is one.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::domain::{CheckedComment, CommentFilter, SiteId};
use crate::moderation::ports::StoreError;
use crate::storage::values::is_unspaced;

use super::db::Db;
use super::rows::{self, COMMENT_COLUMNS, get};

/// Bytes of a word; PostgreSQL takes 2,046. Longer ones are found by their beginning.
const WORD_BYTES_MAX: usize = 256;
/// The last place in a text that PostgreSQL tells from others.
const PLACE_MAX: usize = 16_383;
/// Places of one word that PostgreSQL keeps.
const PLACE_COUNT_MAX: usize = 255;

/// A comment's row of the index.
struct Words {
    number: i64,
    site_number: i64,
    vector: String,
}

impl Words {
    /// The row of a comment; without one, that the site has it alone.
    fn new(number: i64, site_number: i64, comment: Option<&CheckedComment>) -> Self {
        let mut vector = Vector::default();
        vector.mark(&site_mark(site_number));
        if let Some(comment) = comment {
            let submission = &comment.submission;
            vector.text(&submission.text);
            for part in [&submission.author, &submission.url].into_iter().flatten() {
                vector.text(part);
            }
            for signal in &comment.signals {
                vector.mark(&signal_mark(signal.name.as_str()));
            }
        }
        Self { number, site_number, vector: vector.written() }
    }
}

/// Puts the words of at most `count_max` comments into the index; answers with how many. Runs
/// inside a transaction. Those that another replica is at are left to it.
pub(super) async fn index(db: &Db, count_max: usize) -> Result<usize, StoreError> {
    let sql = "SELECT number FROM pending_words ORDER BY number LIMIT $1 FOR UPDATE SKIP LOCKED";
    let numbers: Vec<i64> = db.all(sql, &[&(count_max as i64)], |row| get(row, 0)).await?;
    write(db, &numbers, true).await?;
    Ok(numbers.len())
}

/// The numbers of at most `count_max` comments that are not in the index yet, in its order.
pub(super) async fn pending(db: &Db, count_max: usize) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT number FROM pending_words ORDER BY number LIMIT $1";
    db.all(sql, &[&(count_max as i64)], |row| get(row, 0)).await
}

/// Puts one comment into the index, with its words or without them, unless another replica is at
/// it or was. Runs inside a transaction.
pub(super) async fn index_one(db: &Db, number: i64, words: bool) -> Result<(), StoreError> {
    let sql = "SELECT number FROM pending_words WHERE number = $1 FOR UPDATE SKIP LOCKED";
    let numbers: Vec<i64> = db.all(sql, &[&number], |row| get(row, 0)).await?;
    write(db, &numbers, words).await
}

/// Writes the rows of these comments, with words or without them, and takes them off the list.
async fn write(db: &Db, numbers: &[i64], with_words: bool) -> Result<(), StoreError> {
    if numbers.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT {COMMENT_COLUMNS}, comments.number, comments.site FROM comments \
         WHERE number = ANY($1::bigint[])"
    );
    // Whose it is stands in its marks; the comment itself is read without its site's name.
    let nobody: SiteId = "site".parse().map_err(|_| StoreError::NotFound)?;
    let words = db
        .all(&sql, &[&numbers], |row| {
            // One that cannot be read must not keep all others from being found.
            let comment = if with_words { rows::comment(&nobody, row).ok() } else { None };
            Ok(Words::new(get(row, 17)?, get(row, 18)?, comment.as_ref()))
        })
        .await?;
    let found: Vec<i64> = words.iter().map(|words| words.number).collect();
    let sites: Vec<i64> = words.iter().map(|words| words.site_number).collect();
    let vectors: Vec<&str> = words.iter().map(|words| words.vector.as_str()).collect();
    let sql = "INSERT INTO comment_words (site, number, words) \
         SELECT site, number, vector::tsvector \
         FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS fresh (site, number, vector) \
         ON CONFLICT (site, number) DO NOTHING";
    db.execute(sql, &[&sites, &found, &vectors]).await?;
    let sql = "DELETE FROM pending_words WHERE number = ANY($1::bigint[])";
    db.execute(sql, &[&numbers]).await.map(drop)
}

/// The query of a filter in tsquery's language.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Query {
    /// It asks for no words and no signal.
    All,
    /// It asks for words without a letter, which no comment has.
    Nothing,
    /// What is looked for.
    Words(String),
}

/// What a filter looks for in the index.
pub(super) fn query(site_number: i64, filter: &CommentFilter) -> Query {
    if filter.words.is_empty() && filter.signal.is_none() {
        return Query::All;
    }
    let mut query = quoted(&site_mark(site_number));
    if let Some(signal) = &filter.signal {
        query.push_str(" & ");
        query.push_str(&quoted(&signal_mark(signal.as_str())));
    }
    for words in &filter.words {
        // Only a star lets its last word go on: all that begins alike would have to be read to
        // the end, and a word is found at once.
        let (whole, goes_on) = match words.strip_suffix('*') {
            Some(begin) => (begin, ":*"),
            None => (words.as_str(), ""),
        };
        let phrase: Vec<String> = tokens(whole).iter().map(|word| quoted(word)).collect();
        if phrase.is_empty() {
            return Query::Nothing;
        }
        query.push_str(&format!(" & ({}{goes_on})", phrase.join(" <-> ")));
    }
    Query::Words(query)
}

/// Tokens of their own, which no words are.
fn site_mark(site_number: i64) -> String {
    format!("@{site_number}")
}

fn signal_mark(name: &str) -> String {
    format!("#{name}")
}

/// A token between quotation marks, in which nothing is an operator.
fn quoted(token: &str) -> String {
    format!("'{}'", token.replace('\\', "\\\\").replace('\'', "''"))
}

/// A tsvector as text.
#[derive(Default)]
struct Vector {
    words: std::collections::BTreeMap<String, Vec<usize>>,
    marks: Vec<String>,
    place: usize,
}

impl Vector {
    fn text(&mut self, text: &str) {
        for word in tokens(text) {
            self.place += 1;
            let place = self.place.min(PLACE_MAX);
            let places = self.words.entry(word).or_default();
            if places.len() < PLACE_COUNT_MAX && places.last() != Some(&place) {
                places.push(place);
            }
        }
        // No phrase goes from one text into the next.
        self.place += 1;
    }

    fn mark(&mut self, mark: &str) {
        self.marks.push(mark.to_owned());
    }

    fn written(&self) -> String {
        let mut written: Vec<String> = self.marks.iter().map(|mark| quoted(mark)).collect();
        written.extend(self.words.iter().map(|(word, places)| {
            let places: Vec<String> = places.iter().map(usize::to_string).collect();
            format!("{}:{}", quoted(word), places.join(","))
        }));
        written.join(" ")
    }
}

/// The words of a text, in order.
fn tokens(text: &str) -> Vec<String> {
    let plain: String = text.nfkd().filter(|c| !is_accent(*c)).nfkc().collect();
    let mut tokens = Vec::new();
    let mut word = String::new();
    for c in plain.chars().flat_map(char::to_lowercase) {
        if is_unspaced(c) {
            end(&mut word, &mut tokens);
            if c.is_alphanumeric() {
                tokens.push(c.to_string());
            }
        } else if c.is_alphanumeric() || (is_combining_mark(c) && !word.is_empty()) {
            word.push(c);
        } else {
            end(&mut word, &mut tokens);
        }
    }
    end(&mut word, &mut tokens);
    tokens
}

fn end(word: &mut String, tokens: &mut Vec<String>) {
    if !word.is_empty() {
        word.truncate(word.floor_char_boundary(WORD_BYTES_MAX));
        tokens.push(std::mem::take(word));
    }
}

/// Marks above and below Latin, Greek and Cyrillic letters. What other scripts write beside their
/// letters belongs to the word.
fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_neither_case_nor_accents() {
        assert_eq!(tokens("Chéap, WATCHES—ｎｏｗ 24/7"), ["cheap", "watches", "now", "24", "7"]);
        assert_eq!(tokens("这是便宜的手表!"), ["这", "是", "便", "宜", "的", "手", "表"]);
        assert_eq!(tokens("हिन्दी शब्द").len(), 2, "signs beside letters do not divide words");
        assert_eq!(tokens("한국어 가격"), ["한국어", "가격"]);
        assert_eq!(tokens("\0 ' \\ ! :*"), [""; 0]);
        assert_eq!(tokens(&"a".repeat(1_000)), ["a".repeat(WORD_BYTES_MAX)]);
    }

    #[test]
    fn queries_hold_no_operators_of_their_words() {
        let of = |line| query(7, &CommentFilter::parse(line).unwrap());
        assert_eq!(
            of("signal:honeypot-filled \"a OR b\" it's:* 便宜*"),
            Query::Words(
                "'@7' & '#honeypot-filled' & ('a' <-> 'or' <-> 'b') & ('it' <-> 's':*) & \
                 ('便' <-> '宜':*)"
                    .into()
            )
        );
        assert_eq!(of("\"!|&\""), Query::Nothing);
        assert_eq!(of("state:held"), Query::All);
    }

    #[test]
    fn vectors_keep_places_within_bounds() {
        let mut vector = Vector::default();
        vector.mark("@7");
        vector.text("one two one");
        vector.text("two");
        assert_eq!(vector.written(), "'@7' 'one':1,3 'two':2,5");
        let mut long = Vector::default();
        long.text(&"word ".repeat(20_000));
        long.text("last");
        assert_eq!(long.words["word"].len(), PLACE_COUNT_MAX);
        assert_eq!(long.words["last"], [PLACE_MAX]);
    }
}

//! What moderators read: the queue, lists of comments, decisions.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use time::OffsetDateTime;

use crate::domain::{CommentFilter, CommentId, Label, SiteId, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{
    Claim, Cursor, ListOrder, Page, QUEUE_AGE_HOURS, QueueAge, QueueEntry, QueueOrder,
    ReviewedComment,
};
use crate::storage::values::{LANGUAGES_MAX, language_end};

use super::error::from_sqlite;
use super::queries::{all, first, id_bound};
use super::rows::{self, COMMENT_COLUMNS, Word, comment_id, corrupt, millis, time};
use super::words;

/// Ids come from clocks and numbers from COMMITs, so their orders differ a little: by so many
/// comments at most, as many as wait for the writer.
const NUMBER_SLACK: i64 = 4_096;

/// A reviewed comment with what lists are sorted by.
pub(super) struct Listed {
    pub number: i64,
    pub probability: Option<f64>,
    pub reviewed: ReviewedComment,
}

fn reviewed_columns() -> String {
    // The names are of one table each, also where the search index is joined.
    format!("{COMMENT_COLUMNS}, label, revision, comments.number")
}

fn listed(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    row: &Row<'_>,
) -> Result<Listed, StoreError> {
    let comment = rows::comment(site, row)?;
    let read = || -> rusqlite::Result<(Option<Label>, i64, i64)> {
        let label = row.get::<_, Option<Word<Label>>>(17)?.map(|word| word.0);
        Ok((label, row.get(18)?, row.get(19)?))
    };
    let (label, revision, number) = read().map_err(from_sqlite)?;
    let claim = claim(db, site_number, comment.campaign)?;
    let probability = comment.score.as_ref().map(|score| score.probability);
    let reviewed = ReviewedComment { comment, label, revision, claim };
    Ok(Listed { number, probability, reviewed })
}

/// Who claimed a campaign, be it expired or not.
pub(super) fn claim(
    db: &Connection,
    site_number: i64,
    campaign: CommentId,
) -> Result<Option<Claim>, StoreError> {
    let sql = "SELECT actor, expire_time FROM claims WHERE site = ?1 AND campaign = ?2";
    let read = |row: &Row<'_>| Ok(Claim { actor: row.get(0)?, expire_time: time(row, 1)? });
    let values = params![site_number, campaign.as_uuid().as_bytes()];
    first(db, sql, values, |row| read(row).map_err(from_sqlite))
}

pub(super) fn reviewed(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    id: CommentId,
) -> Result<Option<ReviewedComment>, StoreError> {
    let columns = reviewed_columns();
    let sql = format!("SELECT {columns} FROM comments WHERE site = ?1 AND id = ?2");
    let values = params![site_number, id.as_uuid().as_bytes()];
    let found = first(db, &sql, values, |row| listed(db, site_number, site, row))?;
    Ok(found.map(|listed| listed.reviewed))
}

/// Comments after an id, in order of id; those with a value in a column if `whose`.
pub(super) fn stored(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    whose: Option<(&str, [u8; 16])>,
    after: Option<CommentId>,
    count_max: usize,
) -> Result<Vec<ReviewedComment>, StoreError> {
    let columns = reviewed_columns();
    let after = after.map_or([0; 16], |id| *id.as_uuid().as_bytes());
    let read = |row: &Row<'_>| listed(db, site_number, site, row).map(|listed| listed.reviewed);
    let Some((column, value)) = whose else {
        let sql = format!(
            "SELECT {columns} FROM comments WHERE site = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
        );
        return all(db, &sql, params![site_number, after, count_max as i64], read);
    };
    // The signs keep SQLite from reading the whole site in the order of its ids.
    let sql = format!(
        "SELECT {columns} FROM comments WHERE site = ?1 AND {column} = ?2 AND +id > ?3 \
         ORDER BY +id LIMIT ?4"
    );
    all(db, &sql, params![site_number, value, after, count_max as i64], read)
}

/// Held comments recorded after a number, with their numbers.
pub(super) fn held_comments(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    after: i64,
    count_max: usize,
) -> Result<Vec<(i64, ReviewedComment)>, StoreError> {
    let columns = reviewed_columns();
    let sql = format!(
        "SELECT {columns} FROM comments INDEXED BY comments_by_state \
         WHERE site = ?1 AND state = ?2 AND number > ?3 ORDER BY number LIMIT ?4"
    );
    let values = params![site_number, State::Held.as_str(), after, count_max as i64];
    let found = all(db, &sql, values, |row| listed(db, site_number, site, row))?;
    Ok(found.into_iter().map(|listed| (listed.number, listed.reviewed)).collect())
}

/// A page of the queue.
pub(super) fn queue(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    order: QueueOrder,
    cursor: Option<&Cursor>,
    count_max: usize,
) -> Result<Page<QueueEntry>, StoreError> {
    let (column, compare, direction) = match order {
        QueueOrder::Usefulness => ("usefulness", "<", "DESC"),
        QueueOrder::Oldest => ("first_time", ">", "ASC"),
        QueueOrder::Newest => ("last_time", "<", "DESC"),
        QueueOrder::Score => ("probability", "<", "DESC"),
    };
    let after = match cursor {
        None => String::new(),
        Some(_) => format!("AND ({column}, campaign) {compare} (?3, ?4)"),
    };
    let sql = format!(
        "SELECT campaign, held_count, first_time, last_time, comment, {column} \
         FROM queue_entries INDEXED BY queue_entries_by_{} WHERE site = ?1 {after} \
         ORDER BY {column} {direction}, campaign {direction} LIMIT ?2",
        if column == "probability" { "score" } else { column }
    );
    let mut values: Vec<Value> = vec![site_number.into(), (count_max as i64 + 1).into()];
    if let Some(cursor) = cursor {
        values.extend([Value::Real(cursor.key), Value::Blob(cursor.tie.clone())]);
    }
    type Found = (QueueRow, f64);
    let read = |row: &Row<'_>| -> rusqlite::Result<Found> {
        let entry = QueueRow {
            campaign: comment_id(row, 0)?,
            held_count: row.get(1)?,
            first_time: time(row, 2)?,
            last_time: time(row, 3)?,
            comment: comment_id(row, 4)?,
        };
        // Times are whole numbers, and exact as such in a double.
        let key = match row.get::<_, Value>(5)? {
            Value::Integer(millis) => millis as f64,
            Value::Real(key) => key,
            _ => 0.0,
        };
        Ok((entry, key))
    };
    let mut found: Vec<Found> =
        all(db, &sql, params_from_iter(values), |row| read(row).map_err(from_sqlite))?;
    let more = found.len() > count_max;
    found.truncate(count_max);
    let next = found.last().filter(|_| more).map(|(entry, key)| Cursor {
        key: *key,
        tie: entry.campaign.as_uuid().as_bytes().to_vec(),
    });
    let rows: Result<Vec<_>, _> = found
        .into_iter()
        .filter_map(|(entry, _)| entry.whole(db, site_number, site).transpose())
        .collect();
    Ok(Page { rows: rows?, next })
}

/// An entry without its comment.
struct QueueRow {
    campaign: CommentId,
    held_count: i64,
    first_time: OffsetDateTime,
    last_time: OffsetDateTime,
    comment: CommentId,
}

impl QueueRow {
    fn whole(
        self,
        db: &Connection,
        site_number: i64,
        site: &SiteId,
    ) -> Result<Option<QueueEntry>, StoreError> {
        let comment = reviewed(db, site_number, site, self.comment)?;
        Ok(comment.map(|comment| QueueEntry {
            campaign: self.campaign,
            held_count: self.held_count as u64,
            first_time: self.first_time,
            last_time: self.last_time,
            comment,
        }))
    }
}

/// Conditions with their values, each `?` numbered as it is added.
#[derive(Clone)]
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn new(site_number: i64) -> Self {
        Self { text: "comments.site = ?1".into(), values: vec![site_number.into()] }
    }

    /// Adds a condition, in which `?` stands for the value.
    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.values.push(value.into());
        let number = format!("?{}", self.values.len());
        self.text.push_str(" AND ");
        self.text.push_str(&condition.replace('?', &number));
    }

    fn blob(&mut self, condition: &str, bytes: &[u8]) {
        self.add(condition, Value::Blob(bytes.to_vec()));
    }
}

fn conditions(site_number: i64, filter: &CommentFilter) -> Conditions {
    let mut all = Conditions::new(site_number);
    if let Some(verdict) = filter.verdict {
        all.add("verdict = ?", verdict.as_str().to_owned());
    }
    if let Some(label) = filter.label {
        all.add("label = ?", label.as_str().to_owned());
    }
    if let Some(page) = &filter.page_uri {
        all.add("page_uri = ?", page.clone());
    }
    if let Some(author) = filter.author {
        all.blob("author = ?", author.as_bytes());
    }
    if let Some(campaign) = filter.campaign {
        all.blob("campaign = ?", campaign.as_uuid().as_bytes());
    }
    if let Some(least) = filter.score_min {
        all.add("probability >= ?", least);
    }
    if let Some(end) = filter.score_max {
        all.add("probability < ?", end);
    }
    all
}

/// Narrows to a time of check. Nothing if no comment is of it.
fn add_times(
    db: &Connection,
    site_number: i64,
    filter: &CommentFilter,
    all: &mut Conditions,
) -> Result<Option<()>, StoreError> {
    let number_at = |id: [u8; 16]| -> Result<Option<i64>, StoreError> {
        let sql = "SELECT number FROM comments WHERE site = ?1 AND id >= ?2 ORDER BY id LIMIT 1";
        first(db, sql, params![site_number, id], |row| row.get(0).map_err(from_sqlite))
    };
    if let Some(since) = filter.since {
        let id = id_bound(since, 0);
        let Some(number) = number_at(id)? else { return Ok(None) };
        all.blob("id >= ?", &id);
        all.add("comments.number > ?", number - NUMBER_SLACK);
    }
    if let Some(until) = filter.until {
        let id = id_bound(until, 0);
        all.blob("id < ?", &id);
        if let Some(number) = number_at(id)? {
            all.add("comments.number < ?", number + NUMBER_SLACK);
        }
    }
    Ok(Some(()))
}

/// The stored languages that a language means, found by jumping from one to the next in the index.
fn languages(db: &Connection, site_number: i64, lang: &str) -> Result<Vec<String>, StoreError> {
    let sql = "WITH RECURSIVE found (lang) AS ( \
         SELECT min(lang) FROM comments WHERE site = ?1 AND lang >= ?2 AND lang < ?3 \
         UNION ALL SELECT (SELECT min(lang) FROM comments \
             WHERE site = ?1 AND lang > found.lang AND lang < ?3) \
         FROM found WHERE found.lang IS NOT NULL) \
         SELECT lang FROM found WHERE lang IS NOT NULL LIMIT ?4";
    let values = params![site_number, lang, language_end(lang), LANGUAGES_MAX];
    all(db, sql, values, |row| row.get(0).map_err(from_sqlite))
}

/// How a list runs through the table.
struct Scan {
    from: String,
    /// The states that are scanned apart and merged, since the index is by state first. Languages are
    /// so, too.
    states: Vec<Option<State>>,
}

/// Chooses the index that leaves least.
fn scan(filter: &CommentFilter, by_score: bool) -> Scan {
    let every = [State::Held, State::Approved, State::Rejected];
    let split = || match filter.state {
        Some(state) => vec![Some(state)],
        None => every.into_iter().map(Some).collect(),
    };
    let searches = !filter.words.is_empty() || filter.signal.is_some();
    let (index, states) = if searches {
        let from = "comment_words CROSS JOIN comments ON comments.number = comment_words.rowid";
        return Scan { from: from.into(), states: vec![filter.state] };
    } else if filter.campaign.is_some() {
        ("campaign", split())
    } else if filter.author.is_some() {
        ("author", vec![filter.state])
    } else if by_score {
        ("score", split())
    } else if filter.page_uri.is_some() {
        ("page", vec![filter.state])
    } else if filter.lang.is_some() {
        ("lang", vec![filter.state])
    } else if filter.label.is_some() {
        ("label", vec![filter.state])
    } else {
        ("state", split())
    };
    Scan { from: format!("comments INDEXED BY comments_by_{index}"), states }
}

/// A page of comments.
pub(super) fn comments(
    db: &Connection,
    site_number: i64,
    site: &SiteId,
    filter: &CommentFilter,
    order: ListOrder,
    cursor: Option<&Cursor>,
    count_max: usize,
) -> Result<Page<ReviewedComment>, StoreError> {
    // A range of scores is found by the index on them, so it is listed by score.
    let by_score =
        order == ListOrder::Score || filter.score_min.is_some() || filter.score_max.is_some();
    let mut all_conditions = conditions(site_number, filter);
    if add_times(db, site_number, filter, &mut all_conditions)?.is_none() {
        return Ok(Page::default());
    }
    if let Some(query) = words::query(site_number, filter) {
        all_conditions.add("comment_words MATCH ?", query);
    }
    if by_score {
        all_conditions.add("probability IS NOT NULL AND ?", 1);
    }
    add_cursor(&mut all_conditions, order, by_score, cursor)?;
    let Scan { from, states } = scan(filter, by_score);
    let direction = if order == ListOrder::Oldest { "ASC" } else { "DESC" };
    let sorting = match by_score {
        true => "probability DESC, comments.number DESC".to_owned(),
        false if from.starts_with("comment_words") => format!("comment_words.rowid {direction}"),
        false => format!("comments.number {direction}"),
    };
    let languages = match &filter.lang {
        Some(lang) => languages(db, site_number, lang)?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let parts = states.iter().flat_map(|state| languages.iter().map(move |lang| (*state, lang)));
    let mut found: Vec<Listed> = Vec::new();
    for (state, lang) in parts {
        let mut conditions = all_conditions.clone();
        if let Some(state) = state {
            conditions.add("state = ?", state.as_str().to_owned());
        }
        if let Some(lang) = lang {
            conditions.add("lang = ?", lang.clone());
        }
        conditions.add("1 ORDER BY {sorting} LIMIT ?", count_max as i64 + 1);
        let text = conditions.text.replace("{sorting}", &sorting);
        let sql = format!("SELECT {} FROM {from} WHERE {text}", reviewed_columns());
        let values = params_from_iter(conditions.values);
        found.extend(all(db, &sql, values, |row| listed(db, site_number, site, row))?);
    }
    let key = |listed: &Listed| if by_score { listed.probability.unwrap_or(0.0) } else { 0.0 };
    found.sort_by(|a, b| {
        let by_number = b.number.cmp(&a.number);
        let newest_first = key(b).total_cmp(&key(a)).then(by_number);
        if order == ListOrder::Oldest && !by_score { newest_first.reverse() } else { newest_first }
    });
    let more = found.len() > count_max;
    found.truncate(count_max);
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| Cursor { key: key(last), tie: last.number.to_be_bytes().to_vec() });
    Ok(Page { rows: found.into_iter().map(|listed| listed.reviewed).collect(), next })
}

/// Goes on after a place.
fn add_cursor(
    conditions: &mut Conditions,
    order: ListOrder,
    by_score: bool,
    cursor: Option<&Cursor>,
) -> Result<(), StoreError> {
    let Some(cursor) = cursor else { return Ok(()) };
    let number: [u8; 8] = cursor.tie.as_slice().try_into().map_err(corrupt)?;
    let number = i64::from_be_bytes(number);
    if by_score {
        // The first condition finds the place in the index, the second settles ties.
        conditions.add("probability <= ?", cursor.key);
        let first = conditions.values.len();
        conditions.values.extend([Value::Real(cursor.key), Value::Integer(number)]);
        let (key, tie) = (first + 1, first + 2);
        let after = format!(" AND (probability < ?{key} OR comments.number < ?{tie})");
        conditions.text.push_str(&after);
    } else if order == ListOrder::Oldest {
        conditions.add("comments.number > ?", number);
    } else {
        conditions.add("comments.number < ?", number);
    }
    Ok(())
}

/// How long the entries of a queue wait.
pub(super) fn queue_age(
    db: &Connection,
    site_number: i64,
    now: OffsetDateTime,
) -> Result<QueueAge, StoreError> {
    let now = millis(now);
    let mut age = QueueAge::default();
    let mut until = i64::MAX;
    let ends = QUEUE_AGE_HOURS.map(|hours| now - hours * 3_600_000);
    for (count, from) in age.counts.iter_mut().zip(ends.into_iter().chain([i64::MIN])) {
        let sql = "SELECT count(*) FROM queue_entries INDEXED BY queue_entries_by_first_time \
             WHERE site = ?1 AND first_time > ?2 AND first_time <= ?3";
        let read = |row: &Row<'_>| row.get::<_, i64>(0).map_err(from_sqlite);
        *count = first(db, sql, params![site_number, from, until], read)?.unwrap_or(0) as u64;
        until = from;
    }
    let sql = "SELECT first_time FROM queue_entries WHERE site = ?1 ORDER BY first_time LIMIT 1";
    age.oldest_time = first(db, sql, [site_number], |row| time(row, 0).map_err(from_sqlite))?;
    Ok(age)
}

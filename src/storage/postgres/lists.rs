//! Lists of comments: pages by filter and order.

use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use crate::domain::{CommentFilter, SiteId, State};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::review::{Cursor, ListOrder, Page, ReviewedComment};
use crate::storage::values::{LANGUAGES_MAX, corrupt, language_end};

use super::db::Db;
use super::queries::id_bound;
use super::review_queries::{CLAIMS, Listed, listed, listed_columns};
use super::rows::get;
use super::words::{self, Query};

/// Rows are numbered as they are recorded, ids come from the clocks of several machines. So much
/// may lie between a comment's id and the time when its number was drawn.
const CLOCK_SLACK: time::Duration = time::Duration::minutes(5);

/// A value with its type, which the server is told.
type Value = (Box<dyn ToSql + Sync + Send>, Type);

/// Conditions with their values, each `?` numbered as it is added.
struct Conditions {
    text: String,
    values: Vec<Value>,
}

impl Conditions {
    fn new(site_number: i64) -> Self {
        let mut all = Self { text: "comments.site = $1".into(), values: Vec::new() };
        all.push(site_number, Type::INT8);
        all
    }

    /// The number of a new value.
    fn push(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> usize {
        self.values.push((Box::new(value), kind));
        self.values.len()
    }

    /// Adds a condition, in which `?` stands for the value.
    fn add(&mut self, condition: &str, value: impl ToSql + Sync + Send + 'static, kind: Type) {
        let number = format!("${}", self.push(value, kind));
        self.text.push_str(" AND ");
        self.text.push_str(&condition.replace('?', &number));
    }

    fn word(&mut self, condition: &str, word: &str) {
        self.add(condition, word.to_owned(), Type::TEXT);
    }
}

fn conditions(site_number: i64, filter: &CommentFilter) -> Conditions {
    let mut all = Conditions::new(site_number);
    if let Some(verdict) = filter.verdict {
        all.word("verdict = ?", verdict.as_str());
    }
    if let Some(label) = filter.label {
        all.word("label = ?", label.as_str());
    }
    if let Some(page) = &filter.page_uri {
        all.word("page_uri = ?", page);
    }
    if let Some(author) = filter.author {
        all.add("author = ?", author.as_bytes().to_vec(), Type::BYTEA);
    }
    if let Some(campaign) = filter.campaign {
        all.add("comments.campaign = ?", *campaign.as_uuid(), Type::UUID);
    }
    if let Some(least) = filter.score_min {
        all.add("probability >= ?", least, Type::FLOAT8);
    }
    if let Some(end) = filter.score_max {
        all.add("probability < ?", end, Type::FLOAT8);
    }
    all
}

/// Narrows to a time of check: by id exactly, and by number as far as is certain, since lists run
/// through numbers.
async fn add_times(
    db: &Db,
    site_number: i64,
    filter: &CommentFilter,
    all: &mut Conditions,
) -> Result<(), StoreError> {
    if let Some(since) = filter.since {
        all.add("comments.id >= ?", id_bound(since, 0), Type::UUID);
        let sql = "SELECT number FROM comments WHERE site = $1 AND id < $2 \
             ORDER BY id DESC LIMIT 1";
        if let Some(number) =
            number_at(db, site_number, sql, id_bound(since - CLOCK_SLACK, 0)).await?
        {
            all.add("comments.number > ?", number, Type::INT8);
        }
    }
    if let Some(until) = filter.until {
        all.add("comments.id < ?", id_bound(until, 0), Type::UUID);
        let sql = "SELECT number FROM comments WHERE site = $1 AND id >= $2 ORDER BY id LIMIT 1";
        if let Some(number) =
            number_at(db, site_number, sql, id_bound(until + CLOCK_SLACK, 0)).await?
        {
            all.add("comments.number < ?", number, Type::INT8);
        }
    }
    Ok(())
}

async fn number_at(
    db: &Db,
    site_number: i64,
    sql: &str,
    id: Uuid,
) -> Result<Option<i64>, StoreError> {
    db.first(sql, &[&site_number, &id], |row| get(row, 0)).await
}

/// The stored languages that a language means, found by jumping from one to the next in the index.
async fn languages(db: &Db, site_number: i64, lang: &str) -> Result<Vec<String>, StoreError> {
    let sql = "WITH RECURSIVE found (lang) AS ( \
         SELECT min(lang) FROM comments WHERE site = $1 AND lang >= $2 AND lang < $3 \
         UNION ALL SELECT (SELECT min(lang) FROM comments \
             WHERE site = $1 AND lang > found.lang AND lang < $3) \
         FROM found WHERE found.lang IS NOT NULL) \
         SELECT lang FROM found WHERE lang IS NOT NULL LIMIT $4";
    let end = language_end(lang);
    db.all(sql, &[&site_number, &lang, &end, &LANGUAGES_MAX], |row| get(row, 0)).await
}

/// What is scanned apart and merged: comments of a state, of a language, or all.
type Part = (Option<State>, Option<String>);

/// How a list runs through the table.
struct Scan {
    by_score: bool,
    by_words: bool,
    oldest_first: bool,
}

impl Scan {
    fn new(filter: &CommentFilter, order: ListOrder) -> Self {
        // A range of scores is found by the index on them, so it is listed by score.
        let by_score =
            order == ListOrder::Score || filter.score_min.is_some() || filter.score_max.is_some();
        Self {
            by_score,
            by_words: !filter.words.is_empty() || filter.signal.is_some(),
            oldest_first: order == ListOrder::Oldest && !by_score,
        }
    }

    fn sorting(&self) -> String {
        match (self.by_score, self.oldest_first) {
            (true, _) => "probability DESC, number DESC".into(),
            (false, true) => "number".into(),
            (false, false) => "number DESC".into(),
        }
    }

    /// The states that are scanned apart and merged, since the indexes that leave least are by
    /// state first.
    fn states(&self, filter: &CommentFilter) -> Vec<Option<State>> {
        let has_index_of_its_own = self.by_words
            || filter.author.is_some()
            || !self.by_score
                && (filter.page_uri.is_some() || filter.lang.is_some() || filter.label.is_some());
        match filter.state {
            Some(state) => vec![Some(state)],
            None if has_index_of_its_own && filter.campaign.is_none() => vec![None],
            None => [State::Held, State::Approved, State::Rejected].map(Some).into(),
        }
    }

    /// The query for a page: first the numbers, as the indexes have them, then the comments.
    fn sql(&self, parts: &[Part], all: &mut Conditions, count_max: usize) -> String {
        let from = match self.by_words {
            true => "comment_words JOIN comments ON comments.number = comment_words.number",
            false => "comments",
        };
        let limit = all.push(count_max as i64 + 1, Type::INT8);
        let sorting = self.sorting();
        let parts: Vec<String> = parts
            .iter()
            .map(|(state, lang)| {
                let state = state.map(|state| state.as_str().to_owned());
                let narrower: String = [("state", state), ("lang", lang.clone())]
                    .into_iter()
                    .filter_map(|(column, value)| {
                        Some(format!(" AND {column} = ${}", all.push(value?, Type::TEXT)))
                    })
                    .collect();
                format!(
                    "(SELECT comments.number, probability FROM {from} WHERE {}{narrower} \
                     ORDER BY {sorting} LIMIT ${limit})",
                    all.text
                )
            })
            .collect();
        let numbers = parts.join(" UNION ALL ");
        let sorting = sorting.replace("number", "comments.number");
        let sorting = sorting.replace("probability", "comments.probability");
        // The names of the columns are of one table each, here too.
        format!(
            "SELECT {columns} FROM (SELECT number AS found_number FROM ({numbers}) AS part) \
             AS found JOIN comments ON comments.number = found_number {CLAIMS} \
             ORDER BY {sorting} LIMIT ${limit}",
            columns = listed_columns()
        )
    }
}

/// A page of comments.
pub(super) async fn comments(
    db: &Db,
    site_number: i64,
    site: &SiteId,
    filter: &CommentFilter,
    order: ListOrder,
    cursor: Option<&Cursor>,
    count_max: usize,
) -> Result<Page<ReviewedComment>, StoreError> {
    let scan = Scan::new(filter, order);
    let mut all = conditions(site_number, filter);
    add_times(db, site_number, filter, &mut all).await?;
    match words::query(site_number, filter) {
        Query::All => {}
        Query::Nothing => return Ok(Page::default()),
        Query::Words(query) => {
            all.text.push_str(" AND comment_words.site = $1");
            all.word("comment_words.words @@ (?::text)::tsquery", &query);
        }
    }
    if scan.by_score {
        all.text.push_str(" AND probability IS NOT NULL");
    }
    add_cursor(&mut all, &scan, cursor)?;
    let languages = match &filter.lang {
        Some(lang) => languages(db, site_number, lang).await?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    let states = scan.states(filter).into_iter();
    let parts: Vec<Part> =
        states.flat_map(|state| languages.iter().map(move |lang| (state, lang.clone()))).collect();
    if parts.is_empty() {
        return Ok(Page::default());
    }
    let sql = scan.sql(&parts, &mut all, count_max);
    let values: Vec<(&(dyn ToSql + Sync), Type)> = all
        .values
        .iter()
        .map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone()))
        .collect();
    let mut found: Vec<Listed> = db.all_once(&sql, &values, |row| listed(site, row)).await?;
    let more = found.len() > count_max;
    found.truncate(count_max);
    let next = found.last().filter(|_| more).map(|last| Cursor {
        key: if scan.by_score { last.probability.unwrap_or_default() } else { 0.0 },
        tie: last.number.to_be_bytes().to_vec(),
    });
    Ok(Page { rows: found.into_iter().map(|listed| listed.reviewed).collect(), next })
}

/// Goes on after a place.
fn add_cursor(
    all: &mut Conditions,
    scan: &Scan,
    cursor: Option<&Cursor>,
) -> Result<(), StoreError> {
    let Some(cursor) = cursor else { return Ok(()) };
    let number: [u8; 8] = cursor.tie.as_slice().try_into().map_err(corrupt)?;
    let number = i64::from_be_bytes(number);
    if scan.by_score {
        let key = all.push(cursor.key, Type::FLOAT8);
        all.add(&format!("(probability, comments.number) < (${key}, ?)"), number, Type::INT8);
        return Ok(());
    }
    let compare = if scan.oldest_first { ">" } else { "<" };
    // A list by words runs through the numbers of their index.
    let column = if scan.by_words { "comment_words.number" } else { "comments.number" };
    all.add(&format!("{column} {compare} ?"), number, Type::INT8);
    Ok(())
}

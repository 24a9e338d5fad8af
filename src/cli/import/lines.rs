//! Files of one JSON object a line: Remark42's backup, and examples.

use std::collections::HashSet;
use std::io::{BufRead, Read};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::comment::{
    ForeignComment, LeftOut, Opinions, Place, Problem, Sink, Standing, date, filled,
};
use super::markup;
use super::table::Row;
use crate::cli::files::{BYTE_ORDER_MARK, LINE_BYTES_MAX, read_line, too_long};
use crate::domain::{Example, Label};

/// Bytes of the first line of a backup, which lists all authors and pages.
const HEAD_BYTES_MAX: u64 = 256 << 20;

/// Calls `take` with each line that is not blank, and its number from `number` on.
fn each_line(
    mut bytes: impl BufRead,
    mut number: u64,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = read_line(&mut bytes, &mut line);
        let count = count.map_err(|error| Problem::at(Place::Line(number), error.to_string()))?;
        if count == 0 {
            return Ok(());
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(Problem::at(Place::Line(number), too_long()));
        }
        let text = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line).trim_ascii();
        if !text.is_empty() {
            take(number, text)?;
        }
        number += 1;
    }
}

/// What is wrong with a line, without what stands in it.
fn bad_json(line: u64, error: &serde_json::Error) -> Problem {
    let what = match error.classify() {
        serde_json::error::Category::Data => "an object with other fields is expected",
        serde_json::error::Category::Eof => "the line ends inside of an object",
        _ => "this is no JSON",
    };
    Problem::at(Place::Line(line), format!("{what} (column {})", error.column()))
}

/// Reads examples; the fields have the names of a table's columns.
pub(super) fn read_jsonl(bytes: impl BufRead, sink: &mut dyn Sink) -> Result<(), Problem> {
    each_line(bytes, 1, |number, line| {
        let object: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| bad_json(number, &error))?;
        let mut row = Row::default();
        for (name, value) in object {
            match value {
                Value::String(text) => row.set(&name, text),
                Value::Bool(_) | Value::Number(_) => row.set(&name, value.to_string()),
                _ => {}
            }
        }
        let comment = row.comment().map_err(|why| Problem::at(Place::Line(number), why))?;
        sink.comment(comment)
    })
}

#[derive(Deserialize)]
struct RemarkHead {
    #[serde(default)]
    users: Option<Vec<RemarkUser>>,
}

#[derive(Deserialize)]
struct RemarkUser {
    id: String,
    #[serde(default)]
    blocked: RemarkBlock,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RemarkBlock {
    status: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RemarkComment {
    /// Rendered.
    text: String,
    /// As typed; older backups lack it.
    orig: String,
    user: RemarkAuthor,
    locator: RemarkLocator,
    time: String,
    delete: bool,
    title: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RemarkAuthor {
    id: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RemarkLocator {
    url: String,
}

/// Reads a backup: a line that lists authors and pages, then a line a comment. One that was cut in
/// pieces may lack the first.
pub(super) fn read_remark(mut bytes: impl BufRead, sink: &mut dyn Sink) -> Result<(), Problem> {
    let mut first = Vec::new();
    let read = Read::take(&mut bytes, HEAD_BYTES_MAX).read_until(b'\n', &mut first);
    read.map_err(|error| Problem::at(Place::Line(1), error.to_string()))?;
    let head: RemarkHead = serde_json::from_slice(&first).map_err(|error| bad_json(1, &error))?;
    let users = head.users.unwrap_or_default().into_iter();
    let blocked: HashSet<String> =
        users.filter(|user| user.blocked.status).map(|user| user.id).collect();
    let mut take = |number: u64, line: &[u8]| {
        let comment: RemarkComment =
            serde_json::from_slice(line).map_err(|error| bad_json(number, &error))?;
        sink.comment(remark_comment(comment, &blocked))
    };
    let starts_with_comment = serde_json::from_slice::<RemarkComment>(&first)
        .is_ok_and(|comment| !comment.locator.url.is_empty());
    if starts_with_comment {
        take(1, &first)?;
    }
    drop(first);
    each_line(bytes, 2, take)
}

fn remark_comment(comment: RemarkComment, blocked: &HashSet<String>) -> ForeignComment {
    let standing = if comment.delete {
        Standing::Out(LeftOut::Deleted)
    } else if blocked.contains(&comment.user.id) {
        Standing::Out(LeftOut::BlockedAuthor)
    } else {
        Standing::As(Label::Ham)
    };
    let text = filled(comment.orig).unwrap_or_else(|| markup::text(&comment.text));
    let example = Example {
        text,
        author: filled(comment.user.name),
        page_uri: filled(comment.locator.url),
        page_title: filled(comment.title),
        date: date(&comment.time),
        ..Example::default()
    };
    ForeignComment { id: None, example, standing, opinions: Opinions::default() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::comment::tests::Found;
    use super::*;

    fn problem(result: Result<(), Problem>) -> (Place, String) {
        match result {
            Err(Problem::Broken(place, problem)) => (place, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_backup_is_read() {
        let backup = concat!(
            r#"{"version":1,"users":[{"id":"anonymous_x","blocked":{"status":true,"until":"2027-01-01T00:00:00Z"},"verified":false}],"posts":[{"url":"https://bread.example/rye/","read_only":true}]}"#,
            "\n",
            r#"{"id":"a","pid":"","text":"<p>Try <em>rye</em></p>\n","orig":"Try *rye*","user":{"name":"Ann","id":"github_1","picture":"","ip":"8a9c","admin":false},"locator":{"site":"bread","url":"https://bread.example/rye/"},"score":2,"votes":{},"time":"2026-01-02T03:04:05.123456789Z","title":"Rye"}"#,
            "\n\n",
            r#"{"id":"b","text":"","user":{"name":"Bob","id":"github_2"},"locator":{"url":"u"},"time":"2026-01-02T03:04:05Z","delete":true}"#,
            "\n",
            r#"{"id":"c","text":"<p>Cheap &amp; good</p>","user":{"name":"Shop","id":"anonymous_x"},"locator":{"url":"u"},"time":"2026-01-02T03:04:05Z"}"#,
        );
        let mut found = Found::default();
        read_remark(backup.as_bytes(), &mut found).unwrap();
        let [first, deleted, blocked] = &found.comments[..] else { panic!("three comments") };
        assert_eq!(first.example.text, "Try *rye*");
        assert_eq!(first.standing, Standing::As(Label::Ham));
        assert!(first.example.time().is_some() && first.example.ip.is_none());
        assert_eq!(deleted.standing, Standing::Out(LeftOut::Deleted));
        assert_eq!(blocked.standing, Standing::Out(LeftOut::BlockedAuthor));
        assert_eq!(blocked.example.text, "Cheap & good");

        let (_, rest) = backup.split_once('\n').unwrap();
        let mut found = Found::default();
        read_remark(rest.as_bytes(), &mut found).unwrap();
        assert_eq!(found.comments.len(), 3, "without its head");
        let cut = &backup[..backup.len() - 20];
        let (place, why) = problem(read_remark(cut.as_bytes(), &mut Found::default()));
        assert_eq!(place, Place::Line(5));
        assert!(why.contains("ends inside"), "{why}");
    }

    #[test]
    fn examples_are_read() {
        let lines = "\u{feff}{\"text\":\"Lovely crumb\",\"label\":\"ham\",\"ua\":\"Firefox\",\"group\":7}\n\
             {\"comment\":\"Lots\",\"is_spam\":true,\"x\":{}}\n{\"text\":\"?\",\"akismet_result\":\"true\"}\n";
        let mut found = Found::default();
        read_jsonl(lines.as_bytes(), &mut found).unwrap();
        let [ham, spam, none] = &found.comments[..] else { panic!("three comments") };
        assert_eq!(ham.standing, Standing::As(Label::Ham));
        assert_eq!(ham.example.user_agent.as_deref(), Some("Firefox"));
        assert_eq!(spam.standing, Standing::As(Label::Spam));
        assert_eq!(none.standing, Standing::Out(LeftOut::Unlabelled));
        assert_eq!(none.opinions.akismet, Some(Label::Spam));
        let bad =
            "{\"text\":\"a\",\"label\":\"ham\"}\n{\"text\":\"a\",\"label\":\"ann@example.org\"}\n";
        let (place, why) = problem(read_jsonl(bad.as_bytes(), &mut Found::default()));
        assert_eq!(place, Place::Line(2));
        assert!(!why.contains("ann@"), "{why}");
        assert_eq!(problem(read_jsonl(&b"{\"a\":"[..], &mut Found::default())).0, Place::Line(1));
        let endless = vec![b'['; LINE_BYTES_MAX + 2];
        assert!(problem(read_jsonl(&endless[..], &mut Found::default())).1.contains("more than"));
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_jsonl(&bytes[..], &mut Found::default());
            let _ = read_remark(&bytes[..], &mut Found::default());
        }
    }
}

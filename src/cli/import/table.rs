//! Tables with a header, and the names that columns go by.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Read;
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use super::comment::{
    ForeignComment, LeftOut, Opinions, Place, Problem, Sink, Standing, filled, first_date,
};
use super::input::Mended;
use super::wordpress::{as_typed, unescaped};
use crate::domain::{Example, Label};

/// Bytes of a row: a quotation that never ends would be one row of all that follows.
const ROW_BYTES_MAX: usize = 4 << 20;
/// Bytes that may be read ahead of a row.
const BUFFER_BYTES: usize = 64 << 10;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Field {
    Text,
    Label,
    IsSpam,
    Status,
    Kind,
    Author,
    Email,
    Url,
    Ip,
    UserAgent,
    Lang,
    PageTitle,
    PageUri,
    Date,
    Source,
    AkismetResult,
    AkismetUserResult,
}

/// The names of columns, each list from the best to the worst.
const NAMES: &[(Field, &[&str])] = &[
    (
        Field::Text,
        &["text", "comment_content", "comment_text", "comment", "content", "body", "message"],
    ),
    (Field::Label, &["label", "class"]),
    (Field::IsSpam, &["is_spam", "isspam", "spam"]),
    (Field::Status, &["status", "state", "comment_approved", "approved"]),
    (Field::Kind, &["comment_type"]),
    (Field::Author, &["author", "comment_author", "author_name", "name", "user", "username"]),
    (Field::Email, &["email", "comment_author_email", "author_email", "mail"]),
    (Field::Url, &["url", "comment_author_url", "author_url", "website"]),
    (Field::Ip, &["ip", "comment_author_ip", "author_ip", "ip_address", "remote_addr"]),
    (Field::UserAgent, &["user_agent", "ua", "comment_agent", "agent"]),
    (Field::Lang, &["lang", "language"]),
    (Field::PageTitle, &["page_title", "context", "post_title", "title"]),
    (Field::PageUri, &["page_uri", "permalink", "page_url", "post_url", "page"]),
    (
        Field::Date,
        &["date", "comment_date_gmt", "comment_date", "created_at", "created", "timestamp", "time"],
    ),
    (Field::Source, &["source"]),
    (Field::AkismetResult, &["akismet_result"]),
    (Field::AkismetUserResult, &["akismet_user_result"]),
];

/// Where WordPress has a comment and its author's name, which it stores otherwise than they were typed.
const WORDPRESS_TEXT: &str = "comment_content";
const WORDPRESS_AUTHOR: &str = "comment_author";

/// The field of a column, and how good a name for it that is, 0 being the best.
fn field(name: &str) -> Option<(Field, usize)> {
    let name = name.trim().to_ascii_lowercase().replace([' ', '-'], "_");
    NAMES.iter().find_map(|(field, names)| {
        let rank = names.iter().position(|known| *known == name)?;
        Some((*field, rank))
    })
}

/// The fields of a comment by the names of their columns.
#[derive(Default)]
pub(super) struct Row {
    /// By field and how good the column's name for it is; none is blank.
    values: BTreeMap<(Field, usize), String>,
}

impl Row {
    /// Notes a value; a column that nobody knows is passed over, and so is a blank, which says
    /// nothing where a column with a worse name does.
    pub fn set(&mut self, name: &str, value: String) {
        if let Some((place, value)) = field(name).zip(filled(value)) {
            self.values.entry(place).or_insert(value);
        }
    }

    /// All values for a field, the best first, with the names of their columns.
    fn all(&self, field: Field) -> impl Iterator<Item = (&'static str, &str)> {
        let names =
            NAMES.iter().find(|(known, _)| *known == field).map_or(&[][..], |(_, names)| names);
        let values = self.values.range((field, 0)..(field, names.len()));
        values.map(|((_, rank), value)| (names[*rank], value.as_str()))
    }

    fn take(&self, field: Field) -> Option<String> {
        self.all(field).next().map(|(_, value)| value.to_owned())
    }

    /// The value for a field as its author typed it, if the column of this name has it.
    fn typed(
        &self,
        field: Field,
        wordpress: &str,
        typed: impl FnOnce(String) -> String,
    ) -> Option<String> {
        let (name, value) = self.all(field).next()?;
        let value = value.to_owned();
        filled(if name == wordpress { typed(value) } else { value })
    }

    /// The comment.
    ///
    /// # Errors
    /// If its label is no label.
    pub fn comment(self) -> Result<ForeignComment, &'static str> {
        let standing = self.standing()?;
        let mut opinions = Opinions::default();
        let said = [
            ("akismet_result", Field::AkismetResult),
            ("akismet_user_result", Field::AkismetUserResult),
        ];
        for (key, field) in said {
            if let Some(value) = self.take(field) {
                opinions.read(key, &value.to_ascii_lowercase());
            }
        }
        let example = Example {
            text: self.typed(Field::Text, WORDPRESS_TEXT, as_typed).unwrap_or_default(),
            author: self.typed(Field::Author, WORDPRESS_AUTHOR, unescaped),
            email: self.take(Field::Email),
            url: self.take(Field::Url),
            ip: self.take(Field::Ip),
            user_agent: self.take(Field::UserAgent),
            lang: self.take(Field::Lang),
            page_title: self.take(Field::PageTitle),
            page_uri: self.take(Field::PageUri),
            date: first_date(self.all(Field::Date).map(|(_, text)| text)),
            source: self.take(Field::Source),
            ..Example::default()
        };
        Ok(ForeignComment { id: None, example, standing, opinions })
    }

    fn standing(&self) -> Result<Standing, &'static str> {
        match self.take(Field::Kind).as_deref() {
            None | Some("comment" | "review") => {}
            Some("pingback" | "trackback") => return Ok(Standing::Out(LeftOut::Pingback)),
            Some(_) => return Ok(Standing::Out(LeftOut::OtherKind)),
        }
        let word = |text: Option<String>| text.map(|text| text.trim().to_ascii_lowercase());
        if let Some(label) = word(self.take(Field::Label)) {
            let label = label.parse::<Label>().ok().or(match label.as_str() {
                "not spam" | "not_spam" | "not-spam" | "notspam" => Some(Label::Ham),
                _ => None,
            });
            let label = label.ok_or("the label is neither `ham` nor `spam`")?;
            return Ok(Standing::As(label));
        }
        if let Some(spam) = word(self.take(Field::IsSpam)) {
            return match spam.as_str() {
                "true" | "1" | "yes" | "t" | "y" => Ok(Standing::As(Label::Spam)),
                "false" | "0" | "no" | "f" | "n" => Ok(Standing::As(Label::Ham)),
                _ => Err("whether it is spam is neither `true` nor `false`"),
            };
        }
        Ok(match word(self.take(Field::Status)).as_deref() {
            None => Standing::Out(LeftOut::Unlabelled),
            Some("1" | "true" | "yes" | "approved" | "approve" | "accepted" | "published") => {
                Standing::As(Label::Ham)
            }
            Some("ham") => Standing::As(Label::Ham),
            Some("spam") => Standing::As(Label::Spam),
            Some("0" | "false" | "no" | "pending" | "hold" | "held" | "unapproved") => {
                Standing::Out(LeftOut::Pending)
            }
            Some("trash" | "trashed" | "post-trashed" | "rejected") => {
                Standing::Out(LeftOut::Trash)
            }
            Some("deleted") => Standing::Out(LeftOut::Deleted),
            Some(_) => Standing::Out(LeftOut::OtherState),
        })
    }
}

/// The sign between columns: the one that the first line has most of.
fn delimiter(head: &str) -> u8 {
    let line = head.lines().next().unwrap_or_default();
    let count = |sign: &u8| line.bytes().filter(|byte| byte == sign).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(count).unwrap_or(b',')
}

/// Whether a file that begins like this has a header that names a text.
pub(super) fn has_header(head: &str) -> bool {
    let line = head.lines().next().unwrap_or_default();
    let separator = char::from(delimiter(line));
    let mut names = line.split(separator).map(|name| name.trim().trim_matches('"'));
    line.contains(separator) && names.any(|name| matches!(field(name), Some((Field::Text, _))))
}

/// Reads a table.
pub(super) fn read_csv(
    mut bytes: impl std::io::BufRead,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let failed = |error: std::io::Error| Problem::at(Place::Line(1), error.to_string());
    let head = bytes.fill_buf().map_err(failed)?;
    let sign = delimiter(&String::from_utf8_lossy(head));
    let left = Rc::new(Cell::new(ROW_BYTES_MAX + BUFFER_BYTES));
    let bounded = Bounded { inner: Mended::new(bytes), left: left.clone() };
    let mut builder = ReaderBuilder::new();
    builder.delimiter(sign).flexible(true).buffer_capacity(BUFFER_BYTES);
    let mut reader = builder.from_reader(bounded);
    let header = reader.byte_headers().map_err(|error| bad_row(&error, 1))?;
    let names: Vec<String> = header.iter().map(text).collect();
    let has = |wanted: &[Field]| {
        names.iter().any(|name| field(name).is_some_and(|(field, _)| wanted.contains(&field)))
    };
    let labels = [Field::Label, Field::IsSpam, Field::Status, Field::AkismetUserResult];
    if !has(&[Field::Text]) || !has(&labels) {
        let text = "a header is expected that names a column `text` and a column `label`, \
                    `is_spam` or `status`";
        return Err(Problem::at(Place::Line(1), text));
    }
    let mut record = ByteRecord::new();
    loop {
        left.set(ROW_BYTES_MAX + BUFFER_BYTES);
        let line = reader.position().line();
        if !reader.read_byte_record(&mut record).map_err(|error| bad_row(&error, line))? {
            return Ok(());
        }
        let line = record.position().map_or(line, csv::Position::line);
        if record.len() != names.len() {
            let text = "the row has more or fewer values than the header has columns";
            return Err(Problem::at(Place::Line(line), text));
        }
        let mut row = Row::default();
        for (name, value) in names.iter().zip(&record) {
            row.set(name, text(value));
        }
        let comment = row.comment().map_err(|why| Problem::at(Place::Line(line), why))?;
        sink.comment(comment)?;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_owned()
}

/// Never with what stands in the row.
fn bad_row(error: &csv::Error, line: u64) -> Problem {
    let problem = match error.kind() {
        csv::ErrorKind::Io(error) => error.to_string(),
        _ => "this is no row of a table".to_owned(),
    };
    Problem::at(Place::Line(line.max(1)), problem)
}

/// Bytes that end when a row has too many.
struct Bounded<R> {
    inner: Mended<R>,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.left.get() == 0 {
            let text = format!("a row has more than {ROW_BYTES_MAX} bytes; is a quotation open?");
            return Err(std::io::Error::other(text));
        }
        let count = self.inner.read(out)?;
        self.left.set(self.left.get().saturating_sub(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::comment::tests::Found;
    use super::*;

    fn read(table: &str) -> Result<Found, (Place, String)> {
        let mut found = Found::default();
        match read_csv(table.as_bytes(), &mut found) {
            Ok(()) => Ok(found),
            Err(Problem::Broken(place, problem)) => Err((place, problem)),
            Err(problem) => panic!("{problem:?}"),
        }
    }

    #[test]
    fn tables_are_read() {
        let table = "\u{feff}Comment;Status;E-Mail;email;Date\n\
             \"A crust;\nlike glass\";approved;x;ann@example.org;2026-01-02\n\
             Lots;spam;;;\nWhy;0;;;\n";
        let found = read(table).unwrap();
        let [ham, spam, pending] = &found.comments[..] else { panic!("three comments") };
        assert_eq!(ham.example.text, "A crust;\nlike glass");
        assert_eq!(ham.example.email.as_deref(), Some("ann@example.org"));
        assert!(ham.example.time().is_some());
        assert_eq!(ham.standing, Standing::As(Label::Ham));
        assert_eq!(spam.standing, Standing::As(Label::Spam));
        assert_eq!(pending.standing, Standing::Out(LeftOut::Pending));
        let found = read("body,label,text\nb,ham,a\n").unwrap();
        assert_eq!(found.comments[0].example.text, "a", "the best name wins");
    }

    /// They stayed as WordPress stores them, and a date that says nothing hid one that does.
    #[test]
    fn columns_of_wordpress_are_read_as_its_export_is() {
        let table = "comment_author,comment_content,comment_date,comment_date_gmt,comment_approved\n\
             Tom &amp; Jerry,\"<a href=\"\"https://a.example\"\" rel=\"\"nofollow ugc\"\">R&amp;D</a>\",\
             2026-01-02 03:04:05,0000-00-00 00:00:00,1\n\
             Ann,Rye,2026-01-02 03:04:05,,1\nAnn,Oats,2026-01-02 03:04:05,soon,1\n\
             Ann,Spelt,2026-01-02 03:04:05,2026-01-02 02:04:05,1\n";
        let found = read(table).unwrap();
        let first = &found.comments[0].example;
        assert_eq!(first.text, "<a href=\"https://a.example\">R&D</a>");
        assert_eq!(first.author.as_deref(), Some("Tom & Jerry"));
        let dates: Vec<_> =
            found.comments.iter().map(|comment| comment.example.date.as_deref()).collect();
        let (local, gmt) = (Some("2026-01-02T03:04:05"), Some("2026-01-02T02:04:05"));
        assert_eq!(dates, [local, local, local, gmt]);
        // Whoever typed a reference into another form meant it.
        let found = read("author,text,label\nTom &amp; Jerry,R&amp;D,ham\n").unwrap();
        let as_it_stands = &found.comments[0].example;
        assert_eq!(as_it_stands.text, "R&amp;D");
        assert_eq!(as_it_stands.author.as_deref(), Some("Tom &amp; Jerry"));
    }

    #[test]
    fn broken_tables_have_a_place() {
        assert_eq!(read("text,author\na,b\n").err().unwrap().0, Place::Line(1));
        assert_eq!(read("text,label\na,ham\nb\n").err().unwrap().0, Place::Line(3));
        let (place, why) = read("text,label\na,ham\nb,ann@example.org\n").err().unwrap();
        assert_eq!(place, Place::Line(3));
        assert!(!why.contains("ann"), "{why}");
        let open = format!("text,label\n\"{}", "a\n".repeat(ROW_BYTES_MAX));
        let (place, why) = read(&open).err().unwrap();
        assert_eq!(place, Place::Line(2));
        assert!(why.contains("is a quotation open"), "{why}");
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(table in "text,label\n(\"|,|\n|ham|spam|ä|\r|;)*") {
            let _ = read(&table);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_csv(&bytes[..], &mut Found::default());
        }
    }
}

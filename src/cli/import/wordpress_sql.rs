//! A dump of WordPress's database: its comments, and what Akismet noted beside them.

use std::collections::HashMap;
use std::io::Read;

use super::comment::{Opinions, Place, Problem, Sink};
use super::sql::{self, Tables};
use super::sql_bytes::Value;
use super::wordpress::Fields;

/// The columns of WordPress's tables, for dumps that name them nowhere.
const COMMENTS: [&str; 15] = [
    "comment_ID",
    "comment_post_ID",
    "comment_author",
    "comment_author_email",
    "comment_author_url",
    "comment_author_IP",
    "comment_date",
    "comment_date_gmt",
    "comment_content",
    "comment_karma",
    "comment_approved",
    "comment_agent",
    "comment_type",
    "comment_parent",
    "user_id",
];
const META: [&str; 4] = ["meta_id", "comment_id", "meta_key", "meta_value"];
/// Tables of a dump whose columns are kept: a network of sites has two for each.
const TABLE_COUNT_MAX: usize = 20_000;

/// Reads the comments of one site: of the tables with this prefix, or of the only ones.
pub(super) fn read(
    bytes: impl Read,
    prefix: Option<&str>,
    sink: &mut dyn Sink,
) -> Result<(), Problem> {
    let mut site = Site {
        sink,
        wanted: prefix.map(str::to_owned),
        chosen: prefix.is_some(),
        columns: HashMap::new(),
        current: Current::default(),
        comments_seen: false,
    };
    sql::read(bytes, &mut site)?;
    if site.comments_seen {
        return Ok(());
    }
    let text = match prefix {
        Some(_) => "no comments of WordPress stand in a table with this prefix",
        None => "no comments of WordPress stand in this dump",
    };
    Err(Problem::at(Place::File, text))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Comments,
    Meta,
}

impl Kind {
    /// The prefix and the kind of a table.
    fn of(table: &str) -> Option<(&str, Self)> {
        let meta = table.strip_suffix("commentmeta").map(|prefix| (prefix, Self::Meta));
        meta.or_else(|| table.strip_suffix("comments").map(|prefix| (prefix, Self::Comments)))
    }

    /// Whether these are the columns of WordPress's table, and not of another with such a name.
    fn has(self, columns: &[String]) -> bool {
        let needed: &[&str] = match self {
            Self::Comments => &["comment_id", "comment_content", "comment_approved"],
            Self::Meta => &["comment_id", "meta_key", "meta_value"],
        };
        let has = |name: &str| columns.iter().any(|column| column.eq_ignore_ascii_case(name));
        needed.iter().all(|name| has(name))
    }

    fn standard(self) -> Vec<String> {
        let columns: &[&str] = match self {
            Self::Comments => &COMMENTS,
            Self::Meta => &META,
        };
        columns.iter().map(|name| (*name).to_owned()).collect()
    }
}

/// The rows that are read now.
#[derive(Default)]
struct Current {
    kind: Kind,
    columns: Vec<String>,
}

struct Site<'a> {
    sink: &'a mut dyn Sink,
    /// The prefix of the tables that are read.
    wanted: Option<String>,
    /// Whether the owner chose it.
    chosen: bool,
    /// The columns of tables by their name.
    columns: HashMap<String, Vec<String>>,
    current: Current,
    comments_seen: bool,
}

impl Tables for Site<'_> {
    fn table(&mut self, name: &str, columns: Vec<String>) {
        if Kind::of(name).is_some() && self.columns.len() < TABLE_COUNT_MAX {
            self.columns.insert(name.to_owned(), columns);
        }
    }

    fn rows(&mut self, name: &str, columns: Option<Vec<String>>) -> Result<bool, Problem> {
        let Some((prefix, kind)) = Kind::of(name) else { return Ok(false) };
        let columns =
            columns.or_else(|| self.columns.get(name).cloned()).unwrap_or_else(|| kind.standard());
        if !kind.has(&columns) {
            return Ok(false);
        }
        match &self.wanted {
            None => self.wanted = Some(prefix.to_owned()),
            Some(wanted) if wanted == prefix => {}
            Some(_) if self.chosen => return Ok(false),
            Some(wanted) => {
                let text = format!(
                    "the dump has comments of several sites: choose one with --table-prefix, such \
                     as {} or {}",
                    shown(wanted),
                    shown(prefix)
                );
                return Err(Problem::at(Place::File, text));
            }
        }
        self.comments_seen |= kind == Kind::Comments;
        self.current = Current { kind, columns };
        Ok(true)
    }

    fn row(&mut self, values: &mut [Value], place: Place) -> Result<(), Problem> {
        if values.len() != self.current.columns.len() {
            let text = "a row has more or fewer values than its table has columns";
            return Err(Problem::at(place, text));
        }
        let columns = self.current.columns.iter().zip(values);
        match self.current.kind {
            Kind::Comments => {
                let mut fields = Fields::default();
                for (column, value) in columns {
                    if let (Some(field), Some(value)) = (fields.named(column), value.take()) {
                        *field = text(value);
                    }
                }
                self.sink.comment(fields.comment(Opinions::default()))
            }
            Kind::Meta => {
                let (mut id, mut key, mut read) = (None, String::new(), String::new());
                for (column, value) in columns {
                    let value = value.take().map(text).unwrap_or_default();
                    match column.to_ascii_lowercase().as_str() {
                        "comment_id" => id = value.trim().parse().ok(),
                        "meta_key" => key = value,
                        "meta_value" => read = value,
                        _ => {}
                    }
                }
                let mut opinions = Opinions::default();
                match id {
                    Some(id) if opinions.read(&key, &read) => self.sink.opinions(id, opinions),
                    _ => Ok(()),
                }
            }
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A prefix as it may be shown: it is a name of the file's.
fn shown(prefix: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$');
    format!("`{}`", prefix.chars().filter(plain).take(40).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::comment::tests::Found;
    use super::super::comment::{LeftOut, Standing};
    use super::*;
    use crate::domain::Label;

    const DUMP: &str = "CREATE TABLE `blog_commentmeta` (`meta_id` bigint, `comment_id` bigint, `meta_key` varchar(255), `meta_value` longtext, PRIMARY KEY (`meta_id`));
INSERT INTO `blog_commentmeta` VALUES (1,5,'akismet_result','true'),(2,5,'akismet_user_result','false'),(3,6,'akismet_history','a:1:{s:4:\\\"time\\\"}'),(4,7,'akismet_result','false');
CREATE TABLE `blog_comments` (`comment_ID` bigint, `comment_post_ID` bigint, `comment_author` tinytext, `comment_content` text, `comment_approved` varchar(20), `comment_date_gmt` datetime, `comment_type` varchar(20));
INSERT INTO `blog_comments` VALUES (5,1,'Ann','Don\\'t knead\\nit','1','2026-01-02 03:04:05',''),(6,1,NULL,'Note','1','0000-00-00 00:00:00','order_note');
INSERT INTO `blog_comments` VALUES (7,1,'Bob','Lots','spam','2026-01-03 03:04:05','comment');
CREATE TABLE `blog_forum_comments` (`id` bigint);
INSERT INTO `blog_forum_comments` VALUES (1);
";

    fn found(dump: &str, prefix: Option<&str>) -> Result<Found, String> {
        let mut found = Found::default();
        match read(dump.as_bytes(), prefix, &mut found) {
            Ok(()) => Ok(found),
            Err(Problem::Broken(_, problem)) => Err(problem),
            Err(problem) => panic!("{problem:?}"),
        }
    }

    #[test]
    fn comments_and_their_meta_are_read() {
        let found = found(DUMP, None).unwrap();
        let [first, note, spam] = &found.comments[..] else { panic!("three comments") };
        assert_eq!((first.id, first.example.text.as_str()), (Some(5), "Don't knead\nit"));
        assert_eq!(first.example.author.as_deref(), Some("Ann"));
        assert!(first.example.time().is_some());
        assert_eq!(note.standing, Standing::Out(LeftOut::OtherKind));
        assert_eq!(spam.standing, Standing::As(Label::Spam));
        let mut of_first = Opinions::default();
        for (_, opinions) in found.opinions.iter().filter(|(id, _)| *id == 5) {
            of_first.merge(*opinions);
        }
        assert_eq!(of_first.akismet, Some(Label::Spam));
        assert_eq!(of_first.person, Some(Label::Ham));
        assert_eq!(found.opinions.len(), 3);
    }

    #[test]
    fn of_several_sites_one_is_chosen() {
        let two = format!("{DUMP}{}", DUMP.replace("blog_", "blog_2_"));
        let problem = found(&two, None).err().unwrap();
        assert!(problem.contains("--table-prefix, such as `blog_` or `blog_2_`"), "{problem}");
        assert_eq!(found(&two, Some("blog_2_")).unwrap().comments.len(), 3);
        assert!(found(&two, Some("wp_")).err().unwrap().contains("this prefix"));
        assert!(found("CREATE TABLE `posts` (`a` int);", None).is_err());
    }

    #[test]
    fn columns_that_no_one_names_are_wordpress_own() {
        let dump = "INSERT INTO wp_comments VALUES (1,2,'Tom &amp; Jerry','a@example.org','','192.0.2.1',\
            '2026-01-02 03:04:05','nonsense','Fine bread',0,'1','Mozilla','',0,0);";
        let found = found(dump, None).unwrap();
        let example = &found.comments[0].example;
        assert_eq!(example.text, "Fine bread");
        assert_eq!(example.author.as_deref(), Some("Tom & Jerry"));
        assert_eq!(example.date.as_deref(), Some("2026-01-02T03:04:05"));
        let wrong = dump.replace(",0,0);", ",0);");
        assert!(self::found(&wrong, None).err().unwrap().contains("more or fewer"));
    }
}

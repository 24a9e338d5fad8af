//! A comment of another system, and what its owner decided about it.

use serde::Serialize;

use crate::cli::Failure;
use crate::domain::{Example, Label};
use crate::moderation::examples;

/// A comment as a reader found it.
pub(super) struct ForeignComment {
    /// Its number in the file, where decisions about it may stand elsewhere in the file.
    pub id: Option<u64>,
    /// What was sent, without a label.
    pub example: Example,
    /// Where it stands.
    pub standing: Standing,
    /// What people and Akismet said.
    pub opinions: Opinions,
}

/// What was said about a comment besides where it stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Opinions {
    /// What a person called it, as Akismet was told.
    pub person: Option<Label>,
    /// What Akismet called it.
    pub akismet: Option<Label>,
}

impl Opinions {
    /// Takes over what `other` knows.
    pub fn merge(&mut self, other: Self) {
        self.person = other.person.or(self.person);
        self.akismet = other.akismet.or(self.akismet);
    }

    /// Reads one of Akismet's two fields; false if it is another field.
    pub fn read(&mut self, key: &str, value: &str) -> bool {
        let label = match value.trim() {
            "true" | "1" => Some(Label::Spam),
            "false" | "0" => Some(Label::Ham),
            _ => None,
        };
        match key {
            "akismet_result" => self.akismet = label.or(self.akismet),
            "akismet_user_result" => self.person = label.or(self.person),
            _ => return false,
        }
        true
    }
}

/// Where a comment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Approved is ham, spam is spam.
    As(Label),
    /// It says nothing about either.
    Out(LeftOut),
}

/// Why a comment is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum LeftOut {
    /// Nobody has decided yet.
    Pending,
    /// In the bin: spam for some, boring for others.
    Trash,
    /// Deleted.
    Deleted,
    /// By an author who was blocked, which says nothing about this comment.
    BlockedAuthor,
    /// Written by a machine about a link, not into the form.
    Pingback,
    /// An order note or another thing that is stored like a comment.
    OtherKind,
    /// A state that is not known.
    OtherState,
    /// The file doesn't say what it was.
    Unlabelled,
    /// Without a word.
    EmptyText,
    /// Longer than any comment may be, or with a NUL.
    UnusableText,
}

impl LeftOut {
    /// In words, for a line of the report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Pending => "pending: nobody has decided",
            Self::Trash => "in the trash",
            Self::Deleted => "deleted",
            Self::BlockedAuthor => "by blocked authors",
            Self::Pingback => "pingbacks and trackbacks",
            Self::OtherKind => "of another kind, such as order notes",
            Self::OtherState => "in a state that is not known",
            Self::Unlabelled => "without a label",
            Self::EmptyText => "without a text",
            Self::UnusableText => "too long or with a NUL",
        }
    }

    /// Whether no decision about it can make it an example.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Trash | Self::Unlabelled | Self::OtherState)
    }
}

impl Standing {
    /// What becomes of a comment: what a person said counts more than where it stands.
    pub fn decided(self, opinions: Opinions) -> Self {
        match (self, opinions.person) {
            (Self::Out(why), _) if why.is_final() => self,
            (_, Some(label)) => Self::As(label),
            _ => self,
        }
    }
}

/// Where a file is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A line, from 1.
    Line(u64),
    /// Bytes from the beginning, after unpacking.
    Byte(u64),
    /// The file as a whole.
    File,
}

/// Why a file cannot be read to its end.
#[derive(Debug)]
pub(super) enum Problem {
    /// The file is broken. The sentence never repeats what stands there.
    Broken(Place, String),
    /// Something else went wrong.
    Failed(Failure),
}

impl Problem {
    /// The file is broken at a place.
    pub fn at(place: Place, problem: impl Into<String>) -> Self {
        Self::Broken(place, problem.into())
    }

    /// For people, with the file's name.
    pub fn of(self, file: &str) -> Failure {
        match self {
            Self::Broken(Place::Line(line), problem) => {
                Failure::data(format!("{file}:{line}: {problem}"))
            }
            Self::Broken(Place::Byte(byte), problem) => {
                Failure::data(format!("{file}: at byte {byte}: {problem}"))
            }
            Self::Broken(Place::File, problem) => Failure::data(format!("{file}: {problem}")),
            Self::Failed(failure) => failure,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Takes what a reader finds.
pub(super) trait Sink {
    /// A comment.
    fn comment(&mut self, comment: ForeignComment) -> Result<(), Problem>;

    /// What was said about the comment with this number, which may come before or after it.
    fn opinions(&mut self, id: u64, opinions: Opinions) -> Result<(), Problem>;
}

/// A date as [`Example::time`] reads it: `2026-11-28 10:00:00` and `2026-11-28` get what they lack,
/// seconds since 1970 become milliseconds, MySQL's zero is none.
pub(super) fn date(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.starts_with("0000") {
        return None;
    }
    if let Ok(number) = text.parse::<f64>() {
        // The year 5138 in seconds, 1973 in milliseconds.
        let millis = if number.abs() < 1e11 { number * 1_000.0 } else { number };
        return Some((millis as i64).to_string());
    }
    if text.len() == 10 {
        return Some(format!("{text}T00:00:00"));
    }
    let mut date = text.to_owned();
    if date.as_bytes().get(10) == Some(&b' ') {
        date.replace_range(10..11, "T");
    }
    Some(date)
}

/// The first of some dates that can be read.
pub(super) fn first_date<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let is_read = |date: &String| {
        let example = Example { date: Some(date.clone()), ..Example::default() };
        matches!(examples::time(&example), Ok(Some(_)))
    };
    texts.into_iter().filter_map(date).find(is_read)
}

/// The text, or nothing if it is blank.
pub(super) fn filled(text: String) -> Option<String> {
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Keeps all that is found.
    #[derive(Default)]
    pub struct Found {
        pub comments: Vec<ForeignComment>,
        pub opinions: Vec<(u64, Opinions)>,
    }

    impl Sink for Found {
        fn comment(&mut self, comment: ForeignComment) -> Result<(), Problem> {
            self.comments.push(comment);
            Ok(())
        }

        fn opinions(&mut self, id: u64, opinions: Opinions) -> Result<(), Problem> {
            self.opinions.push((id, opinions));
            Ok(())
        }
    }

    #[test]
    fn what_a_person_said_counts_more_than_the_state() {
        let said = |label| Opinions { person: Some(label), akismet: None };
        let approved = Standing::As(Label::Ham);
        assert_eq!(approved.decided(said(Label::Spam)), Standing::As(Label::Spam));
        let trash = Standing::Out(LeftOut::Trash);
        assert_eq!(trash.decided(said(Label::Ham)), Standing::As(Label::Ham));
        assert_eq!(trash.decided(Opinions::default()), trash);
        let pingback = Standing::Out(LeftOut::Pingback);
        assert_eq!(pingback.decided(said(Label::Ham)), pingback);
    }

    #[test]
    fn dates_get_what_they_lack() {
        let time = |text: &str| Example { date: date(text), ..Example::default() }.time();
        let expected = time("2026-11-28T10:00:00Z");
        assert!(expected.is_some());
        assert_eq!(time("2026-11-28 10:00:00"), expected);
        assert_eq!(time("1795860000"), expected);
        assert_eq!(time("1795860000000"), expected);
        assert!(time("2026-11-28").is_some());
        for none in ["", "0000-00-00 00:00:00", "yesterday", "äöü-öä-üöä", "NaN", "1e300"] {
            let _ = time(none);
        }
        assert_eq!(date("0000-00-00 00:00:00"), None);
        let good = "2026-11-28 10:00:00";
        let bad = ["0000-00-00 00:00:00", " ", "yesterday", "-99999999999999"];
        assert_eq!(first_date(bad.into_iter().chain([good])), date(good));
        assert_eq!(first_date(bad), None);
    }
}

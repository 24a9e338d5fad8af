//! Which comments of a site are meant: one line of conditions, the same in every surface.
//!
//! `state:held signal:honeypot-filled score>=0.5 since:2026-11-01 "cheap watches"`

use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time};
use uuid::Uuid;

use super::{CommentId, Fingerprint, Label, SignalName, State, Verdict, signals};

/// Bytes of a filter.
const FILTER_BYTES_MAX: usize = 1_000;
/// Words to look for.
const WORD_COUNT_MAX: usize = 16;

/// Conditions on comments, all of which hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommentFilter {
    /// Where the comment stands.
    pub state: Option<State>,
    /// What the machine answered.
    pub verdict: Option<Verdict>,
    /// What a person called it.
    pub label: Option<Label>,
    /// Where it was written.
    pub page_uri: Option<String>,
    /// The language of its page, in lower case. Those of its regions are meant too: with `de` also
    /// `de-at`.
    pub lang: Option<String>,
    /// Who wrote it: the fingerprint of the folded address.
    pub author: Option<Fingerprint>,
    /// The campaign that it is of.
    pub campaign: Option<CommentId>,
    /// A signal that was found.
    pub signal: Option<SignalName>,
    /// The least score.
    pub score_min: Option<f64>,
    /// The score that it stays below.
    pub score_max: Option<f64>,
    /// Checked at this time or later.
    pub since: Option<OffsetDateTime>,
    /// Checked before this time.
    pub until: Option<OffsetDateTime>,
    /// Words and phrases, each of which stands in its text, name or website.
    pub words: Vec<String>,
}

/// Why a line is no filter. Nothing of the line is repeated: people look for addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Too long a line.
    #[error("a filter has at most 1,000 bytes and 16 words")]
    TooLong,
    /// A quotation mark without its other.
    #[error("a quotation mark is not closed")]
    Unclosed,
    /// A condition on something that comments don't have.
    #[error(
        "a condition is unknown; there are state, verdict, label, page, lang, author, campaign, signal, \
         score>=, score<, since and until"
    )]
    UnknownKey,
    /// A value that the condition does not take, and what it takes.
    #[error("`{0}` does not take this value, but {1}")]
    BadValue(&'static str, &'static str),
    /// The same condition twice.
    #[error("`{0}` stands twice")]
    Twice(&'static str),
}

impl CommentFilter {
    /// Reads a line of conditions `key:value`, `score>=0.5`, `score<0.9` and words; what has
    /// blanks in it stands between quotation marks. Dates are days of UTC; `until` includes its
    /// day.
    ///
    /// # Errors
    /// [`FilterError`], which says what is wrong.
    pub fn parse(line: &str) -> Result<Self, FilterError> {
        if line.len() > FILTER_BYTES_MAX {
            return Err(FilterError::TooLong);
        }
        let mut filter = Self::default();
        for (key, value) in terms(line)? {
            match key {
                Some(key) => filter.add(&key, &value)?,
                None => filter.words.push(value),
            }
        }
        if filter.words.len() > WORD_COUNT_MAX {
            return Err(FilterError::TooLong);
        }
        Ok(filter)
    }

    /// Whether nothing is asked, so that all comments are meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn add(&mut self, key: &str, value: &str) -> Result<(), FilterError> {
        let bad = FilterError::BadValue;
        match key {
            "state" => {
                let states = [State::Held, State::Approved, State::Rejected];
                let found = states.into_iter().find(|state| state.as_str() == value);
                let state = found.ok_or(bad("state", "held, approved or rejected"))?;
                once("state", &mut self.state, state)
            }
            "verdict" => {
                let verdicts = [Verdict::Approve, Verdict::Hold, Verdict::Reject];
                let found = verdicts.into_iter().find(|verdict| verdict.as_str() == value);
                let verdict = found.ok_or(bad("verdict", "approve, hold or reject"))?;
                once("verdict", &mut self.verdict, verdict)
            }
            "label" => {
                let found = [Label::Ham, Label::Spam].into_iter().find(|l| l.as_str() == value);
                once("label", &mut self.label, found.ok_or(bad("label", "ham or spam"))?)
            }
            "page" => once("page", &mut self.page_uri, value.to_owned()),
            "lang" => {
                let found = super::submission::language(value);
                let found = found.ok_or(bad("lang", "a language such as `de` or `de-AT`"))?;
                once("lang", &mut self.lang, found)
            }
            "author" => {
                let found = Fingerprint::parse(value);
                let found = found.ok_or(bad("author", "the fingerprint of an author"))?;
                once("author", &mut self.author, found)
            }
            "campaign" => {
                let found = Uuid::parse_str(value).ok();
                let found = found.ok_or(bad("campaign", "the id of a comment"))?;
                once("campaign", &mut self.campaign, CommentId::from_uuid(found))
            }
            "signal" => {
                let found = signals::ALL_SIGNALS.iter().find(|name| name.as_str() == value);
                let found = found.ok_or(bad("signal", "a signal such as `honeypot-filled`"))?;
                once("signal", &mut self.signal, found.clone())
            }
            "score>=" => once("score>=", &mut self.score_min, score("score>=", value)?),
            "score<" => once("score<", &mut self.score_max, score("score<", value)?),
            "since" => once("since", &mut self.since, day("since", value)?),
            "until" => once("until", &mut self.until, day("until", value)? + Duration::days(1)),
            _ => Err(FilterError::UnknownKey),
        }
    }
}

fn once<T>(key: &'static str, place: &mut Option<T>, value: T) -> Result<(), FilterError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(FilterError::Twice(key)),
    }
}

fn score(key: &'static str, value: &str) -> Result<f64, FilterError> {
    let number = value.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
    number.ok_or(FilterError::BadValue(key, "a number from 0 to 1"))
}

fn day(key: &'static str, value: &str) -> Result<OffsetDateTime, FilterError> {
    let date = Date::parse(value, format_description!("[year]-[month]-[day]"));
    let date = date.ok().filter(|date| (1970..=9998).contains(&date.year()));
    let date = date.ok_or(FilterError::BadValue(key, "a day like 2026-11-24"))?;
    Ok(date.with_time(Time::MIDNIGHT).assume_utc())
}

/// A condition's key, if it is one, and its value.
type Term = (Option<String>, String);

/// The terms of a line.
fn terms(line: &str) -> Result<Vec<Term>, FilterError> {
    let mut terms = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (key, after) = key(rest);
        let (value, after) = value(after)?;
        if key.is_some() || !value.is_empty() {
            terms.push((key, value));
        }
        rest = after.trim_start();
    }
    Ok(terms)
}

/// A key at the beginning of a text, and what follows. Links have a colon too, so a key is
/// followed by something else than a slash.
fn key(text: &str) -> (Option<String>, &str) {
    let word = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let rest = &text[word..];
    for sign in [">=", "<", ":"] {
        if let Some(after) = rest.strip_prefix(sign)
            && word > 0
            && !after.starts_with('/')
        {
            let sign = if sign == ":" { "" } else { sign };
            return (Some(text[..word].to_ascii_lowercase() + sign), after);
        }
    }
    (None, text)
}

/// A value at the beginning of a text, and what follows.
fn value(text: &str) -> Result<(String, &str), FilterError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, after) = quoted.split_once('"').ok_or(FilterError::Unclosed)?;
        return Ok((value.trim().to_owned(), after));
    }
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    Ok((text[..end].to_owned(), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_everything_is_read() {
        let line = "state:held verdict:hold label:spam page:https://blog.example/a?b=1 lang:de \
             signal:honeypot-filled score>=0.5 score<0.9 since:2026-11-01 until:2026-11-02 \
             author:00000000000000000000000000000007 \
             campaign:00000000-0000-0000-0000-000000000008 \"cheap watches\" casino";
        let filter = CommentFilter::parse(line).unwrap();
        assert_eq!(filter.state, Some(State::Held));
        assert_eq!(filter.verdict, Some(Verdict::Hold));
        assert_eq!(filter.label, Some(Label::Spam));
        assert_eq!(filter.page_uri.as_deref(), Some("https://blog.example/a?b=1"));
        assert_eq!(filter.lang.as_deref(), Some("de"));
        assert_eq!(filter.signal, Some(signals::HONEYPOT_FILLED));
        assert_eq!((filter.score_min, filter.score_max), (Some(0.5), Some(0.9)));
        assert_eq!(filter.until.unwrap() - filter.since.unwrap(), Duration::days(2));
        assert_eq!(filter.author.map(|author| author.as_bytes()[15]), Some(7));
        assert_eq!(filter.campaign.map(|id| id.as_uuid().as_u128()), Some(8));
        assert_eq!(filter.words, ["cheap watches", "casino"]);
    }

    #[test]
    fn words_may_look_like_links_or_nothing() {
        let filter = CommentFilter::parse("  https://spam.example \"\" 50% ").unwrap();
        assert_eq!(filter.words, ["https://spam.example", "50%"]);
        assert!(CommentFilter::parse(" ").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |line: &str| CommentFilter::parse(line).unwrap_err();
        assert_eq!(error("\"open"), FilterError::Unclosed);
        assert_eq!(error("colour:red"), FilterError::UnknownKey);
        assert_eq!(error("state:held state:held"), FilterError::Twice("state"));
        assert!(matches!(error("state:lost"), FilterError::BadValue("state", ..)));
        assert!(matches!(error("score>=2"), FilterError::BadValue("score>=", ..)));
        assert!(matches!(error("since:yesterday"), FilterError::BadValue("since", ..)));
        assert!(matches!(error("author:j@example.org"), FilterError::BadValue("author", ..)));
        assert!(matches!(error("signal:none"), FilterError::BadValue("signal", ..)));
        for line in ["author:j@example.org", "jane:x", "since:j@example.org", "score<j@example.org"]
        {
            let text = error(line).to_string();
            assert!(!text.contains("example.org") && !text.contains("jane"), "{text}");
        }
        assert_eq!(error(&"a ".repeat(17)), FilterError::TooLong);
        assert_eq!(error(&"a".repeat(1_001)), FilterError::TooLong);
    }
}

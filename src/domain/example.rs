//! Labelled comments.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The truth about a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Label {
    /// Written to talk.
    Ham,
    /// Written to promote or to deceive.
    Spam,
}

impl Label {
    /// The word for it: `ham` or `spam`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ham => "ham",
            Self::Spam => "spam",
        }
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ham" => Ok(Self::Ham),
            "spam" => Ok(Self::Spam),
            // The abuse corpora's words: rude is not spam.
            "clean" | "toxic" => Ok(Self::Ham),
            other => Err(format!("`{other}` is no label; `ham` or `spam` is expected")),
        }
    }
}

/// A line of a file of comments, labelled or not: the input of `score`, `train` and `evaluate`.
#[derive(Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Example {
    /// The comment.
    pub text: String,
    /// `ham` or `spam`; `clean` and `toxic` of the abuse corpora count as ham.
    pub label: Option<String>,
    /// The author's name.
    pub author: Option<String>,
    /// The author's address.
    pub email: Option<String>,
    /// The author's website.
    pub url: Option<String>,
    /// The author's IP address.
    pub ip: Option<String>,
    /// The browser's `User-Agent`.
    #[serde(alias = "ua")]
    pub user_agent: Option<String>,
    /// BCP 47 language.
    pub lang: Option<String>,
    /// Title or subject of the page.
    #[serde(alias = "context")]
    pub page_title: Option<String>,
    /// Where the comment stands.
    pub page_uri: Option<String>,
    /// When it was written, RFC 3339.
    pub date: Option<String>,
    /// The data set it comes from.
    pub source: Option<String>,
    /// Examples of one group are near duplicates and stay on one side of every split.
    pub group: Option<i64>,
}

impl Example {
    /// Whether it is abuse, if its label says that: `toxic` or `clean`.
    pub fn abuse(&self) -> Option<bool> {
        match self.label.as_deref() {
            Some("toxic") => Some(true),
            Some("clean") => Some(false),
            _ => None,
        }
    }

    /// When it was written, if its date can be read: RFC 3339, with or without a zone (then UTC),
    /// or milliseconds since 1970, as Staticman has them.
    pub fn time(&self) -> Option<OffsetDateTime> {
        let date = self.date.as_deref()?.trim();
        if let Ok(millis) = date.parse::<i64>() {
            return OffsetDateTime::from_unix_timestamp(millis / 1_000).ok();
        }
        let zoned = OffsetDateTime::parse(date, &Rfc3339).ok();
        zoned.or_else(|| OffsetDateTime::parse(&format!("{date}Z"), &Rfc3339).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_files_have_them() {
        let time = |date: &str| {
            let example = Example { date: Some(date.into()), ..Example::default() };
            example.time().map(OffsetDateTime::unix_timestamp)
        };
        assert_eq!(time("2007-07-05T19:33:25.0000000-07:00"), Some(1_183_689_205));
        assert_eq!(time("2007-07-05T19:33:25Z"), Some(1_183_664_005));
        assert_eq!(time("2007-07-05T19:33:25.000001"), Some(1_183_664_005));
        assert_eq!(time("1183664005000"), Some(1_183_664_005));
        assert_eq!(time("Jun 30, 2019, 9:15 pm"), None);
    }
}

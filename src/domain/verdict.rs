//! The machine's answer and where a comment stands.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The machine's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The comment may be published.
    Approve,
    /// A moderator has to decide.
    Hold,
    /// The comment is not to be published.
    Reject,
}

impl Verdict {
    /// The word for it: `approve`, `hold` or `reject`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Hold => "hold",
            Self::Reject => "reject",
        }
    }
}

/// Where a comment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In the review queue.
    Held,
    /// Published, by verdict or by decision.
    Approved,
    /// Not published, by verdict or by decision.
    Rejected,
}

impl State {
    /// The word for it: `held`, `approved` or `rejected`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }
}

impl From<Verdict> for State {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approve => Self::Approved,
            Verdict::Hold => Self::Held,
            Verdict::Reject => Self::Rejected,
        }
    }
}

/// Why a verdict is what it is: a stable kebab-case name and a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// `score-above-reject-threshold`, `word-list-hold`, `first-time-author`, …
    pub name: Cow<'static, str>,
    /// One sentence for a moderator.
    pub description: String,
}

/// An input that the form did not send, so that the verdict rests on less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// No name.
    Author,
    /// No e-mail address.
    Email,
    /// No IP address: limits by IP did not apply.
    Ip,
    /// No user agent.
    UserAgent,
    /// No page: the page's limit and first comment on it are unknown.
    PageUri,
    /// No honeypot field in the form.
    Honeypot,
    /// No time between showing and sending the form.
    ElapsedTime,
}

impl Missing {
    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Email => "email",
            Self::Ip => "ip",
            Self::UserAgent => "user-agent",
            Self::PageUri => "page-uri",
            Self::Honeypot => "honeypot",
            Self::ElapsedTime => "elapsed-time",
        }
    }
}

/// A part of the service that did not do its work for this comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Degraded {
    /// Redis did not answer in time; limits were counted in this process alone.
    RateLimit,
    /// Redis did not answer in time; what other processes saw and learned in the last seconds is
    /// not known.
    RecentContent,
    /// The author's record or recent content could not be read.
    History,
    /// No usable model: nothing was scored.
    Model,
    /// The author's record and recent content did not come in time.
    Deadline,
}

impl Degraded {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::RateLimit, Self::RecentContent, Self::History, Self::Model, Self::Deadline];

    /// The kebab-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimit => "rate-limit",
            Self::RecentContent => "recent-content",
            Self::History => "history",
            Self::Model => "model",
            Self::Deadline => "deadline",
        }
    }
}

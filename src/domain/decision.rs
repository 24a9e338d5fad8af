//! What moderators decide, and how much it is worth to look at a comment first.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::{IdError, Label, LogOdds, SiteId, State};

/// What is done to comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Publish; it is ham.
    Approve,
    /// Don't publish; it is spam.
    RejectSpam,
    /// Don't publish; it is abuse. This says nothing about spam.
    RejectAbuse,
    /// Don't publish, for a reason of the site's own. This says nothing about spam.
    RejectOther,
    /// Put back into the review queue; what was said of it before is taken back.
    Reopen,
    /// A label that the site sent back.
    Feedback,
    /// Take a decision back.
    Undo,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Approve,
        Self::RejectSpam,
        Self::RejectAbuse,
        Self::RejectOther,
        Self::Reopen,
        Self::Feedback,
        Self::Undo,
    ];

    /// The kebab-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::RejectSpam => "reject-spam",
            Self::RejectAbuse => "reject-abuse",
            Self::RejectOther => "reject-other",
            Self::Reopen => "reopen",
            Self::Feedback => "feedback",
            Self::Undo => "undo",
        }
    }

    /// Where it puts a comment and what it teaches; nothing for what moderators don't choose
    /// themselves.
    pub fn effect(self) -> Option<(State, Option<Label>)> {
        match self {
            Self::Approve => Some((State::Approved, Some(Label::Ham))),
            Self::RejectSpam => Some((State::Rejected, Some(Label::Spam))),
            Self::RejectAbuse | Self::RejectOther => Some((State::Rejected, None)),
            Self::Reopen => Some((State::Held, None)),
            Self::Feedback | Self::Undo => None,
        }
    }
}

/// The id of a decision: a UUIDv7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId(Uuid);

impl DecisionId {
    /// The decision with this UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID, for the store.
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The resource name, `sites/{site}/decisions/{decision}`.
    pub fn name(&self, site: &SiteId) -> String {
        format!("sites/{site}/decisions/{}", self.0)
    }

    /// Site and decision of a resource name.
    ///
    /// # Errors
    /// [`IdError::Decision`] if `name` has another form.
    pub fn from_name(name: &str) -> Result<(SiteId, Self), IdError> {
        let rest = name.strip_prefix("sites/").ok_or(IdError::Decision)?;
        let (site, id) = rest.split_once("/decisions/").ok_or(IdError::Decision)?;
        let site = site.parse().map_err(|_| IdError::Decision)?;
        Ok((site, id.parse()?))
    }
}

impl FromStr for DecisionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Uuid::parse_str(text).map(Self).map_err(|_| IdError::Decision)
    }
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// How much it is worth to look at a comment, before the size of its campaign and the time it
/// waits are looked at: from 0 for a clear case to 4 for one on the threshold. It falls to a half
/// with each log-odd of distance.
pub fn uncertainty(raw_score: Option<LogOdds>, threshold: LogOdds) -> f64 {
    const FULL: f64 = 4.0;
    // A comment that no model could score is as uncertain as can be.
    raw_score.map_or(FULL, |raw| FULL * (-(raw.to_f64() - threshold.to_f64()).abs()).exp2())
}

/// Seconds of waiting that weigh as much as a campaign twice as large.
const WAIT_SECONDS: f64 = 6.0 * 3_600.0;

/// The place of an entry in the review queue: the highest comes first. A campaign twice as large,
/// six hours of waiting and one point of `uncertainty` weigh the same. The time of the first
/// comment stands for the wait, so that places stay as they are while time goes by.
pub fn usefulness(uncertainty: f64, held_count: u64, first_time_ms: i64) -> f64 {
    let size = (held_count.max(1) as f64).log2();
    uncertainty + size - first_time_ms as f64 / 1_000.0 / WAIT_SECONDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uncertain_the_large_and_the_old_come_first() {
        let threshold = LogOdds::from_f64(2.0);
        let at = |raw: f64| uncertainty(Some(LogOdds::from_f64(raw)), threshold);
        assert_eq!(at(2.0), 4.0);
        assert_eq!(at(3.0), 2.0);
        assert_eq!(at(1.0), 2.0);
        assert_eq!(uncertainty(None, threshold), 4.0);
        let hour = 3_600_000;
        assert!(usefulness(2.0, 1, 0) > usefulness(1.0, 1, 0));
        assert!(usefulness(1.0, 30, 0) > usefulness(4.0, 1, 0));
        assert!(usefulness(1.0, 1, 0) > usefulness(1.0, 1, hour));
        let doubled = usefulness(1.0, 2, 6 * hour) - usefulness(1.0, 1, 0);
        assert!(doubled.abs() < 1e-9, "six hours weigh as much as twice the size");
    }

    #[test]
    fn names_read_back() {
        let id = DecisionId::from_uuid(Uuid::from_u128(7));
        let site: SiteId = "blog".parse().unwrap();
        assert_eq!(DecisionId::from_name(&id.name(&site)), Ok((site, id)));
        assert_eq!(DecisionId::from_name("sites/blog/comments/7"), Err(IdError::Decision));
    }
}

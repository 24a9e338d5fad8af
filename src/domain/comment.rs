//! A comment after its check: what is stored, answered and shown.

use time::OffsetDateTime;

use super::{
    BlindSubmission, CommentId, ContentPrint, Degraded, Missing, Reason, Score, Signal, SiteId,
    State, Verdict,
};

/// The record of one check.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedComment {
    /// The comment's id.
    pub id: CommentId,
    /// The site it was sent to.
    pub site: SiteId,
    /// When it was checked, in whole milliseconds.
    pub check_time: OffsetDateTime,
    /// What was sent, after hiding.
    pub submission: BlindSubmission,
    /// The machine's answer.
    pub verdict: Verdict,
    /// Where the comment stands now.
    pub state: State,
    /// The score; nothing if no model could score.
    pub score: Option<Score>,
    /// What the checks found.
    pub signals: Vec<Signal>,
    /// Why the verdict is what it is; never empty.
    pub reasons: Vec<Reason>,
    /// Inputs that the form did not send.
    pub missing: Vec<Missing>,
    /// Parts that did not work.
    pub degraded: Vec<Degraded>,
    /// Whether the comment is so plainly spam that nobody needs to see it.
    pub discard: bool,
    /// Hash of the normalised text, for exact duplicates.
    pub content_hash: u64,
    /// SimHash of the text, for near duplicates.
    pub simhash: u128,
    /// The first comment of its campaign, that is of its near duplicates; itself if there was none
    /// like it.
    pub campaign: CommentId,
    /// See [`super::uncertainty`].
    pub uncertainty: f64,
}

impl CheckedComment {
    /// The prints it was recorded with, which stay the same when a later version normalises
    /// otherwise. A text too short for likeness was recorded with the SimHash 0.
    pub fn print(&self) -> ContentPrint {
        ContentPrint {
            content_hash: self.content_hash,
            simhash: self.simhash,
            comparable: self.simhash != 0,
        }
    }
}

//! Domain values as every backend stores them.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::domain::{
    Action, CheckedComment, CommentId, Fingerprint, Label, Site, SiteId, State, Verdict,
};
use crate::moderation::ports::accounts::Role;
use crate::moderation::ports::models::ModelState;
use crate::moderation::ports::webhooks::DeliveryState;
use crate::moderation::ports::{Reporter, StoreError};

use super::record;

/// A site and the number that stands for it in other tables.
#[derive(Clone)]
pub(super) struct StoredSite {
    pub number: i64,
    pub site: Arc<Site>,
}

/// A comment ready to be written: encoded by the caller, so that the writer only binds values.
pub(super) struct CommentRow {
    pub site: SiteId,
    pub id: CommentId,
    pub check_time: i64,
    pub verdict: Verdict,
    pub state: State,
    pub discard: bool,
    pub probability: Option<f64>,
    pub model_version: Option<String>,
    pub author: Option<Fingerprint>,
    pub ip: Option<Fingerprint>,
    pub ip_prefix: Option<Fingerprint>,
    pub page_uri: Option<String>,
    pub lang: Option<String>,
    pub content_hash: u64,
    pub simhash: u128,
    pub campaign: CommentId,
    pub uncertainty: f64,
    pub body: Vec<u8>,
}

impl CommentRow {
    /// Encodes a comment.
    pub fn encode(comment: &CheckedComment) -> Self {
        let submission = &comment.submission;
        Self {
            id: comment.id,
            check_time: millis(comment.check_time),
            verdict: comment.verdict,
            state: comment.state,
            discard: comment.discard,
            probability: comment.score.as_ref().map(|score| score.probability),
            model_version: comment.score.as_ref().map(|score| score.model_version.clone()),
            author: submission.email.as_ref().map(|email| email.folded_fingerprint),
            ip: submission.ip.map(|ip| ip.address),
            ip_prefix: submission.ip.map(|ip| ip.prefix),
            page_uri: submission.page_uri.clone(),
            lang: submission.lang.clone(),
            content_hash: comment.content_hash,
            simhash: comment.simhash,
            campaign: comment.campaign,
            uncertainty: comment.uncertainty,
            body: record::encode(comment),
            site: comment.site.clone(),
        }
    }
}

/// An instant as it is stored.
pub(super) fn millis(time: OffsetDateTime) -> i64 {
    (time.unix_timestamp_nanos() / 1_000_000) as i64
}

/// A stored id that no version of this program could have written.
pub(super) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Values that have words.
pub(super) trait Worded: Copy + 'static {
    const ALL: &'static [Self];
    fn word(self) -> &'static str;
}

/// The value with this word.
pub(super) fn worded<T: Worded>(word: &str) -> Option<T> {
    T::ALL.iter().find(|known| known.word() == word).copied()
}

macro_rules! worded {
    ($type:ty, $all:expr) => {
        impl Worded for $type {
            const ALL: &'static [Self] = &$all;
            fn word(self) -> &'static str {
                self.as_str()
            }
        }
    };
}

worded!(Verdict, [Verdict::Approve, Verdict::Hold, Verdict::Reject]);
worded!(State, [State::Held, State::Approved, State::Rejected]);
worded!(Label, [Label::Ham, Label::Spam]);
worded!(Reporter, Reporter::ALL);
worded!(ModelState, ModelState::ALL);
worded!(Action, Action::ALL);
worded!(Role, Role::ALL);
worded!(DeliveryState, DeliveryState::ALL);

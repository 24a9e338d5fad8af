//! Domain values as every backend stores them.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::domain::{
    Action, CheckedComment, CommentId, DecisionId, Fingerprint, Label, Site, SiteId, State, Verdict,
};
use crate::moderation::ports::accounts::Role;
use crate::moderation::ports::models::ModelState;
use crate::moderation::ports::operations::{WorkKind, WorkStage, WorkState};
use crate::moderation::ports::webhooks::DeliveryState;
use crate::moderation::ports::{LabelEntry, Reporter, StoreError};

use super::record;

/// Comments of a campaign and state among which a label is looked for: people label the first ones,
/// and the rest follow by what they learned.
pub(super) const CAMPAIGN_COMMENT_COUNT_MAX: usize = 32;

/// Languages that one is looked for by: more regions than any has, and few enough to merge.
pub(super) const LANGUAGES_MAX: i64 = 64;

/// After all tags that a language means, in the order of bytes: itself, and those that go on with a hyphen.
pub(super) fn language_end(lang: &str) -> String {
    format!("{lang}.")
}

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

/// The id of the decision that a label of the ledger is: its time, then its position, which no
/// other has (a UUIDv8, RFC 9562).
pub(super) fn feedback_id(time: OffsetDateTime, position: i64) -> DecisionId {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&millis(time).max(0).to_be_bytes()[2..]);
    bytes[8..].copy_from_slice(&position.to_be_bytes());
    DecisionId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The state of long work from its word and its answer.
pub(super) fn work_state(word: &str, answer: Option<Vec<u8>>) -> Result<WorkState, StoreError> {
    match (word, answer) {
        ("running", _) => Ok(WorkState::Running),
        ("ended", Some(answer)) => Ok(WorkState::Ended(answer)),
        ("interrupted", None) => Ok(WorkState::Interrupted),
        // Older programs know no other word, and read no answer here.
        ("interrupted", Some(_)) => Ok(WorkState::Erased),
        _ => Err(corrupt("a state of an operation")),
    }
}

/// Whether an imported label with its time says something new of a text, of which `known` counts so
/// far, in the order of the ledger: a word that is not there, or another one than the latest and
/// later, by which somebody changed his mind again. So the same file brings nothing when it comes
/// twice.
pub(super) fn is_news(known: &[(Label, i64)], (label, time): (Label, i64)) -> bool {
    let is_there = known.iter().any(|(known, _)| *known == label);
    let latest = known.iter().max_by_key(|(_, time)| *time);
    !is_there || latest.is_some_and(|(latest, known)| *latest != label && *known < time)
}

/// Who gave a label, as the audit log has it.
pub(super) fn label_actor(entry: &LabelEntry) -> String {
    let reporter = entry.reporter.as_str();
    match &entry.reporter_name {
        Some(name) => format!("{reporter}:{name}"),
        None => reporter.to_owned(),
    }
}

/// Whether a letter is of a script that is written without blanks, so that each is found as a word:
/// Han, kana, Thai, Lao, Khmer, Burmese.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{E00}'..='\u{EFF}'
            | '\u{1000}'..='\u{109F}'
            | '\u{1780}'..='\u{17FF}'
            | '\u{3040}'..='\u{30FF}'
            | '\u{3400}'..='\u{4DBF}'
            | '\u{4E00}'..='\u{9FFF}'
            | '\u{F900}'..='\u{FAFF}'
            | '\u{20000}'..='\u{3FFFF}'
    )
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
worded!(WorkKind, WorkKind::ALL);
worded!(WorkStage, WorkStage::ALL);
worded!(Action, Action::ALL);
worded!(Role, Role::ALL);
worded!(DeliveryState, DeliveryState::ALL);

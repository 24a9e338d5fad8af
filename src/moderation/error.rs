//! Why a use case refused or failed. Each has a public reason that never changes.

use std::time::Duration;

use super::ports::{LimitKind, StoreError};
use crate::domain::FieldViolation;

/// Why a use case refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// Fields are wrong; all of them are listed.
    #[error("{} field(s) are invalid", .0.len())]
    Invalid(Vec<FieldViolation>),
    /// Comments come too fast.
    #[error("comments come too fast by {}", .kind.as_str())]
    Limited {
        /// What was counted.
        kind: LimitKind,
        /// When trying again can succeed.
        retry_after: Duration,
    },
    /// A key's calls come too fast.
    #[error("calls with this key come too fast")]
    CallsTooFast {
        /// When trying again can succeed.
        retry_after: Duration,
    },
    /// Wrong keys come too fast from one network.
    #[error("too many wrong keys came from this network")]
    GuessesTooFast {
        /// When trying again can succeed.
        retry_after: Duration,
    },
    /// The request id was used for another comment.
    #[error("this request id was used for another comment")]
    RequestIdReused,
    /// The caller sent no key.
    #[error("an API key is required")]
    KeyMissing,
    /// The key is unknown or revoked.
    #[error("the API key is not valid")]
    KeyInvalid,
    /// The key belongs to another site.
    #[error("the API key belongs to another site")]
    ForeignSite,
    /// The key lacks a scope.
    #[error("the API key lacks the scope `{0}`")]
    ScopeMissing(&'static str),
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The name is taken.
    #[error("there is such a {0} already")]
    AlreadyExists(&'static str),
    /// The thing changed since the caller read it.
    #[error("the {0} changed since it was read")]
    Conflict(&'static str),
    /// Another moderator looks at the comment.
    #[error("{0} looks at this comment now")]
    Claimed(String),
    /// The comment stands there already, for the same reason.
    #[error("the comment stands there already")]
    NothingToDo,
    /// A site's ledger has too few labels of a kind.
    #[error("{0}")]
    TooFewLabels(String),
    /// The hold-out does not speak for a model.
    #[error("the hold-out does not speak for the model: {0}; `force` promotes it all the same")]
    GateClosed(String),
    /// There is no model to go back to.
    #[error("the base model decides; there is nothing before it")]
    NothingBefore,
    /// One long work of a site at a time.
    #[error("a training, evaluation or proof of this site is under way")]
    WorkRuns,
    /// A model is a layer over another base model than this program has.
    #[error("the model is a layer over {0}, and this program has {1}: train again")]
    ForeignBase(String, String),
    /// Nobody could change accounts any more.
    #[error("this is the last administrator who can sign in")]
    LastAdministrator,
    /// The site has as many webhooks as it may have.
    #[error("a site has at most {0} webhooks")]
    TooManyWebhooks(usize),
    /// A disabled account is not invited.
    #[error("the moderator is disabled: enable it first")]
    AccountDisabled,
    /// Who worked on it is gone.
    #[error("the service that worked on it ended or lost its records: begin it again")]
    Interrupted,
    /// What long work may have read was erased before it ended.
    #[error("what it read was erased meanwhile: begin it again")]
    ErasedMeanwhile,
    /// Somebody asked the work to end.
    #[error("it was cancelled")]
    Cancelled,
    /// The store cannot be used now. The cause is for the log alone.
    #[error("the service cannot record anything now")]
    Unavailable(#[source] StoreError),
}

impl ModerationError {
    /// The stable kebab-case reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid-fields",
            Self::Limited { .. } => "comment-flood",
            Self::CallsTooFast { .. } => "call-limit",
            Self::GuessesTooFast { .. } => "failed-key-limit",
            Self::RequestIdReused => "request-id-reused",
            Self::KeyMissing => "api-key-missing",
            Self::KeyInvalid => "api-key-invalid",
            Self::ForeignSite => "foreign-site",
            Self::ScopeMissing(_) => "scope-missing",
            Self::NotFound(_) => "not-found",
            Self::AlreadyExists(_) => "already-exists",
            Self::Conflict(_) => "changed-meanwhile",
            Self::Claimed(_) => "claimed",
            Self::NothingToDo => "nothing-to-do",
            Self::TooFewLabels(_) => "too-few-labels",
            Self::GateClosed(_) => "gate-closed",
            Self::NothingBefore => "nothing-before",
            Self::WorkRuns => "work-runs",
            Self::ForeignBase(..) => "foreign-base",
            Self::LastAdministrator => "last-administrator",
            Self::TooManyWebhooks(_) => "too-many-webhooks",
            Self::AccountDisabled => "moderator-disabled",
            Self::Interrupted => "interrupted",
            Self::ErasedMeanwhile => "erased-meanwhile",
            Self::Cancelled => "cancelled",
            Self::Unavailable(_) => "store-unavailable",
        }
    }

    /// When trying again can succeed, for errors that are about too much at once.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Limited { retry_after, .. }
            | Self::CallsTooFast { retry_after }
            | Self::GuessesTooFast { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// One bad field.
    pub fn field(field: &'static str, reason: &'static str, description: &str) -> Self {
        Self::Invalid(vec![FieldViolation { field, reason, description: description.into() }])
    }

    /// What a store's error means for the caller of a use case about `thing`.
    pub fn store(thing: &'static str) -> impl Fn(StoreError) -> Self {
        move |error| match error {
            StoreError::NotFound => Self::NotFound(thing),
            StoreError::AlreadyExists => Self::AlreadyExists(thing),
            StoreError::Conflict => Self::Conflict(thing),
            other => Self::Unavailable(other),
        }
    }
}

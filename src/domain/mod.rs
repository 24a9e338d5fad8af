//! The words of the field as types. Nothing here does I/O, reads a clock or draws random numbers.
//!
//! Raw input becomes a [`Submission`] once, at the edge; hiding turns that into a
//! [`BlindSubmission`], which has no address in it, and everything after works on the latter.

mod comment;
mod decision;
mod email;
mod example;
mod filter;
mod fingerprint;
mod history;
mod ids;
mod ip;
mod retention;
mod score;
mod signal;
pub mod signals;
mod site;
mod site_lists;
mod submission;
mod verdict;
mod visible;
mod webhook;

pub use comment::CheckedComment;
pub use decision::{Action, DecisionId, uncertainty, usefulness};
pub use email::{
    Authority, EmailAddress, EmailError, EmailShape, EmailTraits, MASK, ends_authority,
};
pub use example::{Example, Label};
pub use filter::{CommentFilter, FilterError};
pub use fingerprint::{Fingerprint, SiteSecret};
pub use history::{AuthorRecord, ContentPrint, NEAR_DISTANCE_MAX, Neighbours};
pub use ids::{CommentId, IdError, RequestId, SiteId};
pub use ip::IpFingerprints;
pub use retention::RetentionPolicy;
pub use score::{Contribution, LogOdds, Score, probability};
pub use signal::{Signal, SignalName};
pub use site::{
    Budget, KeyScope, LimitPolicy, LimitRule, RequiredFields, Site, SitePolicy, WordLists,
};
pub use site_lists::{LIST_ENTRIES_MAX, LIST_ENTRY_BYTES_MAX};
pub use submission::{
    AUTHOR_BYTES_MAX, BlindSubmission, COMMENT_BYTES_MAX, EMAIL_BYTES_MAX, FieldViolation,
    Honeypot, OTHER_BYTES_MAX, RawSubmission, Submission, URL_BYTES_MAX,
};
pub use verdict::{Degraded, Missing, Reason, State, Verdict};
pub use visible::{is_bidi_control, is_blank, is_invisible, is_space, without_bidi_controls};
pub use webhook::{
    DeliveryId, WEBHOOK_URI_BYTES_MAX, WebhookId, WebhookSecret, WebhookUri, WebhookUriError,
};

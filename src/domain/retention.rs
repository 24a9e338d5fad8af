//! How long a site keeps what was recorded.

use serde::{Deserialize, Serialize};

use super::FieldViolation;

/// The longest time that can be set: a century.
const DAYS_MAX: u32 = 36_500;

/// For how many days each kind of data is kept; 0: for ever. Request ids are kept for a day
/// whatever this says, sessions as long as the configuration does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionPolicy {
    /// Comments with all that hangs on them: words, fingerprints, decisions, the author's record.
    pub comment_days: u32,
    /// Whether a comment that a person labelled stays in the ledger as an example when its time is
    /// over, so that models go on learning from it. Else its label is taken back.
    pub keep_labelled: bool,
    /// Entries of the site's audit log.
    pub audit_days: u32,
    /// Deliveries of webhooks that have ended, dead ones too.
    pub delivery_days: u32,
}

impl RetentionPolicy {
    /// All that is wrong with it.
    pub(super) fn problems(self) -> impl Iterator<Item = FieldViolation> {
        let fields = [
            ("policy.comment_retention_days", self.comment_days),
            ("policy.audit_retention_days", self.audit_days),
            ("policy.delivery_retention_days", self.delivery_days),
        ];
        fields.into_iter().filter(|(_, days)| *days > DAYS_MAX).map(|(field, _)| FieldViolation {
            field,
            reason: "out-of-range",
            description: format!("At most {DAYS_MAX} days are taken; 0 is for ever."),
        })
    }
}

//! What checks find.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::LogOdds;

/// The stable kebab-case name of a signal. A name never changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SignalName(Cow<'static, str>);

impl SignalName {
    /// The name of a signal that a check of this version finds.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A name read back from a record, perhaps of another version.
    pub fn from_stored(name: String) -> Self {
        Self(Cow::Owned(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SignalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Evidence that a check found in one submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What was found.
    pub name: SignalName,
    /// What it adds to the raw score. Zero for signals that the model weighs itself or that
    /// only the policy looks at.
    pub weight: LogOdds,
    /// What exactly, for a moderator: counts, a host, a word. Never an address or an IP.
    pub detail: String,
}

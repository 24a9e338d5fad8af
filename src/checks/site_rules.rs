//! A site's policy, made ready for use once and not for every comment.

use super::word_list::WordMatcher;
use crate::domain::SitePolicy;

/// A policy with its word lists compiled. Build one for each revision of a site's policy and
/// share it: community word lists have tens of thousands of entries.
pub struct SiteRules {
    policy: SitePolicy,
    pub(super) hold_words: WordMatcher,
    pub(super) reject_words: WordMatcher,
}

impl SiteRules {
    /// Compiles a policy.
    pub fn new(policy: SitePolicy) -> Self {
        let whole = policy.words.whole_words;
        Self {
            hold_words: WordMatcher::new(&policy.words.hold, whole),
            reject_words: WordMatcher::new(&policy.words.reject, whole),
            policy,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &SitePolicy {
        &self.policy
    }
}

//! Who may call what: API keys and their scopes.

use std::sync::Arc;

use super::ports::KeyRecord;
use super::{Moderation, ModerationError};
use crate::domain::{KeyScope, SiteId};
use sha2::{Digest, Sha256};

/// What every key begins with, so that scanners for leaked secrets can know it.
const KEY_PREFIX: &str = "rgk_";

/// A new key's secret: the prefix and 256 random bits in hexadecimal digits.
pub(super) fn key_secret(random: [u8; 32]) -> String {
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{KEY_PREFIX}{digits}")
}

/// What is stored of a key. A plain hash suffices because keys have 256 random bits.
pub(super) fn key_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Who did something, as the audit log has it: never an address.
#[derive(Debug, Clone)]
pub struct Actor(String);

impl Actor {
    /// The service itself, at its first start.
    pub fn first_start() -> Self {
        Self("first-start".into())
    }

    /// The owner of the data folder, at the command line while no service runs.
    pub fn owner() -> Self {
        Self("owner".into())
    }

    /// The service itself, on its schedule of trainings.
    pub fn schedule() -> Self {
        Self("schedule".into())
    }

    /// Somebody who signed in to the console.
    pub(super) fn moderator(name: &str) -> Self {
        Self(format!("moderator:{name}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Who calls, as its key says.
#[derive(Debug, Clone)]
pub struct Caller {
    key: Arc<KeyRecord>,
}

impl Caller {
    /// The caller, for the audit log.
    pub fn actor(&self) -> Actor {
        Actor(format!("key:{}", self.key.id))
    }

    /// Passes a key of `site` with `scope`.
    ///
    /// # Errors
    /// [`ModerationError::ForeignSite`], [`ModerationError::ScopeMissing`].
    pub fn require(&self, site: &SiteId, scope: KeyScope) -> Result<(), ModerationError> {
        if self.key.site != *site {
            return Err(ModerationError::ForeignSite);
        }
        self.require_scope(scope)
    }

    /// Passes a key of any site with `administer`.
    ///
    /// # Errors
    /// [`ModerationError::ScopeMissing`].
    pub fn require_administrator(&self) -> Result<(), ModerationError> {
        self.require_scope(KeyScope::Administer)
    }

    /// Passes every key of `site`, and keys with `administer`.
    ///
    /// # Errors
    /// [`ModerationError::ForeignSite`].
    pub fn require_reader(&self, site: &SiteId) -> Result<(), ModerationError> {
        if self.key.site == *site || self.require_administrator().is_ok() {
            return Ok(());
        }
        Err(ModerationError::ForeignSite)
    }

    fn require_scope(&self, scope: KeyScope) -> Result<(), ModerationError> {
        let granted = self.key.scopes.contains(&scope);
        granted.then_some(()).ok_or(ModerationError::ScopeMissing(scope.as_str()))
    }
}

impl Moderation {
    /// The caller with this key.
    ///
    /// # Errors
    /// [`ModerationError::KeyInvalid`], [`ModerationError::Unavailable`].
    pub async fn authenticate(&self, secret: &str) -> Result<Caller, ModerationError> {
        if !secret.starts_with(KEY_PREFIX) {
            return Err(ModerationError::KeyInvalid);
        }
        let found = self.store.find_key(&key_hash(secret)).await;
        let key = found.map_err(ModerationError::Unavailable)?;
        key.map(|key| Caller { key }).ok_or(ModerationError::KeyInvalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_carry_the_prefix_and_all_bits() {
        let secret = key_secret([0xa5; 32]);
        assert_eq!(secret, format!("rgk_{}", "a5".repeat(32)));
        assert_ne!(key_hash(&secret), key_hash(&key_secret([0xa6; 32])));
    }
}

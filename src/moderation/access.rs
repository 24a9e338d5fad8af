//! Who may call what: API keys and their scopes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use time::OffsetDateTime;
use uuid::Uuid;

use super::accounts::Throttle;
use super::ports::KeyRecord;
use super::{Moderation, ModerationError};
use crate::domain::{KeyScope, Site, SiteId};
use sha2::{Digest, Sha256};

/// What every key begins with, so that scanners for leaked secrets can know it.
const KEY_PREFIX: &str = "rgk_";

/// A new key's secret: the prefix and 256 random bits in hexadecimal digits.
pub(super) fn key_secret(random: [u8; 32]) -> String {
    let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{KEY_PREFIX}{digits}")
}

/// A new key for Akismet's clients: 48 random bits in 12 hexadecimal digits. WordPress takes no
/// other form.
pub(super) fn akismet_secret(random: [u8; 32]) -> String {
    random[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text has the form of such a key.
fn is_akismet_secret(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is stored of a key. A plain hash suffices because keys have 256 random bits;
/// those for Akismet's clients have 48, since their form allows no more.
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

    /// A moderator of the console.
    pub fn moderator(name: &str) -> Self {
        Self(format!("moderator:{name}"))
    }

    /// Somebody whom the caller with a key names.
    pub fn named(self, name: Option<&str>) -> Self {
        match name {
            Some(name) => Self(format!("{name} ({})", self.0)),
            None => self,
        }
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

    /// Passes a key of `site` with `scope`, and keys with `administer`.
    ///
    /// # Errors
    /// [`ModerationError::ForeignSite`], [`ModerationError::ScopeMissing`].
    pub fn require_or_administer(
        &self,
        site: &SiteId,
        scope: KeyScope,
    ) -> Result<(), ModerationError> {
        if self.require_administrator().is_ok() { Ok(()) } else { self.require(site, scope) }
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
    /// The caller with this key, as `client` sent it with a call, which is counted.
    ///
    /// # Errors
    /// [`ModerationError::KeyInvalid`], [`ModerationError::CallsTooFast`],
    /// [`ModerationError::GuessesTooFast`] for wrong keys, [`ModerationError::Unavailable`].
    pub async fn authenticate(
        &self,
        secret: &str,
        client: IpAddr,
    ) -> Result<Caller, ModerationError> {
        let caller = match self.authenticate_again(secret).await {
            Err(ModerationError::KeyInvalid) => return Err(self.wrong_key(client)),
            other => other?,
        };
        self.count_call(&caller)?;
        Ok(caller)
    }

    /// Counts a wrong key, and says what to answer. Right keys are let in whatever others at the same
    /// address send: behind a proxy, all callers have its address.
    fn wrong_key(&self, client: IpAddr) -> ModerationError {
        let now = self.clock.steady();
        let retry_after = self.call_guesses.key_wait(client, now);
        if !retry_after.is_zero() {
            metrics::counter!("replyguard_limited_total", "limit" => "failed-key").increment(1);
            return ModerationError::GuessesTooFast { retry_after };
        }
        self.call_guesses.count_network(client, now);
        metrics::counter!("replyguard_failed_keys_total", "surface" => "grpc").increment(1);
        ModerationError::KeyInvalid
    }

    /// Counts a call.
    ///
    /// # Errors
    /// [`ModerationError::CallsTooFast`].
    pub fn count_call(&self, caller: &Caller) -> Result<(), ModerationError> {
        let Some(rate) = self.call_rate else { return Ok(()) };
        let taken = self.call_limits.take(rate, caller.key.id, self.clock.steady());
        taken.map_err(|retry_after| {
            metrics::counter!("replyguard_limited_total", "limit" => "call").increment(1);
            ModerationError::CallsTooFast { retry_after }
        })
    }

    /// The caller with a key that began a stream; nothing is counted.
    ///
    /// # Errors
    /// [`ModerationError::KeyInvalid`], [`ModerationError::Unavailable`].
    pub async fn authenticate_again(&self, secret: &str) -> Result<Caller, ModerationError> {
        if !secret.starts_with(KEY_PREFIX) {
            return Err(ModerationError::KeyInvalid);
        }
        let found = self.store.find_key(&key_hash(secret)).await;
        let key = found.map_err(ModerationError::Unavailable)?;
        let key = key.filter(|key| self.is_valid(key)).ok_or(ModerationError::KeyInvalid)?;
        self.key_uses.note(key.id, || self.clock.now());
        Ok(Caller { key })
    }

    /// Whether a key opens anything now: the revocation of a rotated one may lie ahead.
    pub fn is_valid(&self, key: &KeyRecord) -> bool {
        key.revoke_time.is_none_or(|end| self.clock.now() < end)
    }
}

/// When keys were last used, until it is noted.
#[derive(Default)]
pub(super) struct KeyUses(Mutex<HashMap<Uuid, OffsetDateTime>>);

impl KeyUses {
    fn note(&self, key: Uuid, now: impl FnOnce() -> OffsetDateTime) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uses.entry(key).or_insert_with(now);
    }
}

/// Who guesses at keys of 48 bits is slowed down; keys that were right before are not.
pub(super) struct Guesses {
    throttle: Throttle,
    right: Mutex<LruCache<[u8; 32], ()>>,
}

/// Keys that are remembered as right.
const RIGHT_COUNT_MAX: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

impl Guesses {
    pub(super) fn new(random: [u8; 32]) -> Self {
        Self { throttle: Throttle::new(random), right: Mutex::new(LruCache::new(RIGHT_COUNT_MAX)) }
    }

    fn is_right(&self, hash: &[u8; 32]) -> bool {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).get(hash).is_some()
    }

    fn was_wrong(&self, hash: &[u8; 32]) {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).pop(hash);
    }

    fn was_right(&self, hash: [u8; 32]) {
        self.right.lock().unwrap_or_else(PoisonError::into_inner).put(hash, ());
    }
}

impl Moderation {
    /// Notes which keys were used since the last time.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn note_key_uses(&self) -> Result<(), ModerationError> {
        let uses =
            std::mem::take(&mut *self.key_uses.0.lock().unwrap_or_else(PoisonError::into_inner));
        if uses.is_empty() {
            return Ok(());
        }
        let noted = self.store.note_key_uses(uses.into_iter().collect()).await;
        noted.map_err(ModerationError::Unavailable)
    }

    /// The site that a key for Akismet's clients belongs to, as `client` sent it.
    ///
    /// # Errors
    /// [`ModerationError::KeyMissing`] for an empty one, [`ModerationError::KeyInvalid`],
    /// [`ModerationError::GuessesTooFast`] for a key that was not right before, where wrong ones
    /// come from, [`ModerationError::Unavailable`].
    pub async fn akismet_site(
        &self,
        secret: &str,
        client: IpAddr,
    ) -> Result<(Caller, Arc<Site>), ModerationError> {
        let (hash, now) = (key_hash(secret), self.clock.now());
        let steady = self.clock.steady();
        let retry_after = self.guesses.throttle.key_wait(client, steady);
        if !retry_after.is_zero() && !self.guesses.is_right(&hash) {
            metrics::counter!("replyguard_limited_total", "limit" => "failed-key").increment(1);
            return Err(ModerationError::GuessesTooFast { retry_after });
        }
        if secret.is_empty() {
            return Err(ModerationError::KeyMissing);
        }
        let found = match is_akismet_secret(secret) {
            true => self.store.find_key(&hash).await.map_err(ModerationError::Unavailable)?,
            false => None,
        };
        let fits = |key: &Arc<KeyRecord>| key.scopes == [KeyScope::Akismet] && self.is_valid(key);
        let Some(key) = found.filter(fits) else {
            self.guesses.was_wrong(&hash);
            self.guesses.throttle.count_network(client, steady);
            metrics::counter!("replyguard_failed_keys_total", "surface" => "akismet").increment(1);
            return Err(ModerationError::KeyInvalid);
        };
        self.guesses.was_right(hash);
        self.key_uses.note(key.id, || now);
        let site = self.site(&key.site).await?;
        Ok((Caller { key }, site))
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
        assert_eq!(akismet_secret([0xa5; 32]), "a5a5a5a5a5a5");
        assert!(is_akismet_secret(&akismet_secret([0x0f; 32])));
        for bad in ["", "a5a5a5a5a5a", "a5a5a5a5a5a5a", "A5a5a5a5a5a5", "g5a5a5a5a5a5"] {
            assert!(!is_akismet_secret(bad), "{bad}");
        }
    }
}

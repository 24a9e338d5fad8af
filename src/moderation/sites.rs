//! Creating sites and keys, setting policies.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::access::{Actor, akismet_secret, key_hash, key_secret};
use super::ports::KeyRecord;
use super::{Moderation, ModerationError};
use crate::domain::{EmailAddress, FieldViolation, KeyScope, Site, SiteId, SitePolicy, SiteSecret};
use crate::text;

/// Bytes of a display name.
pub const DISPLAY_NAME_BYTES_MAX: usize = 245;

/// The longest time for which a rotated key stays valid.
pub const KEY_OVERLAP_MAX: Duration = Duration::from_secs(90 * 86_400);

/// A key and its secret, which is known only at this moment.
pub struct NewKey {
    /// What is stored.
    pub record: KeyRecord,
    /// What the caller sends.
    pub secret: String,
}

/// Sites read at once.
const SITE_PAGE_SIZE: usize = 500;

impl Moderation {
    /// Creates a site with a secret of its own.
    ///
    /// # Errors
    /// Invalid fields, `AlreadyExists`, `Unavailable`.
    pub async fn create_site(
        &self,
        actor: &Actor,
        id: SiteId,
        display_name: String,
        policy: SitePolicy,
    ) -> Result<Site, ModerationError> {
        let policy = policy.canonical();
        validate(&display_name, &policy)?;
        let site = Site {
            id,
            display_name,
            secret: SiteSecret::from_bytes(self.random.bytes32()),
            policy,
            revision: 1,
            create_time: self.clock.now(),
        };
        let created = self.store.create_site(site.clone(), actor.as_str()).await;
        created.map_err(ModerationError::store("site"))?;
        Ok(site)
    }

    /// Reads a site.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn site(&self, id: &SiteId) -> Result<Arc<Site>, ModerationError> {
        let site = self.store.get_site(id).await.map_err(ModerationError::Unavailable)?;
        site.ok_or(ModerationError::NotFound("site"))
    }

    /// At most `count_max` sites in order of id, after `after`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn sites(
        &self,
        after: Option<&SiteId>,
        count_max: usize,
    ) -> Result<Vec<Site>, ModerationError> {
        self.store.list_sites(after, count_max).await.map_err(ModerationError::Unavailable)
    }

    /// All sites.
    pub(super) async fn all_sites(&self) -> Result<Vec<Arc<Site>>, ModerationError> {
        let mut all: Vec<Arc<Site>> = Vec::new();
        loop {
            let page = self.sites(all.last().map(|site| &site.id), SITE_PAGE_SIZE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page.into_iter().map(Arc::new));
        }
    }

    /// Replaces a site's name and policy.
    ///
    /// # Errors
    /// Invalid fields, `NotFound`, `Conflict` if `revision` is outdated, `Unavailable`.
    pub async fn update_site(
        &self,
        actor: &Actor,
        id: &SiteId,
        revision: Option<i64>,
        display_name: String,
        policy: SitePolicy,
    ) -> Result<Site, ModerationError> {
        let policy = policy.canonical();
        validate(&display_name, &policy)?;
        let now = self.clock.now();
        let updated =
            self.store.update_site(id, revision, display_name, policy, actor.as_str(), now).await;
        updated.map_err(ModerationError::store("site"))
    }

    /// Creates a key of a site. Without scopes it may check.
    ///
    /// # Errors
    /// Invalid fields, `NotFound`, `Unavailable`.
    pub async fn create_key(
        &self,
        actor: &Actor,
        site: &SiteId,
        display_name: String,
        scopes: Vec<KeyScope>,
    ) -> Result<NewKey, ModerationError> {
        let key = self.draft_key(site, display_name, scopes)?;
        self.store_key(actor, &key).await?;
        Ok(key)
    }

    /// A key that does not open anything yet, for those who must write it down first.
    ///
    /// # Errors
    /// Invalid fields.
    pub fn draft_key(
        &self,
        site: &SiteId,
        display_name: String,
        mut scopes: Vec<KeyScope>,
    ) -> Result<NewKey, ModerationError> {
        validate(&display_name, &SitePolicy::default())?;
        if scopes.is_empty() {
            scopes.push(KeyScope::Check);
        }
        scopes.sort();
        scopes.dedup();
        let random = self.random.bytes32();
        let secret = match scopes.contains(&KeyScope::Akismet) {
            true if scopes.len() > 1 => {
                let text = "A key for Akismet's clients has no other scope.";
                return Err(ModerationError::field("scopes", "akismet-alone", text));
            }
            true => akismet_secret(random),
            false => key_secret(random),
        };
        let record = KeyRecord {
            id: self.random.uuid(),
            site: site.clone(),
            hash: key_hash(&secret),
            scopes,
            display_name,
            create_time: self.clock.now(),
            revoke_time: None,
            use_time: None,
        };
        Ok(NewKey { record, secret })
    }

    /// Makes a drafted key open what it is for.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn store_key(&self, actor: &Actor, key: &NewKey) -> Result<(), ModerationError> {
        self.site(&key.record.site).await?;
        let created = self.store.create_key(key.record.clone(), actor.as_str()).await;
        created.map(drop).map_err(ModerationError::store("key"))
    }

    /// The keys of a site, oldest first.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn keys(&self, site: &SiteId) -> Result<Vec<KeyRecord>, ModerationError> {
        self.site(site).await?;
        self.store.list_keys(site).await.map_err(ModerationError::Unavailable)
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        site: &SiteId,
        id: Uuid,
    ) -> Result<KeyRecord, ModerationError> {
        let now = self.clock.now();
        let revoked = self.store.revoke_key(site, id, actor.as_str(), now, now).await;
        revoked.map_err(ModerationError::store("key"))
    }

    /// Creates a key that may do the same as a valid one, which ends after `overlap`: time to
    /// bring the new one to where it is used. Gives the new key and the one before.
    ///
    /// # Errors
    /// Invalid `overlap`, `NotFound` also for a key that is no longer valid, `Unavailable`.
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        site: &SiteId,
        id: Uuid,
        overlap: Duration,
    ) -> Result<(NewKey, KeyRecord), ModerationError> {
        if overlap > KEY_OVERLAP_MAX {
            let text = "At most 90 days are taken.";
            return Err(ModerationError::field("overlap", "too-long", text));
        }
        let known = self.keys(site).await?.into_iter().find(|key| key.id == id);
        let known = known.filter(|key| self.is_valid(key));
        let known = known.ok_or(ModerationError::NotFound("key"))?;
        // The new one comes first: if it ends here, both are good.
        let new = self.create_key(actor, site, known.display_name, known.scopes).await?;
        let now = self.clock.now();
        let ended = self.store.revoke_key(site, id, actor.as_str(), now, now + overlap).await;
        Ok((new, ended.map_err(ModerationError::store("key"))?))
    }
}

/// Whether an e-mail or IP address stands in a text that would be stored as it is.
pub(super) fn has_address(text: &str) -> bool {
    !text::find_addresses(text).is_empty()
        || EmailAddress::parse(text.trim()).is_ok()
        || text::mask_every_ip(text) != text
}

fn address_violation(field: &'static str) -> FieldViolation {
    FieldViolation {
        field,
        reason: "contains-address",
        description: "E-mail and IP addresses are not stored, so they cannot stand here.".into(),
    }
}

/// All that is wrong with a name and a policy.
fn validate(display_name: &str, policy: &SitePolicy) -> Result<(), ModerationError> {
    let mut violations = policy.violations();
    if display_name.len() > DISPLAY_NAME_BYTES_MAX {
        violations.push(FieldViolation {
            field: "display_name",
            reason: "too-long",
            description: format!("At most {DISPLAY_NAME_BYTES_MAX} bytes are taken."),
        });
    }
    if has_address(display_name) {
        violations.push(address_violation("display_name"));
    }
    let lists = [
        ("policy.hold_words", policy.words.hold.iter().collect::<Vec<_>>()),
        ("policy.reject_words", policy.words.reject.iter().collect()),
        ("policy.blocklist_hosts", policy.host_blocklist.iter().collect()),
        ("policy.allowlist_hosts", policy.host_allowlist.iter().collect()),
    ];
    for (field, entries) in lists {
        if entries.into_iter().any(|entry| has_address(entry)) {
            violations.push(address_violation(field));
        }
    }
    if display_name.contains(char::is_control) {
        violations.push(FieldViolation {
            field: "display_name",
            reason: "control-character",
            description: "One line without control characters is expected.".into(),
        });
    }
    if violations.is_empty() { Ok(()) } else { Err(ModerationError::Invalid(violations)) }
}

//! Who may sign in to the console: accounts, invitations, sessions.

mod invitations;
mod passwords;
mod sessions;
mod throttle;
mod token;

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::ModerationError;
use super::access::Actor;
use super::ports::accounts::{
    AccountChange, AccountRecord, AccountStore, ChangedAccount, Role, name_key,
};
use super::ports::{AuditEntry, Clock, Random, Store};
use super::sites::has_address;
use crate::domain::{FieldViolation, SiteId};

pub use invitations::Invited;
pub use passwords::PASSWORD_CHARS_MIN;
pub use sessions::{LogInError, NewSession, Session};
pub(super) use throttle::Throttle;
pub use token::Token;

use passwords::Passwords;

/// Bytes of an account's name.
pub const NAME_BYTES_MAX: usize = 100;

/// What the use cases of accounts stand on.
pub struct AccountPorts {
    /// Accounts, invitations, sessions.
    pub accounts: Arc<dyn AccountStore>,
    /// Sites.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// How long things go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lives {
    /// A session, at the longest.
    pub session: Duration,
    /// A session that is not used.
    pub idle: Duration,
    /// An invitation.
    pub invitation: Duration,
}

/// What makes an account, besides its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountDraft {
    /// What it signs in with.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The sites of a moderator.
    pub sites: Vec<SiteId>,
}

/// The use cases of the console's people.
pub struct Accounts {
    accounts: Arc<dyn AccountStore>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    lives: Lives,
    passwords: Passwords,
    throttle: Throttle,
}

impl Accounts {
    /// The use cases over these ports.
    pub fn new(ports: AccountPorts, lives: Lives) -> Self {
        let throttle = Throttle::new(ports.random.bytes32());
        Self {
            accounts: ports.accounts,
            store: ports.store,
            clock: ports.clock,
            random: ports.random,
            lives,
            passwords: Passwords::default(),
            throttle,
        }
    }

    /// A token that belongs to nobody, for the forms of people who are not signed in.
    pub fn fresh_token(&self) -> Token {
        Token::new(self.random.bytes32())
    }

    /// How long things go on.
    pub fn lives(&self) -> Lives {
        self.lives
    }

    /// The account with this id.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn account(&self, id: Uuid) -> Result<AccountRecord, ModerationError> {
        let found = self.accounts.get_account(id).await.map_err(ModerationError::Unavailable)?;
        found.ok_or(ModerationError::NotFound("moderator"))
    }

    /// The account with this name, whatever its case.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`.
    pub async fn account_by_name(&self, name: &str) -> Result<AccountRecord, ModerationError> {
        let found = self.accounts.find_account(name).await.map_err(ModerationError::Unavailable)?;
        found.ok_or(ModerationError::NotFound("moderator"))
    }

    /// At most `count_max` accounts in order of name, after the account `after`.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn list(
        &self,
        after: Option<Uuid>,
        count_max: usize,
    ) -> Result<Vec<AccountRecord>, ModerationError> {
        let found = self.accounts.list_accounts(after, count_max).await;
        found.map_err(ModerationError::Unavailable)
    }

    /// Creates an account that cannot sign in before its invitation was used.
    ///
    /// # Errors
    /// Invalid fields, `AlreadyExists`, `NotFound` for a site, `Unavailable`.
    pub async fn create(
        &self,
        actor: &Actor,
        draft: AccountDraft,
    ) -> Result<Invited, ModerationError> {
        let name = draft.name.trim().to_owned();
        self.validate(&name, draft.role, &draft.sites).await?;
        let (token, invitation) = self.draft_invitation();
        let account = AccountRecord {
            id: self.random.uuid(),
            name,
            role: draft.role,
            sites: sites_of(draft.role, draft.sites),
            disabled: false,
            password_hash: None,
            revision: 1,
            create_time: self.clock.now(),
            login_time: None,
        };
        let expire_time = invitation.expire_time;
        let created =
            self.accounts.create_account(account.clone(), invitation, actor.as_str()).await;
        created.map_err(ModerationError::store("moderator"))?;
        Ok(Invited { account, token, expire_time })
    }

    /// Sets role, sites and whether the account is shut out.
    ///
    /// # Errors
    /// Invalid fields, `NotFound`, `Conflict`, `LastAdministrator`, `Unavailable`.
    pub async fn update(
        &self,
        actor: &Actor,
        id: Uuid,
        change: AccountChange,
    ) -> Result<AccountRecord, ModerationError> {
        let known = self.account(id).await?;
        self.validate(&known.name, change.role, &change.sites).await?;
        let change = AccountChange { sites: sites_of(change.role, change.sites), ..change };
        let now = self.clock.now();
        let changed = self.accounts.update_account(id, change, actor.as_str(), now).await;
        match changed.map_err(ModerationError::store("moderator"))? {
            ChangedAccount::Done(account) => Ok(*account),
            ChangedAccount::LastAdministrator => Err(ModerationError::LastAdministrator),
        }
    }

    /// Shuts an account out or lets it in again.
    ///
    /// # Errors
    /// `NotFound`, `LastAdministrator`, `Unavailable`.
    pub async fn set_disabled(
        &self,
        actor: &Actor,
        id: Uuid,
        disabled: bool,
    ) -> Result<AccountRecord, ModerationError> {
        let known = self.account(id).await?;
        let change = AccountChange {
            revision: Some(known.revision),
            role: known.role,
            sites: known.sites,
            disabled,
        };
        self.update(actor, id, change).await
    }

    /// The audit entries that belong to no site, before `position`, newest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn audit_entries(
        &self,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, ModerationError> {
        let found = self.accounts.list_account_audit_entries(position, count_max).await;
        found.map_err(ModerationError::Unavailable)
    }

    async fn validate(
        &self,
        name: &str,
        role: Role,
        sites: &[SiteId],
    ) -> Result<(), ModerationError> {
        let mut violations = name_violations(name);
        if role == Role::Moderator {
            for site in sites {
                let found = self.store.get_site(site).await;
                if found.map_err(ModerationError::Unavailable)?.is_none() {
                    violations.push(FieldViolation {
                        field: "sites",
                        reason: "unknown-site",
                        description: format!("There is no site `{site}`."),
                    });
                }
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(ModerationError::Invalid(violations)) }
    }
}

/// The sites as they are stored: in order, none twice, and none for administrators.
fn sites_of(role: Role, mut sites: Vec<SiteId>) -> Vec<SiteId> {
    if role == Role::Administrator {
        return Vec::new();
    }
    sites.sort();
    sites.dedup();
    sites
}

/// All that is wrong with a name.
fn name_violations(name: &str) -> Vec<FieldViolation> {
    let violation =
        |reason, description: String| FieldViolation { field: "display_name", reason, description };
    let mut violations = Vec::new();
    if name_key(name).is_empty() {
        violations.push(violation("required", "A name is required.".into()));
    }
    if name.len() > NAME_BYTES_MAX {
        violations
            .push(violation("too-long", format!("At most {NAME_BYTES_MAX} bytes are taken.")));
    }
    if name.contains(char::is_control) {
        let text = "One line without control characters is expected.";
        violations.push(violation("control-character", text.into()));
    }
    if has_address(name) {
        let text = "E-mail and IP addresses are not stored, so they cannot stand here.";
        violations.push(violation("contains-address", text.into()));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_line_without_addresses() {
        let reasons = |name: &str| -> Vec<&str> {
            name_violations(name).iter().map(|violation| violation.reason).collect()
        };
        assert_eq!(reasons("Ada Lovelace"), [""; 0]);
        assert_eq!(reasons(" "), ["required"]);
        assert_eq!(reasons("a\nb"), ["control-character"]);
        assert_eq!(reasons("ada@example.org"), ["contains-address"]);
        assert_eq!(reasons(&"x".repeat(101)), ["too-long"]);
    }

    #[test]
    fn administrators_have_no_list_of_sites() {
        let sites: Vec<SiteId> = ["b", "a", "b"].iter().map(|id| id.parse().unwrap()).collect();
        assert_eq!(sites_of(Role::Administrator, sites.clone()), []);
        let ids = sites_of(Role::Moderator, sites);
        assert_eq!(ids.iter().map(SiteId::as_str).collect::<Vec<_>>(), ["a", "b"]);
    }
}

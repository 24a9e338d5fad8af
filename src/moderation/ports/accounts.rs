//! What the console needs of a store: accounts, invitations, sessions.

use std::fmt;

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AuditEntry, StoreError};
use crate::domain::SiteId;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Decides on the comments of some sites.
    Moderator,
    /// Decides on the comments of all sites; changes sites, keys, models and accounts.
    Administrator,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 2] = [Self::Moderator, Self::Administrator];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Moderator => "moderator",
            Self::Administrator => "administrator",
        }
    }

    /// The role with this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

/// A password's hash in PHC form. It has no `Display`; only store and verifier take the text.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// The hash with this PHC text.
    pub fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The PHC text.
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// Somebody who may sign in to the console. Names are never changed, so the audit log can use
/// them; an account is disabled and never removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The id in resource names.
    pub id: Uuid,
    /// What it signs in with: never an address.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The sites of a moderator, in order; empty for administrators, who have all.
    pub sites: Vec<SiteId>,
    /// Whether it is shut out.
    pub disabled: bool,
    /// Nothing until its invitation was used.
    pub password_hash: Option<PasswordHash>,
    /// Counts changes of role, sites and `disabled`, from 1.
    pub revision: i64,
    /// When it was created.
    pub create_time: OffsetDateTime,
    /// When it last signed in.
    pub login_time: Option<OffsetDateTime>,
}

impl AccountRecord {
    /// Whether it has the rights of an administrator.
    pub fn is_administrator(&self) -> bool {
        self.role == Role::Administrator
    }

    /// Whether it may see the comments of a site. Says nothing about whether there is such a site.
    pub fn may_see(&self, site: &SiteId) -> bool {
        self.is_administrator() || self.sites.contains(site)
    }

    /// The resource name, `moderators/{moderator}`.
    pub fn resource_name(&self) -> String {
        format!("moderators/{}", self.id)
    }
}

/// A name as accounts are found by it: no two differ by case alone.
pub fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// An invitation to set a password, as it is stored: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRecord {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// When it ends.
    pub expire_time: OffsetDateTime,
}

/// A session of the console, as it is stored: never the token itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// Whose it is.
    pub account: Uuid,
    /// When it began.
    pub create_time: OffsetDateTime,
    /// When it was last used, to some precision.
    pub seen_time: OffsetDateTime,
}

/// What [`AccountStore::update_account`] sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountChange {
    /// The revision that the caller read, if it matters.
    pub revision: Option<i64>,
    /// The role.
    pub role: Role,
    /// The sites.
    pub sites: Vec<SiteId>,
    /// Whether it is shut out. That ends its sessions and its invitation.
    pub disabled: bool,
}

/// What came of a change to an account.
#[derive(Debug)]
pub enum ChangedAccount {
    /// It is made.
    Done(Box<AccountRecord>),
    /// It would have left no administrator who can sign in, so nothing was changed.
    LastAdministrator,
}

/// Accounts, invitations and sessions, durable.
///
/// Workload: some dozen accounts; `find_session` for every page of the console, everything else
/// rare. Each change and its audit entry, which belongs to no site, are one transaction.
#[async_trait]
pub trait AccountStore: Send + Sync + 'static {
    /// Stores an account with its invitation. `AlreadyExists` if the name is taken, `NotFound`
    /// without one of its sites.
    async fn create_account(
        &self,
        account: AccountRecord,
        invitation: InvitationRecord,
        actor: &str,
    ) -> Result<(), StoreError>;
    /// The account with this id.
    async fn get_account(&self, id: Uuid) -> Result<Option<AccountRecord>, StoreError>;
    /// The account with this name, whatever its case.
    async fn find_account(&self, name: &str) -> Result<Option<AccountRecord>, StoreError>;
    /// At most `count_max` accounts in order of folded name, after the account `after`.
    async fn list_accounts(
        &self,
        after: Option<Uuid>,
        count_max: usize,
    ) -> Result<Vec<AccountRecord>, StoreError>;
    /// Sets role, sites and `disabled`. `NotFound`; `Conflict` if a revision is given and is not
    /// the stored one.
    async fn update_account(
        &self,
        id: Uuid,
        change: AccountChange,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<ChangedAccount, StoreError>;
    /// Gives an account a new invitation. Its password, its sessions and its invitation before end.
    async fn invite(
        &self,
        id: Uuid,
        invitation: InvitationRecord,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<AccountRecord, StoreError>;
    /// The account whose invitation has this hash and goes on at `now`.
    async fn find_invitation(
        &self,
        hash: &[u8; 32],
        now: OffsetDateTime,
    ) -> Result<Option<AccountRecord>, StoreError>;
    /// Uses an invitation up: sets the password and ends all sessions. `NotFound` if it was used,
    /// voided or is over.
    async fn accept_invitation(
        &self,
        hash: &[u8; 32],
        password_hash: PasswordHash,
        now: OffsetDateTime,
    ) -> Result<AccountRecord, StoreError>;
    /// Sets another password and ends all sessions, if `known` is still the password's hash.
    /// `Conflict` if it is not.
    async fn change_password(
        &self,
        id: Uuid,
        known: PasswordHash,
        password_hash: PasswordHash,
        time: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Stores a session, if `known` is still the password's hash and the account is not disabled.
    /// `Conflict` if not.
    async fn create_session(
        &self,
        session: SessionRecord,
        known: PasswordHash,
    ) -> Result<(), StoreError>;
    /// The session with this hash and its account as it is now.
    async fn find_session(
        &self,
        hash: &[u8; 32],
    ) -> Result<Option<(SessionRecord, AccountRecord)>, StoreError>;
    /// Notes that a session was used.
    async fn touch_session(&self, hash: &[u8; 32], time: OffsetDateTime) -> Result<(), StoreError>;
    /// Ends a session; one that is not there is no error.
    async fn end_session(&self, hash: &[u8; 32], time: OffsetDateTime) -> Result<(), StoreError>;
    /// Removes sessions that began before `created` or were last used before `seen`.
    async fn purge_sessions(
        &self,
        created: OffsetDateTime,
        seen: OffsetDateTime,
    ) -> Result<(), StoreError>;

    /// Notes in the audit log that sign-ins are refused for a while: of an account, or of a name
    /// that nobody has, which is not written down.
    async fn note_lock_out(
        &self,
        account: Option<Uuid>,
        failure_count: u32,
        time: OffsetDateTime,
    ) -> Result<(), StoreError>;
    /// The audit entries that belong to no site, before `position` (nothing: the end), newest
    /// first.
    async fn list_account_audit_entries(
        &self,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, StoreError>;
}

//! Accounts, invitations and sessions as rows: what is read and what is written of them.

use rusqlite::{Connection, Row, params};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::moderation::ports::accounts::{
    AccountChange, AccountRecord, ChangedAccount, InvitationRecord, PasswordHash, Role,
    SessionRecord, name_key,
};
use crate::moderation::ports::{AuditEntry, StoreError};

use super::commands::{execute, stored_site};
use super::error::from_sqlite;
use super::queries::{all, first};
use super::rows::{self, AUDIT_COLUMNS, Word, corrupt, millis, time, time_or_none};
use super::writer::Batch;

/// The columns that [`read_account`] reads. Site ids have no commas.
const ACCOUNT_COLUMNS: &str = "accounts.id, accounts.name, accounts.role, accounts.disabled, \
     accounts.password_hash, accounts.revision, accounts.create_time, accounts.login_time, \
     (SELECT group_concat(sites.id) FROM account_sites JOIN sites ON sites.number = \
     account_sites.site WHERE account_sites.account = accounts.number)";

fn read_account(row: &Row<'_>) -> Result<AccountRecord, StoreError> {
    let sites: Option<String> = row.get(8).map_err(from_sqlite)?;
    let sites = sites.unwrap_or_default();
    let sites = sites.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().map_err(corrupt));
    let mut sites = sites.collect::<Result<Vec<_>, _>>()?;
    sites.sort();
    let read = || -> rusqlite::Result<AccountRecord> {
        Ok(AccountRecord {
            id: Uuid::from_bytes(row.get(0)?),
            name: row.get(1)?,
            role: row.get::<_, Word<Role>>(2)?.0,
            sites,
            disabled: row.get(3)?,
            password_hash: row.get::<_, Option<String>>(4)?.map(PasswordHash::from_phc),
            revision: row.get(5)?,
            create_time: time(row, 6)?,
            login_time: time_or_none(row, 7)?,
        })
    };
    read().map_err(from_sqlite)
}

/// The account with this id.
pub(super) fn account(db: &Connection, id: Uuid) -> Result<Option<AccountRecord>, StoreError> {
    let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE id = ?1");
    first(db, &sql, [id.as_bytes()], read_account)
}

/// The account with this folded name.
pub(super) fn account_by_name(
    db: &Connection,
    key: &str,
) -> Result<Option<AccountRecord>, StoreError> {
    let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE name_key = ?1");
    first(db, &sql, [key], read_account)
}

/// Accounts in order of folded name.
pub(super) fn accounts(
    db: &Connection,
    after: Option<Uuid>,
    count_max: usize,
) -> Result<Vec<AccountRecord>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE name_key > \
         coalesce((SELECT name_key FROM accounts WHERE id = ?1), '') ORDER BY name_key LIMIT ?2"
    );
    let after = after.map(Uuid::into_bytes);
    all(db, &sql, params![after, count_max as i64], read_account)
}

/// The account whose invitation has this hash and goes on.
pub(super) fn account_by_invitation(
    db: &Connection,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<AccountRecord>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT_COLUMNS} FROM invitations JOIN accounts \
         ON accounts.number = invitations.account \
         WHERE invitations.hash = ?1 AND expire_time > ?2 AND NOT accounts.disabled"
    );
    first(db, &sql, params![hash, millis(now)], read_account)
}

/// The session with this hash and its account.
pub(super) fn session(
    db: &Connection,
    hash: &[u8; 32],
) -> Result<Option<(SessionRecord, AccountRecord)>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT_COLUMNS}, sessions.create_time, sessions.seen_time FROM sessions \
         JOIN accounts ON accounts.number = sessions.account WHERE sessions.hash = ?1"
    );
    first(db, &sql, [hash], |row| {
        let account = read_account(row)?;
        let session = SessionRecord {
            hash: *hash,
            account: account.id,
            create_time: time(row, 9).map_err(from_sqlite)?,
            seen_time: time(row, 10).map_err(from_sqlite)?,
        };
        Ok((session, account))
    })
}

/// The audit log without the sites' entries, before `position`, newest first.
pub(super) fn audit_entries(
    db: &Connection,
    position: i64,
    count_max: usize,
) -> Result<Vec<AuditEntry>, StoreError> {
    let sql = format!(
        "SELECT {AUDIT_COLUMNS} FROM audit_entries WHERE site IS NULL AND position < ?1 \
         ORDER BY position DESC LIMIT ?2"
    );
    all(db, &sql, params![position, count_max as i64], |row| {
        rows::audit_entry(row).map_err(from_sqlite)
    })
}

/// An audit entry that belongs to no site.
struct AccountAudit<'a> {
    time: OffsetDateTime,
    actor: &'a str,
    action: &'static str,
    subject: String,
    before: Option<String>,
    after: Option<String>,
}

impl AccountAudit<'_> {
    fn write(self, db: &Connection) -> Result<(), StoreError> {
        let sql = "INSERT INTO audit_entries (time, actor, action, subject, before, after) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values = params![
            millis(self.time),
            self.actor,
            self.action,
            self.subject,
            self.before,
            self.after
        ];
        execute(db, sql, values)
    }
}

/// An account as the audit log shows it; without its hash.
fn account_json(account: &AccountRecord) -> String {
    json!({
        "name": account.name,
        "role": account.role.as_str(),
        "sites": account.sites,
        "disabled": account.disabled,
    })
    .to_string()
}

/// The account and the number that stands for it in other tables.
fn stored(batch: &Batch<'_>, id: Uuid) -> Result<(i64, AccountRecord), StoreError> {
    let found = account(batch.db, id)?.ok_or(StoreError::NotFound)?;
    let sql = "SELECT number FROM accounts WHERE id = ?1";
    let number = batch.db.query_row(sql, [id.as_bytes()], |row| row.get(0)).map_err(from_sqlite)?;
    Ok((number, found))
}

pub(super) fn create_account(
    batch: &mut Batch<'_>,
    account: &AccountRecord,
    invitation: &InvitationRecord,
    actor: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO accounts (id, name, name_key, role, disabled, revision, create_time) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let create_time = millis(account.create_time);
    let values = params![
        account.id.as_bytes(),
        account.name,
        name_key(&account.name),
        account.role.as_str(),
        account.disabled,
        account.revision,
        create_time
    ];
    execute(batch.db, sql, values)?;
    let number = batch.db.last_insert_rowid();
    set_sites(batch, number, account.role, &account.sites)?;
    set_invitation(batch.db, number, invitation)?;
    AccountAudit {
        time: account.create_time,
        actor,
        action: "create-moderator",
        subject: account.resource_name(),
        before: None,
        after: Some(account_json(account)),
    }
    .write(batch.db)
}

fn set_sites(
    batch: &Batch<'_>,
    number: i64,
    role: Role,
    sites: &[crate::domain::SiteId],
) -> Result<(), StoreError> {
    execute(batch.db, "DELETE FROM account_sites WHERE account = ?1", [number])?;
    if role == Role::Administrator {
        return Ok(());
    }
    for site in sites {
        let site = stored_site(batch, site)?.number;
        let sql = "INSERT OR IGNORE INTO account_sites (account, site) VALUES (?1, ?2)";
        execute(batch.db, sql, [number, site])?;
    }
    Ok(())
}

fn set_invitation(
    db: &Connection,
    number: i64,
    invitation: &InvitationRecord,
) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO invitations (account, hash, expire_time) VALUES (?1, ?2, ?3)";
    execute(db, sql, params![number, invitation.hash, millis(invitation.expire_time)])
}

fn end_sessions(db: &Connection, number: i64) -> Result<(), StoreError> {
    execute(db, "DELETE FROM sessions WHERE account = ?1", [number])
}

fn end_invitation(db: &Connection, number: i64) -> Result<(), StoreError> {
    execute(db, "DELETE FROM invitations WHERE account = ?1", [number])
}

/// Administrators who can sign in.
fn administrator_count(db: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM accounts WHERE role = 'administrator' AND NOT disabled \
         AND password_hash IS NOT NULL";
    db.query_row(sql, [], |row| row.get(0)).map_err(from_sqlite)
}

pub(super) fn update_account(
    batch: &mut Batch<'_>,
    id: Uuid,
    change: &AccountChange,
    (actor, time): (&str, OffsetDateTime),
) -> Result<ChangedAccount, StoreError> {
    let (number, before) = stored(batch, id)?;
    if change.revision.is_some_and(|revision| revision != before.revision) {
        return Err(StoreError::Conflict);
    }
    let opens = before.is_administrator() && !before.disabled && before.password_hash.is_some();
    let opened = change.role == Role::Administrator && !change.disabled;
    if opens && !opened && administrator_count(batch.db)? == 1 {
        return Ok(ChangedAccount::LastAdministrator);
    }
    let sql = "UPDATE accounts SET role = ?2, disabled = ?3, revision = revision + 1 \
         WHERE number = ?1";
    execute(batch.db, sql, params![number, change.role.as_str(), change.disabled])?;
    set_sites(batch, number, change.role, &change.sites)?;
    if change.disabled {
        end_sessions(batch.db, number)?;
        end_invitation(batch.db, number)?;
    }
    let after = account(batch.db, id)?.ok_or(StoreError::NotFound)?;
    AccountAudit {
        time,
        actor,
        action: "update-moderator",
        subject: after.resource_name(),
        before: Some(account_json(&before)),
        after: Some(account_json(&after)),
    }
    .write(batch.db)?;
    Ok(ChangedAccount::Done(Box::new(after)))
}

pub(super) fn invite(
    batch: &mut Batch<'_>,
    id: Uuid,
    invitation: &InvitationRecord,
    (actor, time): (&str, OffsetDateTime),
) -> Result<AccountRecord, StoreError> {
    let (number, before) = stored(batch, id)?;
    if before.disabled {
        return Err(StoreError::Conflict);
    }
    execute(batch.db, "UPDATE accounts SET password_hash = NULL WHERE number = ?1", [number])?;
    end_sessions(batch.db, number)?;
    set_invitation(batch.db, number, invitation)?;
    AccountAudit {
        time,
        actor,
        action: "invite-moderator",
        subject: before.resource_name(),
        before: None,
        after: Some(account_json(&before)),
    }
    .write(batch.db)?;
    Ok(AccountRecord { password_hash: None, ..before })
}

pub(super) fn accept_invitation(
    batch: &mut Batch<'_>,
    hash: &[u8; 32],
    password_hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<AccountRecord, StoreError> {
    let invited = account_by_invitation(batch.db, hash, now)?.ok_or(StoreError::NotFound)?;
    let (number, _) = stored(batch, invited.id)?;
    end_invitation(batch.db, number)?;
    set_password(batch.db, number, &invited, password_hash, now)?;
    account(batch.db, invited.id)?.ok_or(StoreError::NotFound)
}

pub(super) fn change_password(
    batch: &mut Batch<'_>,
    id: Uuid,
    known: &PasswordHash,
    password_hash: &PasswordHash,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let (number, account) = stored(batch, id)?;
    if account.disabled || account.password_hash.as_ref() != Some(known) {
        return Err(StoreError::Conflict);
    }
    set_password(batch.db, number, &account, password_hash, time)
}

fn set_password(
    db: &Connection,
    number: i64,
    account: &AccountRecord,
    password_hash: &PasswordHash,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE accounts SET password_hash = ?2 WHERE number = ?1";
    execute(db, sql, params![number, password_hash.as_phc()])?;
    end_sessions(db, number)?;
    own_act(account, "set-password", time).write(db)
}

/// Something that an account did to itself.
fn own_act(account: &AccountRecord, action: &'static str, time: OffsetDateTime) -> OwnAct {
    OwnAct { actor: format!("moderator:{}", account.name), action, account: account.id, time }
}

struct OwnAct {
    actor: String,
    action: &'static str,
    account: Uuid,
    time: OffsetDateTime,
}

impl OwnAct {
    fn write(self, db: &Connection) -> Result<(), StoreError> {
        AccountAudit {
            time: self.time,
            actor: &self.actor,
            action: self.action,
            subject: format!("moderators/{}", self.account),
            before: None,
            after: None,
        }
        .write(db)
    }
}

pub(super) fn create_session(
    batch: &mut Batch<'_>,
    session: &SessionRecord,
    known: &PasswordHash,
) -> Result<(), StoreError> {
    let (number, account) = stored(batch, session.account)?;
    if account.disabled || account.password_hash.as_ref() != Some(known) {
        return Err(StoreError::Conflict);
    }
    let sql =
        "INSERT INTO sessions (hash, account, create_time, seen_time) VALUES (?1, ?2, ?3, ?4)";
    let create_time = millis(session.create_time);
    execute(batch.db, sql, params![session.hash, number, create_time, millis(session.seen_time)])?;
    let sql = "UPDATE accounts SET login_time = ?2 WHERE number = ?1";
    execute(batch.db, sql, params![number, create_time])?;
    own_act(&account, "log-in", session.create_time).write(batch.db)
}

pub(super) fn touch_session(
    db: &Connection,
    hash: &[u8; 32],
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET seen_time = max(seen_time, ?2) WHERE hash = ?1";
    execute(db, sql, params![hash, millis(time)])
}

pub(super) fn end_session(
    db: &Connection,
    hash: &[u8; 32],
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let Some((_, account)) = session(db, hash)? else { return Ok(()) };
    execute(db, "DELETE FROM sessions WHERE hash = ?1", [hash])?;
    own_act(&account, "log-out", time).write(db)
}

pub(super) fn purge_sessions(
    db: &Connection,
    created: OffsetDateTime,
    seen: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM sessions WHERE create_time < ?1 OR seen_time < ?2";
    execute(db, sql, params![millis(created), millis(seen)])
}

pub(super) fn note_lock_out(
    batch: &mut Batch<'_>,
    account: Option<Uuid>,
    failure_count: u32,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    AccountAudit {
        time,
        actor: "console",
        action: "refuse-log-ins",
        subject: account.map_or_else(|| "moderators/-".to_owned(), |id| format!("moderators/{id}")),
        before: None,
        after: Some(json!({ "failure_count": failure_count }).to_string()),
    }
    .write(batch.db)
}

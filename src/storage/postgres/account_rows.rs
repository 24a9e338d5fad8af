//! Accounts, invitations and sessions as rows: what is read and what is written of them.

use serde_json::json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::SiteId;
use crate::moderation::ports::accounts::{
    AccountChange, AccountRecord, ChangedAccount, InvitationRecord, PasswordHash, Role,
    SessionRecord, name_key,
};
use crate::moderation::ports::{AuditEntry, StoreError};
use crate::storage::values::{corrupt, millis};

use super::audit::Audit;
use super::db::{Db, Values};
use super::rows::{self, AUDIT_COLUMNS, get, time, time_or_none, word};

/// The columns that [`read_account`] reads.
const ACCOUNT_COLUMNS: &str = "accounts.id, accounts.name, accounts.role, accounts.disabled, \
     accounts.password_hash, accounts.revision, accounts.create_time, accounts.login_time, \
     ARRAY(SELECT sites.id FROM account_sites JOIN sites ON sites.number = account_sites.site \
     WHERE account_sites.account = accounts.number ORDER BY sites.id), accounts.number";

fn read_account(row: &Row) -> Result<AccountRecord, StoreError> {
    let sites: Vec<&str> = get(row, 8)?;
    let sites = sites.into_iter().map(|id| id.parse().map_err(corrupt));
    Ok(AccountRecord {
        id: get(row, 0)?,
        name: get(row, 1)?,
        role: word(row, 2)?,
        sites: sites.collect::<Result<Vec<_>, _>>()?,
        disabled: get(row, 3)?,
        password_hash: get::<Option<String>>(row, 4)?.map(PasswordHash::from_phc),
        revision: get(row, 5)?,
        create_time: time(row, 6)?,
        login_time: time_or_none(row, 7)?,
    })
}

/// The account with this id.
pub(super) async fn account(db: &Db, id: Uuid) -> Result<Option<AccountRecord>, StoreError> {
    let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE id = $1");
    db.first(&sql, &[&id], read_account).await
}

/// The account with this folded name.
pub(super) async fn account_by_name(
    db: &Db,
    key: &str,
) -> Result<Option<AccountRecord>, StoreError> {
    let sql = format!("SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE name_key = $1");
    db.first(&sql, &[&key], read_account).await
}

/// Accounts in order of folded name.
pub(super) async fn accounts(
    db: &Db,
    after: Option<Uuid>,
    count_max: usize,
) -> Result<Vec<AccountRecord>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT_COLUMNS} FROM accounts WHERE name_key > \
         coalesce((SELECT name_key FROM accounts WHERE id = $1), '') ORDER BY name_key LIMIT $2"
    );
    db.all(&sql, &[&after, &(count_max as i64)], read_account).await
}

/// The account whose invitation has this hash and goes on.
pub(super) async fn account_by_invitation(
    db: &Db,
    hash: &[u8; 32],
    now: OffsetDateTime,
) -> Result<Option<AccountRecord>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT_COLUMNS} FROM invitations JOIN accounts \
         ON accounts.number = invitations.account \
         WHERE invitations.hash = $1 AND expire_time > $2 AND NOT accounts.disabled"
    );
    db.first(&sql, &[&hash.as_slice(), &millis(now)], read_account).await
}

/// The session with this hash and its account.
pub(super) async fn session(
    db: &Db,
    hash: &[u8; 32],
) -> Result<Option<(SessionRecord, AccountRecord)>, StoreError> {
    let sql = format!(
        "SELECT {ACCOUNT_COLUMNS}, sessions.create_time, sessions.seen_time FROM sessions \
         JOIN accounts ON accounts.number = sessions.account WHERE sessions.hash = $1"
    );
    let read = |row: &Row| {
        let account = read_account(row)?;
        let session = SessionRecord {
            hash: *hash,
            account: account.id,
            create_time: time(row, 10)?,
            seen_time: time(row, 11)?,
        };
        Ok((session, account))
    };
    db.first(&sql, &[&hash.as_slice()], read).await
}

/// The audit log without the sites' entries, before `position`, newest first.
pub(super) async fn audit_entries(
    db: &Db,
    position: i64,
    count_max: usize,
) -> Result<Vec<AuditEntry>, StoreError> {
    let sql = format!(
        "SELECT {AUDIT_COLUMNS} FROM audit_entries WHERE site IS NULL AND position < $1 \
         ORDER BY position DESC LIMIT $2"
    );
    db.all(&sql, &[&position, &(count_max as i64)], rows::audit_entry).await
}

/// Who does something when.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub actor: &'a str,
    pub time: OffsetDateTime,
}

impl By<'_> {
    async fn audit(
        self,
        db: &Db,
        action: &'static str,
        subject: String,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<(), StoreError> {
        let Self { actor, time } = self;
        let site_number = None;
        Audit { site_number, time, actor, action, subject, before, after, note: None }
            .write(db)
            .await
    }
}

/// Notes something that an account did to itself.
async fn audit_own_act(
    db: &Db,
    account: &AccountRecord,
    action: &'static str,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let actor = format!("moderator:{}", account.name);
    By { actor: &actor, time }.audit(db, action, account.resource_name(), None, None).await
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

/// The account and the number that stands for it in other tables. No other transaction changes it
/// until this one ends.
async fn stored(db: &Db, id: Uuid) -> Result<(i64, AccountRecord), StoreError> {
    // The columns are read by a statement of their own, which sees what the lock waited for.
    let sql = "SELECT number FROM accounts WHERE id = $1 FOR UPDATE";
    let number = db.first(sql, &[&id], |row| get(row, 0)).await?;
    let number = number.ok_or(StoreError::NotFound)?;
    Ok((number, account(db, id).await?.ok_or(StoreError::NotFound)?))
}

pub(super) async fn create_account(
    db: &Db,
    account: &AccountRecord,
    invitation: &InvitationRecord,
    actor: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO accounts (id, name, name_key, role, disabled, revision, create_time) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING number";
    let (key, role) = (name_key(&account.name), account.role.as_str());
    let create_time = millis(account.create_time);
    let values: Values<'_> = &[
        &account.id,
        &account.name,
        &key,
        &role,
        &account.disabled,
        &account.revision,
        &create_time,
    ];
    let number = db.first(sql, values, |row| get(row, 0)).await?.ok_or(StoreError::NotFound)?;
    set_sites(db, number, account.role, &account.sites).await?;
    set_invitation(db, number, invitation).await?;
    let (subject, after) = (account.resource_name(), Some(account_json(account)));
    let by = By { actor, time: account.create_time };
    by.audit(db, "create-moderator", subject, None, after).await
}

async fn set_sites(db: &Db, number: i64, role: Role, sites: &[SiteId]) -> Result<(), StoreError> {
    db.execute("DELETE FROM account_sites WHERE account = $1", &[&number]).await?;
    if role == Role::Administrator {
        return Ok(());
    }
    let mut ids: Vec<&str> = sites.iter().map(SiteId::as_str).collect();
    ids.sort_unstable();
    ids.dedup();
    let sql = "INSERT INTO account_sites (account, site) \
         SELECT $1, number FROM sites WHERE id = ANY($2::text[])";
    let count = db.execute(sql, &[&number, &ids]).await?;
    if count == ids.len() as u64 { Ok(()) } else { Err(StoreError::NotFound) }
}

async fn set_invitation(
    db: &Db,
    number: i64,
    invitation: &InvitationRecord,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO invitations (account, hash, expire_time) VALUES ($1, $2, $3) \
         ON CONFLICT (account) DO UPDATE \
         SET hash = excluded.hash, expire_time = excluded.expire_time";
    let (hash, time) = (invitation.hash.as_slice(), millis(invitation.expire_time));
    db.execute(sql, &[&number, &hash, &time]).await.map(drop)
}

async fn end_sessions(db: &Db, number: i64) -> Result<(), StoreError> {
    db.execute("DELETE FROM sessions WHERE account = $1", &[&number]).await.map(drop)
}

async fn end_invitation(db: &Db, number: i64) -> Result<u64, StoreError> {
    db.execute("DELETE FROM invitations WHERE account = $1", &[&number]).await
}

/// Administrators who can sign in.
async fn administrator_count(db: &Db) -> Result<i64, StoreError> {
    let sql = "SELECT count(*) FROM accounts WHERE role = $1 AND NOT disabled \
         AND password_hash IS NOT NULL";
    let role = Role::Administrator.as_str();
    Ok(db.first(sql, &[&role], |row| get(row, 0)).await?.unwrap_or_default())
}

pub(super) async fn update_account(
    db: &Db,
    id: Uuid,
    change: &AccountChange,
    by: By<'_>,
) -> Result<ChangedAccount, StoreError> {
    // Two at once, each of whom leaves the other as the last administrator, would leave none.
    db.batch("LOCK TABLE accounts IN SHARE ROW EXCLUSIVE MODE").await?;
    let (number, before) = stored(db, id).await?;
    if change.revision.is_some_and(|revision| revision != before.revision) {
        return Err(StoreError::Conflict);
    }
    let opens = before.is_administrator() && !before.disabled && before.password_hash.is_some();
    let opened = change.role == Role::Administrator && !change.disabled;
    if opens && !opened && administrator_count(db).await? == 1 {
        return Ok(ChangedAccount::LastAdministrator);
    }
    let sql = "UPDATE accounts SET role = $2, disabled = $3, revision = revision + 1 \
         WHERE number = $1";
    db.execute(sql, &[&number, &change.role.as_str(), &change.disabled]).await?;
    set_sites(db, number, change.role, &change.sites).await?;
    if change.disabled {
        end_sessions(db, number).await?;
        end_invitation(db, number).await?;
    }
    let after = account(db, id).await?.ok_or(StoreError::NotFound)?;
    let (old, new) = (Some(account_json(&before)), Some(account_json(&after)));
    by.audit(db, "update-moderator", after.resource_name(), old, new).await?;
    Ok(ChangedAccount::Done(Box::new(after)))
}

pub(super) async fn invite(
    db: &Db,
    id: Uuid,
    invitation: &InvitationRecord,
    by: By<'_>,
) -> Result<AccountRecord, StoreError> {
    let (number, before) = stored(db, id).await?;
    if before.disabled {
        return Err(StoreError::Conflict);
    }
    let sql = "UPDATE accounts SET password_hash = NULL WHERE number = $1";
    db.execute(sql, &[&number]).await?;
    end_sessions(db, number).await?;
    set_invitation(db, number, invitation).await?;
    let (subject, after) = (before.resource_name(), Some(account_json(&before)));
    by.audit(db, "invite-moderator", subject, None, after).await?;
    Ok(AccountRecord { password_hash: None, ..before })
}

pub(super) async fn accept_invitation(
    db: &Db,
    hash: &[u8; 32],
    password_hash: &PasswordHash,
    now: OffsetDateTime,
) -> Result<AccountRecord, StoreError> {
    let invited = account_by_invitation(db, hash, now).await?.ok_or(StoreError::NotFound)?;
    let (number, _) = stored(db, invited.id).await?;
    // It may have been used or voided while the lock was waited for.
    let invited = account_by_invitation(db, hash, now).await?.ok_or(StoreError::NotFound)?;
    end_invitation(db, number).await?;
    set_password(db, number, &invited, password_hash, now).await?;
    account(db, invited.id).await?.ok_or(StoreError::NotFound)
}

pub(super) async fn change_password(
    db: &Db,
    id: Uuid,
    known: &PasswordHash,
    password_hash: &PasswordHash,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let (number, account) = stored(db, id).await?;
    if account.disabled || account.password_hash.as_ref() != Some(known) {
        return Err(StoreError::Conflict);
    }
    set_password(db, number, &account, password_hash, time).await
}

async fn set_password(
    db: &Db,
    number: i64,
    account: &AccountRecord,
    password_hash: &PasswordHash,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE accounts SET password_hash = $2 WHERE number = $1";
    db.execute(sql, &[&number, &password_hash.as_phc()]).await?;
    end_sessions(db, number).await?;
    audit_own_act(db, account, "set-password", time).await
}

pub(super) async fn create_session(
    db: &Db,
    session: &SessionRecord,
    known: &PasswordHash,
) -> Result<(), StoreError> {
    let (number, account) = stored(db, session.account).await?;
    if account.disabled || account.password_hash.as_ref() != Some(known) {
        return Err(StoreError::Conflict);
    }
    let sql =
        "INSERT INTO sessions (hash, account, create_time, seen_time) VALUES ($1, $2, $3, $4)";
    let (create_time, seen_time) = (millis(session.create_time), millis(session.seen_time));
    let hash = session.hash.as_slice();
    db.execute(sql, &[&hash, &number, &create_time, &seen_time]).await?;
    let sql = "UPDATE accounts SET login_time = $2 WHERE number = $1";
    db.execute(sql, &[&number, &create_time]).await?;
    audit_own_act(db, &account, "log-in", session.create_time).await
}

pub(super) async fn touch_session(
    db: &Db,
    hash: &[u8; 32],
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET seen_time = greatest(seen_time, $2) WHERE hash = $1";
    db.execute(sql, &[&hash.as_slice(), &millis(time)]).await.map(drop)
}

pub(super) async fn end_session(
    db: &Db,
    hash: &[u8; 32],
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let Some((_, account)) = session(db, hash).await? else { return Ok(()) };
    let sql = "DELETE FROM sessions WHERE hash = $1";
    match db.execute(sql, &[&hash.as_slice()]).await? {
        // Another call ended it meanwhile.
        0 => Ok(()),
        _ => audit_own_act(db, &account, "log-out", time).await,
    }
}

pub(super) async fn purge_sessions(
    db: &Db,
    created: OffsetDateTime,
    seen: OffsetDateTime,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM sessions WHERE create_time < $1 OR seen_time < $2";
    db.execute(sql, &[&millis(created), &millis(seen)]).await.map(drop)
}

pub(super) async fn note_lock_out(
    db: &Db,
    account: Option<Uuid>,
    failure_count: u32,
    time: OffsetDateTime,
) -> Result<(), StoreError> {
    let subject =
        account.map_or_else(|| "moderators/-".to_owned(), |id| format!("moderators/{id}"));
    let after = Some(json!({ "failure_count": failure_count }).to_string());
    By { actor: "console", time }.audit(db, "refuse-log-ins", subject, None, after).await
}

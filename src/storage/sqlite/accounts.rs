//! The port of accounts: the console's people, their invitations and sessions.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::moderation::ports::accounts::{
    AccountChange, AccountRecord, AccountStore, ChangedAccount, InvitationRecord, PasswordHash,
    SessionRecord, name_key,
};
use crate::moderation::ports::{AuditEntry, StoreError};

use super::account_rows as rows;
use super::store::SqliteStore;
use super::writer::{Batch, Undo};

#[async_trait]
impl AccountStore for SqliteStore {
    async fn create_account(
        &self,
        account: AccountRecord,
        invitation: InvitationRecord,
        actor: &str,
    ) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        let work =
            move |batch: &mut Batch<'_>| rows::create_account(batch, &account, &invitation, &actor);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn get_account(&self, id: Uuid) -> Result<Option<AccountRecord>, StoreError> {
        self.read(move |db| rows::account(db, id)).await
    }

    async fn find_account(&self, name: &str) -> Result<Option<AccountRecord>, StoreError> {
        let key = name_key(name);
        self.read(move |db| rows::account_by_name(db, &key)).await
    }

    async fn list_accounts(
        &self,
        after: Option<Uuid>,
        count_max: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        self.read(move |db| rows::accounts(db, after, count_max)).await
    }

    async fn update_account(
        &self,
        id: Uuid,
        change: AccountChange,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<ChangedAccount, StoreError> {
        let actor = actor.to_owned();
        let work =
            move |batch: &mut Batch<'_>| rows::update_account(batch, id, &change, (&actor, time));
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn invite(
        &self,
        id: Uuid,
        invitation: InvitationRecord,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<AccountRecord, StoreError> {
        let actor = actor.to_owned();
        let work =
            move |batch: &mut Batch<'_>| rows::invite(batch, id, &invitation, (&actor, time));
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn find_invitation(
        &self,
        hash: &[u8; 32],
        now: OffsetDateTime,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let hash = *hash;
        self.read(move |db| rows::account_by_invitation(db, &hash, now)).await
    }

    async fn accept_invitation(
        &self,
        hash: &[u8; 32],
        password_hash: PasswordHash,
        now: OffsetDateTime,
    ) -> Result<AccountRecord, StoreError> {
        let hash = *hash;
        let work =
            move |batch: &mut Batch<'_>| rows::accept_invitation(batch, &hash, &password_hash, now);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn change_password(
        &self,
        id: Uuid,
        known: PasswordHash,
        password_hash: PasswordHash,
        time: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_>| {
            rows::change_password(batch, id, &known, &password_hash, time)
        };
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn create_session(
        &self,
        session: SessionRecord,
        known: PasswordHash,
    ) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_>| rows::create_session(batch, &session, &known);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn find_session(
        &self,
        hash: &[u8; 32],
    ) -> Result<Option<(SessionRecord, AccountRecord)>, StoreError> {
        let hash = *hash;
        self.read(move |db| rows::session(db, &hash)).await
    }

    async fn touch_session(&self, hash: &[u8; 32], time: OffsetDateTime) -> Result<(), StoreError> {
        let hash = *hash;
        let work = move |batch: &mut Batch<'_>| rows::touch_session(batch.db, &hash, time);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn end_session(&self, hash: &[u8; 32], time: OffsetDateTime) -> Result<(), StoreError> {
        let hash = *hash;
        let work = move |batch: &mut Batch<'_>| rows::end_session(batch.db, &hash, time);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn purge_sessions(
        &self,
        created: OffsetDateTime,
        seen: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let work = move |batch: &mut Batch<'_>| rows::purge_sessions(batch.db, created, seen);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn note_lock_out(
        &self,
        account: Option<Uuid>,
        failure_count: u32,
        time: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let work =
            move |batch: &mut Batch<'_>| rows::note_lock_out(batch, account, failure_count, time);
        self.writer().submit(Undo::Savepoint, work).await
    }

    async fn list_account_audit_entries(
        &self,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let before = position.unwrap_or(i64::MAX);
        self.read(move |db| rows::audit_entries(db, before, count_max)).await
    }
}

//! The port of accounts: the console's people, their invitations and sessions.

use async_trait::async_trait;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::moderation::ports::accounts::{
    AccountChange, AccountRecord, AccountStore, ChangedAccount, InvitationRecord, PasswordHash,
    SessionRecord, name_key,
};
use crate::moderation::ports::{AuditEntry, StoreError};

use super::account_rows::{self as rows, By};
use super::db::transaction;
use super::store::PostgresStore;

#[async_trait]
impl AccountStore for PostgresStore {
    async fn create_account(
        &self,
        account: AccountRecord,
        invitation: InvitationRecord,
        actor: &str,
    ) -> Result<(), StoreError> {
        transaction!(self, |db| rows::create_account(&db, &account, &invitation, actor).await)
    }

    async fn get_account(&self, id: Uuid) -> Result<Option<AccountRecord>, StoreError> {
        rows::account(&self.db().await?, id).await
    }

    async fn find_account(&self, name: &str) -> Result<Option<AccountRecord>, StoreError> {
        rows::account_by_name(&self.db().await?, &name_key(name)).await
    }

    async fn list_accounts(
        &self,
        after: Option<Uuid>,
        count_max: usize,
    ) -> Result<Vec<AccountRecord>, StoreError> {
        rows::accounts(&self.db().await?, after, count_max).await
    }

    async fn update_account(
        &self,
        id: Uuid,
        change: AccountChange,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<ChangedAccount, StoreError> {
        let by = By { actor, time };
        transaction!(self, |db| rows::update_account(&db, id, &change, by).await)
    }

    async fn invite(
        &self,
        id: Uuid,
        invitation: InvitationRecord,
        actor: &str,
        time: OffsetDateTime,
    ) -> Result<AccountRecord, StoreError> {
        let by = By { actor, time };
        transaction!(self, |db| rows::invite(&db, id, &invitation, by).await)
    }

    async fn find_invitation(
        &self,
        hash: &[u8; 32],
        now: OffsetDateTime,
    ) -> Result<Option<AccountRecord>, StoreError> {
        rows::account_by_invitation(&self.db().await?, hash, now).await
    }

    async fn accept_invitation(
        &self,
        hash: &[u8; 32],
        password_hash: PasswordHash,
        now: OffsetDateTime,
    ) -> Result<AccountRecord, StoreError> {
        transaction!(self, |db| rows::accept_invitation(&db, hash, &password_hash, now).await)
    }

    async fn change_password(
        &self,
        id: Uuid,
        known: PasswordHash,
        password_hash: PasswordHash,
        time: OffsetDateTime,
    ) -> Result<(), StoreError> {
        transaction!(self, |db| {
            rows::change_password(&db, id, &known, &password_hash, time).await
        })
    }

    async fn create_session(
        &self,
        session: SessionRecord,
        known: PasswordHash,
    ) -> Result<(), StoreError> {
        transaction!(self, |db| rows::create_session(&db, &session, &known).await)
    }

    async fn find_session(
        &self,
        hash: &[u8; 32],
    ) -> Result<Option<(SessionRecord, AccountRecord)>, StoreError> {
        rows::session(&self.db().await?, hash).await
    }

    async fn touch_session(&self, hash: &[u8; 32], time: OffsetDateTime) -> Result<(), StoreError> {
        rows::touch_session(&self.db().await?, hash, time).await
    }

    async fn end_session(&self, hash: &[u8; 32], time: OffsetDateTime) -> Result<(), StoreError> {
        transaction!(self, |db| rows::end_session(&db, hash, time).await)
    }

    async fn purge_sessions(
        &self,
        created: OffsetDateTime,
        seen: OffsetDateTime,
    ) -> Result<(), StoreError> {
        rows::purge_sessions(&self.db().await?, created, seen).await
    }

    async fn note_lock_out(
        &self,
        account: Option<Uuid>,
        failure_count: u32,
        time: OffsetDateTime,
    ) -> Result<(), StoreError> {
        rows::note_lock_out(&self.db().await?, account, failure_count, time).await
    }

    async fn list_account_audit_entries(
        &self,
        position: Option<i64>,
        count_max: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        rows::audit_entries(&self.db().await?, position.unwrap_or(i64::MAX), count_max).await
    }
}

//! Signing in and out, and who a session belongs to.

use std::net::IpAddr;
use std::time::Duration;

use super::throttle::Admission;
use super::{Accounts, Token, passwords};
use crate::domain::SiteId;
use crate::moderation::ports::StoreError;
use crate::moderation::ports::accounts::{AccountRecord, PasswordHash, SessionRecord, name_key};
use crate::moderation::{Actor, ModerationError};

/// The precision with which the last use of a session is written down, so that a page does not
/// cost a write; shorter for short idle lives.
const SEEN_PRECISION: Duration = Duration::from_secs(60);
/// Lock-outs are noted in the audit log at every so-manieth attempt.
const NOTE_EACH: u32 = 5;

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum LogInError {
    /// Name or password are wrong, or the account is disabled or has no password: one answer.
    #[error("name or password are wrong")]
    Refused,
    /// Too many attempts; whether there is such an account is not said.
    #[error("too many attempts")]
    Limited(Duration),
    /// It could not be found out.
    #[error(transparent)]
    Failed(#[from] ModerationError),
}

/// A session that just began.
pub struct NewSession {
    /// Who signed in.
    pub account: AccountRecord,
    /// What the browser keeps.
    pub token: Token,
}

/// A session that goes on.
#[derive(Clone)]
pub struct Session {
    account: AccountRecord,
    token: Token,
}

impl Session {
    /// The account as it is now.
    pub fn account(&self) -> &AccountRecord {
        &self.account
    }

    /// The session's own secret.
    pub fn token(&self) -> &Token {
        &self.token
    }

    /// The account, for the audit log.
    pub fn actor(&self) -> Actor {
        Actor::moderator(&self.account.name)
    }

    /// Whether the comments of a site may be seen.
    pub fn may_see(&self, site: &SiteId) -> bool {
        self.account.may_see(site)
    }
}

impl Accounts {
    /// Signs in.
    ///
    /// # Errors
    /// [`LogInError`].
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        ip: IpAddr,
    ) -> Result<NewSession, LogInError> {
        let outcome = self.try_log_in(&name_key(name), password, ip).await;
        let word = match &outcome {
            Ok(_) => "ok",
            Err(LogInError::Refused) => "refused",
            Err(LogInError::Limited(_)) => "limited",
            Err(LogInError::Failed(_)) => "failed",
        };
        metrics::counter!("replyguard_log_ins_total", "outcome" => word).increment(1);
        outcome
    }

    async fn try_log_in(
        &self,
        name_key: &str,
        password: &str,
        ip: IpAddr,
    ) -> Result<NewSession, LogInError> {
        let now = self.clock.now();
        let (count, closes) = match self.throttle.admit(name_key, ip, self.clock.steady()) {
            Admission::Open { count, closes } => (count, closes),
            Admission::Closed(wait) => return Err(LogInError::Limited(wait)),
        };
        let found = self.accounts.find_account(name_key).await;
        let found = found.map_err(ModerationError::Unavailable)?;
        let known = found.as_ref().filter(|account| !account.disabled);
        let known = known.and_then(|account| account.password_hash.clone());
        let right = self.passwords.check(password, known.clone()).await?;
        if let (true, Some(account), Some(known)) = (right, found.clone(), known) {
            self.throttle.succeed(name_key, ip);
            return match self.begin_session(account, known).await {
                Err(ModerationError::Conflict(_)) => Err(LogInError::Refused),
                other => other.map_err(LogInError::Failed),
            };
        }
        if closes && count.is_multiple_of(NOTE_EACH) {
            let account = found.map(|account| account.id);
            let noted = self.accounts.note_lock_out(account, count, now).await;
            noted.map_err(ModerationError::Unavailable)?;
        }
        Err(LogInError::Refused)
    }

    /// Begins a session of an account whose password was just checked or set.
    pub(super) async fn begin_session(
        &self,
        account: AccountRecord,
        known: PasswordHash,
    ) -> Result<NewSession, ModerationError> {
        let now = self.clock.now();
        let lives = self.lives;
        let purged = self.accounts.purge_sessions(now - lives.session, now - lives.idle).await;
        purged.map_err(ModerationError::Unavailable)?;
        let token = Token::new(self.random.bytes32());
        let session = SessionRecord {
            hash: token.hash(),
            account: account.id,
            create_time: now,
            seen_time: now,
        };
        let created = self.accounts.create_session(session, known).await;
        created.map_err(ModerationError::store("moderator"))?;
        Ok(NewSession { account, token })
    }

    /// The session with this token, if it goes on. This is a use of it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn session(&self, token: Token) -> Result<Option<Session>, ModerationError> {
        let Some((record, session)) = self.going_on(token).await? else { return Ok(None) };
        let now = self.clock.now();
        if now - record.seen_time >= SEEN_PRECISION.min(self.lives.idle / 10) {
            let touched = self.accounts.touch_session(&record.hash, now).await;
            touched.map_err(ModerationError::Unavailable)?;
        }
        Ok(Some(session))
    }

    /// The same for what an open page asks by itself: it does not count as use, so that the session
    /// of somebody who left ends in its time.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn peek_session(&self, token: Token) -> Result<Option<Session>, ModerationError> {
        Ok(self.going_on(token).await?.map(|(_, session)| session))
    }

    async fn going_on(
        &self,
        token: Token,
    ) -> Result<Option<(SessionRecord, Session)>, ModerationError> {
        let found = self.accounts.find_session(&token.hash()).await;
        let Some((record, account)) = found.map_err(ModerationError::Unavailable)? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let over = now >= record.create_time + self.lives.session
            || now >= record.seen_time + self.lives.idle
            || account.disabled;
        Ok((!over).then_some((record, Session { account, token })))
    }

    /// Signs out.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn log_out(&self, session: &Session) -> Result<(), ModerationError> {
        let ended = self.accounts.end_session(&session.token.hash(), self.clock.now()).await;
        ended.map_err(ModerationError::Unavailable)
    }

    /// Sets another password for one's own account, ends all sessions and begins a new one.
    ///
    /// # Errors
    /// [`LogInError::Refused`] if the password before is wrong; an invalid password.
    pub async fn change_password(
        &self,
        session: &Session,
        before: &str,
        password: &str,
        ip: IpAddr,
    ) -> Result<NewSession, LogInError> {
        let account = session.account.clone();
        if let Some(violation) = passwords::violation(password, &account.name) {
            return Err(LogInError::Failed(ModerationError::Invalid(vec![violation])));
        }
        let key = name_key(&account.name);
        if let Admission::Closed(wait) = self.throttle.admit(&key, ip, self.clock.steady()) {
            return Err(LogInError::Limited(wait));
        }
        let Some(known) = account.password_hash.clone() else { return Err(LogInError::Refused) };
        if !self.passwords.check(before, Some(known.clone())).await? {
            return Err(LogInError::Refused);
        }
        self.throttle.succeed(&key, ip);
        let hash = self.passwords.hash(password, self.random.bytes32()).await?;
        let now = self.clock.now();
        match self.accounts.change_password(account.id, known, hash.clone(), now).await {
            Err(StoreError::Conflict) => return Err(LogInError::Refused),
            other => other.map_err(ModerationError::store("moderator"))?,
        }
        Ok(self.begin_session(account, hash).await?)
    }
}

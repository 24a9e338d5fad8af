//! Invitations: links that set a password once.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{AccountDraft, Accounts, NewSession, Token, passwords};
use crate::moderation::ports::StoreError;
use crate::moderation::ports::accounts::{AccountRecord, InvitationRecord, Role};
use crate::moderation::{Actor, ModerationError};

/// The name of the first administrator.
const FIRST_ADMINISTRATOR: &str = "administrator";
/// Accounts that are looked at to find an administrator.
const ACCOUNT_COUNT_MAX: usize = 10_000;

/// An account and the token of its invitation, which is known only at this moment.
pub struct Invited {
    /// Whom the link is for.
    pub account: AccountRecord,
    /// What opens it.
    pub token: Token,
    /// Until when.
    pub expire_time: OffsetDateTime,
}

impl Invited {
    /// The link, at the console with this address.
    pub fn link(&self, console_url: &str) -> String {
        format!("{console_url}/invitation/{}", self.token.expose())
    }
}

impl Accounts {
    /// Gives an account a new link. Its password, its sessions and the link before it end.
    ///
    /// # Errors
    /// `NotFound`, `Conflict` if the account is disabled, `Unavailable`.
    pub async fn invite(&self, actor: &Actor, id: Uuid) -> Result<Invited, ModerationError> {
        let (token, invitation) = self.draft_invitation();
        let expire_time = invitation.expire_time;
        let now = self.clock.now();
        let invited = self.accounts.invite(id, invitation, actor.as_str(), now).await;
        let account = invited.map_err(|error| match error {
            StoreError::Conflict => ModerationError::AccountDisabled,
            other => ModerationError::store("moderator")(other),
        })?;
        Ok(Invited { account, token, expire_time })
    }

    /// A link for the first administrator, for as long as there is none who can sign in.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn first_administrator(&self) -> Result<Option<Invited>, ModerationError> {
        let actor = Actor::first_start();
        let all = self.list(None, ACCOUNT_COUNT_MAX).await?;
        let mut administrators =
            all.iter().filter(|account| account.is_administrator() && !account.disabled);
        if administrators.clone().any(|account| account.password_hash.is_some()) {
            return Ok(None);
        }
        if let Some(waiting) = administrators.next() {
            return self.invite(&actor, waiting.id).await.map(Some);
        }
        for number in 1.. {
            let name = match number {
                1 => FIRST_ADMINISTRATOR.to_owned(),
                _ => format!("{FIRST_ADMINISTRATOR}-{number}"),
            };
            let draft = AccountDraft { name, role: Role::Administrator, sites: Vec::new() };
            match self.create(&actor, draft).await {
                Err(ModerationError::AlreadyExists(_)) => {}
                created => return created.map(Some),
            }
        }
        Ok(None)
    }

    /// Whom an invitation is for.
    ///
    /// # Errors
    /// `NotFound` if it was used, voided or is over; `Unavailable`.
    pub async fn invited(&self, token: &Token) -> Result<AccountRecord, ModerationError> {
        let found = self.accounts.find_invitation(&token.hash(), self.clock.now()).await;
        let found = found.map_err(ModerationError::Unavailable)?;
        found.ok_or(ModerationError::NotFound("invitation"))
    }

    /// Sets the password, uses the invitation up and signs in.
    ///
    /// # Errors
    /// An invalid password, `NotFound` if it was used, voided or is over; `Unavailable`.
    pub async fn accept(
        &self,
        token: &Token,
        password: &str,
    ) -> Result<NewSession, ModerationError> {
        let invited = self.invited(token).await?;
        if let Some(violation) = passwords::violation(password, &invited.name) {
            return Err(ModerationError::Invalid(vec![violation]));
        }
        let hash = self.passwords.hash(password, self.random.bytes32()).await?;
        let now = self.clock.now();
        let accepted = self.accounts.accept_invitation(&token.hash(), hash.clone(), now).await;
        let account = accepted.map_err(ModerationError::store("invitation"))?;
        self.begin_session(account, hash).await
    }

    pub(super) fn draft_invitation(&self) -> (Token, InvitationRecord) {
        let token = Token::new(self.random.bytes32());
        let expire_time = self.clock.now() + self.lives.invitation;
        let invitation = InvitationRecord { hash: token.hash(), expire_time };
        (token, invitation)
    }
}

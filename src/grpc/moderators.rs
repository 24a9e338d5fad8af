//! `ModeratorService` over the use cases.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert::{timestamp, unknown_value};
use super::proto::moderator_service_server::ModeratorService;
use super::sites::{bad_token, page_size};
use super::{answer, auth, proto};
use crate::domain::SiteId;
use crate::moderation::accounts::{AccountDraft, Accounts, Invited};
use crate::moderation::ports::accounts::{AccountChange, AccountRecord, Role};
use crate::moderation::{Moderation, ModerationError};

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Moderators {
    moderation: Arc<Moderation>,
    accounts: Arc<Accounts>,
    console_url: Arc<str>,
}

impl Moderators {
    pub(super) fn new(
        moderation: Arc<Moderation>,
        accounts: Arc<Accounts>,
        console_url: Arc<str>,
    ) -> Self {
        Self { moderation, accounts, console_url }
    }

    async fn create(
        &self,
        request: Request<proto::CreateModeratorRequest>,
    ) -> Result<proto::CreateModeratorResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let sent = request.moderator.ok_or_else(required)?;
        let draft = AccountDraft {
            role: role(sent.role)?,
            sites: sites(&sent.sites)?,
            name: sent.display_name,
        };
        let invited = self.accounts.create(&caller.actor(), draft).await?;
        let invitation = Some(self.invitation(&invited));
        Ok(proto::CreateModeratorResponse { moderator: Some(to_wire(invited.account)), invitation })
    }

    async fn list(
        &self,
        request: Request<proto::ListModeratorsRequest>,
    ) -> Result<proto::ListModeratorsResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let count_max = page_size(request.page_size)?;
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse::<Uuid>().map_err(|_| bad_token())?),
        };
        let mut found = self.accounts.list(after, count_max + 1).await?;
        let more = found.len() > count_max;
        found.truncate(count_max);
        let last = found.last().filter(|_| more).map(|account| account.id.to_string());
        Ok(proto::ListModeratorsResponse {
            moderators: found.into_iter().map(to_wire).collect(),
            next_page_token: last.unwrap_or_default(),
        })
    }

    async fn update(
        &self,
        request: Request<proto::UpdateModeratorRequest>,
    ) -> Result<proto::UpdateModeratorResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let sent = request.moderator.ok_or_else(required)?;
        let id = account_id("moderator.name", &sent.name)?;
        let known = self.accounts.account(id).await?;
        // Without an etag the read above still guards the merge of a mask.
        let revision = match sent.etag.as_str() {
            "" => known.revision,
            etag => etag.parse().map_err(|_| ModerationError::Conflict("moderator"))?,
        };
        let change = AccountChange {
            revision: Some(revision),
            ..merged(&known, &sent, &request.update_mask)?
        };
        let changed = self.accounts.update(&caller.actor(), id, change).await?;
        Ok(proto::UpdateModeratorResponse { moderator: Some(to_wire(changed)) })
    }

    async fn reset(
        &self,
        request: Request<proto::ResetModeratorRequest>,
    ) -> Result<proto::ResetModeratorResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let id = account_id("name", &request.name)?;
        let invited = self.accounts.invite(&caller.actor(), id).await?;
        let invitation = Some(self.invitation(&invited));
        Ok(proto::ResetModeratorResponse { moderator: Some(to_wire(invited.account)), invitation })
    }

    fn invitation(&self, invited: &Invited) -> proto::Invitation {
        proto::Invitation {
            uri: invited.link(&self.console_url),
            expire_time: Some(timestamp(invited.expire_time)),
        }
    }
}

/// What a change says, over what is stored.
fn merged(
    known: &AccountRecord,
    sent: &proto::Moderator,
    mask: &Option<prost_types::FieldMask>,
) -> Result<AccountChange, ModerationError> {
    let paths = mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
    let mut change = AccountChange {
        revision: None,
        role: known.role,
        sites: known.sites.clone(),
        disabled: known.disabled,
    };
    let all = ["role".to_owned(), "sites".to_owned(), "disabled".to_owned()];
    let paths = if paths.is_empty() || paths == ["*"] { &all[..] } else { paths };
    for path in paths {
        match path.as_str() {
            "role" => change.role = role(sent.role)?,
            "sites" => change.sites = sites(&sent.sites)?,
            "disabled" => change.disabled = sent.disabled,
            _ => {
                let text = "Each path must be one of `role`, `sites`, `disabled`.";
                return Err(ModerationError::field("update_mask", "unknown-path", text));
            }
        }
    }
    Ok(change)
}

fn required() -> ModerationError {
    ModerationError::field("moderator", "required", "A moderator is required.")
}

fn role(value: i32) -> Result<Role, ModerationError> {
    match proto::ModeratorRole::try_from(value) {
        Ok(proto::ModeratorRole::Moderator) => Ok(Role::Moderator),
        Ok(proto::ModeratorRole::Administrator) => Ok(Role::Administrator),
        Ok(proto::ModeratorRole::Unspecified) | Err(_) => Err(unknown_value("moderator.role")),
    }
}

fn sites(names: &[String]) -> Result<Vec<SiteId>, ModerationError> {
    names.iter().map(|name| super::comments::site_id("moderator.sites", name)).collect()
}

fn account_id(field: &'static str, name: &str) -> Result<Uuid, ModerationError> {
    let id = name.strip_prefix("moderators/").and_then(|id| Uuid::parse_str(id).ok());
    let text = "A moderator's name is `moderators/{uuid}`.";
    id.ok_or_else(|| ModerationError::field(field, "invalid-name", text))
}

/// An account for the wire.
fn to_wire(account: AccountRecord) -> proto::Moderator {
    let role = match account.role {
        Role::Moderator => proto::ModeratorRole::Moderator,
        Role::Administrator => proto::ModeratorRole::Administrator,
    };
    proto::Moderator {
        name: account.resource_name(),
        role: role.into(),
        sites: account.sites.iter().map(SiteId::name).collect(),
        disabled: account.disabled,
        invited: account.password_hash.is_none(),
        etag: account.revision.to_string(),
        create_time: Some(timestamp(account.create_time)),
        login_time: account.login_time.map(timestamp),
        display_name: account.name,
    }
}

#[tonic::async_trait]
impl ModeratorService for Moderators {
    async fn create_moderator(
        &self,
        request: Request<proto::CreateModeratorRequest>,
    ) -> Result<Response<proto::CreateModeratorResponse>, Status> {
        answer!(self, "CreateModerator", create, request)
    }

    async fn list_moderators(
        &self,
        request: Request<proto::ListModeratorsRequest>,
    ) -> Result<Response<proto::ListModeratorsResponse>, Status> {
        answer!(self, "ListModerators", list, request)
    }

    async fn update_moderator(
        &self,
        request: Request<proto::UpdateModeratorRequest>,
    ) -> Result<Response<proto::UpdateModeratorResponse>, Status> {
        answer!(self, "UpdateModerator", update, request)
    }

    async fn reset_moderator(
        &self,
        request: Request<proto::ResetModeratorRequest>,
    ) -> Result<Response<proto::ResetModeratorResponse>, Status> {
        answer!(self, "ResetModerator", reset, request)
    }
}

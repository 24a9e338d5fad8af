//! `SiteService` over the use cases.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::comments::site_id;
use super::proto::site_service_server::SiteService;
use super::watch::Responses;
use super::{answer, auth, policy, proto};
use crate::domain::SiteId;
use crate::moderation::{Moderation, ModerationError};

/// Entries of a page if the caller does not say (AIP-158).
const PAGE_SIZE_DEFAULT: usize = 50;
/// Entries of a page at most.
const PAGE_SIZE_MAX: usize = 1_000;

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Sites {
    moderation: Arc<Moderation>,
}

impl Sites {
    pub(super) fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    pub(super) fn moderation(&self) -> &Arc<Moderation> {
        &self.moderation
    }

    async fn create(
        &self,
        request: Request<proto::CreateSiteRequest>,
    ) -> Result<proto::CreateSiteResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let id: SiteId = request
            .site_id
            .parse()
            .map_err(|error| super::comments::bad_name("site_id", &error))?;
        let site = request.site.unwrap_or_default();
        let policy = policy::from_wire(site.policy)?;
        let site =
            self.moderation.create_site(&caller.actor(), id, site.display_name, policy).await?;
        Ok(proto::CreateSiteResponse { site: Some(policy::site(site)) })
    }

    async fn get(
        &self,
        request: Request<proto::GetSiteRequest>,
    ) -> Result<proto::GetSiteResponse, ModerationError> {
        let caller = auth::caller(&self.moderation, &request).await?;
        let id = site_id("name", &request.get_ref().name)?;
        caller.require_reader(&id)?;
        let site = self.moderation.site(&id).await?;
        Ok(proto::GetSiteResponse { site: Some(policy::site((*site).clone())) })
    }

    async fn list(
        &self,
        request: Request<proto::ListSitesRequest>,
    ) -> Result<proto::ListSitesResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let count_max = page_size(request.page_size)?;
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse::<SiteId>().map_err(|_| bad_token())?),
        };
        let mut sites = self.moderation.sites(after.as_ref(), count_max + 1).await?;
        let more = sites.len() > count_max;
        sites.truncate(count_max);
        let last = sites.last().filter(|_| more).map(|site| site.id.to_string());
        Ok(proto::ListSitesResponse {
            sites: sites.into_iter().map(policy::site).collect(),
            next_page_token: last.unwrap_or_default(),
        })
    }

    async fn update(
        &self,
        request: Request<proto::UpdateSiteRequest>,
    ) -> Result<proto::UpdateSiteResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let Some(sent) = request.site else {
            return Err(ModerationError::field("site", "required", "A site is required."));
        };
        let id = site_id("site.name", &sent.name)?;
        let stored = self.moderation.site(&id).await?;
        // Without an etag the read above still guards the merge of a mask.
        let revision = match sent.etag.as_str() {
            "" => stored.revision,
            etag => etag.parse().map_err(|_| ModerationError::Conflict("site"))?,
        };
        let (display_name, policy) = policy::apply_mask(&stored, sent, request.update_mask)?;
        let actor = caller.actor();
        let updated =
            self.moderation.update_site(&actor, &id, Some(revision), display_name, policy).await?;
        Ok(proto::UpdateSiteResponse { site: Some(policy::site(updated)) })
    }

    async fn create_one_key(
        &self,
        request: Request<proto::CreateKeyRequest>,
    ) -> Result<proto::CreateKeyResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let site = site_id("parent", &request.parent)?;
        let scopes = policy::scopes(&request.scopes)?;
        let actor = caller.actor();
        let key = self.moderation.create_key(&actor, &site, request.display_name, scopes).await?;
        Ok(proto::CreateKeyResponse { key: Some(policy::key(key.record)), secret: key.secret })
    }

    async fn list_all_keys(
        &self,
        request: Request<proto::ListKeysRequest>,
    ) -> Result<proto::ListKeysResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let site = site_id("parent", &request.parent)?;
        let count_max = page_size(request.page_size)?;
        let keys = self.moderation.keys(&site).await?;
        let begin = match request.page_token.as_str() {
            "" => 0,
            token => {
                let id: Uuid = token.parse().map_err(|_| bad_token())?;
                keys.iter().position(|key| key.id == id).ok_or_else(bad_token)? + 1
            }
        };
        let page: Vec<_> = keys[begin..].iter().take(count_max).cloned().collect();
        let more = begin + page.len() < keys.len();
        let last = page.last().filter(|_| more).map(|key| key.id.to_string());
        Ok(proto::ListKeysResponse {
            keys: page.into_iter().map(policy::key).collect(),
            next_page_token: last.unwrap_or_default(),
        })
    }

    async fn rotate(
        &self,
        request: Request<proto::RotateKeyRequest>,
    ) -> Result<proto::RotateKeyResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = key_name(&request.name)?;
        let overlap = request.overlap.unwrap_or_default();
        let overlap = overlap.try_into().map_err(|_| {
            let text = "A time of at least 0 seconds is expected.";
            ModerationError::field("overlap", "negative", text)
        })?;
        let (new, former) = self.moderation.rotate_key(&caller.actor(), &site, id, overlap).await?;
        Ok(proto::RotateKeyResponse {
            key: Some(policy::key(new.record)),
            secret: new.secret,
            former_key: Some(policy::key(former)),
        })
    }

    async fn revoke(
        &self,
        request: Request<proto::RevokeKeyRequest>,
    ) -> Result<proto::RevokeKeyResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = key_name(&request.name)?;
        let key = self.moderation.revoke_key(&caller.actor(), &site, id).await?;
        Ok(proto::RevokeKeyResponse { key: Some(policy::key(key)) })
    }
}

pub(super) fn page_size(size: i32) -> Result<usize, ModerationError> {
    match usize::try_from(size) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(ModerationError::field("page_size", "negative", "At least 0 is expected.")),
    }
}

pub(super) fn bad_token() -> ModerationError {
    let text = "The token of an earlier answer is expected.";
    ModerationError::field("page_token", "invalid-page-token", text)
}

fn key_name(name: &str) -> Result<(SiteId, Uuid), ModerationError> {
    let parsed = name
        .split_once("/keys/")
        .and_then(|(site, id)| Some((SiteId::from_name(site).ok()?, Uuid::parse_str(id).ok()?)));
    let text = "A key name is `sites/{site}/keys/{uuid}`.";
    parsed.ok_or_else(|| ModerationError::field("name", "invalid-name", text))
}

#[tonic::async_trait]
impl SiteService for Sites {
    async fn create_site(
        &self,
        request: Request<proto::CreateSiteRequest>,
    ) -> Result<Response<proto::CreateSiteResponse>, Status> {
        answer!(self, "CreateSite", create, request)
    }

    async fn get_site(
        &self,
        request: Request<proto::GetSiteRequest>,
    ) -> Result<Response<proto::GetSiteResponse>, Status> {
        answer!(self, "GetSite", get, request)
    }

    async fn list_sites(
        &self,
        request: Request<proto::ListSitesRequest>,
    ) -> Result<Response<proto::ListSitesResponse>, Status> {
        answer!(self, "ListSites", list, request)
    }

    async fn update_site(
        &self,
        request: Request<proto::UpdateSiteRequest>,
    ) -> Result<Response<proto::UpdateSiteResponse>, Status> {
        answer!(self, "UpdateSite", update, request)
    }

    async fn create_key(
        &self,
        request: Request<proto::CreateKeyRequest>,
    ) -> Result<Response<proto::CreateKeyResponse>, Status> {
        answer!(self, "CreateKey", create_one_key, request)
    }

    async fn list_keys(
        &self,
        request: Request<proto::ListKeysRequest>,
    ) -> Result<Response<proto::ListKeysResponse>, Status> {
        answer!(self, "ListKeys", list_all_keys, request)
    }

    async fn rotate_key(
        &self,
        request: Request<proto::RotateKeyRequest>,
    ) -> Result<Response<proto::RotateKeyResponse>, Status> {
        answer!(self, "RotateKey", rotate, request)
    }

    async fn revoke_key(
        &self,
        request: Request<proto::RevokeKeyRequest>,
    ) -> Result<Response<proto::RevokeKeyResponse>, Status> {
        answer!(self, "RevokeKey", revoke, request)
    }

    async fn rotate_fingerprint_key(
        &self,
        request: Request<proto::RotateFingerprintKeyRequest>,
    ) -> Result<Response<proto::RotateFingerprintKeyResponse>, Status> {
        answer!(self, "RotateFingerprintKey", rotate_fingerprints, request)
    }

    type ExportSiteStream = Responses<proto::ExportSiteResponse>;

    async fn export_site(
        &self,
        request: Request<proto::ExportSiteRequest>,
    ) -> Result<Response<Self::ExportSiteStream>, Status> {
        answer!(self, "ExportSite", export, request)
    }
}

//! `WebhookService` over the use cases.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::comments::{bad_name, site_id};
use super::convert::{timestamp, unknown_value};
use super::proto::webhook_service_server::WebhookService;
use super::sites::{bad_token, page_size};
use super::{answer, auth, proto, reviews_convert};
use crate::domain::{DeliveryId, SiteId, WebhookId};
use crate::moderation::ports::webhooks::{DeliveryRecord, DeliveryState, WebhookRecord};
use crate::moderation::{Moderation, ModerationError};

/// The service; cheap to clone.
#[derive(Clone)]
pub(super) struct Webhooks {
    moderation: Arc<Moderation>,
}

impl Webhooks {
    pub(super) fn new(moderation: Arc<Moderation>) -> Self {
        Self { moderation }
    }

    async fn create(
        &self,
        request: Request<proto::CreateWebhookRequest>,
    ) -> Result<proto::CreateWebhookResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let site = site_id("parent", &request.parent)?;
        let sent = request.webhook.ok_or_else(required)?;
        let made = self.moderation.create_webhook(&caller.actor(), &site, &sent.uri).await?;
        let webhook = Some(webhook_to_wire(made.record));
        Ok(proto::CreateWebhookResponse { webhook, secret: made.secret })
    }

    async fn list(
        &self,
        request: Request<proto::ListWebhooksRequest>,
    ) -> Result<proto::ListWebhooksResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let site = site_id("parent", &request.parent)?;
        self.moderation.site(&site).await?;
        let found = self.moderation.webhooks(&site).await?;
        let webhooks = found.into_iter().map(webhook_to_wire).collect();
        Ok(proto::ListWebhooksResponse { webhooks, next_page_token: String::new() })
    }

    async fn get(
        &self,
        request: Request<proto::GetWebhookRequest>,
    ) -> Result<proto::GetWebhookResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = webhook_name("name", &request.name)?;
        let found = self.moderation.webhook(&site, id).await?;
        Ok(proto::GetWebhookResponse { webhook: Some(webhook_to_wire(found)) })
    }

    async fn update(
        &self,
        request: Request<proto::UpdateWebhookRequest>,
    ) -> Result<proto::UpdateWebhookResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let sent = request.webhook.ok_or_else(required)?;
        let (site, id) = webhook_name("webhook.name", &sent.name)?;
        let known = self.moderation.webhook(&site, id).await?;
        // Without an etag the read above still guards the merge of a mask.
        let revision = reviews_convert::revision(&sent.etag)?.unwrap_or(known.revision);
        let (mut uri, mut disabled) = (known.uri.to_string(), known.disabled);
        let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let all = paths.is_empty() || paths == ["*"];
        let named = if all { vec!["uri".to_owned(), "disabled".to_owned()] } else { paths };
        for path in named {
            match path.as_str() {
                "uri" => uri.clone_from(&sent.uri),
                "disabled" => disabled = sent.disabled,
                _ => {
                    let text = "Each path must be one of `uri`, `disabled`.";
                    return Err(ModerationError::field("update_mask", "unknown-path", text));
                }
            }
        }
        let actor = caller.actor();
        let changed =
            self.moderation.update_webhook(&actor, &site, id, Some(revision), &uri, disabled);
        Ok(proto::UpdateWebhookResponse { webhook: Some(webhook_to_wire(changed.await?)) })
    }

    async fn rotate(
        &self,
        request: Request<proto::RotateWebhookSecretRequest>,
    ) -> Result<proto::RotateWebhookSecretResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = webhook_name("name", &request.name)?;
        let made = self.moderation.rotate_webhook_secret(&caller.actor(), &site, id).await?;
        let webhook = Some(webhook_to_wire(made.record));
        Ok(proto::RotateWebhookSecretResponse { webhook, secret: made.secret })
    }

    async fn delete(
        &self,
        request: Request<proto::DeleteWebhookRequest>,
    ) -> Result<proto::DeleteWebhookResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = webhook_name("name", &request.name)?;
        self.moderation.delete_webhook(&caller.actor(), &site, id).await?;
        Ok(proto::DeleteWebhookResponse {})
    }

    async fn test(
        &self,
        request: Request<proto::TestWebhookRequest>,
    ) -> Result<proto::TestWebhookResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = webhook_name("name", &request.name)?;
        let test = self.moderation.test_webhook(&site, id).await?;
        Ok(proto::TestWebhookResponse {
            status_code: test.status.map(i32::from),
            failure: test.failure.unwrap_or_default().into(),
        })
    }

    async fn list_deliveries_of(
        &self,
        request: Request<proto::ListDeliveriesRequest>,
    ) -> Result<proto::ListDeliveriesResponse, ModerationError> {
        let (_, request) = auth::administrator(&self.moderation, request).await?;
        let (site, id) = webhook_name("parent", &request.parent)?;
        let count_max = page_size(request.page_size)?;
        let state = state(request.state)?;
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| bad_token())?),
        };
        let moderation = &self.moderation;
        let mut found = moderation.deliveries(&site, id, state, before, count_max + 1).await?;
        let more = found.len() > count_max;
        found.truncate(count_max);
        let last = found.last().filter(|_| more).map(|delivery| delivery.number.to_string());
        Ok(proto::ListDeliveriesResponse {
            deliveries: found.into_iter().map(|one| delivery_to_wire(&site, id, one)).collect(),
            next_page_token: last.unwrap_or_default(),
        })
    }

    async fn replay(
        &self,
        request: Request<proto::ReplayDeliveryRequest>,
    ) -> Result<proto::ReplayDeliveryResponse, ModerationError> {
        let (caller, request) = auth::administrator(&self.moderation, request).await?;
        let bad = |error| bad_name("name", &error);
        let (site, webhook, id) = DeliveryId::from_name(&request.name).map_err(bad)?;
        let actor = caller.actor();
        let replayed = self.moderation.replay_delivery(&actor, &site, webhook, id).await?;
        let delivery = Some(delivery_to_wire(&site, webhook, replayed));
        Ok(proto::ReplayDeliveryResponse { delivery })
    }
}

fn required() -> ModerationError {
    ModerationError::field("webhook", "required", "A webhook is required.")
}

fn webhook_name(field: &'static str, name: &str) -> Result<(SiteId, WebhookId), ModerationError> {
    WebhookId::from_name(name).map_err(|error| bad_name(field, &error))
}

fn state(value: i32) -> Result<Option<DeliveryState>, ModerationError> {
    Ok(match proto::DeliveryState::try_from(value).map_err(|_| unknown_value("state"))? {
        proto::DeliveryState::Unspecified => None,
        proto::DeliveryState::Pending => Some(DeliveryState::Pending),
        proto::DeliveryState::Delivered => Some(DeliveryState::Delivered),
        proto::DeliveryState::Dead => Some(DeliveryState::Dead),
    })
}

fn webhook_to_wire(webhook: WebhookRecord) -> proto::Webhook {
    proto::Webhook {
        name: webhook.id.name(&webhook.site),
        uri: webhook.uri.to_string(),
        disabled: webhook.disabled,
        dead_delivery_count: webhook.dead_count as i64,
        etag: webhook.revision.to_string(),
        create_time: Some(timestamp(webhook.create_time)),
        akismet: webhook.akismet_key.is_some(),
    }
}

fn delivery_to_wire(
    site: &SiteId,
    webhook: WebhookId,
    delivery: DeliveryRecord,
) -> proto::Delivery {
    let state = match delivery.state {
        DeliveryState::Pending => proto::DeliveryState::Pending,
        DeliveryState::Delivered => proto::DeliveryState::Delivered,
        DeliveryState::Dead => proto::DeliveryState::Dead,
    };
    proto::Delivery {
        name: delivery.id.name(site, webhook),
        state: state.into(),
        decision_count: delivery.decision_count as i32,
        attempt_count: delivery.attempt_count as i32,
        status_code: delivery.status.map(i32::from),
        failure: delivery.failure.unwrap_or_default(),
        create_time: Some(timestamp(delivery.create_time)),
        attempt_time: delivery.attempt_time.map(timestamp),
        next_attempt_time: delivery.next_attempt_time.map(timestamp),
        replayed: delivery.replay,
    }
}

#[tonic::async_trait]
impl WebhookService for Webhooks {
    async fn create_webhook(
        &self,
        request: Request<proto::CreateWebhookRequest>,
    ) -> Result<Response<proto::CreateWebhookResponse>, Status> {
        answer!(self, "CreateWebhook", create, request)
    }

    async fn list_webhooks(
        &self,
        request: Request<proto::ListWebhooksRequest>,
    ) -> Result<Response<proto::ListWebhooksResponse>, Status> {
        answer!(self, "ListWebhooks", list, request)
    }

    async fn get_webhook(
        &self,
        request: Request<proto::GetWebhookRequest>,
    ) -> Result<Response<proto::GetWebhookResponse>, Status> {
        answer!(self, "GetWebhook", get, request)
    }

    async fn update_webhook(
        &self,
        request: Request<proto::UpdateWebhookRequest>,
    ) -> Result<Response<proto::UpdateWebhookResponse>, Status> {
        answer!(self, "UpdateWebhook", update, request)
    }

    async fn rotate_webhook_secret(
        &self,
        request: Request<proto::RotateWebhookSecretRequest>,
    ) -> Result<Response<proto::RotateWebhookSecretResponse>, Status> {
        answer!(self, "RotateWebhookSecret", rotate, request)
    }

    async fn delete_webhook(
        &self,
        request: Request<proto::DeleteWebhookRequest>,
    ) -> Result<Response<proto::DeleteWebhookResponse>, Status> {
        answer!(self, "DeleteWebhook", delete, request)
    }

    async fn test_webhook(
        &self,
        request: Request<proto::TestWebhookRequest>,
    ) -> Result<Response<proto::TestWebhookResponse>, Status> {
        answer!(self, "TestWebhook", test, request)
    }

    async fn list_deliveries(
        &self,
        request: Request<proto::ListDeliveriesRequest>,
    ) -> Result<Response<proto::ListDeliveriesResponse>, Status> {
        answer!(self, "ListDeliveries", list_deliveries_of, request)
    }

    async fn replay_delivery(
        &self,
        request: Request<proto::ReplayDeliveryRequest>,
    ) -> Result<Response<proto::ReplayDeliveryResponse>, Status> {
        answer!(self, "ReplayDelivery", replay, request)
    }
}

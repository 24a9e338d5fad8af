//! The webhooks of a site, for administrators: add, test, stop, rotate, remove; what was given up
//! and can be sent again.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};

use super::super::errors::PageError;
use super::super::flash::{self, Flash};
use super::super::form::SignedForm;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::{page, page_with};
use super::super::{Console, require_administrator, require_site};
use super::view::{datetime, instant};
use crate::domain::{DeliveryId, Site, WEBHOOK_URI_BYTES_MAX, WebhookId};
use crate::moderation::ports::webhooks::{DeliveryRecord, DeliveryState, WebhookRecord};
use crate::moderation::{ModerationError, WebhookTest};

/// Deliveries of a webhook that the page shows.
const DELIVERY_COUNT: usize = 10;

struct WebhookView {
    path: String,
    uri: String,
    disabled: bool,
    dead_count: u64,
    created: String,
    deliveries: Vec<DeliveryView>,
}

struct DeliveryView {
    path: String,
    state: &'static str,
    badge: &'static str,
    decision_count: u64,
    outcome: String,
    attempt_count: u32,
    time: String,
    datetime: String,
    next: String,
    replayable: bool,
}

#[derive(askama::Template)]
#[template(path = "console/webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    here: String,
    webhooks: Vec<WebhookView>,
    /// A secret that was just made: where to, and the secret itself, shown this once.
    secret: Option<(String, String)>,
    uri: String,
    uri_bytes_max: usize,
    problem: String,
}

/// What the page says besides the webhooks.
#[derive(Default)]
struct Extras {
    secret: Option<(String, String)>,
    uri: String,
    problem: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sites/{site}/webhooks", get(show).post(add))
        .route("/sites/{site}/webhooks/{id}/{action}", post(act))
        .route("/sites/{site}/webhooks/{id}/deliveries/{delivery}/replay", post(replay))
}

fn webhooks_path(site: &Site) -> String {
    format!("{}/webhooks", site_path(&site.id))
}

async fn show(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    require_administrator(&framing.session)?;
    Ok(page(&shown(&console, &framing, &site, Extras::default()).await?))
}

async fn add(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let uri = sent.form.get("uri").trim().to_owned();
    let made = console.moderation().create_webhook(&sent.session.actor(), &site.id, &uri).await;
    let (status, extras) = match made {
        Ok(made) => {
            let secret = Some((made.record.uri.to_string(), made.secret));
            (StatusCode::CREATED, Extras { secret, ..Extras::default() })
        }
        Err(ModerationError::Invalid(violations)) => {
            let texts: Vec<_> = violations.into_iter().map(|one| one.description).collect();
            let problem = texts.join(" ");
            (StatusCode::BAD_REQUEST, Extras { uri, problem, ..Extras::default() })
        }
        Err(error) => return Err(error.into()),
    };
    let framing = Framing::after_form(sent.session);
    Ok(page_with(status, &shown(&console, &framing, &site, extras).await?))
}

async fn act(
    State(console): State<Console>,
    Path((site, id, action)): Path<(String, String, String)>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let name = format!("{}/webhooks/{id}", site.id.name());
    let (_, id) = WebhookId::from_name(&name).map_err(|_| PageError::NotFound)?;
    let (moderation, actor) = (console.moderation(), sent.session.actor());
    let known = moderation.webhook(&site.id, id).await?;
    let text = match action.as_str() {
        "test" => tested(&known, moderation.test_webhook(&site.id, id).await?),
        "disable" | "enable" => {
            let disabled = action == "disable";
            let uri = known.uri.as_str();
            moderation.update_webhook(&actor, &site.id, id, None, uri, disabled).await?;
            match disabled {
                true => format!("Nothing is sent to {uri} now. What is decided is sent later."),
                false => format!("What was decided is sent to {uri} again."),
            }
        }
        "rotate" => {
            let made = moderation.rotate_webhook_secret(&actor, &site.id, id).await?;
            let secret = Some((made.record.uri.to_string(), made.secret));
            let framing = Framing::after_form(sent.session);
            let extras = Extras { secret, ..Extras::default() };
            let shown = shown(&console, &framing, &site, extras).await?;
            return Ok(page_with(StatusCode::OK, &shown));
        }
        "remove" => {
            moderation.delete_webhook(&actor, &site.id, id).await?;
            format!("The webhook to {} is removed.", known.uri)
        }
        _ => return Err(PageError::NotFound),
    };
    Ok(flash::done(&console, &sent.session, &webhooks_path(&site), &Flash::new(text)))
}

async fn replay(
    State(console): State<Console>,
    Path((site, webhook, delivery)): Path<(String, String, String)>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let name = format!("{}/webhooks/{webhook}/deliveries/{delivery}", site.id.name());
    let (_, webhook, id) = DeliveryId::from_name(&name).map_err(|_| PageError::NotFound)?;
    let actor = sent.session.actor();
    console.moderation().replay_delivery(&actor, &site.id, webhook, id).await?;
    let flash = Flash::new("It is sent again.");
    Ok(flash::done(&console, &sent.session, &webhooks_path(&site), &flash))
}

fn tested(webhook: &WebhookRecord, test: WebhookTest) -> String {
    let uri = &webhook.uri;
    match (test.failure, test.status) {
        (None, _) => format!("{uri} took the message."),
        (Some(failure), Some(status)) => format!("{uri} answered {status}: {failure}."),
        (Some(failure), None) => format!("{uri} did not answer: {failure}."),
    }
}

async fn shown(
    console: &Console,
    framing: &Framing,
    site: &Site,
    extras: Extras,
) -> Result<WebhooksPage, PageError> {
    let (moderation, here) = (console.moderation(), webhooks_path(site));
    let mut webhooks = Vec::new();
    for webhook in moderation.webhooks(&site.id).await? {
        let id = webhook.id;
        let last = moderation.deliveries(&site.id, id, None, None, DELIVERY_COUNT).await?;
        let path = format!("{here}/{}", id.as_uuid());
        webhooks.push(WebhookView {
            deliveries: last.iter().map(|one| delivery_view(&path, one)).collect(),
            path,
            uri: webhook.uri.to_string(),
            disabled: webhook.disabled,
            dead_count: webhook.dead_count,
            created: instant(webhook.create_time),
        });
    }
    Ok(WebhooksPage {
        frame: framing.frame(console, "Webhooks", Nav::Webhooks, Some(site)).await?,
        here,
        webhooks,
        secret: extras.secret,
        uri: extras.uri,
        uri_bytes_max: WEBHOOK_URI_BYTES_MAX,
        problem: extras.problem,
    })
}

fn delivery_view(webhook_path: &str, delivery: &DeliveryRecord) -> DeliveryView {
    let outcome = match (&delivery.failure, delivery.status) {
        (Some(failure), Some(status)) => format!("{status}, {failure}"),
        (Some(failure), None) => failure.clone(),
        (None, Some(status)) => status.to_string(),
        (None, None) => "not tried yet".into(),
    };
    let time = delivery.attempt_time.unwrap_or(delivery.create_time);
    DeliveryView {
        path: format!("{webhook_path}/deliveries/{}/replay", delivery.id),
        state: delivery.state.as_str(),
        badge: match delivery.state {
            DeliveryState::Delivered => "approve",
            DeliveryState::Pending => "hold",
            DeliveryState::Dead => "reject",
        },
        decision_count: delivery.decision_count,
        outcome,
        attempt_count: delivery.attempt_count,
        time: instant(time),
        datetime: datetime(time),
        next: delivery.next_attempt_time.map(instant).unwrap_or_default(),
        replayable: delivery.state != DeliveryState::Pending,
    }
}

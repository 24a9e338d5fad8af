//! `replyguard webhooks`: where the running service sends what is decided on a site.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use super::first_site::connect_to_site;
use super::sites::{show, shown, unwrapped};
use super::{Failure, SiteArgs, block_on};
use crate::grpc::client::{Client, FieldMask};
use crate::grpc::proto;

/// Arguments of `webhooks`.
#[derive(Args)]
pub(super) struct WebhooksArgs {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(Subcommand)]
enum Action {
    /// List the webhooks of the site
    List,
    /// Add a webhook and print the secret that its receiver checks signatures with, once
    Add {
        /// Where to: the https address of the receiver
        uri: String,
    },
    /// Change where a webhook leads
    Move {
        /// Its name, or the last part of it
        webhook: String,
        /// Where to
        uri: String,
    },
    /// Send nothing until it is enabled again; what is decided meanwhile is sent then
    Disable {
        /// Its name, or the last part of it
        webhook: String,
    },
    /// Send again
    Enable {
        /// Its name, or the last part of it
        webhook: String,
    },
    /// Make a new secret and print it, once; for 24 hours the one before signs too
    Rotate {
        /// Its name, or the last part of it
        webhook: String,
    },
    /// Remove a webhook with its deliveries
    Remove {
        /// Its name, or the last part of it
        webhook: String,
    },
    /// Send a message of the type `ping` now, and say how it was answered
    Test {
        /// Its name, or the last part of it
        webhook: String,
    },
    /// List the last deliveries of a webhook
    Deliveries {
        /// Its name, or the last part of it
        webhook: String,
        /// Only deliveries that stand there
        #[arg(long)]
        state: Option<State>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_name = "COUNT")]
        count_max: i32,
    },
    /// Send deliveries again
    Replay {
        /// A delivery's name
        #[arg(required_unless_present = "dead", conflicts_with = "dead")]
        delivery: Option<String>,
        /// All dead deliveries of a webhook: its name, or the last part of it
        #[arg(long, value_name = "WEBHOOK")]
        dead: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    /// Tried, or waiting to be tried again
    Pending,
    /// The receiver has it
    Delivered,
    /// Given up after three days
    Dead,
}

impl State {
    fn to_wire(self) -> proto::DeliveryState {
        match self {
            Self::Pending => proto::DeliveryState::Pending,
            Self::Delivered => proto::DeliveryState::Delivered,
            Self::Dead => proto::DeliveryState::Dead,
        }
    }
}

impl WebhooksArgs {
    /// Does it and prints what came of it.
    pub(super) fn run(self) -> Result<(), Failure> {
        block_on(async {
            let (client, site) = connect_to_site(&self.site).await?;
            let done = self.action.run(client, &site).await?;
            show(&done, self.site.service.json)
        })
    }
}

/// A webhook's name from itself or its last part.
fn full_name(site: &str, webhook: &str) -> String {
    match webhook.contains('/') {
        true => webhook.to_owned(),
        false => format!("{site}/webhooks/{webhook}"),
    }
}

impl Action {
    async fn run(self, mut client: Client, site: &str) -> Result<Vec<Value>, Failure> {
        let webhooks = &mut client.webhooks;
        match self {
            Self::List => {
                let request = proto::ListWebhooksRequest {
                    parent: site.to_owned(),
                    ..proto::ListWebhooksRequest::default()
                };
                let answer = unwrapped(webhooks.list_webhooks(request).await)?;
                Ok(answer.webhooks.iter().map(|webhook| shown("Webhook", webhook)).collect())
            }
            Self::Add { uri } => {
                let webhook = Some(proto::Webhook { uri, ..proto::Webhook::default() });
                let request = proto::CreateWebhookRequest { parent: site.to_owned(), webhook };
                let answer = unwrapped(webhooks.create_webhook(request).await)?;
                Ok(vec![shown("CreateWebhookResponse", &answer)])
            }
            Self::Move { webhook, uri } => {
                let name = full_name(site, &webhook);
                let wanted = proto::Webhook { name, uri, ..proto::Webhook::default() };
                update(&mut client, wanted, "uri").await
            }
            Self::Disable { webhook } => disable(&mut client, site, &webhook, true).await,
            Self::Enable { webhook } => disable(&mut client, site, &webhook, false).await,
            Self::Rotate { webhook } => {
                let request = proto::RotateWebhookSecretRequest { name: full_name(site, &webhook) };
                let answer = unwrapped(webhooks.rotate_webhook_secret(request).await)?;
                Ok(vec![shown("RotateWebhookSecretResponse", &answer)])
            }
            Self::Remove { webhook } => {
                let request = proto::DeleteWebhookRequest { name: full_name(site, &webhook) };
                unwrapped(webhooks.delete_webhook(request).await)?;
                Ok(Vec::new())
            }
            Self::Test { webhook } => {
                let request = proto::TestWebhookRequest { name: full_name(site, &webhook) };
                let answer = unwrapped(webhooks.test_webhook(request).await)?;
                match answer.failure.as_str() {
                    "" => Ok(vec![shown("TestWebhookResponse", &answer)]),
                    failure => Err(Failure::unavailable(failed(failure, answer.status_code))),
                }
            }
            Self::Deliveries { webhook, state, count_max } => {
                let parent = full_name(site, &webhook);
                let found = deliveries(&mut client, parent, state, count_max).await?;
                Ok(found.iter().map(|delivery| shown("Delivery", delivery)).collect())
            }
            Self::Replay { delivery: Some(name), .. } => Ok(vec![replay(&mut client, name).await?]),
            Self::Replay { dead, .. } => {
                let parent = full_name(site, &dead.unwrap_or_default());
                let dead = deliveries(&mut client, parent, Some(State::Dead), i32::MAX).await?;
                let mut replayed = Vec::new();
                for delivery in dead {
                    replayed.push(replay(&mut client, delivery.name).await?);
                }
                Ok(replayed)
            }
        }
    }
}

/// How a test failed, for a person.
fn failed(failure: &str, status: Option<i32>) -> String {
    match status {
        Some(status) => format!("the receiver answered {status}: {failure}"),
        None => format!("the receiver did not answer: {failure}"),
    }
}

async fn update(
    client: &mut Client,
    wanted: proto::Webhook,
    path: &str,
) -> Result<Vec<Value>, Failure> {
    let update_mask = Some(FieldMask { paths: vec![path.to_owned()] });
    let request = proto::UpdateWebhookRequest { webhook: Some(wanted), update_mask };
    let answer = unwrapped(client.webhooks.update_webhook(request).await)?;
    Ok(vec![shown("Webhook", &answer.webhook.unwrap_or_default())])
}

async fn disable(
    client: &mut Client,
    site: &str,
    webhook: &str,
    disabled: bool,
) -> Result<Vec<Value>, Failure> {
    let name = full_name(site, webhook);
    update(client, proto::Webhook { name, disabled, ..proto::Webhook::default() }, "disabled").await
}

/// At most `count_max` deliveries, the last ones first.
async fn deliveries(
    client: &mut Client,
    parent: String,
    state: Option<State>,
    count_max: i32,
) -> Result<Vec<proto::Delivery>, Failure> {
    let count_max = usize::try_from(count_max).unwrap_or_default();
    let mut found = Vec::new();
    let mut page_token = String::new();
    while found.len() < count_max {
        let request = proto::ListDeliveriesRequest {
            parent: parent.clone(),
            state: state.map_or(0, |state| state.to_wire().into()),
            page_size: (count_max - found.len()).min(1_000) as i32,
            page_token,
        };
        let answer = unwrapped(client.webhooks.list_deliveries(request).await)?;
        found.extend(answer.deliveries);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(found)
}

async fn replay(client: &mut Client, name: String) -> Result<Value, Failure> {
    let request = proto::ReplayDeliveryRequest { name };
    let answer = unwrapped(client.webhooks.replay_delivery(request).await)?;
    Ok(shown("Delivery", &answer.delivery.unwrap_or_default()))
}

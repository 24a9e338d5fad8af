//! The pages of one site: queue, comment, campaign, author, search, decisions, audit log, overview,
//! policy, privacy, webhooks and keys. All of them are over the use cases that gRPC calls too.

mod audit;
mod author;
mod charts;
mod comment;
mod decide;
mod decisions;
mod events;
mod highlight;
mod keys;
mod overview;
mod policy;
mod policy_form;
mod privacy;
mod privacy_records;
mod queue;
mod search;
mod view;
mod webhooks;

use axum::Router;

use super::Console;
use crate::moderation::Reviewer;
use crate::moderation::accounts::Session;

/// The pages of a site.
pub(super) fn routes() -> Router<Console> {
    Router::new()
        .merge(queue::routes())
        .merge(comment::routes())
        .merge(search::routes())
        .merge(author::routes())
        .merge(decide::routes())
        .merge(decisions::routes())
        .merge(audit::routes())
        .merge(overview::routes())
        .merge(policy::routes())
        .merge(privacy::routes())
        .merge(webhooks::routes())
        .merge(keys::routes())
        .merge(events::routes())
}

/// Who is signed in, as a reviewer.
fn reviewer(session: &Session) -> Reviewer {
    Reviewer { actor: session.actor(), administrator: session.account().is_administrator() }
}

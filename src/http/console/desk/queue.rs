//! The review queue: the first page of a site.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::super::errors::PageError;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{Console, require_site};
use super::view::{CommentView, age, campaign_href, campaign_key};
use crate::moderation::ports::review::{QueueEntry, QueueOrder};

/// Entries of a page: what fits into a quarter of an hour.
const ENTRY_COUNT: usize = 25;

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct QueueQuery {
    order: String,
    page: String,
}

/// An entry as the page shows it.
struct EntryView {
    /// What a form sends to mean all of it.
    key: String,
    /// What it is known by while comments come and go.
    campaign: String,
    held_count: u64,
    campaign_href: String,
    waits: String,
    comment: CommentView,
}

struct OrderChoice {
    word: &'static str,
    label: &'static str,
    current: bool,
}

#[derive(askama::Template)]
#[template(path = "console/queue.html")]
struct QueuePage {
    frame: Frame,
    path: String,
    /// Where this page is, to come back to it.
    here: String,
    entries: Vec<EntryView>,
    count: String,
    orders: Vec<OrderChoice>,
    next: String,
    first: bool,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}", get(queue))
}

async fn queue(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
    Query(query): Query<QueueQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let order = QueueOrder::ALL.into_iter().find(|order| order.as_str() == query.order);
    let order = order.unwrap_or_default();
    let moderation = console.moderation();
    let listing = moderation.review_queue(&site, order, &query.page, ENTRY_COUNT).await?;
    let count = moderation.queue_count(&site).await?;
    let (path, now) = (site_path(&site.id), moderation.now());
    let view = |entry: &QueueEntry| EntryView {
        key: match entry.held_count {
            1 => format!("{}.{}", entry.comment.comment.id, entry.comment.revision),
            _ => campaign_key(entry.campaign, entry.comment.comment.id),
        },
        campaign: entry.campaign.to_string(),
        held_count: entry.held_count,
        campaign_href: campaign_href(&site.id, &entry.campaign.to_string()),
        waits: age(now - entry.first_time),
        comment: CommentView::new(&site, &entry.comment, now),
    };
    let link = |page: &str| format!("{path}?order={}&page={page}", order.as_str());
    Ok(page(&QueuePage {
        frame: framing.frame(&console, "Queue", Nav::Queue, Some(&site)).await?,
        here: link(&query.page),
        entries: listing.rows.iter().map(view).collect(),
        count: format!("{}{}", count.count, if count.more { "+" } else { "" }),
        orders: orders(order),
        next: match listing.next_page_token.as_str() {
            "" => String::new(),
            token => link(token),
        },
        first: query.page.is_empty(),
        path,
    }))
}

fn orders(current: QueueOrder) -> Vec<OrderChoice> {
    let label = |order| match order {
        QueueOrder::Usefulness => "Most useful",
        QueueOrder::Oldest => "Longest waiting",
        QueueOrder::Newest => "Newest",
        QueueOrder::Score => "Highest score",
    };
    let choice = |order: QueueOrder| OrderChoice {
        word: order.as_str(),
        label: label(order),
        current: order == current,
    };
    QueueOrder::ALL.into_iter().map(choice).collect()
}

//! Comments by filter, and those of one campaign.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use url::form_urlencoded;

use super::super::errors::PageError;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::{page, page_with};
use super::super::{Console, require_site};
use super::comment::comment_id;
use super::view::{CommentView, campaign_key};
use crate::domain::Site;
use crate::moderation::ports::review::{ListOrder, ReviewedComment};
use crate::moderation::{Listing, ModerationError};
use crate::text;

/// Comments of a page.
const COMMENT_COUNT: usize = 25;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SearchQuery {
    q: String,
    order: String,
    page: String,
}

impl SearchQuery {
    /// The token of the page.
    pub fn page(&self) -> &str {
        &self.page
    }
}

#[derive(askama::Template)]
#[template(path = "console/search.html")]
struct SearchPage {
    frame: Frame,
    path: String,
    here: String,
    query: String,
    order: &'static str,
    problem: String,
    comments: Vec<CommentView>,
    next: String,
}

#[derive(askama::Template)]
#[template(path = "console/campaign.html")]
struct CampaignPage {
    frame: Frame,
    path: String,
    here: String,
    key: String,
    filter: String,
    total_count: u64,
    held_count: u64,
    comments: Vec<CommentView>,
    next: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sites/{site}/search", get(search))
        .route("/sites/{site}/campaigns/{campaign}", get(campaign))
}

/// The address of a list.
fn link(path: &str, query: &str, order: ListOrder, token: &str) -> String {
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.append_pair("q", query).append_pair("order", order.as_str());
    if !token.is_empty() {
        pairs.append_pair("page", token);
    }
    format!("{path}?{}", pairs.finish())
}

/// Comments as the page shows them, and the address of the next page.
pub(super) fn shown(
    console: &Console,
    site: &Site,
    listing: &Listing<ReviewedComment>,
    next: impl Fn(&str) -> String,
) -> (Vec<CommentView>, String) {
    let now = console.moderation().now();
    let comments = listing.rows.iter().map(|row| CommentView::new(site, row, now)).collect();
    let next = match listing.next_page_token.as_str() {
        "" => String::new(),
        token => next(token),
    };
    (comments, next)
}

async fn search(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
    Query(query): Query<SearchQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let order = ListOrder::ALL.into_iter().find(|order| order.as_str() == query.order);
    let order = order.unwrap_or_default();
    let path = format!("{}/search", site_path(&site.id));
    let (masked, address_count) = text::mask_addresses(&query.q);
    if address_count > 0 {
        // Comments have addresses masked, so this finds as much, and the browser's history and
        // what leads on from this page keep none.
        return Ok(Redirect::to(&link(&path, &masked, order, "")).into_response());
    }
    let frame = framing.frame(&console, "Search", Nav::Search, Some(&site)).await?;
    let found = console
        .moderation()
        .list_comments(&site, query.q.trim(), order, &query.page, COMMENT_COUNT)
        .await;
    let mut shown_page = SearchPage {
        frame,
        here: link(&path, &query.q, order, &query.page),
        path: site_path(&site.id),
        order: order.as_str(),
        query: query.q.clone(),
        problem: String::new(),
        comments: Vec::new(),
        next: String::new(),
    };
    match found {
        Ok(listing) => {
            let next = |token: &str| link(&path, &query.q, order, token);
            (shown_page.comments, shown_page.next) = shown(&console, &site, &listing, next);
            Ok(page(&shown_page))
        }
        Err(ModerationError::Invalid(violations)) => {
            let texts: Vec<_> = violations.into_iter().map(|one| one.description).collect();
            shown_page.problem = super::super::errors::sentence(&texts.join(" "));
            Ok(page_with(axum::http::StatusCode::BAD_REQUEST, &shown_page))
        }
        Err(error) => Err(error.into()),
    }
}

async fn campaign(
    State(console): State<Console>,
    framing: Framing,
    Path((site, id)): Path<(String, String)>,
    Query(query): Query<SearchQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let id = comment_id(&id)?;
    let moderation = console.moderation();
    let newest = moderation.newest_held_of_campaign(&site, id).await?;
    let (total_count, held_count) = moderation.campaign_counts(&site, id).await?;
    if total_count == 0 {
        return Err(PageError::NotFound);
    }
    let filter = format!("campaign:{id}");
    let order = ListOrder::Newest;
    let listing =
        moderation.list_comments(&site, &filter, order, &query.page, COMMENT_COUNT).await?;
    let path = site_path(&site.id);
    let here = format!("{path}/campaigns/{id}");
    let (comments, next) = shown(&console, &site, &listing, |token| format!("{here}?page={token}"));
    Ok(page(&CampaignPage {
        frame: framing.frame(&console, "Campaign", Nav::Queue, Some(&site)).await?,
        path,
        here,
        key: newest.map(|newest| campaign_key(id, newest)).unwrap_or_default(),
        filter,
        total_count,
        held_count,
        comments,
        next,
    }))
}

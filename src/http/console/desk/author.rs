//! How one author fared on a site: by fingerprint, never by address.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;

use super::super::errors::PageError;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{Console, require_site};
use super::search::{SearchQuery, shown};
use super::view::CommentView;
use crate::domain::{AuthorRecord, Fingerprint};
use crate::moderation::ports::review::ListOrder;

/// Comments of a page.
const COMMENT_COUNT: usize = 25;

#[derive(askama::Template)]
#[template(path = "console/author.html")]
struct AuthorPage {
    frame: Frame,
    path: String,
    here: String,
    fingerprint: String,
    email: String,
    names: Vec<String>,
    record: AuthorRecord,
    filter: String,
    comments: Vec<CommentView>,
    next: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}/authors/{author}", get(author))
}

async fn author(
    State(console): State<Console>,
    framing: Framing,
    Path((site, author)): Path<(String, String)>,
    Query(query): Query<SearchQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let fingerprint = Fingerprint::parse(&author).ok_or(PageError::NotFound)?;
    let moderation = console.moderation();
    let filter = format!("author:{fingerprint}");
    let listing = moderation
        .list_comments(&site, &filter, ListOrder::Newest, query.page(), COMMENT_COUNT)
        .await?;
    if listing.rows.is_empty() {
        return Err(PageError::NotFound);
    }
    let path = site_path(&site.id);
    let here = format!("{path}/authors/{fingerprint}");
    let (comments, next) = shown(&console, &site, &listing, |token| format!("{here}?page={token}"));
    let mut names: Vec<String> = comments.iter().map(|comment| comment.author.clone()).collect();
    names.sort();
    names.dedup();
    names.retain(|name| !name.is_empty());
    Ok(page(&AuthorPage {
        frame: framing.frame(&console, "Author", Nav::Elsewhere, Some(&site)).await?,
        record: moderation.author_record(&site, fingerprint).await?,
        email: comments.first().map(|comment| comment.email.clone()).unwrap_or_default(),
        fingerprint: fingerprint.to_string(),
        path,
        here,
        names,
        filter,
        comments,
        next,
    }))
}

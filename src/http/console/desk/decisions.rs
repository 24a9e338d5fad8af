//! What was decided lately, each with its undo.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::super::errors::PageError;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{Console, require_site};
use super::view::{datetime, instant};

/// Decisions of a page.
const DECISION_COUNT: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BeforeQuery {
    /// The number that stands before the page; nothing: from the last one on.
    pub before: Option<i64>,
}

struct DecisionLine {
    time: String,
    datetime: String,
    action: &'static str,
    actor: String,
    note: String,
    comment_count: u64,
    undone: bool,
    undo: String,
}

#[derive(askama::Template)]
#[template(path = "console/decisions.html")]
struct DecisionsPage {
    frame: Frame,
    here: String,
    lines: Vec<DecisionLine>,
    next: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}/decisions", get(decisions))
}

async fn decisions(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
    Query(query): Query<BeforeQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let rows = console.moderation().decisions(&site, query.before, DECISION_COUNT).await?;
    let here = format!("{}/decisions", site_path(&site.id));
    let last = rows.last().filter(|_| rows.len() == DECISION_COUNT);
    let next = last.map(|last| format!("{here}?before={}", last.number)).unwrap_or_default();
    let line = |row: &crate::moderation::ports::review::DecisionRecord| DecisionLine {
        time: instant(row.time),
        datetime: datetime(row.time),
        action: row.action.as_str(),
        actor: row.actor.clone(),
        note: row.note.clone().unwrap_or_default(),
        comment_count: row.comment_count,
        undone: row.undone.is_some(),
        undo: format!("{here}/{}/undo", row.id),
    };
    let lines = rows.iter().map(line).collect();
    let frame = framing.frame(&console, "Decisions", Nav::Decisions, Some(&site)).await?;
    Ok(page(&DecisionsPage { frame, here, lines, next }))
}

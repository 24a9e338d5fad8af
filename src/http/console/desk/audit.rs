//! The audit log of a site.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;

use super::super::errors::PageError;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{Console, require_site};
use super::decisions::BeforeQuery;
use super::view::{datetime, excerpt, instant};
use crate::domain::{CommentId, SiteId};
use crate::moderation::ports::AuditEntry;

/// Entries of a page.
const ENTRY_COUNT: usize = 50;
/// Characters of a value; a policy is long.
const VALUE_CHARACTERS: usize = 2_000;

struct AuditLine {
    position: i64,
    time: String,
    datetime: String,
    actor: String,
    action: String,
    subject: String,
    href: String,
    before: String,
    after: String,
    note: String,
}

#[derive(askama::Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    frame: Frame,
    here: String,
    lines: Vec<AuditLine>,
    next: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/sites/{site}/audit", get(audit))
}

async fn audit(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
    Query(query): Query<BeforeQuery>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let rows = console.moderation().audit_entries(&site, query.before, ENTRY_COUNT).await?;
    let here = format!("{}/audit", site_path(&site.id));
    let last = rows.last().filter(|_| rows.len() == ENTRY_COUNT);
    let next = last.map(|last| format!("{here}?before={}", last.position)).unwrap_or_default();
    let lines = rows.iter().map(|row| line(&site.id, row)).collect();
    let frame = framing.frame(&console, "Audit log", Nav::Audit, Some(&site)).await?;
    Ok(page(&AuditPage { frame, here, lines, next }))
}

fn line(site: &SiteId, entry: &AuditEntry) -> AuditLine {
    let comment = CommentId::from_name(&entry.subject).ok();
    let href = comment.filter(|(owner, _)| owner == site);
    let value =
        |text: &Option<String>| excerpt(text.as_deref().unwrap_or_default(), VALUE_CHARACTERS).0;
    AuditLine {
        position: entry.position,
        time: instant(entry.time),
        datetime: datetime(entry.time),
        actor: entry.actor.clone(),
        action: entry.action.clone(),
        subject: entry.subject.clone(),
        href: href.map(|(_, id)| format!("{}/comments/{id}", site_path(site))).unwrap_or_default(),
        before: value(&entry.before),
        after: value(&entry.after),
        note: entry.note.clone().unwrap_or_default(),
    }
}

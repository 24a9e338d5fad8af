//! Decisions: one entry, several, or all that a filter means after a look at what would change.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;

use super::super::errors::PageError;
use super::super::flash::{self, Flash};
use super::super::form::{Form, SignedForm};
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{CONSOLE_PATH, Console, require_site};
use super::comment::comment_id;
use super::reviewer;
use super::view::CommentView;
use crate::domain::{Action, DecisionId, Site};
use crate::moderation::ports::review::{Passed, Target};
use crate::moderation::{DecisionProgress, DecisionRequest, Reviewer, Selection};
use crate::text;

#[derive(askama::Template)]
#[template(path = "console/preview.html")]
struct PreviewPage {
    frame: Frame,
    path: String,
    back: String,
    filter: String,
    /// The newest comment that is meant; empty if none is.
    newest: String,
    action: &'static str,
    verb: &'static str,
    note: String,
    total_count: u64,
    change_count: u64,
    held_count: u64,
    approved_count: u64,
    rejected_count: u64,
    author_count: u64,
    page_count: u64,
    campaign_count: u64,
    too_many: bool,
    sample: Vec<CommentView>,
}

/// What a script is told of a decision.
#[derive(Serialize)]
struct Told {
    text: String,
    undo: Option<String>,
    decided: u64,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sites/{site}/decide", post(decide))
        .route("/sites/{site}/decide-all", post(decide_all))
        .route("/sites/{site}/decisions/{decision}/undo", post(undo))
}

fn action(word: &str) -> Result<Action, PageError> {
    let found = Action::ALL.into_iter().find(|action| action.as_str() == word);
    let chosen = found.filter(|action| action.effect().is_some());
    chosen.ok_or_else(|| PageError::BadRequest("Say what to do with the comment.".into()))
}

/// What an action is called after it was done.
fn done_word(action: Action) -> &'static str {
    match action {
        Action::Approve => "approved",
        Action::RejectSpam => "rejected as spam",
        Action::RejectAbuse => "rejected as abuse",
        Action::RejectOther => "rejected",
        Action::Reopen => "put back into the queue",
        Action::Feedback | Action::Undo => "taken back",
    }
}

/// The action and the entries of a form: one button of one entry, or the ticked ones.
fn asked(form: &Form) -> Result<(Action, Vec<String>), PageError> {
    if let Some((word, key)) = form.get("one").split_once(' ') {
        return Ok((action(word)?, vec![key.to_owned()]));
    }
    let keys: Vec<String> = form.all("entry").map(str::to_owned).collect();
    if keys.is_empty() {
        return Err(PageError::BadRequest("No comment was selected.".into()));
    }
    Ok((action(form.get("bulk"))?, keys))
}

async fn decide(
    State(console): State<Console>,
    Path(site): Path<String>,
    headers: HeaderMap,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    let (action, keys) = asked(&sent.form)?;
    let reviewer = reviewer(&sent.session);
    let targets = targets(&console, &site, &keys).await?;
    let request = DecisionRequest {
        selection: Selection::Comments(targets),
        action,
        note: sent.form.get("note").to_owned(),
    };
    let done = console.shared_moderation().decide(&reviewer, &site, request, |_| ()).await?;
    let (flash, moved) = (flash_of(&site, action, &done), done.decided_count);
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json") {
        return Ok(told(&flash, moved));
    }
    Ok(flash::done(&console, &sent.session, &back(&sent.form, &site), &flash))
}

/// The comments that keys of entries mean: `id.revision` or `campaign.id.newest`.
async fn targets(
    console: &Console,
    site: &Site,
    keys: &[String],
) -> Result<Vec<Target>, PageError> {
    let mut targets = Vec::new();
    for key in keys {
        let (first, rest) = key.split_once('.').ok_or(PageError::NotFound)?;
        if first == "campaign" {
            let (campaign, newest) = rest.split_once('.').ok_or(PageError::NotFound)?;
            let (campaign, newest) = (comment_id(campaign)?, comment_id(newest)?);
            targets.extend(console.moderation().held_of_campaign(site, campaign, newest).await?);
        } else {
            let revision = rest.parse().map_err(|_| PageError::NotFound)?;
            targets.push(Target { comment: comment_id(first)?, revision: Some(revision) });
        }
    }
    Ok(targets)
}

fn flash_of(site: &Site, action: Action, done: &DecisionProgress) -> Flash {
    let moved = match done.decided_count {
        0 => "No comment was moved".to_owned(),
        1 => format!("1 comment {}", done_word(action)),
        count => format!("{count} comments {}", done_word(action)),
    };
    let text = match (done.passed_count, done.passed.first()) {
        (0, _) | (_, None) => format!("{moved}."),
        (1, Some((_, why))) => format!("{moved}; 1 was passed over: {}.", passed_words(*why)),
        (count, Some((_, why))) => {
            format!("{moved}; {count} were passed over: {}.", passed_words(*why))
        }
    };
    let flash = Flash::new(text);
    match done.decided_count {
        0 => flash,
        _ => flash.with_undo(undo_path(site, done.decision)),
    }
}

fn passed_words(why: Passed) -> &'static str {
    match why {
        Passed::NotFound => "it is not there",
        Passed::Changed => "somebody changed it meanwhile",
        Passed::NothingToDo => "it stands there already",
        Passed::Claimed => "another moderator looks at it",
    }
}

fn undo_path(site: &Site, decision: DecisionId) -> String {
    format!("{}/decisions/{decision}/undo", site_path(&site.id))
}

fn told(flash: &Flash, decided: u64) -> Response {
    let told = Told { text: flash.text.clone(), undo: flash.undo.clone(), decided };
    let status = if decided == 0 { StatusCode::CONFLICT } else { StatusCode::OK };
    let body = serde_json::to_string(&told).unwrap_or_default();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Where a form wants to go back to, if that is a page of this site.
fn back(form: &Form, site: &Site) -> String {
    let own = site_path(&site.id);
    let back = form.get("back");
    let rest = back.strip_prefix(&own);
    let inside = rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(['/', '?']) && !rest.contains(char::is_control)
    });
    if inside { back.to_owned() } else { own }
}

/// All that a filter means: first what would change, then, if that was wanted, the change, of no
/// comment that came since. A long one goes on in the background; its page shows how far it is.
async fn decide_all(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    let action = action(sent.form.get("action"))?;
    // As on the page of the search, which shows no address.
    let filter = text::mask_addresses(sent.form.get("filter")).0.into_owned();
    let note = sent.form.get("note").to_owned();
    let newest = sent.form.get("newest");
    if sent.form.get("confirmed").is_empty() || newest.is_empty() {
        return preview(&console, sent, &site, action, filter, note).await;
    }
    let selection = Selection::Seen { filter, newest: comment_id(newest)? };
    let request = DecisionRequest { selection, action, note };
    let started = start(&console, reviewer(&sent.session), &site, request).await?;
    let text = format!("Comments are being {}.", done_word(action));
    let flash = Flash::new(text).with_undo(undo_path(&site, started));
    let path = format!("{}/decisions", site_path(&site.id));
    Ok(flash::done(&console, &sent.session, &path, &flash))
}

async fn preview(
    console: &Console,
    sent: SignedForm,
    site: &Site,
    action: Action,
    filter: String,
    note: String,
) -> Result<Response, PageError> {
    let selection = Selection::Filter(filter.clone());
    let moderation = console.moderation();
    let preview = moderation.preview_decision(site, &selection, action).await?;
    let [held_count, approved_count, rejected_count] = preview.state_counts;
    let (path, now, back) = (site_path(&site.id), moderation.now(), back(&sent.form, site));
    let framing = Framing::after_form(sent.session);
    Ok(page(&PreviewPage {
        frame: framing.frame(console, "Decide on all", Nav::Search, Some(site)).await?,
        path,
        back,
        filter,
        newest: preview.newest.map(|newest| newest.to_string()).unwrap_or_default(),
        action: action.as_str(),
        verb: done_word(action),
        note,
        total_count: preview.total_count,
        change_count: preview.change_count,
        held_count,
        approved_count,
        rejected_count,
        author_count: preview.author_count,
        page_count: preview.page_count,
        campaign_count: preview.campaign_count,
        too_many: preview.too_many,
        sample: preview.sample.iter().map(|one| CommentView::new(site, one, now)).collect(),
    }))
}

/// Begins a decision that may take long; answers once its first part is done or it failed.
async fn start(
    console: &Console,
    reviewer: Reviewer,
    site: &Site,
    request: DecisionRequest,
) -> Result<DecisionId, PageError> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let (console, site) = (console.clone(), site.clone());
    let work = tokio::spawn(async move {
        let tell = move |progress: &DecisionProgress| {
            // Whoever began it may be gone.
            let _ =
                sender.send((progress.decision, progress.decided_count + progress.passed_count));
        };
        console.shared_moderation().decide(&reviewer, &site, request, tell).await
    });
    while let Some((decision, count)) = receiver.recv().await {
        if count > 0 {
            return Ok(decision);
        }
    }
    let broken = |_| PageError::Unavailable;
    let done = work.await.map_err(broken)??;
    Err(PageError::Conflict(format!("No comment was moved ({} were meant).", done.total_count)))
}

async fn undo(
    State(console): State<Console>,
    Path((site, decision)): Path<(String, String)>,
    headers: HeaderMap,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    let decision: DecisionId = decision.parse().map_err(|_| PageError::NotFound)?;
    let moderation = console.shared_moderation();
    let reviewer = reviewer(&sent.session);
    let done = moderation.undo(&reviewer, &site, decision, String::new(), |_| ()).await?;
    let flash = flash_of(&site, Action::Undo, &done);
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json") {
        return Ok(told(&flash, done.decided_count));
    }
    let path = match sent.form.get("back") {
        // The button of the message stands on every page.
        "" => referrer(&headers, &site),
        _ => back(&sent.form, &site),
    };
    Ok(flash::done(&console, &sent.session, &path, &flash))
}

/// The page that a form stands on, if it is one of this site.
fn referrer(headers: &HeaderMap, site: &Site) -> String {
    let own = site_path(&site.id);
    let text = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let path = text.and_then(|text| text.find(CONSOLE_PATH).map(|at| &text[at..]));
    match path.and_then(|path| path.strip_prefix(&own).map(|rest| (path, rest))) {
        Some((path, rest)) if rest.is_empty() || rest.starts_with(['/', '?']) => path.to_owned(),
        _ => own,
    }
}

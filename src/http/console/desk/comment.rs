//! A comment with all that is known of it: why it was judged so, what was done, who wrote it.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use super::super::errors::PageError;
use super::super::flash::{self, Flash};
use super::super::form::SignedForm;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::page;
use super::super::{Console, require_site};
use super::highlight::{Piece, pieces};
use super::reviewer;
use super::view::{CommentView, campaign_key, datetime, instant, safe_href};
use crate::domain::{AuthorRecord, CommentId, LogOdds, Site, probability};
use crate::features::{Field, Group, Place};
use crate::moderation::ports::review::DecidedComment;
use crate::moderation::{Explained, Explanation, ModerationError, ReviewDetail};

/// Parts of the score in the table; the rest stands together.
const PART_COUNT: usize = 20;
/// Characters of a thing that is left out.
const REMOVED_CHARACTERS: usize = 60;

/// A thing that weighs, with its bar.
struct Weight {
    name: String,
    weight: String,
    /// `spam` or `ham`.
    class: &'static str,
    /// Width of the bar in hundredths of the widest.
    width: u32,
}

struct HistoryLine {
    time: String,
    datetime: String,
    action: &'static str,
    actor: String,
    note: String,
    states: String,
    undo: String,
}

struct FlipView {
    verdict: &'static str,
    score: String,
    removed: Vec<String>,
}

#[derive(askama::Template)]
#[template(path = "console/comment.html")]
struct CommentPage {
    frame: Frame,
    path: String,
    here: String,
    comment: CommentView,
    text: Vec<Piece>,
    author: Vec<Piece>,
    website: Vec<Piece>,
    page_href: String,
    verdict: &'static str,
    model_version: String,
    raw_score: String,
    bias: String,
    groups: Vec<Weight>,
    parts: Vec<Weight>,
    rest: String,
    signals: Vec<(String, String, String)>,
    missing: Vec<&'static str>,
    degraded: Vec<&'static str>,
    flip: Option<FlipView>,
    history: Vec<HistoryLine>,
    record: Option<AuthorRecord>,
    campaign_count: u64,
    campaign_held_count: u64,
    /// Empty if there is nothing to decide on but the comment.
    campaign_key: String,
    thresholds: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sites/{site}/comments/{comment}", get(comment))
        .route("/sites/{site}/comments/{comment}/claim", post(claim))
        .route("/sites/{site}/comments/{comment}/release", post(release))
}

async fn comment(
    State(console): State<Console>,
    framing: Framing,
    Path((site, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    let id = comment_id(&id)?;
    let moderation = console.moderation();
    let detail = moderation.review_detail(&site, id).await?;
    let explanation = moderation.explain(&site, Explained::Recorded(id), None).await?;
    let frame = framing.frame(&console, "Comment", Nav::Queue, Some(&site)).await?;
    let mut shown = comment_page(frame, &site, &detail, &explanation, moderation.now());
    if detail.campaign_held_count > 1 {
        let campaign = detail.reviewed.comment.campaign;
        let newest = moderation.newest_held_of_campaign(&site, campaign).await?;
        shown.campaign_key =
            newest.map(|newest| campaign_key(campaign, newest)).unwrap_or_default();
    }
    Ok(page(&shown))
}

fn comment_page(
    frame: Frame,
    site: &Site,
    detail: &ReviewDetail,
    explanation: &Explanation,
    now: time::OffsetDateTime,
) -> CommentPage {
    let comment = &detail.reviewed.comment;
    let submission = &explanation.submission;
    let marked = |text: Option<&str>, field| {
        text.map(|text| pieces(text, field, explanation)).unwrap_or_default()
    };
    let path = site_path(&site.id);
    let shown = explanation.parts.iter().take(PART_COUNT);
    let widest = explanation.parts.first().map_or(1.0, |part| part.weight.to_f64().abs());
    let rest: LogOdds = explanation
        .parts
        .iter()
        .skip(PART_COUNT)
        .fold(LogOdds::ZERO, |sum, part| sum + part.weight);
    let groups = explanation.groups();
    let widest_group =
        groups.values().map(|weight| weight.to_f64().abs()).fold(f64::MIN_POSITIVE, f64::max);
    CommentPage {
        here: format!("{path}/comments/{}", comment.id),
        comment: CommentView::new(site, &detail.reviewed, now),
        text: marked(Some(&submission.text), Field::Text),
        author: marked(submission.author.as_deref(), Field::Author),
        website: marked(submission.url.as_deref(), Field::Url),
        page_href: safe_href(submission.page_uri.as_deref().unwrap_or_default()),
        verdict: comment.verdict.as_str(),
        model_version: explanation.model_version.clone(),
        raw_score: signed(explanation.raw_score),
        bias: signed(explanation.bias),
        groups: groups
            .iter()
            .map(|(group, sum)| weight(group_name(*group), *sum, widest_group))
            .collect(),
        parts: shown.map(|part| weight(&part.name, part.weight, widest)).collect(),
        rest: if explanation.parts.len() > PART_COUNT { signed(rest) } else { String::new() },
        signals: comment
            .signals
            .iter()
            .map(|signal| (signal.name.to_string(), signal.detail.clone(), signed(signal.weight)))
            .collect(),
        missing: comment.missing.iter().map(|input| input.as_str()).collect(),
        degraded: comment.degraded.iter().map(|part| part.as_str()).collect(),
        flip: explanation.flip.as_ref().map(|flip| FlipView {
            verdict: flip.verdict.as_str(),
            score: format!("{:.1} %", probability(flip.raw_score) * 100.0),
            removed: flip.removed.iter().map(|place| removed(explanation, place)).collect(),
        }),
        history: detail.history.iter().rev().map(|done| history_line(&path, done)).collect(),
        record: detail.author.map(|(_, record)| record),
        campaign_count: detail.campaign_count,
        campaign_held_count: detail.campaign_held_count,
        campaign_key: String::new(),
        thresholds: format!(
            "held from {:.1} %, rejected from {:.1} %",
            explanation.thresholds.hold * 100.0,
            explanation.thresholds.reject * 100.0
        ),
        frame,
        path,
    }
}

fn history_line(path: &str, done: &DecidedComment) -> HistoryLine {
    HistoryLine {
        time: instant(done.time),
        datetime: datetime(done.time),
        action: done.action.as_str(),
        actor: done.actor.clone(),
        note: done.note.clone().unwrap_or_default(),
        states: format!("{} → {}", done.state_before.as_str(), done.state_after.as_str()),
        undo: format!("{path}/decisions/{}/undo", done.decision),
    }
}

fn removed(explanation: &Explanation, place: &Place) -> String {
    let submission = &explanation.submission;
    let text = match place.field {
        Field::Text => Some(submission.text.as_str()),
        Field::Author => submission.author.as_deref(),
        Field::Url => submission.url.as_deref(),
    };
    let piece = text.and_then(|text| text.get(place.span.clone())).unwrap_or_default();
    super::view::excerpt(piece, REMOVED_CHARACTERS).0
}

fn weight(name: &str, weight: LogOdds, widest: f64) -> Weight {
    Weight {
        name: name.to_owned(),
        weight: signed(weight),
        class: if weight.to_f64() > 0.0 { "spam" } else { "ham" },
        width: (weight.to_f64().abs() / widest * 100.0).round() as u32,
    }
}

fn signed(weight: LogOdds) -> String {
    format!("{:+.2}", weight.to_f64())
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Words => "words",
        Group::Phrases => "turns of phrase",
        Group::Links => "links",
        Group::Name => "name",
        Group::Website => "website",
        Group::AddressShape => "address shape",
        Group::Style => "style",
        Group::Page => "page",
        Group::Signals => "signals",
    }
}

pub(super) fn comment_id(text: &str) -> Result<CommentId, PageError> {
    uuid::Uuid::parse_str(text).map(CommentId::from_uuid).map_err(|_| PageError::NotFound)
}

async fn claim(
    State(console): State<Console>,
    Path((site, id)): Path<(String, String)>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    let id = comment_id(&id)?;
    let claimed = console.moderation().claim_comment(&reviewer(&sent.session), &site, id).await;
    let text = match claimed {
        Ok(_) => "Others see for ten minutes that you look at this campaign.".to_owned(),
        Err(ModerationError::Claimed(other)) => format!("{other} looks at it already."),
        Err(error) => return Err(error.into()),
    };
    let path = format!("{}/comments/{id}", site_path(&site.id));
    Ok(flash::done(&console, &sent.session, &path, &Flash::new(text)))
}

async fn release(
    State(console): State<Console>,
    Path((site, id)): Path<(String, String)>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    let id = comment_id(&id)?;
    console.moderation().release_comment(&reviewer(&sent.session), &site, id).await?;
    let path = format!("{}/comments/{id}", site_path(&site.id));
    Ok(flash::done(&console, &sent.session, &path, &Flash::new("The claim is given back.")))
}

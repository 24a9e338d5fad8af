//! What administrators do with a person's data, and with a site's: erase, export, drop the key.
//! An address comes in the body of a form, and from there on its fingerprint stands for it: it is
//! in no URL and on no page.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use super::super::errors::{PageError, sentence};
use super::super::flash::{self, Flash};
use super::super::form::SignedForm;
use super::super::frame::{Frame, Framing, Nav, site_path};
use super::super::page::{page, page_with};
use super::super::{Console, require_administrator, require_site};
use super::privacy_records::lines;
use crate::domain::{Fingerprint, Site};
use crate::moderation::ports::privacy::{Holdings, Whose};
use crate::moderation::{AuthorSelector, ExportStream, ModerationError};

/// What is stored of somebody.
struct FoundView {
    empty: bool,
    comment_count: u64,
    example_count: u64,
    label_count: u64,
    /// The fingerprint, by which the next form means the same person.
    author: String,
}

impl FoundView {
    fn new(author: Fingerprint, holdings: Holdings) -> Self {
        Self {
            empty: holdings.is_empty(),
            comment_count: holdings.comment_count,
            example_count: holdings.example_count,
            label_count: holdings.label_count,
            author: author.to_string(),
        }
    }
}

#[derive(askama::Template)]
#[template(path = "console/privacy.html")]
struct PrivacyPage {
    frame: Frame,
    here: String,
    found: Option<FoundView>,
    problem: String,
}

pub(super) fn routes() -> Router<Console> {
    Router::new()
        .route("/sites/{site}/privacy", get(show).post(look))
        .route("/sites/{site}/privacy/erase", post(erase))
        .route("/sites/{site}/privacy/export", post(export))
        .route("/sites/{site}/privacy/export-site", post(export_site))
        .route("/sites/{site}/privacy/rotate", post(rotate))
}

fn privacy_path(site: &Site) -> String {
    format!("{}/privacy", site_path(&site.id))
}

async fn shown(
    console: &Console,
    framing: &Framing,
    site: &Site,
    found: Option<FoundView>,
    problem: String,
) -> Result<PrivacyPage, PageError> {
    Ok(PrivacyPage {
        frame: framing.frame(console, "Privacy", Nav::Privacy, Some(site)).await?,
        here: privacy_path(site),
        found,
        problem,
    })
}

async fn show(
    State(console): State<Console>,
    framing: Framing,
    Path(site): Path<String>,
) -> Result<Response, PageError> {
    let site = require_site(&console, &framing.session, &site).await?;
    require_administrator(&framing.session)?;
    Ok(page(&shown(&console, &framing, &site, None, String::new()).await?))
}

async fn look(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let address = AuthorSelector::Email(sent.form.get("email").to_owned());
    let (status, found, problem) = match console.moderation().whose(&site, address).await {
        Ok(Whose::Author(author)) => {
            let holdings = console.moderation().holdings(&site, Whose::Author(author)).await?;
            (StatusCode::OK, Some(FoundView::new(author, holdings)), String::new())
        }
        Ok(Whose::Comment(_)) => return Err(PageError::NotFound),
        Err(ModerationError::Invalid(violations)) => {
            let texts: Vec<_> = violations.into_iter().map(|one| one.description).collect();
            (StatusCode::BAD_REQUEST, None, sentence(&texts.join(" ")))
        }
        Err(error) => return Err(error.into()),
    };
    let framing = Framing::after_form(sent.session);
    Ok(page_with(status, &shown(&console, &framing, &site, found, problem).await?))
}

/// The person that an earlier page stood for.
fn person(sent: &SignedForm) -> Result<Whose, PageError> {
    let author = Fingerprint::parse(sent.form.get("author"));
    author
        .map(Whose::Author)
        .ok_or_else(|| PageError::BadRequest("Look for a person first.".into()))
}

/// Passes forms whose box was ticked.
fn require_confirmed(sent: &SignedForm) -> Result<(), PageError> {
    let confirmed = sent.form.get("confirmed") == "yes";
    let text = "Nothing was done, since it was not confirmed.";
    confirmed.then_some(()).ok_or_else(|| PageError::BadRequest(text.into()))
}

async fn erase(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    require_confirmed(&sent)?;
    let (whose, note) = (person(&sent)?, sent.form.get("note").to_owned());
    let moderation = console.shared_moderation();
    let erased = moderation.erase_author(&sent.session.actor(), &site, whose, note).await?;
    let Holdings { comment_count, example_count, label_count } = erased;
    let flash = Flash::new(format!(
        "Erased: {comment_count} comments, {example_count} examples, {label_count} labels. The \
         next training gives a model that never saw them."
    ));
    Ok(flash::done(&console, &sent.session, &privacy_path(&site), &flash))
}

async fn export(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let whose = person(&sent)?;
    let moderation = console.shared_moderation();
    let records = moderation.export_author(&sent.session.actor(), &site, whose).await?;
    Ok(download("author.jsonl", &site, records))
}

async fn export_site(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    let moderation = console.shared_moderation();
    let records = moderation.export_site(&sent.session.actor(), &site).await?;
    Ok(download("site.jsonl", &site, records))
}

/// Records as a file that the browser saves.
fn download(name: &str, site: &Site, records: ExportStream) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}-{name}\"", site.id)),
    ];
    (headers, Body::from_stream(lines(site.id.clone(), records))).into_response()
}

async fn rotate(
    State(console): State<Console>,
    Path(site): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    let site = require_site(&console, &sent.session, &site).await?;
    require_administrator(&sent.session)?;
    require_confirmed(&sent)?;
    let actor = sent.session.actor();
    console.shared_moderation().rotate_fingerprint_key(&actor, &site, String::new()).await?;
    let flash = Flash::new("The key is dropped, and a new one is in use.");
    Ok(flash::done(&console, &sent.session, &privacy_path(&site), &flash))
}

//! One account, for administrators: its role and sites.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::errors::{PageError, sentence};
use super::flash::{self, Flash};
use super::form::SignedForm;
use super::frame::{Frame, Framing, Nav};
use super::moderators::{SITE_COUNT_MAX, SiteChoice, account_id, site_choices};
use super::page::page;
use super::{CONSOLE_PATH, Console, require_administrator};
use crate::moderation::ModerationError;
use crate::moderation::ports::accounts::{AccountChange, Role};

#[derive(askama::Template)]
#[template(path = "console/moderator.html")]
struct ModeratorPage {
    frame: Frame,
    path: String,
    name: String,
    etag: i64,
    administrator: bool,
    sites: Vec<SiteChoice>,
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/moderators/{id}", get(show).post(change))
}

async fn show(
    State(console): State<Console>,
    framing: Framing,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    require_administrator(&framing.session)?;
    let account = console.accounts().account(account_id(&id)?).await?;
    let sites = console.moderation().sites(None, SITE_COUNT_MAX).await?;
    let title = format!("Moderator {}", account.name);
    Ok(page(&ModeratorPage {
        frame: framing.frame(&console, &title, Nav::Moderators, None).await?,
        path: format!("{CONSOLE_PATH}/moderators/{}", account.id),
        etag: account.revision,
        administrator: account.role == Role::Administrator,
        sites: site_choices(&sites, &account.sites),
        name: account.name,
    }))
}

async fn change(
    State(console): State<Console>,
    Path(id): Path<String>,
    sent: SignedForm,
) -> Result<Response, PageError> {
    require_administrator(&sent.session)?;
    let (id, form) = (account_id(&id)?, &sent.form);
    let known = console.accounts().account(id).await?;
    let role = Role::parse(form.get("role"));
    let change = AccountChange {
        revision: form.get("etag").parse().ok().or(Some(known.revision)),
        role: role.ok_or_else(|| PageError::BadRequest("A role is required.".into()))?,
        sites: form.all("site").filter_map(|site| site.parse().ok()).collect(),
        disabled: known.disabled,
    };
    let changed = console.accounts().update(&sent.session.actor(), id, change).await;
    let account = changed.map_err(|error| match error {
        ModerationError::LastAdministrator => PageError::Conflict(sentence(&error.to_string())),
        other => other.into(),
    })?;
    let flash = Flash::new(format!("“{}” is changed.", account.name));
    let path = format!("{CONSOLE_PATH}/moderators");
    Ok(flash::done(&console, &sent.session, &path, &flash))
}
